package main

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/node"
)

// directoryCommand keeps the directory of organisations.
type directoryCommand struct {
	Import    directoryImport    `cmd:"" help:"Import one of the ODS files (epraccur.csv and others of its shape) and show what changed."`
	Postcodes directoryPostcodes `cmd:"" help:"Load a postcode file (ONS Postcode Directory, or any with postcode, latitude and longitude) for finer distances."`
	Key       directoryKey       `cmd:"" help:"Give an application a key for the published directory APIs, or end its keys."`
}

// directoryData says where the node is, for commands about its directory.
type directoryData struct {
	Data   string `default:"openspine-data" help:"The node's data folder. The node must not be running." type:"path"`
	Config string `help:"The node's configuration file, instead of --data." type:"path"`

	Database string `env:"OPENSPINE_DATABASE" help:"A PostgreSQL URL, when the node's database is not in the data folder."`
}

// with opens the node and hands over its directory.
func (c directoryData) with(s *session, fn func(n *node.Node, d *directory.Directory) error) error {
	n, _, err := (&importCommand{Data: c.Data, Config: c.Config, Database: c.Database}).open(s)
	if err != nil {
		return err
	}
	return errors.Join(fn(n, directory.New(n.Kernel(), false)), n.Close())
}

type directoryImport struct {
	directoryData
	File   string `arg:"" help:"The ODS file, without a header line." type:"path"`
	Report string `help:"Which ODS file it is (epraccur, ets …), when its name does not say."`
	DryRun bool   `help:"Show what would change and write nothing."`
	All    bool   `help:"List every change, not the first ten of each kind."`
}

// Run reads the file, says what it changes, and writes it. The same file again changes nothing.
func (c *directoryImport) Run(s *session) error {
	report, err := directory.ReportOf(cmp.Or(c.Report, c.File))
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "cannot read %s: %v", c.File, err)
	}
	defer f.Close()
	start := time.Now()
	sum := sha256.New()
	file, err := directory.ReadFile(io.TeeReader(f, sum), report)
	if err == nil {
		err = file.LooksRight()
	}
	if err != nil {
		return err
	}
	return c.with(s, func(n *node.Node, d *directory.Directory) error {
		plan, err := d.PlanFile(s.ctx, file)
		if err != nil {
			return err
		}
		c.show(s, plan)
		if !c.DryRun {
			progress := bar(s.stderr, len(plan.Changes), "importing")
			by := access.Service("directory-import", n.Kernel().National)
			if err := d.Apply(s.ctx, by, plan, directory.SourceOf(sum.Sum(nil)), progress.Add); err != nil {
				return err
			}
		}
		what := "imported"
		if c.DryRun {
			what = "nothing written (--dry-run)"
		}
		fmt.Fprintf(s.stdout, "%s: %d lines: %d added, %d changed, %d closed, %d unchanged, %d refused; %d in the directory are not in the file and stay; %s in %.1f s\n",
			report.Name, file.Lines(), plan.Count(directory.Added), plan.Count(directory.Changed), plan.Count(directory.Ended), plan.Unchanged,
			len(plan.Refused), plan.Absent, what, time.Since(start).Seconds())
		return nil
	})
}

// show lists what changes and what was kept out.
func (c *directoryImport) show(s *session, plan *directory.Plan) {
	listed := map[string]int{}
	room := func(kind string) bool {
		listed[kind]++
		return c.All || listed[kind] <= 10
	}
	for _, r := range plan.Refused {
		if room("refused") {
			fmt.Fprintf(s.stdout, "refused  line %d %s: %s\n", r.Line, r.Code, r.Reason)
		}
	}
	for _, r := range plan.Noted {
		if room("noted") {
			fmt.Fprintf(s.stdout, "noted    line %d %s: %s\n", r.Line, r.Code, r.Reason)
		}
	}
	for _, ch := range plan.Changes {
		if !room(ch.Kind) {
			continue
		}
		fmt.Fprintf(s.stdout, "%-8s %s %s\n", ch.Kind, ch.Code, ch.Name)
		for _, f := range ch.Fields {
			fmt.Fprintf(s.stdout, "           %s: %q became %q\n", f.Name, f.Before, f.After)
		}
	}
	for _, kind := range []string{"refused", "noted", directory.Added, directory.Changed, directory.Ended} {
		if n := listed[kind]; n > 10 && !c.All {
			fmt.Fprintf(s.stdout, "%-8s and %d more; --all lists them\n", kind, n-10)
		}
	}
}

type directoryPostcodes struct {
	directoryData
	File string `arg:"" help:"A CSV file with a header line." type:"path"`
}

// Run keeps the middle of each outward code, in the place of what was loaded before.
func (c *directoryPostcodes) Run(s *session) error {
	f, err := os.Open(c.File)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "cannot read %s: %v", c.File, err)
	}
	defer f.Close()
	return c.with(s, func(_ *node.Node, d *directory.Directory) error {
		outwards, skipped, err := d.LoadPostcodes(s.ctx, f)
		if err == nil {
			fmt.Fprintf(s.stdout, "%d outward codes, %d lines without a place\n", outwards, skipped)
		}
		return err
	})
}

type directoryKey struct {
	directoryData
	Name string `arg:"" help:"The application."`
	End  bool   `help:"End all keys of the application."`
}

// Run prints a new key, once: only its hash is kept.
func (c *directoryKey) Run(s *session) error {
	return c.with(s, func(_ *node.Node, d *directory.Directory) error {
		if c.End {
			ended, err := d.EndKeys(s.ctx, c.Name)
			if err == nil {
				fmt.Fprintf(s.stdout, "%d ended\n", ended)
			}
			return err
		}
		key, err := d.GiveKey(s.ctx, c.Name)
		if err == nil {
			fmt.Fprintln(s.stdout, key)
		}
		return err
	})
}
