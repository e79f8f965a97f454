package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/events"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/node"
)

type subscriptionCommand struct {
	List   subscriptionListCommand   `cmd:"" help:"List who is told of what, and what waits for each."`
	Show   subscriptionShowCommand   `cmd:"" help:"Show one subscription."`
	Pause  subscriptionPauseCommand  `cmd:"" help:"Stop telling a subscriber; what happens meanwhile waits."`
	Resume subscriptionResumeCommand `cmd:"" help:"Let a paused subscription go on."`
	Delete subscriptionDeleteCommand `cmd:"" help:"Take a subscription away."`
}

type subscriptionListCommand struct {
	ofNode `embed:""`
}

// Run lists.
func (c *subscriptionListCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		list, err := events.Standings(ctx, n.Kernel(), by)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "SUBSCRIPTION\tOF\tABOUT\tTO\tSTATUS\tWAITING\tPARKED\tREACHED")
		now := n.Kernel().Clock.Now()
		for _, q := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", q.ID, q.Organisation, q.Kind, q.To, q.Status, q.Waiting, q.Parked, age(q.Reached, now))
		}
		return w.Flush()
	})
}

type subscriptionShowCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The subscription."`
}

// Run shows.
func (c *subscriptionShowCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		list, err := events.Standings(ctx, n.Kernel(), by)
		if err != nil {
			return err
		}
		now := n.Kernel().Clock.Now()
		for _, q := range list {
			if q.ID != c.ID {
				continue
			}
			w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintf(w, "criteria\t%s\nof\t%s\nby\t%s\nto\t%s\nreason\t%s\nstatus\t%s\nmade\t%s\nreached\t%s\nwaiting\t%d\nparked\t%d\n",
				q.Criteria, q.Organisation, q.Owner, q.To, q.Reason, strings.TrimSpace(q.Status+" "+q.Note), q.Made.Format("2006-01-02 15:04"), age(q.Reached, now), q.Waiting, q.Parked)
			if !q.Failing.IsZero() {
				fmt.Fprintf(w, "failing\t%d times since %s\n", q.Failures, q.Failing.Format("2006-01-02 15:04"))
			}
			return w.Flush()
		}
		return fault.New(fault.NotFound, "There is no subscription %s.", c.ID)
	})
}

type subscriptionPauseCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The subscription."`
}

// Run pauses.
func (c *subscriptionPauseCommand) Run(s *session) error {
	return c.decide(s, c.ID, "pause", "paused")
}

type subscriptionResumeCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The subscription."`
}

// Run lets go on.
func (c *subscriptionResumeCommand) Run(s *session) error {
	return c.decide(s, c.ID, "resume", "goes on")
}

type subscriptionDeleteCommand struct {
	ofNode `embed:""`
	ID     string `arg:"" help:"The subscription."`
}

// Run takes away.
func (c *subscriptionDeleteCommand) Run(s *session) error {
	return c.decide(s, c.ID, "delete", "taken away")
}

func (c ofNode) decide(s *session, id, what, did string) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		if err := events.Decide(ctx, n.Kernel(), by, id, what, c.Reason); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s: %s\n", id, did)
		return nil
	})
}
