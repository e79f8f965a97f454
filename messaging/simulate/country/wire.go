package country

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
)

// letter is a request that the network holds back.
type letter struct {
	due          int // afterRest: until everything else has come to rest
	from, to     *Machine
	method, path string
	span         string // of a file, when not all of it is asked for
	body         []byte
}

const afterRest = math.MaxInt

// DeliverLate hands over what the network held back until now.
func (c *Country) DeliverLate() {
	kept := c.late[:0]
	var due []letter
	for _, l := range c.late {
		if l.due > c.Step && (!c.Calm || l.due == afterRest && !c.Rested) {
			kept = append(kept, l)
			continue
		}
		due = append(due, l)
	}
	c.late = kept
	for _, l := range due {
		c.Faults.Late++
		status, _ := c.hand(l) //nolint:bodyclose // in memory
		c.Say("late %s to %s: %d", l.path, l.to.Name, status)
	}
	c.BuryDead()
}

// Do carries a request over the simulated network.
func (m *Machine) Do(_ context.Context, to network.NodeID, r *http.Request) (*http.Response, error) {
	c := m.c
	var peer *Machine
	for _, o := range c.Machines {
		if o.ID == to {
			peer = o
		}
	}
	var text bytes.Buffer
	if r.Body != nil {
		if _, err := text.ReadFrom(r.Body); err != nil {
			return nil, err
		}
	}
	c.Faults.Exchanges++
	if until, cut := c.cut[[2]network.NodeID{m.ID, to}]; cut && until > c.Step || peer == nil || !peer.Up {
		return nil, fault.New(fault.Unavailable, "there is no link to %s", to)
	}
	l := letter{from: m, to: peer, method: r.Method, path: r.URL.Path, span: r.Header.Get("Range"), body: text.Bytes()}
	if c.Chance(c.Weights.Late) {
		l.due = c.Step + 1 + c.Rng.IntN(40)
		if c.Rng.IntN(2) == 0 {
			l.due = afterRest
		}
		c.late = append(c.late, l)
	}
	if c.Chance(c.Weights.Lose) {
		c.Faults.Lost++
		return nil, fault.New(fault.Unavailable, "the request was lost")
	}
	if c.Chance(c.Weights.Double) {
		c.Faults.Doubled++
		c.hand(l)
	}
	status, answer := c.hand(l)
	c.Say("%s %s %s: %d", m.Name, r.URL.Path, to, status)
	if status != 0 && r.Method == http.MethodGet && c.Chance(c.Weights.Broken) {
		c.breakOff(answer)
		return answer, nil
	}
	if status == 0 || c.Chance(c.Weights.LoseAnswer) {
		c.Faults.Lost++
		return nil, fault.New(fault.Unavailable, "the answer was lost")
	}
	return answer, nil
}

// hand gives a request to a machine; a status of 0 means that it did not answer.
func (c *Country) hand(l letter) (int, *http.Response) {
	if !l.to.Up || l.to.Disk.Dark() {
		return 0, nil
	}
	r, err := http.NewRequestWithContext(c.Ctx, l.method, l.path, bytes.NewReader(l.body))
	if err != nil {
		return 0, nil
	}
	if l.span != "" {
		r.Header.Set("Range", l.span)
	}
	peer := network.Peer{Node: l.from.ID, Organisations: l.from.Own, Authority: l.from == c.Machines[0]}
	rec := &recorder{status: http.StatusOK, header: http.Header{}}
	l.to.Handler.ServeHTTP(rec, r.WithContext(network.WithPeer(c.Ctx, peer)))
	if l.to.Disk.Dark() {
		return 0, nil // it died before it could answer
	}
	return rec.status, &http.Response{StatusCode: rec.status, Header: rec.header, Body: io.NopCloser(&rec.body)}
}

// breakOff leaves of an answer some bytes.
func (c *Country) breakOff(answer *http.Response) {
	text, _ := io.ReadAll(answer.Body) // in memory
	some := bytes.NewReader(text[:c.Rng.IntN(len(text)+1)])
	if answer.Body = io.NopCloser(some); c.Rng.IntN(2) == 0 {
		answer.Body = io.NopCloser(BreaksOff{some})
	}
	c.Faults.Lost++
}

// BreaksOff is a reader that ends with a failure.
type BreaksOff struct{ Rest io.Reader }

// Read is io.Reader's.
func (b BreaksOff) Read(p []byte) (int, error) {
	n, err := b.Rest.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("it broke off")
	}
	return n, err
}

// recorder is an answer in memory.
type recorder struct {
	status int
	header http.Header
	body   bytes.Buffer
}

// Header is http.ResponseWriter's.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader is http.ResponseWriter's.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write is http.ResponseWriter's.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
