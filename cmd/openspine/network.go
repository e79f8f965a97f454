package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/network"
)

type networkCommand struct {
	Init     networkInitCommand     `cmd:"" help:"Found the network on this node, which keeps its certificates from then on."`
	Token    networkTokenCommand    `cmd:"" help:"Make a token with which one node can join once."`
	Join     networkJoinCommand     `cmd:"" help:"Make this node a member, with a token."`
	Status   networkStatusCommand   `cmd:"" help:"Show this node's links, certificates and alarms."`
	Revoke   networkRevokeCommand   `cmd:"" help:"End a node's membership at once."`
	Rollover networkRolloverCommand `cmd:"" help:"Change the root of the network's certificates, without a stop."`
	Cut      networkCutCommand      `cmd:"" help:"Cut the link to a node on purpose; what must not be lost waits."`
	Heal     networkHealCommand     `cmd:"" help:"Let a link that was cut come back."`
}

type networkInitCommand struct {
	ofNode  `embed:""`
	Node    string   `required:"" help:"This node's name: its organisation's ODS code, as in X26."`
	For     []string `help:"A further organisation that the node speaks for; may be given again."`
	Address []string `required:"" help:"HOST:PORT where other nodes dial this one (the setting network-addr, as seen from outside); may be given again."`
}

// Run founds the network.
func (c *networkInitCommand) Run(s *session) error {
	id, others, err := nodeNames(c.Node, c.For)
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		if err := n.Kernel().Network.Found(ctx, by, id, others, c.Address); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "%s keeps the network's certificates from now on.\nKeep a copy of the folder network in its data folder where nobody else can read it: no backup holds the keys.\nNext: openspine network token --node CODE\n", id)
		return nil
	})
}

// nodeNames reads a node's name and the codes of further organisations that it speaks for.
func nodeNames(name string, codes []string) (id network.NodeID, others []ident.ODSCode, err error) {
	if id, err = network.ParseNodeID(name); err != nil {
		return id, nil, err
	}
	for _, c := range codes {
		code, err := ident.ParseODSCode(c)
		if err != nil {
			return id, nil, err
		}
		others = append(others, code)
	}
	return id, others, nil
}

type networkTokenCommand struct {
	ofNode  `embed:""`
	Node    string        `required:"" help:"The node that is to join: its organisation's ODS code, with a label when it runs several, as in RQX or RQX.theatres."`
	For     []string      `help:"A further organisation that the node speaks for; may be given again."`
	Address []string      `help:"HOST:PORT where that node dials this one, when it is not as network init said."`
	Lasts   time.Duration `default:"24h" help:"For how long the token is good, a week at most."`
}

// Run prints the token, once.
func (c *networkTokenCommand) Run(s *session) error {
	id, others, err := nodeNames(c.Node, c.For)
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		links := n.Kernel().Network
		a, err := links.Authority()
		if err != nil {
			return err
		}
		if len(c.Address) == 0 {
			status, err := links.Status(ctx)
			if err != nil {
				return err
			}
			c.Address = status.Addresses
		}
		t, err := a.MakeToken(ctx, by, id, others, c.Address, c.Lasts, c.Reason)
		if err == nil {
			fmt.Fprintln(s.stdout, t)
		}
		return err
	})
}

type networkJoinCommand struct {
	ofNode `embed:""`
	Token  string `arg:"" help:"What openspine network token printed at the authority."`
}

// Run joins. It may be run again with the same token.
func (c *networkJoinCommand) Run(s *session) error {
	t, err := network.ParseToken(c.Token)
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		if err := n.Kernel().Network.Join(ctx, t); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "joined as %s; the authority is %s\n", t.Node, t.Authority)
		return nil
	})
}

type networkRevokeCommand struct {
	ofNode `embed:""`
	Node   string `arg:"" help:"The node whose membership ends."`
}

// Run revokes.
func (c *networkRevokeCommand) Run(s *session) error {
	id, err := network.ParseNodeID(c.Node)
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		a, err := n.Kernel().Network.Authority()
		if err != nil {
			return err
		}
		if err := a.Revoke(ctx, by, id, c.Reason); err != nil {
			return err
		}
		fmt.Fprintf(s.stdout, "revoked %s\n", id)
		return nil
	})
}

type networkRolloverCommand struct {
	ofNode `embed:""`
	Step   string `arg:"" enum:"begin,cross,retire" help:"begin makes a new root that every node comes to trust; cross has it sign, and every node renews; retire ends the old one."`
	Force  bool   `help:"Leave behind nodes that have not followed; they find their way when they are linked again."`
}

// Run does one step.
func (c *networkRolloverCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		a, err := n.Kernel().Network.Authority()
		if err != nil {
			return err
		}
		next := ""
		switch c.Step {
		case "begin":
			next, err = "Every linked node trusts the new root within seconds. Next: openspine network rollover cross", a.Begin(ctx, by, c.Reason)
		case "cross":
			next, err = "The new root signs; every linked node renews its certificate now. Next: openspine network rollover retire", a.Cross(ctx, by, c.Force, c.Reason)
		case "retire":
			next, err = "The old root is trusted no longer.", a.Retire(ctx, by, c.Force, c.Reason)
		}
		if err == nil {
			fmt.Fprintln(s.stdout, next)
		}
		return err
	})
}

type networkCutCommand struct {
	ofNode `embed:""`
	Node   string `arg:"" help:"The node to which the link is cut."`
}

// Run cuts.
func (c *networkCutCommand) Run(s *session) error {
	return c.recut(s, c.Node, (*network.Network).CutLink)
}

type networkHealCommand struct {
	ofNode `embed:""`
	Node   string `arg:"" help:"The node to which the link comes back."`
}

// Run heals.
func (c *networkHealCommand) Run(s *session) error {
	return c.recut(s, c.Node, (*network.Network).HealLink)
}

func (c ofNode) recut(s *session, name string, do func(*network.Network, context.Context, access.Principal, network.NodeID, string) error) error {
	id, err := network.ParseNodeID(name)
	if err != nil {
		return err
	}
	return c.with(s, func(ctx context.Context, n *node.Node, by access.Principal) error {
		return do(n.Kernel().Network, ctx, by, id, c.Reason)
	})
}

type networkStatusCommand struct {
	ofNode `embed:""`
}

// Run prints the links, the members and the alarms.
func (c *networkStatusCommand) Run(s *session) error {
	return c.with(s, func(ctx context.Context, n *node.Node, _ access.Principal) error {
		links := n.Kernel().Network
		status, err := links.Status(ctx)
		if err != nil {
			return err
		}
		if status.Self.IsZero() {
			fmt.Fprintln(s.stdout, "This node belongs to no network. Found one with openspine network init, or join one with openspine network join TOKEN.")
			return nil
		}
		printSelf(s.stdout, status)
		if err := printLinks(s.stdout, status.Links, n.Kernel().Clock.Now()); err != nil {
			return err
		}
		if status.Self == status.Authority {
			if err := printMembers(ctx, s.stdout, links); err != nil {
				return err
			}
		}
		for _, alarm := range status.Alarms {
			fmt.Fprintln(s.stdout, "ALARM:", alarm)
		}
		return nil
	})
}

func printSelf(w io.Writer, s network.Status) {
	fmt.Fprintf(w, "node %s, for %s; authority %s\n", s.Self, codes(s.Organisations), s.Authority)
	fmt.Fprintf(w, "certificate until %s, renewed from %s; %d revoked ones known\n", s.Until.Format(time.DateOnly), s.RenewAt.Format(time.DateOnly), s.Revoked)
	for _, r := range s.Roots {
		fmt.Fprintf(w, "root %s until %s\n", r.Fingerprint[:16], r.Until.Format(time.DateOnly))
	}
}

func codes(list []ident.ODSCode) string {
	words := make([]string, len(list))
	for i, c := range list {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

func printLinks(out io.Writer, links []network.LinkStatus, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nLINK\tSTATE\tFOR\tLATENCY\tCLOCK\tOUT/S\tIN/S\tWAITING\tOLDEST\tLAST ERROR")
	for _, l := range links {
		wrong := l.LastError
		if wrong != "" {
			wrong = l.LastErrorAt.Format("15:04:05 ") + wrong
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", l.Peer, l.State, age(l.Since, now), short(l.Latency), skewed(l.Skew), size(l.SentRate), size(l.ReceivedRate),
			l.Backlog.Messages, age(l.Backlog.Oldest, now), wrong)
	}
	return w.Flush()
}

func printMembers(ctx context.Context, out io.Writer, links *network.Network) error {
	a, err := links.Authority()
	if err != nil {
		return err
	}
	members, err := a.Members(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nMEMBER\tSPEAKS FOR\tJOINED\tCERTIFICATE UNTIL\tREVOKED")
	for _, m := range members {
		revoked := "-"
		if !m.Revoked.IsZero() {
			revoked = m.Revoked.Format(time.DateOnly) + " " + m.Reason
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", m.Node, codes(m.Organisations), m.Joined.Format(time.DateOnly), m.Until.Format(time.DateOnly), revoked)
	}
	return w.Flush()
}

// age is how long ago an instant was, in its largest unit; "-" for none.
func age(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := now.Sub(t); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func short(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(10 * time.Microsecond).String()
}

// skewed is by how much a peer's clock is ahead of this node's.
func skewed(d time.Duration) string {
	if d == 0 {
		return "same"
	}
	return fmt.Sprintf("%+.3gs", d.Seconds())
}

func size(perSecond float64) string {
	switch {
	case perSecond < 1000:
		return fmt.Sprintf("%.0f B", perSecond)
	case perSecond < 1e6:
		return fmt.Sprintf("%.1f kB", perSecond/1e3)
	default:
		return fmt.Sprintf("%.1f MB", perSecond/1e6)
	}
}
