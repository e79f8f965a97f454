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
	"slices"
	"strconv"
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
}

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

// Run reads everything, sorts it by chart, and writes it in large commits. What cannot be kept is listed with its reason and
// nothing else is held up by it. Started again after an interruption, it goes on where it was.
func (c *importCommand) Run(s *session) error {
	n, tenant, err := c.open(s)
	if err != nil {
		return err
	}
	err = c.load(s, n, tenant)
	return errors.Join(err, n.Close())
}

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
	n, err := node.Open(s.ctx, cfg, node.Options{Logger: slog.New(slog.NewJSONHandler(s.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	return n, tenant, err
}

// item is one resource to be written, with the key that sorts it beside its chart.
type item struct {
	chart string
	res   *fhir.Resource
	file  string
	line  int
}

func (c *importCommand) load(s *session, n *node.Node, tenant ident.ODSCode) error {
	items, refused, faulty, err := c.read(s.ctx, n)
	if err != nil {
		return err
	}
	for _, r := range refused {
		fmt.Fprintln(s.stderr, "refused", r)
	}
	for _, r := range faulty {
		fmt.Fprintln(s.stderr, "breaks a rule", r)
	}
	if c.Strict && len(refused) > 0 {
		return fault.New(fault.Unprocessable, "%d of %d were refused and nothing was imported (--strict)", len(refused), len(refused)+len(items))
	}
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.chart, b.chart) })
	name := loadName(tenant, items)
	before, err := n.Kernel().Records.LoadOf(s.ctx, name)
	if err != nil {
		return err
	}
	if before.Done > 0 {
		fmt.Fprintf(s.stderr, "going on after %d that an import before this one looked at, of which it refused %d\n", before.Done, before.Refused)
	}
	start := time.Now()
	late, err := c.write(s, n.Loader("import", tenant, nil), name, items[before.Done:])
	if err != nil {
		return err
	}
	rules := ""
	if len(faulty) > 0 {
		rules = fmt.Sprintf(" (%d of them break a rule of FHIR R4)", len(faulty))
	}
	left := len(refused) + before.Refused + late
	fmt.Fprintf(s.stdout, "imported %d%s, refused %d, in %.1f s\n", len(items)+len(refused)-left, rules, left, time.Since(start).Seconds())
	if err := n.Kernel().Records.EndLoad(s.ctx, name); err != nil {
		return err
	}
	if left > 0 {
		return fault.New(fault.Unprocessable, "%d of %d were refused, each with its reason above; the others are imported", left, len(items)+len(refused))
	}
	return nil
}

// write writes items in their order and lists what the record refuses; it says how many those are.
func (c *importCommand) write(s *session, w *node.Loader, name string, items []item) (refused int, err error) {
	progress := bar(s.stderr, len(items), "importing")
	from := map[*fhir.Resource]item{}
	for _, it := range items {
		from[it.res] = it
	}
	w.Name, w.Wrote = name, func(count int) error { return progress.Add(count) }
	w.Refused = func(res *fhir.Resource, err error) {
		refused++
		fmt.Fprintln(s.stderr, "refused", refusal{from[res].file, from[res].line, err})
	}
	for _, it := range items {
		if err := s.ctx.Err(); err != nil {
			return refused, fault.Wrap(err, fault.Unavailable, "stopped before the end; run the same command to go on")
		}
		if err := w.Add(s.ctx, it.res); err != nil {
			return refused, err
		}
	}
	return refused, w.Flush(s.ctx)
}

// read reads every file and keeps what is FHIR R4; the rest is refused. What breaks an invariant alone is kept and listed in
// faulty, unless Rules refuses that too: old records are better kept with their faults than lost.
func (c *importCommand) read(ctx context.Context, n *node.Node) (items []item, refused, faulty []refusal, err error) {
	list, err := files(c.Paths)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(list) == 0 {
		return nil, nil, nil, fault.New(fault.NotFound, "there is no .json, .ndjson or .xml file there")
	}
	defs := n.Kernel().Definitions
	for _, path := range list {
		err := resources(path, defs, func(f found) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			broken := false
			if f.err == nil {
				f.res = named(f.res)
				broken, f.err = c.sound(ctx, f.res, defs)
			}
			if f.err != nil && !broken {
				refused = append(refused, refusal{f.file, f.line, f.err})
				return nil
			}
			if broken {
				faulty = append(faulty, refusal{f.file, f.line, f.err})
			}
			items = append(items, item{search.Chart(f.res) + "\x00" + f.res.Type(), f.res, f.file, f.line})
			return nil
		})
		if err != nil {
			return nil, nil, nil, err
		}
	}
	return items, refused, faulty, nil
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
	for _, it := range items {
		h.Write(it.res.JSON())
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
