package node

import (
	"context"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/network/pkcs11"
	"github.com/openspine/openspine/store"
)

// linkFigures are the figures of this node's links, taken when somebody asks for them.
type linkFigures struct {
	n     *Node
	kinds []linkFigure
	left  *prometheus.Desc
	alarm *prometheus.Desc
}

// linkFigure is one figure of a link.
type linkFigure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(l network.LinkStatus) float64
}

func (n *Node) newLinkFigures() *linkFigures {
	f := &linkFigures{n: n, left: prometheus.NewDesc("openspine_certificate_left_seconds", "Until this node's certificate of the network ends.", nil, nil),
		alarm: prometheus.NewDesc("openspine_network_alarms", "What somebody must see to: certificates that end soon and were not renewed, clocks that differ.", nil, nil)}
	add := func(name, help string, kind prometheus.ValueType, value func(l network.LinkStatus) float64) {
		f.kinds = append(f.kinds, linkFigure{prometheus.NewDesc("openspine_link_"+name, help, []string{"peer"}, nil), kind, value})
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	add("up", "1 while the link to the node stands.", gauge, func(l network.LinkStatus) float64 {
		if l.State == network.StateUp {
			return 1
		}
		return 0
	})
	add("latency_seconds", "Of the last beat.", gauge, func(l network.LinkStatus) float64 { return l.Latency.Seconds() })
	add("clock_ahead_seconds", "By how much the other node's clock is ahead.", gauge, func(l network.LinkStatus) float64 { return l.Skew.Seconds() })
	add("sent_bytes_total", "Sent over the link.", counter, func(l network.LinkStatus) float64 { return float64(l.Sent) })
	add("received_bytes_total", "Received over the link.", counter, func(l network.LinkStatus) float64 { return float64(l.Received) })
	add("requests_total", "Asked and answered over the link.", counter, func(l network.LinkStatus) float64 { return float64(l.Requests) })
	add("failures_total", "Exchanges that broke off.", counter, func(l network.LinkStatus) float64 { return float64(l.Failures) })
	add("backlog", "Messages that wait to go to the node.", gauge, func(l network.LinkStatus) float64 { return float64(l.Backlog.Messages) })
	add("oldest_seconds", "Age of the oldest message that the node has not acknowledged; 0 when none waits.", gauge, func(l network.LinkStatus) float64 {
		if l.Backlog.Oldest.IsZero() {
			return 0
		}
		return n.clock.Now().Sub(l.Backlog.Oldest).Seconds()
	})
	add("last_error_timestamp_seconds", "When something last went wrong on the link, in seconds since 1970; 0 for never. What it was is on the link's page.", gauge, func(l network.LinkStatus) float64 {
		if l.LastErrorAt.IsZero() {
			return 0
		}
		return float64(l.LastErrorAt.Unix())
	})
	return f
}

// Describe says which figures there are.
func (f *linkFigures) Describe(out chan<- *prometheus.Desc) {
	out <- f.left
	out <- f.alarm
	for _, k := range f.kinds {
		out <- k.desc
	}
}

// Collect takes them; a node that belongs to no network has none.
func (f *linkFigures) Collect(out chan<- prometheus.Metric) {
	s, err := f.n.kernel.Network.Status(context.Background())
	if err != nil || s.Self.IsZero() {
		return
	}
	out <- prometheus.MustNewConstMetric(f.left, prometheus.GaugeValue, s.Until.Sub(f.n.clock.Now()).Seconds())
	out <- prometheus.MustNewConstMetric(f.alarm, prometheus.GaugeValue, float64(len(s.Alarms)))
	for _, l := range s.Links {
		if l.State == network.StateRevoked {
			continue // nobody waits for it to come back
		}
		for _, k := range f.kinds {
			out <- prometheus.MustNewConstMetric(k.desc, k.kind, k.value(l), l.Peer.String())
		}
	}
}

// openNetwork prepares the network. Where the configuration names a device, the keys of an authority are in it.
func (n *Node) openNetwork(ctx context.Context, db *store.DB, gate *access.Gate) (*network.Network, error) {
	o := network.Options{DB: db, Gate: gate, Clock: n.clock, Rand: n.rand, Logger: n.log, Folder: filepath.Join(n.cfg.Data, "network"), Dial: n.dial}
	if n.cfg.NetworkKeys != "" {
		at, err := pkcs11.Parse(n.cfg.NetworkKeys)
		if err != nil {
			return nil, err
		}
		if n.device, err = pkcs11.Open(at); err != nil {
			return nil, err
		}
		o.Keys = n.device
	}
	return network.Open(ctx, o)
}
