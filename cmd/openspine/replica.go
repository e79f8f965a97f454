package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/replica"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
)

type replicaCommand struct {
	Status replicaStatusCommand `cmd:"" default:"withargs" help:"How each copy stands: patients in each state, oldest answer, last error."`
	Ask    replicaAskCommand    `cmd:"" help:"Ask the national register about every patient of a hospital again; without --wait the running node does."`
	Pause  replicaPauseCommand  `cmd:"" help:"Stop asking the national register, with a --reason that everybody there reads."`
	Resume replicaResumeCommand `cmd:"" help:"Go on asking."`
}

type replicaStatusCommand struct {
	ofNode `embed:""`
}

// Run prints how each copy stands.
func (c *replicaStatusCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		tenants := n.Replica().Tenants()
		if len(tenants) == 0 {
			fmt.Fprintln(s.stdout, "no hospital on this node keeps a copy of the national register (setting replicas)")
			return nil
		}
		for _, t := range tenants {
			status, err := n.Replica().Status(ctx, t)
			if err != nil {
				return err
			}
			if err := printStatus(s, status); err != nil {
				return err
			}
		}
		return nil
	})
}

// printStatus prints how one copy stands.
func printStatus(s *session, v replica.Status) error {
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\n", v.Tenant, v.Name)
	way := "was not asked yet"
	switch {
	case !v.Paused.IsZero():
		way = fmt.Sprintf("is not asked since %s: stopped by %s, %s", v.Paused.Format(time.RFC3339), v.PausedBy, v.Reason)
	case !v.Failing.IsZero():
		way = fmt.Sprintf("does not answer since %s: %s", v.Failing.Format(time.RFC3339), v.Error)
	case !v.Answered.IsZero():
		way = "answers, last at " + v.Answered.Format(time.RFC3339)
	}
	fmt.Fprintf(w, "the national register\t%s\n", way)
	for _, state := range replica.States() {
		fmt.Fprintf(w, "%s\t%d\n", state, v.Counts[state])
	}
	oldest := "none"
	if !v.Oldest.IsZero() {
		oldest = v.Oldest.Format(time.RFC3339)
	}
	fmt.Fprintf(w, "to be looked into\t%d\nwaiting to be asked about\t%d\nanswer too old\t%d\noldest answer\t%s\n", v.Open, v.Due, v.Stale, oldest)
	return w.Flush()
}

type replicaAskCommand struct {
	ofNode `embed:""`
	Tenant string `arg:"" help:"The hospital's ODS code."`
	Wait   bool   `help:"Do it now, as fast as the register answers, and say how the copy stands afterwards."`
}

// Run makes everybody due, and asks about them now if that is wanted.
func (c *replicaAskCommand) Run(s *session) error {
	tenant, err := ident.ParseODSCode(c.Tenant)
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		if err := n.Replica().Again(ctx, tenant); err != nil || !c.Wait {
			return err
		}
		if err := n.Replica().Begin(ctx, tenant, 0); err != nil {
			return err
		}
		status, err := n.Replica().Status(ctx, tenant)
		if err == nil {
			err = printStatus(s, status)
		}
		if err == nil && !status.Failing.IsZero() {
			return fault.New(fault.Unavailable, "the national register does not answer: %s", status.Error)
		}
		return err
	})
}

type replicaPauseCommand struct {
	ofNode `embed:""`
	Tenant string `arg:"" help:"The hospital's ODS code."`
}

// Run stops asking.
func (c *replicaPauseCommand) Run(s *session) error {
	tenant, err := ident.ParseODSCode(c.Tenant)
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Replica().Pause(ctx, by, tenant, c.Reason)
	})
}

type replicaResumeCommand struct {
	ofNode `embed:""`
	Tenant string `arg:"" help:"The hospital's ODS code."`
}

// Run goes on asking.
func (c *replicaResumeCommand) Run(s *session) error {
	tenant, err := ident.ParseODSCode(c.Tenant)
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return n.Replica().Resume(ctx, by, tenant)
	})
}
