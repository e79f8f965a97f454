package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
)

// stopped says which node's users or clients a command is about. The node must not run meanwhile: it would remember what the
// command changes.
type stopped struct {
	Config string `help:"The node's configuration; without it, a demonstration's data folder is meant." type:"path"`
	Data   string `default:"openspine-data" help:"The data folder of a demonstration." type:"path"`

	Database string `env:"OPENSPINE_DATABASE" help:"A PostgreSQL URL, when the node's database is not in the data folder."`
}

// with opens the node for a command and closes it again.
func (c stopped) with(s *session, do func(ctx context.Context, n *node.Node, by access.Principal) error) error {
	cfg := node.Config{Name: "openspine", Addr: "127.0.0.1:0", Data: c.Data, National: sim.National.String(), Tenants: []node.TenantConfig{{Code: sim.National.String(), Name: "National spine", Kind: "national"}}}
	if c.Config != "" {
		var err error
		if cfg, err = node.ReadConfig(c.Config); err != nil {
			return err
		}
	} else if err := (where{Data: c.Data}).there(); err != nil && c.Database == "" {
		return err
	}
	cfg.Database = cmp.Or(c.Database, cfg.Database)
	n, err := node.Open(s.ctx, cfg, node.Options{})
	if err != nil {
		return err
	}
	by := access.Service("command-line", n.Kernel().National)
	return errors.Join(do(s.ctx, n, by), n.Close())
}

type userCommand struct {
	Add     userAddCommand     `cmd:"" help:"Add somebody who can sign in, or change what is kept of them."`
	Import  userImportCommand  `cmd:"" help:"Add and change many from a CSV file: id,name,role,organisation,job,patient,proofed,joins,leaves. Prints what became of each."`
	List    userListCommand    `cmd:"" help:"List who can sign in."`
	Link    userLinkCommand    `cmd:"" help:"Make a one-time link with which somebody makes their first passkey."`
	Role    userRoleCommand    `cmd:"" help:"Give somebody a further role; they choose one at sign-in."`
	Review  userReviewCommand  `cmd:"" help:"Say that somebody's access was looked at and is right."`
	Signout userSignoutCommand `cmd:"" help:"Sign somebody out everywhere."`
	End     userEndCommand     `cmd:"" help:"End a user: they sign in no more, and their sessions and tokens end."`
}

type userAddCommand struct {
	stopped      `embed:""`
	ID           string `arg:"" help:"The user's id."`
	Name         string `required:"" help:"Their full name."`
	Role         string `required:"" help:"clinician, clerk, pharmacist, patient, privacy-officer, auditor or administrator."`
	Organisation string `help:"The ODS code of where they work."`
	Job          string `help:"The national job role code, for example R8000."`
	Patient      string `help:"A patient's own NHS number."`
	Proofed      string `help:"How well a patient's identity was proofed: P5 or P9."`
	Leaves       string `help:"Their last day, as 2027-03-31."`
}

// Run adds or changes the user.
func (c *userAddCommand) Run(s *session) error {
	m, err := member([]string{c.ID, c.Name, c.Role, c.Organisation, c.Job, c.Patient, c.Proofed, "", c.Leaves})
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		added, err := n.Kernel().Gate.PutMember(ctx, by, m)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s %s\n", map[bool]string{true: "added", false: "changed"}[added], m.ID)
		return nil
	})
}

// memberColumns are those of the file that Import reads.
func memberColumns() []string {
	return []string{"id", "name", "role", "organisation", "job", "patient", "proofed", "joins", "leaves"}
}

// member reads one row in the order of memberColumns.
func member(row []string) (access.Member, error) {
	var m access.Member
	for i := range row {
		row[i] = strings.TrimSpace(row[i])
	}
	m.ID, m.Name, m.Role, m.Job, m.Person, m.Proofed = row[0], row[1], access.Role(row[2]), row[4], row[5], row[6]
	var err error
	if row[3] != "" {
		if m.Organisation, err = ident.ParseODSCode(row[3]); err != nil {
			return m, err
		}
	}
	for i, at := range []*time.Time{&m.Joined, &m.Leaves} {
		if row[7+i] == "" {
			continue
		}
		if *at, err = time.Parse(time.DateOnly, row[7+i]); err != nil {
			return m, fault.New(fault.Invalid, "%q is no day; write it as 2027-03-31", row[7+i])
		}
	}
	if m.Role == access.Patient {
		if _, err := ident.ParseNHSNumber(m.Person); err != nil {
			return m, err
		}
	}
	return m, nil
}

type userImportCommand struct {
	stopped `embed:""`
	File    string `arg:"" help:"The CSV file, with a header." type:"path"`
}

// Run takes each row by itself: one that is wrong is reported with its line and stops none of the others.
func (c *userImportCommand) Run(s *session) error {
	f, err := os.Open(c.File)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "cannot read %s: %v", c.File, err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord = len(memberColumns())
	header, err := r.Read()
	if err != nil || !slices.Equal(header, memberColumns()) {
		return fault.New(fault.Invalid, "%s must begin with the header %s", c.File, strings.Join(memberColumns(), ","))
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		counts := map[string]int{}
		for {
			row, err := r.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			line, _ := r.FieldPos(0)
			what := "refused"
			var m access.Member
			if err == nil {
				m, err = member(row)
			}
			if err == nil {
				var added bool
				if added, err = n.Kernel().Gate.PutMember(ctx, by, m); err == nil {
					what = map[bool]string{true: "added", false: "changed"}[added]
				}
			}
			if counts[what]++; err != nil {
				fmt.Fprintf(s.stdout, "line %d: refused: %s\n", line, explain(err))
			}
		}
		fmt.Fprintf(s.stdout, "%d added, %d changed, %d refused\n", counts["added"], counts["changed"], counts["refused"])
		if counts["refused"] > 0 {
			return fault.New(fault.Invalid, "%d rows were refused", counts["refused"])
		}
		return nil
	})
}

type userListCommand struct {
	stopped `embed:""`
	Overdue bool `help:"Only those whose access should have been looked at again by now."`
}

// Run prints a table.
func (c *userListCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		list, err := n.Kernel().Gate.Members(ctx, c.Overdue)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tROLE\tORGANISATION\tLEAVES\tREVIEW")
		for _, m := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Name, m.Role, m.Organisation, day(m.Leaves), day(m.Review))
		}
		return w.Flush()
	})
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateOnly)
}

type userLinkCommand struct {
	stopped `embed:""`
	ID      string `arg:"" help:"The user's id."`
	URL     string `required:"" help:"Where the node is reached, for example https://spine.example."`
}

// Run prints the link, once.
func (c *userLinkCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		code, err := n.Door().Credentials().NewLink(ctx, by, c.ID)
		if err == nil {
			fmt.Fprintf(s.stdout, "%s/sign-in/enrol?code=%s\n", strings.TrimSuffix(c.URL, "/"), code)
		}
		return err
	})
}

type userRoleCommand struct {
	stopped      `embed:""`
	ID           string `arg:"" help:"The user's id."`
	Role         string `required:"" help:"The role."`
	Organisation string `required:"" help:"The ODS code of where they have it."`
	Job          string `help:"The national job role code, for example R8000."`
}

// Run gives the role and prints its profile id.
func (c *userRoleCommand) Run(s *session) error {
	organisation, err := ident.ParseODSCode(c.Organisation)
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		p, err := n.Kernel().Gate.PutProfile(ctx, c.ID, access.Profile{Role: access.Role(c.Role), Organisation: organisation, Job: c.Job})
		if err == nil {
			fmt.Fprintf(s.stdout, "role profile %s\n", p.ID)
		}
		return err
	})
}

type userReviewCommand struct {
	stopped `embed:""`
	ID      string `arg:"" help:"The user's id."`
}

// Run notes the review on the account.
func (c *userReviewCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Kernel().Gate.Reviewed(ctx, by, c.ID)
	})
}

type userSignoutCommand struct {
	stopped `embed:""`
	ID      string `arg:"" help:"The user's id."`
}

// Run ends every session and token of the user.
func (c *userSignoutCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Door().Everywhere(ctx, by, c.ID)
	})
}

type userEndCommand struct {
	stopped `embed:""`
	ID      string `arg:"" help:"The user's id."`
}

// Run ends the user.
func (c *userEndCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Kernel().Gate.Leave(ctx, by, c.ID)
	})
}
