package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/fhir/validate"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
)

type importCommand struct {
	Paths    []string `arg:"" help:"NDJSON files, bundles, single resources (JSON or XML), or folders of them." type:"path"`
	Data     string   `default:"openspine-data" help:"The node's data folder. The node must not be running." type:"path"`
	Config   string   `help:"The node's configuration file, instead of --data." type:"path"`
	Database string   `env:"OPENSPINE_DATABASE" help:"A PostgreSQL URL, when the node's database is not in the data folder."`
	Tenant   string   `help:"The organisation whose records these become; the national one by default."`
	Package  []string `help:"A FHIR package (.tgz) or a folder of FHIR definitions that the node runs with." type:"path"`
	Strict   bool     `help:"Import nothing when anything would be refused."`
	Rules    bool     `help:"Refuse what breaks a rule (an invariant) of FHIR R4 too, as the API does; without it, that is imported and reported."`
	Batch    int      `default:"10000" help:"How many resources share one commit: fewer take less memory, more are faster in a large record."`
}

// Validate refuses batches that no machine holds.
func (c *importCommand) Validate() error {
	if c.Batch < 1 || c.Batch > maxBatch {
		return fault.New(fault.Invalid, "--batch is 1 to %d resources; %d was asked for", maxBatch, c.Batch)
	}
	return nil
}

// maxBatch is some hundred megabytes of resources.
const maxBatch = 100_000

// refusal is what was not imported, and why.
type refusal struct {
	file string
	line int
	err  error
}

func (r refusal) String() string {
	at := r.file
	if r.line > 0 {
		at += ":" + strconv.Itoa(r.line)
	}
	return at + ": " + fault.MessageOf(r.err) + detail(r.err)
}

func detail(err error) string {
	issues := fault.IssuesOf(err)
	if len(issues) == 0 || issues[0].Diagnostics == fault.MessageOf(err) {
		return ""
	}
	text := " " + issues[0].Diagnostics
	if len(issues) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(issues)-1)
	}
	return text
}

// Run reads everything twice: once to see what there is, in which charts, and then in the order of charts, to write it in large commits.
// So it takes little memory, however large the files are. What cannot be kept is listed with its reason and nothing else is held up by it.
// Started again after an interruption, it goes on where it was.
func (c *importCommand) Run(s *session) error {
	defer debug.SetGCPercent(debug.SetGCPercent(calmGC))
	n, tenant, err := c.open(s)
	if err != nil {
		return err
	}
	err = c.load(s, n, tenant)
	return errors.Join(err, n.Close())
}

// calmGC lets the heap, which stays small, grow to three times what is in use: an import makes much that is soon forgotten.
const calmGC = 200

func (c *importCommand) open(s *session) (*node.Node, ident.ODSCode, error) {
	cfg := node.Config{Name: "national", Data: c.Data, National: "X26", Tenants: []node.TenantConfig{{Code: "X26", Name: "National spine", Kind: "national"}}}
	if c.Config != "" {
		var err error
		if cfg, err = node.ReadConfig(c.Config); err != nil {
			return nil, ident.ODSCode{}, err
		}
	}
	cfg.Definitions = append(cfg.Definitions, c.Package...)
	cfg.Database = cmp.Or(c.Database, cfg.Database)
	tenant, err := ident.ParseODSCode(cmp.Or(c.Tenant, cfg.National))
	if err != nil {
		return nil, tenant, err
	}
	n, err := node.Open(s.ctx, cfg, node.Options{Loading: true, Logger: slog.New(slog.NewJSONHandler(s.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	return n, tenant, err
}

// item is where one resource to be written stands, with the key that sorts it beside its chart and what names its content.
type item struct {
	spot
	chart  string
	digest [16]byte
}

// looked is what one look at an item, or at what should have been one, has found.
type looked struct {
	item
	res    *fhir.Resource
	broken bool  // err says which rule it breaks, and it is imported all the same
	err    error // else why it is not
}

// importing is one run of an import.
type importing struct {
	c       *importCommand
	s       *session
	n       *node.Node
	checked bool // everything has been held to FHIR already
	items   []item

	mu      sync.Mutex
	waiting []looked // that the loader has and has not written
	refused int
	faulty  int
}

func (c *importCommand) load(s *session, n *node.Node, tenant ident.ODSCode) error {
	start := time.Now()
	run := &importing{c: c, s: s, n: n}
	if err := run.survey(); err != nil {
		return err
	}
	all := len(run.items) + run.refused
	if run.checked = c.Strict; c.Strict && run.refused > 0 {
		return fault.New(fault.Unprocessable, "%d of %d were refused and nothing was imported (--strict)", run.refused, all)
	}
	name := loadName(tenant, run.items)
	before, err := n.Kernel().Records.LoadOf(s.ctx, name)
	if err != nil {
		return err
	}
	if before.Done > 0 {
		fmt.Fprintf(s.stderr, "going on after %d that an import before this one looked at, of which it refused %d\n", before.Done, before.Refused)
	}
	if err := run.write(n.Loader("import", tenant, nil), name, run.items[before.Done:]); err != nil {
		return err
	}
	rules := ""
	if run.faulty > 0 {
		rules = fmt.Sprintf(" (%d of them break a rule of FHIR R4)", run.faulty)
	}
	left := run.refused + before.Refused
	took := time.Since(start).Seconds()
	fmt.Fprintf(s.stdout, "imported %d%s, refused %d, in %.1f s (%.0f/s)\n", all-left, rules, left, took, float64(all-before.Done)/took)
	if err := n.Kernel().Records.EndLoad(s.ctx, name); err != nil {
		return err
	}
	if left > 0 {
		return fault.New(fault.Unprocessable, "%d of %d were refused, each with its reason above; the others are imported", left, all)
	}
	return nil
}

// survey reads every file and notes where each resource stands, in the order of charts.
func (r *importing) survey() error {
	list, err := files(r.c.Paths)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fault.New(fault.NotFound, "there is no .json, .ndjson or .xml file there")
	}
	defs := r.n.Kernel().Definitions
	err = ordered(r.s.ctx, func(give func(piece) error) error { return pieces(list, give) },
		func(p piece) ([]looked, error) {
			all := p.resources(defs)
			out := make([]looked, len(all))
			for i, f := range all {
				out[i] = r.look(f, r.c.Strict)
			}
			return out, nil
		},
		func(all []looked) error {
			for _, l := range all {
				if r.told(l); l.err == nil || l.broken {
					r.items = append(r.items, l.item)
				}
			}
			return nil
		})
	if err != nil {
		return r.stopped(err)
	}
	slices.SortStableFunc(r.items, func(a, b item) int { return cmp.Compare(a.chart, b.chart) })
	return nil
}

// look says what a resource is; with check it is held to FHIR. What it is made of is kept only until it is written.
func (r *importing) look(f found, check bool) looked {
	l := looked{item: item{spot: f.spot}, err: f.err}
	if f.err != nil {
		return l
	}
	l.res = named(f.res)
	sum := sha256.Sum256(l.res.JSON())
	l.digest = [16]byte(sum[:16])
	l.chart = search.Chart(l.res) + "\x00" + l.res.Type()
	if check {
		l.broken, l.err = r.c.sound(r.s.ctx, l.res, r.n.Kernel().Definitions)
	}
	return l
}

// told tells of what is refused, or breaks a rule.
func (r *importing) told(l looked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case l.broken:
		r.faulty++
		fmt.Fprintln(r.s.stderr, "breaks a rule", refusal{l.file, l.line, l.err})
	case l.err != nil:
		r.refused++
		fmt.Fprintln(r.s.stderr, "refused", refusal{l.file, l.line, l.err})
	}
}

// stopped words the error of an import that was stopped.
func (r *importing) stopped(err error) error {
	if r.s.ctx.Err() != nil {
		return fault.Wrap(err, fault.Unavailable, "stopped before the end; run the same command to go on")
	}
	return err
}

// readAtOnce is how many items are read, parsed and held to FHIR by one processor at a time.
const readAtOnce = 64

// write writes items in their order, and lists what the record refuses.
func (r *importing) write(w *node.Loader, name string, items []item) error {
	progress := bar(r.s.stderr, len(items), "importing")
	w.Name, w.Batch, w.Later = name, r.c.Batch, len(items) >= node.ManyLoaded || r.n.Kernel().Records.Due()
	w.Wrote = func(count int) error {
		r.mu.Lock()
		r.waiting = r.waiting[count:]
		r.mu.Unlock()
		return progress.Add(count)
	}
	w.Refused = func(res *fhir.Resource, err error) {
		l := looked{err: err}
		r.mu.Lock()
		if i := slices.IndexFunc(r.waiting, func(l looked) bool { return l.res == res }); i >= 0 {
			l.item = r.waiting[i].item
		}
		r.mu.Unlock()
		r.told(l)
	}
	defs := r.n.Kernel().Definitions
	err := ordered(r.s.ctx, func(give func([]item) error) error {
		for some := range slices.Chunk(items, readAtOnce) {
			if err := give(some); err != nil {
				return err
			}
		}
		return nil
	}, func(some []item) ([]looked, error) {
		spots := make([]spot, len(some))
		for i := range some {
			spots[i] = some[i].spot
		}
		all, err := again(spots, defs)
		if err != nil {
			return nil, err
		}
		out := make([]looked, len(all))
		for i, f := range all {
			if out[i] = r.look(f, !r.checked); out[i].digest != some[i].digest {
				return nil, changed(some[i].file)
			}
		}
		return out, nil
	}, func(all []looked) error {
		for _, l := range all {
			r.told(l)
			r.mu.Lock()
			r.waiting = append(r.waiting, l)
			r.mu.Unlock()
			var err error
			if l.err == nil || l.broken {
				err = w.Add(r.s.ctx, l.res)
			} else {
				err = w.PassOver(r.s.ctx)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return r.stopped(err)
	}
	return w.Flush(r.s.ctx)
}

// sound says what is wrong with a resource; broken says that it is a rule alone, so that it is kept all the same.
func (c *importCommand) sound(ctx context.Context, res *fhir.Resource, defs *definition.Set) (broken bool, err error) {
	issues := validate.Structure(res, defs)
	if !validate.Fails(issues) {
		issues = validate.Validate(ctx, res, validate.Options{Definitions: defs})
		broken = !c.Rules
	}
	if !validate.Fails(issues) {
		return false, nil
	}
	return broken, fault.WithIssues(fault.Unprocessable, "It does not keep to FHIR R4:", validate.Errors(issues)...)
}

// loadName names an import by what it holds, so that the same one is known again.
func loadName(tenant ident.ODSCode, items []item) string {
	h := sha256.New()
	io.WriteString(h, tenant.String())
	for i := range items {
		h.Write(items[i].digest[:])
	}
	return "import/" + hex.EncodeToString(h.Sum(nil)[:16])
}

// bar shows progress on a terminal, and in a log a line every ten seconds; total below zero means that it is not known.
func bar(w io.Writer, total int, what string) *progressbar.ProgressBar {
	throttle := 200 * time.Millisecond
	if f, ok := w.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		throttle = 10 * time.Second
	}
	return progressbar.NewOptions(total, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionThrottle(throttle), progressbar.OptionClearOnFinish(), progressbar.OptionSetRenderBlankState(false))
}
