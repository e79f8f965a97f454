package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/signin/admin"
)

type userCommand struct {
	Add     userAddCommand     `cmd:"" help:"Add somebody who can sign in, or change what is kept of them."`
	Import  userImportCommand  `cmd:"" help:"Add and change many from a CSV file with a header: id,name,role,organisation,job,patient,proofed,joins,leaves,review. Prints what became of each that changed or was refused."`
	List    userListCommand    `cmd:"" help:"List who can sign in."`
	Link    userLinkCommand    `cmd:"" help:"Make a one-time link with which somebody makes their first passkey."`
	Role    userRoleCommand    `cmd:"" help:"Give somebody a further role; they choose one at sign-in."`
	Review  userReviewCommand  `cmd:"" help:"Say that somebody's access was looked at and is right."`
	Signout userSignoutCommand `cmd:"" help:"Sign somebody out everywhere."`
	Suspend userSuspendCommand `cmd:"" help:"Stop a user at once, until they are restored."`
	Restore userRestoreCommand `cmd:"" help:"Let a user in again who was suspended or ended."`
	End     userEndCommand     `cmd:"" help:"End a user: they sign in no more, and their sessions, tokens, further roles and own relationships with patients end."`
}

type userAddCommand struct {
	ofNode       `embed:""`
	ID           string `arg:"" help:"The user's id."`
	Name         string `required:"" help:"Their full name."`
	Role         string `required:"" help:"clinician, clerk, pharmacist, manager, patient, privacy-officer, auditor, registrar or administrator."`
	Organisation string `help:"The ODS code of where they work."`
	Job          string `help:"The national job role code, for example R8000."`
	Patient      string `help:"A patient's own NHS number."`
	Proofed      string `help:"How well a patient's identity was proofed: P5 or P9."`
	Leaves       string `help:"Their last day, as 2027-03-31."`
}

// Run adds or changes the user.
func (c *userAddCommand) Run(s *session) error {
	m := access.Member{User: access.User{Principal: access.Principal{ID: c.ID, Name: c.Name, Role: access.Role(c.Role), Person: c.Patient}, Job: c.Job, Proofed: c.Proofed}}
	var err error
	if c.Organisation != "" {
		if m.Organisation, err = ident.ParseODSCode(c.Organisation); err != nil {
			return err
		}
	}
	if m.Role == access.Patient {
		if _, err := ident.ParseNHSNumber(m.Person); err != nil {
			return err
		}
	}
	if m.Leaves, err = admin.ReadDay(c.Leaves); err != nil {
		return err
	}
	if !m.Leaves.IsZero() {
		m.Leaves = admin.EndOf(m.Leaves)
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		o, err := n.Kernel().Gate.PutMember(ctx, by, m, c.Reason)
		if err == nil {
			fmt.Fprintf(s.stdout, "%s %s\n", cmp.Or(o.Act, "unchanged"), m.ID)
		}
		return err
	})
}

type userImportCommand struct {
	ofNode `embed:""`
	File   string `arg:"" help:"The CSV file, with a header." type:"path"`
	DryRun bool   `help:"Say what would change, and change nothing."`
}

// Run takes each row by itself: one that is wrong is reported with its line and stops none of the others.
func (c *userImportCommand) Run(s *session) error {
	text, err := s.read(c.File)
	if err != nil {
		return err
	}
	rows, err := admin.ReadUsers(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		results, err := admin.Import(ctx, n.Kernel().Gate, by, rows, c.Reason, c.DryRun)
		counts := map[string]int{}
		for _, r := range results {
			counts[r.What()]++
			switch {
			case r.Err != nil:
				fmt.Fprintf(s.stdout, "line %d: refused: %s\n", r.Line, explain(r.Err))
			case r.Outcome.Act != "":
				fmt.Fprintf(s.stdout, "line %d: %s %s %s\n", r.Line, r.What(), r.Member.ID, strings.Join(r.Outcome.Fields, ", "))
			}
		}
		if c.DryRun {
			fmt.Fprint(s.stdout, "nothing was changed; it would be: ")
		}
		fmt.Fprintf(s.stdout, "%d added, %d changed, %d moved, %d unchanged, %d refused\n", counts["added"], counts["changed"], counts["moved"], counts["unchanged"], counts["refused"])
		if err == nil && counts["refused"] > 0 {
			return fault.New(fault.Invalid, "%d rows were refused", counts["refused"])
		}
		return err
	})
}

type userListCommand struct {
	ofNode  `embed:""`
	Overdue bool   `help:"Only those whose access should have been looked at again by now."`
	Show    string `enum:"active,suspended,ended,all,leaving,dormant,due,overdue" default:"active" help:"Whom: active, suspended, ended, all, leaving (within 30 days), dormant (no sign-in for 90 days), due or overdue for review."`
}

// Run prints a table.
func (c *userListCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		q := access.MemberQuery{Show: c.Show, Limit: 10_000}
		if c.Overdue {
			q.Show, q.Sort = "overdue", "review"
		}
		page, err := n.Kernel().Gate.Members(ctx, q)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tROLE\tORGANISATION\tLEAVES\tREVIEW\tLAST IN")
		for _, m := range page.List {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Name, m.Role, m.Organisation, day(admin.LastDay(m.Leaves)), day(m.Review), day(m.LastIn))
		}
		return w.Flush()
	})
}

func day(t time.Time) string {
	return cmp.Or(admin.Written(t), "-")
}

type userLinkCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The user's id."`
	URL    string `required:"" help:"Where the node is reached, for example https://spine.example."`
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
	ofNode       `embed:""`
	ID           string `arg:"" help:"The user's id."`
	Role         string `required:"" help:"The role."`
	Organisation string `required:"" help:"The ODS code of where they have it."`
	Job          string `help:"The national job role code, for example R8000."`
	From         string `help:"Their first day in it, as 2027-03-31; today when left out."`
	Until        string `help:"Their last day in it."`
	Review       string `help:"The day on which it is looked at again; in a year when left out."`
}

// Run gives the role and prints its profile id.
func (c *userRoleCommand) Run(s *session) error {
	organisation, err := ident.ParseODSCode(c.Organisation)
	if err != nil {
		return err
	}
	p := access.Profile{Role: access.Role(c.Role), Organisation: organisation, Job: c.Job}
	for text, at := range map[*string]*time.Time{&c.From: &p.Since, &c.Until: &p.Until, &c.Review: &p.Review} {
		if *at, err = admin.ReadDay(*text); err != nil {
			return err
		}
	}
	if !p.Until.IsZero() {
		p.Until = admin.EndOf(p.Until)
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		p, err := n.Kernel().Gate.GiveRole(ctx, by, c.ID, p, c.Reason)
		if err == nil {
			fmt.Fprintf(s.stdout, "role profile %s\n", p.ID)
		}
		return err
	})
}

type userReviewCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The user's id."`
	Role   string `help:"The profile id of a further role; their first when left out."`
}

// Run notes the review on the account.
func (c *userReviewCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Kernel().Gate.Reviewed(ctx, by, c.ID, c.Role, c.Reason, time.Time{})
	})
}

type userSignoutCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The user's id."`
}

// Run ends every session and token of the user.
func (c *userSignoutCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Door().Everywhere(ctx, by, c.ID)
	})
}

type userEndCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The user's id."`
}

// Run ends the user.
func (c *userEndCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Kernel().Gate.Leave(ctx, by, c.ID, c.Reason)
	})
}

type userSuspendCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The user's id."`
}

// Run suspends the user.
func (c *userSuspendCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Kernel().Gate.Suspend(ctx, by, c.ID, c.Reason)
	})
}

type userRestoreCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The user's id."`
}

// Run restores the user.
func (c *userRestoreCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Kernel().Gate.Restore(ctx, by, c.ID, c.Reason)
	})
}
