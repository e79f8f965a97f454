package main

import (
	"bufio"
	"crypto/sha256"
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

// Run traces the file. What is answered is kept beside the answer until all of it is: a run that was cut off, or killed, goes on when the same file is
// traced again, and half an answer never passes for a whole one.
func (c *traceCommand) Run(s *session) error {
	in, err := os.Open(c.File)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "cannot read %s: %v", c.File, err)
	}
	defer in.Close()
	if c.Out == "" {
		c.Out = strings.TrimSuffix(c.File, ".csv") + ".traced.csv"
	}
	if _, err := os.Stat(c.Out); err == nil {
		return fault.New(fault.Conflict, "%s is there already; name another file with --out", c.Out)
	}
	sum := sha256.New()
	size, err := io.Copy(sum, in)
	if err == nil {
		_, err = in.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot read %s: %v", c.File, err)
	}
	n, _, err := (&importCommand{Data: c.Data, Config: c.Config, Database: c.Database}).open(s)
	if err != nil {
		return err
	}
	kernel := n.Kernel()
	if err := kernel.Records.Rekeep(s.ctx, nil); err != nil {
		return errors.Join(err, n.Close())
	}
	part := fmt.Sprintf("%s.%x.part", c.Out, sum.Sum(nil)[:6])
	return errors.Join(c.trace(s, in, size, part, demographics.New(kernel, demographics.Options{}), access.Service("batch-tracing", kernel.National)), n.Close())
}

func (c *traceCommand) trace(s *session, in io.ReadSeeker, size int64, part string, register *demographics.Register, who access.Principal) error {
	f, skip, err := goOn(part)
	if err != nil {
		return err
	}
	if skip > 0 {
		fmt.Fprintf(s.stdout, "going on after %d lines\n", skip)
	}
	start, told := time.Now(), time.Now()
	sum, err := register.Trace(s.ctx, who, in, f, skip, func(sum demographics.BatchSummary) error {
		if time.Since(told) >= time.Second {
			told = time.Now()
			at, err := in.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			fmt.Fprintf(s.stderr, "\rtracing: %d lines, %d%%", sum.Lines+skip, 100*at/max(size, 1))
		}
		return nil
	})
	empty := err != nil && skip == 0 && sum.Lines == 0
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		if empty {
			return errors.Join(err, os.Remove(part))
		}
		fmt.Fprintf(s.stderr, "what is traced is kept in %s: run the same command again to go on\n", part)
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

// goOn opens what a run before has answered, without a last line that was torn, and says how many lines of the file that was.
func goOn(part string) (f *os.File, answered int, err error) {
	if f, err = os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, 0, fault.Wrap(err, fault.Unavailable, "cannot write %s: %v", part, err)
	}
	whole, lines := int64(0), 0
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		whole, lines = whole+int64(len(line)), lines+1
	}
	if lines == 1 { // the header alone: it is written again
		whole, lines = 0, 0
	}
	if err := errors.Join(f.Truncate(whole), seek(f, whole)); err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, max(lines-1, 0), nil
}

func seek(f *os.File, to int64) error {
	_, err := f.Seek(to, io.SeekStart)
	return err
}
