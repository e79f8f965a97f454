package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/signin"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/seed"
	"github.com/openspine/openspine/sim/seed/published"
)

// A demonstration is a national node in its data folder, and a node for each hospital in folders below it, in one process. They talk as in a
// country: over TLS, with certificates that the national one gave out, and only the hospitals dial.

// nodesFolder is where the hospitals' nodes keep their data, below the national one's.
const nodesFolder = "nodes"

// dialled is where the hospitals' nodes know the national one. The port is another at each start: they dial where it listens now.
const dialled = "national.invalid:8444"

// apart are the hospitals of the country that have nodes of their own in this data folder. A folder that was seeded into one node goes on as one,
// and so does one in which the hospitals' folders are missing, as after a restore: a backup holds one node.
func (c *demoCommand) apart(s *session, was country) []ident.ODSCode {
	if was.Nodes <= 1 {
		return nil
	}
	for _, code := range seed.Apart() {
		_, seededErr := os.Stat(filepath.Join(c.Data, countryFile))
		_, err := os.Stat(c.folderOf(code))
		if seededErr == nil && err != nil {
			fmt.Fprintf(s.stderr, "%s is not there (a backup holds one node): the national node runs without the hospitals. Put their folders back, or remove %s to begin anew.\n", c.folderOf(code), c.Data)
			return nil
		}
	}
	return seed.Apart()
}

func (c *demoCommand) folderOf(code ident.ODSCode) string {
	return filepath.Join(c.Data, nodesFolder, code.String())
}

// open is the country's nodes, seeded and listening; the national one comes first.
func (c *demoCommand) open(s *session, k *sim.Country, was country) (nodes []*node.Node, err error) {
	apart := c.apart(s, was)
	defer func() {
		if err != nil {
			for _, n := range nodes {
				err = errors.Join(err, n.Close())
			}
			nodes = nil
		}
	}()
	national, err := c.openOne(s, c.national(k, apart), node.Options{})
	if err != nil {
		return nil, err
	}
	nodes = append(nodes, national)
	seeded := new(atomic.Bool)
	for i, code := range apart {
		n, err := c.openOne(s, c.hospital(k, code, i+1), node.Options{
			Dial: func(ctx context.Context, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", national.LinkAddress())
			},
			Way: func(hospital ident.ODSCode, configured http.RoundTripper) http.RoundTripper {
				return tripper(func(r *http.Request) (*http.Response, error) {
					if !seeded.Load() { // before the nodes are linked
						return national.AskedBy(hospital).RoundTrip(r)
					}
					return configured.RoundTrip(r)
				})
			},
		})
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, n)
	}
	beside(nodes, k)
	if err := c.seed(s, nodes, k, was); err != nil {
		return nodes, err
	}
	seeded.Store(true)
	if c.Open {
		u, err := national.Kernel().Gate.UserByID(s.ctx, "open")
		if err != nil {
			return nodes, err
		}
		national.SetOpen(u.Principal)
	}
	return nodes, nil
}

// tripper is a way by which requests go.
type tripper func(*http.Request) (*http.Response, error)

// RoundTrip is the function.
func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func (c *demoCommand) openOne(s *session, cfg node.Config, o node.Options) (*node.Node, error) {
	level := slog.LevelWarn
	if c.Verbose {
		level = slog.LevelInfo
	}
	o.Clock, o.Commands, o.Logger = s.clock, obey, slog.New(slog.NewJSONHandler(s.stderr, &slog.HandlerOptions{Level: level}))
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	n, err := node.Open(s.ctx, cfg, o)
	if err != nil {
		return nil, err
	}
	if err := n.Listen(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// national is the national node, which keeps the records of every organisation that has no node of its own.
func (c *demoCommand) national(k *sim.Country, apart []ident.ODSCode) node.Config {
	cfg := node.Config{Name: "national", Addr: c.Addr, TLSAddr: c.TLSAddr, MetricsAddr: c.MetricsAddr, Data: c.Data, Database: c.Database, Definitions: c.Package,
		National: sim.National.String(), Open: c.Open, Demo: true, Tenants: append(seed.Tenants(k, apart...), published.Tenant())}
	if c.asked != "" {
		cfg.Outward = []string{c.asked}
	}
	if len(apart) == 0 {
		cfg.Replicas = seed.Replicas()
		return cfg
	}
	cfg.NetworkAddr, cfg.Place = "127.0.0.1:0", nameOf(k, sim.National)
	return cfg
}

// hospital is a hospital's own node. It listens beside the national one, at a port of its own.
func (c *demoCommand) hospital(k *sim.Country, code ident.ODSCode, after int) node.Config {
	var own []ident.ODSCode
	for _, o := range k.Organisations() {
		if o.Code != code {
			own = append(own, o.Code)
		}
	}
	name := nameOf(k, code)
	return node.Config{Name: code.String(), Addr: besideAddr(c.Addr, after), Data: c.folderOf(code), Definitions: c.Package, National: sim.National.String(), Plain: c.Open, Demo: true,
		Tenants: seed.Tenants(k, own...), Replicas: seed.Replicas(code), Place: name, Cookies: code.String()}
}

func nameOf(k *sim.Country, code ident.ODSCode) string {
	all := k.Organisations()
	i := slices.IndexFunc(all, func(o sim.Organisation) bool { return o.Code == code })
	if i < 0 {
		return code.String()
	}
	return all[i].Name
}

// besideAddr is the address so many ports after another, or any free port where that one is taken or the first was any as well.
func besideAddr(addr string, after int) string {
	host, port, err := net.SplitHostPort(addr)
	number, notNumber := strconv.Atoi(port)
	if err != nil || notNumber != nil || number == 0 || number+after > 65535 {
		return net.JoinHostPort(host, "0")
	}
	there := net.JoinHostPort(host, strconv.Itoa(number+after))
	l, err := net.Listen("tcp", there)
	if err != nil {
		return net.JoinHostPort(host, "0")
	}
	if err := l.Close(); err != nil {
		return net.JoinHostPort(host, "0")
	}
	return there
}

// beside has each node's sign-in page lead to the others.
func beside(nodes []*node.Node, k *sim.Country) {
	for i, n := range nodes {
		n.Door().Beside(func() (all []signin.Neighbour) {
			for j, other := range nodes {
				if i == j {
					continue
				}
				home := other.Kernel().Tenants[0]
				for _, t := range other.Kernel().Tenants {
					if t.Code == sim.National {
						home = t
					}
				}
				all = append(all, signin.Neighbour{Name: nameOf(k, home.Code), Kind: home.Kind, URL: other.URL()})
			}
			return all
		})
	}
}

// link makes the nodes that serve one network: the first founds it, and gives each of the others a token with which it joins. It does nothing where that was done.
func link(ctx context.Context, nodes []*node.Node) error {
	if len(nodes) == 1 {
		return nil
	}
	by := access.Service("demonstration", sim.National)
	national := nodes[0].Kernel()
	if national.Network.Self().IsZero() {
		id, others := nodeOf(nodes[0])
		if err := national.Network.Found(ctx, by, id, others, []string{dialled}); err != nil {
			return err
		}
	}
	authority, err := national.Network.Authority()
	if err != nil {
		return err
	}
	for _, n := range nodes[1:] {
		if !n.Kernel().Network.Self().IsZero() {
			continue
		}
		id, others := nodeOf(n)
		token, err := authority.MakeToken(ctx, by, id, others, []string{dialled}, 0, "the demonstration's hospitals")
		if err != nil {
			return err
		}
		if err := n.Kernel().Network.Join(ctx, token); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "%s cannot join: %s", n.Name(), fault.MessageOf(err))
		}
	}
	return nil
}

// nodeOf is how a node is named on the network, after the organisation it is most of all for, and for whom else it speaks.
func nodeOf(n *node.Node) (id network.NodeID, others []ident.ODSCode) {
	tenants := n.Kernel().Tenants
	home := tenants[0].Code
	for _, t := range tenants {
		if t.Code == sim.National {
			home = t.Code
		}
	}
	for _, t := range tenants {
		if t.Code != home {
			others = append(others, t.Code)
		}
	}
	return network.MustNodeID(home.String()), others
}
