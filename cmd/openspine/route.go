package main

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/postroom"
)

type routeCommand struct {
	List   routeListCommand   `cmd:"" help:"List where post goes that is not kept here, or not as such."`
	Set    routeSetCommand    `cmd:"" help:"Say where the post of an organisation goes from now on."`
	Remove routeRemoveCommand `cmd:"" help:"Take a route away."`
}

type routeListCommand struct {
	ofNode `embed:""`
}

// Run lists.
func (c *routeListCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		list, err := n.Kernel().Post().Routes(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "OF\tWORKFLOW\tKIND\tTO\tSET\tBY")
		for _, o := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", orAll(o.Recipient.String()), orAll(o.Workflow), o.To.Kind, o.To.Name, o.At.Format("2006-01-02 15:04"), o.Actor)
		}
		return w.Flush()
	})
}

func orAll(s string) string {
	if s == "" {
		return "all"
	}
	return s
}

// organisationOrAll is the organisation that a command names; zero for all.
func organisationOrAll(s string) (code ident.ODSCode, err error) {
	if s == "all" {
		return code, nil
	}
	return ident.ParseODSCode(s)
}

type routeSetCommand struct {
	ofNode       `embed:""`
	Organisation string `arg:"" help:"Whose post, by ODS code; all for every organisation that has no route of its own and is not kept here."`
	Kind         string `arg:"" help:"The kind of destination: node, mailbox, endpoint …"`
	To           string `arg:"" help:"Its name: of the node, of the mailbox, the id of the Endpoint."`
	Workflow     string `help:"The one workflow that goes there; all without it."`
}

// Run sets.
func (c *routeSetCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		code, err := organisationOrAll(c.Organisation)
		if err != nil {
			return err
		}
		o := messaging.Route{Recipient: code, Workflow: c.Workflow, To: messaging.Destination{Kind: c.Kind, Name: c.To}, Actor: by.ID}
		if err := postroom.SetRoute(ctx, n.Kernel(), by, o, c.Reason); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s, %s: to the %s %s\n", orAll(code.String()), orAll(c.Workflow), c.Kind, c.To)
		return nil
	})
}

type routeRemoveCommand struct {
	ofNode       `embed:""`
	Organisation string `arg:"" help:"Whose post, by ODS code, or all."`
	Workflow     string `help:"The workflow that the route is for; all without it."`
}

// Run takes away.
func (c *routeRemoveCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		code, err := organisationOrAll(c.Organisation)
		if err != nil {
			return err
		}
		if err := postroom.DropRoute(ctx, n.Kernel(), by, code, c.Workflow, c.Reason); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s, %s: no route\n", orAll(code.String()), orAll(c.Workflow))
		return nil
	})
}
