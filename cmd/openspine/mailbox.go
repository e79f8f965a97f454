package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/mesh"
)

type mailboxCommand struct {
	List      mailboxListCommand      `cmd:"" help:"List the mailboxes, with what waits in each and since when."`
	Put       mailboxPutCommand       `cmd:"" help:"Make a mailbox, or change what it says of itself."`
	Open      mailboxOpenCommand      `cmd:"" help:"Let a suspended mailbox be used again."`
	Suspend   mailboxSuspendCommand   `cmd:"" help:"Stop a mailbox: it sends and takes nothing until it is opened again."`
	Close     mailboxCloseCommand     `cmd:"" help:"End a mailbox. Its mail stays to be seen."`
	PutBack   mailboxPutBackCommand   `cmd:"" help:"Put a message that nobody collected in time back into the inbox; with --sent, send one that came back to this mailbox again."`
	SharedKey mailboxSharedKeyCommand `cmd:"" help:"Set the key that all mailboxes of this node share."`
}

type mailboxListCommand struct {
	ofNode `embed:""`
}

// Run lists.
func (c *mailboxListCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		list, err := n.Mail().Standings(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "MAILBOX\tOF\tNAME\tOWNER\tSTATE\tWAITING\tOLDEST\tSEEN")
		now := n.Kernel().Clock.Now()
		for _, b := range list {
			state := b.State.String()
			if b.Elsewhere {
				state = "elsewhere"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", b.ID, b.ODS, b.Name, b.Owner, state, b.Waiting, age(b.Oldest, now), age(b.Seen, now))
		}
		return w.Flush()
	})
}

type mailboxPutCommand struct {
	ofNode       `embed:""`
	Mailbox      string   `arg:"" help:"Its id: 1 to 16 capital letters and digits."`
	Organisation string   `required:"" help:"The ODS code of the organisation that it belongs to."`
	Name         string   `required:"" help:"What it is called."`
	Owner        string   `required:"" help:"Who looks after it when nobody collects."`
	Password     bool     `help:"Give it another password, and print it; a new mailbox of this node always gets one."`
	Elsewhere    bool     `help:"Another node keeps it: mailboxes of this node may send to it."`
	Bound        bool     `help:"It sends and takes only its workflows."`
	Sends        []string `help:"A workflow that it sends; may be given again."`
	Takes        []string `help:"A workflow that it takes, so that others find it; may be given again."`
	Certificate  string   `help:"The SHA-256 of the one client certificate that its program shows."`
}

// Run makes or changes.
func (c *mailboxPutCommand) Run(s *session) error {
	ods, err := ident.ParseODSCode(c.Organisation)
	if err != nil {
		return err
	}
	b := mesh.Mailbox{ID: strings.ToUpper(c.Mailbox), ODS: ods, Name: c.Name, Owner: c.Owner, Elsewhere: c.Elsewhere, Bound: c.Bound, Certificate: c.Certificate, Workflows: mesh.Rights(c.Sends, c.Takes)}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		password, err := n.Mail().PasswordFor(ctx, b, c.Password)
		if err != nil {
			return err
		}
		if err := n.Mail().Put(ctx, by, b, password, c.Reason); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "kept %s\n", b.ID)
		if password != "" {
			fmt.Fprintf(s.stdout, "password %s\nIt is shown this once.\n", password)
		}
		return nil
	})
}

type mailboxOpenCommand struct {
	ofNode  `embed:""`
	Mailbox string `arg:"" help:"The mailbox."`
}

// Run opens.
func (c *mailboxOpenCommand) Run(s *session) error { return c.become(s, c.Mailbox, mesh.Open) }

type mailboxSuspendCommand struct {
	ofNode  `embed:""`
	Mailbox string `arg:"" help:"The mailbox."`
}

// Run suspends.
func (c *mailboxSuspendCommand) Run(s *session) error { return c.become(s, c.Mailbox, mesh.Suspended) }

type mailboxCloseCommand struct {
	ofNode  `embed:""`
	Mailbox string `arg:"" help:"The mailbox."`
}

// Run closes.
func (c *mailboxCloseCommand) Run(s *session) error { return c.become(s, c.Mailbox, mesh.Closed) }

func (c ofNode) become(s *session, id string, state mesh.State) error {
	id = strings.ToUpper(id)
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		if err := n.Mail().Set(ctx, by, id, state, c.Reason); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s is %s\n", id, state)
		return nil
	})
}

type mailboxPutBackCommand struct {
	ofNode  `embed:""`
	Mailbox string `arg:"" help:"The mailbox."`
	Message string `arg:"" help:"The message's id, as the report names it."`
	Sent    bool   `help:"The mailbox sent it, and it came back: it is sent again."`
}

// Run puts a message back.
func (c *mailboxPutBackCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		do, did := n.Mail().PutBack, "waits in the inbox again"
		if c.Sent {
			do, did = n.Mail().SendAgain, "is sent again"
		}
		message := strings.ToUpper(c.Message)
		if err := do(ctx, by, strings.ToUpper(c.Mailbox), message, c.Reason); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s %s\n", message, did)
		return nil
	})
}

type mailboxSharedKeyCommand struct {
	ofNode `embed:""`
	Key    string `arg:"" optional:"" help:"The key; one is made and printed when it is left out."`
}

// Run sets the key.
func (c *mailboxSharedKeyCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		key := c.Key
		if key == "" {
			key = mesh.NewPassword()
		}
		if err := n.Mail().SetSharedKey(ctx, by, key, c.Reason); err != nil {
			return err
		}
		if c.Key == "" {
			fmt.Fprintln(s.stdout, key)
		}
		return nil
	})
}
