package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
)

// traceCommand finds the NHS numbers of everybody in a CSV file.
type traceCommand struct {
	File string `arg:"" help:"A CSV file of people to trace, with the columns of batch tracing (UNIQUE_REFERENCE, NHS_NO, FAMILY_NAME, GIVEN_NAME, GENDER, DATE_OF_BIRTH, POSTCODE …)." type:"path"`
	Out  string `help:"Where the answer goes; by default FILE with .traced.csv for .csv. It must not be there." type:"path"`

	Data     string `default:"openspine-data" help:"The national node's data folder. The node must not be running." type:"path"`
	Config   string `help:"The node's configuration file, instead of --data." type:"path"`
	Database string `env:"OPENSPINE_DATABASE" help:"A PostgreSQL URL, when the node's database is not in the data folder."`
}

// Run traces the file. An answer that is cut off is taken away, so that half of one is never taken for a whole.
func (c *traceCommand) Run(s *session) error {
	in, err := os.Open(c.File)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "cannot read %s: %v", c.File, err)
	}
	defer in.Close()
	size, err := in.Stat()
	if err != nil {
		return err
	}
	if c.Out == "" {
		c.Out = strings.TrimSuffix(c.File, ".csv") + ".traced.csv"
	}
	n, _, err := (&importCommand{Data: c.Data, Config: c.Config, Database: c.Database}).open(s)
	if err != nil {
		return err
	}
	kernel := n.Kernel()
	return errors.Join(c.trace(s, in, size.Size(), func(ctx context.Context, out io.Writer, progress func(demographics.BatchSummary) error) (demographics.BatchSummary, error) {
		if err := kernel.Records.Rekeep(ctx, nil); err != nil {
			return demographics.BatchSummary{}, err
		}
		return demographics.New(kernel, demographics.Options{}).Trace(ctx, access.Service("batch-tracing", kernel.National), in, out, 0, progress)
	}), n.Close())
}

func (c *traceCommand) trace(s *session, in io.Seeker, size int64, run func(context.Context, io.Writer, func(demographics.BatchSummary) error) (demographics.BatchSummary, error)) (err error) {
	part := c.Out + ".part"
	if _, err := os.Stat(c.Out); err == nil {
		return fault.New(fault.Conflict, "%s is there already; name another file with --out", c.Out)
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot write %s: %v", part, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	start, told := time.Now(), time.Now()
	buffered := bufio.NewWriterSize(f, 1<<16)
	sum, err := run(s.ctx, buffered, func(sum demographics.BatchSummary) error {
		if time.Since(told) >= time.Second {
			told = time.Now()
			at, err := in.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			fmt.Fprintf(s.stderr, "\rtracing: %d lines, %d%%", sum.Lines, 100*at/max(size, 1))
		}
		return nil
	})
	if err = errors.Join(err, buffered.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(part, c.Out); err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "%d lines traced in %.1f s:", sum.Lines, time.Since(start).Seconds())
	for _, o := range demographics.Outcomes() {
		fmt.Fprintf(s.stdout, " %d %s", sum.By[o], o)
	}
	fmt.Fprintf(s.stdout, "\nthe answer is in %s\n", c.Out)
	return nil
}
