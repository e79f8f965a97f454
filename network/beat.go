package network

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/openspine/openspine/fault"
)

// beat is what a node that dials out says every few seconds, and the answer to it. Times are in µs since 1970.
type beat struct {
	Instance string   `json:"instance"`
	Edition  int64    `json:"edition"` // of what is known of roots and revocations
	Trusts   []string `json:"trusts"`  // fingerprints of the roots
	Latency  int64    `json:"latency"` // µs, of the beat before
	Skew     int64    `json:"skew"`    // µs by which the answering clock was ahead
	Backlog  Backlog  `json:"backlog"` // what waits to go to the one who answers
}

type beatAnswer struct {
	Instance string  `json:"instance"`
	At       int64   `json:"at"`
	Edition  int64   `json:"edition"`
	Root     string  `json:"root"` // which key certificates should be signed with
	Backlog  Backlog `json:"backlog"`
}

// news is what every node has to know, as the authority says it: DER throughout.
type news struct {
	Edition int64    `json:"edition"`
	Roots   [][]byte `json:"roots"`
	Crosses [][]byte `json:"crosses"`
	Revoked []byte   `json:"revoked"`
}

const (
	maxBeat = 64 << 10
	maxNews = 16 << 20
)

type ownHandler func(w http.ResponseWriter, r *http.Request, c *conn)

// ownHandler is what answers the network's own requests; nil for any other.
func (n *Network) ownHandler(r *http.Request) ownHandler {
	switch r.Method + " " + r.URL.Path {
	case "POST /network/beat":
		return n.takeBeat
	case "GET /network/news":
		return n.tellNews
	case "POST /network/poke":
		return n.takePoke
	case "POST /network/renew":
		return n.takeRenewal
	}
	return nil
}

func readJSON(r io.Reader, limit int64, into any) error {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "what was sent ended early")
	}
	if int64(len(text)) > limit {
		return fault.New(fault.TooLarge, "what was sent is over %d bytes", limit)
	}
	return fault.Wrap(json.Unmarshal(text, into), fault.Invalid, "what was sent is not understood")
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a peer that went away is told nothing
}

// takeBeat answers a beat of a node that dialled in.
func (n *Network) takeBeat(w http.ResponseWriter, r *http.Request, c *conn) {
	var b beat
	if err := readJSON(r.Body, maxBeat, &b); err != nil {
		Refuse(w, err)
		return
	}
	a := n.office.Load()
	if a == nil {
		Refuse(w, fault.New(fault.Forbidden, "Beats go to the authority's node."))
		return
	}
	l := n.linkTo(c.holder.Peer)
	l.heard(time.Duration(b.Latency)*time.Microsecond, -time.Duration(b.Skew)*time.Microsecond, b.Backlog)
	if l.news(b, c.holder) {
		if err := a.told(r.Context(), c.holder, b.Trusts); err != nil {
			Refuse(w, err)
			return
		}
	}
	t := n.trust.Load()
	if b.Edition > t.edition {
		n.aside(func() { n.askBack(c.holder.Node) })
	}
	writeJSON(w, beatAnswer{Instance: n.instance, At: n.clock.Now().UnixMicro(), Edition: t.edition, Root: a.issuer.Load().key(), Backlog: n.backlog(r.Context(), c.holder.Node)})
}

// news reports whether a beat says something about the node that the authority should write down.
func (l *link) news(b beat, h holder) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := h.serial + " " + b.Instance
	for _, t := range b.Trusts {
		known += " " + t
	}
	l.held = h
	if l.version == known {
		return false
	}
	l.version = known
	return true
}

// askBack has a node tell what the authority has forgotten: it was restored from a backup.
func (n *Network) askBack(node NodeID) {
	ctx, cancel := context.WithTimeout(context.Background(), n.timing.Answer)
	defer cancel()
	told, err := n.askNews(ctx, node)
	if err == nil {
		var list *x509.RevocationList
		if list, err = x509.ParseRevocationList(told.Revoked); err == nil {
			err = n.office.Load().remember(ctx, list)
		}
	}
	if err != nil {
		n.log.Warn("what a node knows of revocations, and the authority does not, could not be taken over", "peer", node.String(), "cause", err)
		return
	}
	n.log.Warn("revocations that the authority had forgotten were taken over", "peer", node.String())
}

func (n *Network) backlog(ctx context.Context, peer NodeID) Backlog {
	if n.measure == nil {
		return Backlog{}
	}
	b, err := n.measure(ctx, peer)
	if err != nil {
		n.log.Warn("what waits for a peer could not be counted", "peer", peer.String(), "cause", err)
	}
	if l := n.link(peer); l != nil {
		l.mu.Lock()
		l.ours = b
		l.span.Backlog = max(l.span.Backlog, b.Messages)
		if !b.Oldest.IsZero() {
			l.span.Oldest = max(l.span.Oldest, n.clock.Now().Sub(b.Oldest))
		}
		l.mu.Unlock()
	}
	return b
}

// tellNews says what this node knows of roots and revocations.
func (n *Network) tellNews(w http.ResponseWriter, _ *http.Request, _ *conn) {
	t := n.trust.Load()
	told := news{Edition: t.edition}
	for _, r := range t.roots {
		told.Roots = append(told.Roots, r.Raw)
	}
	for _, x := range t.crosses {
		told.Crosses = append(told.Crosses, x.Raw)
	}
	if t.list != nil {
		told.Revoked = t.list.Raw
	}
	writeJSON(w, told)
}

// takePoke has the next beat come at once: there is news.
func (n *Network) takePoke(w http.ResponseWriter, _ *http.Request, c *conn) {
	if !c.holder.Authority {
		Refuse(w, fault.New(fault.Forbidden, "Only the authority says when there is news."))
		return
	}
	n.beatNow()
	w.WriteHeader(http.StatusNoContent)
}

func (n *Network) beatNow() {
	select {
	case n.poke <- struct{}{}:
	default:
	}
}

// learn takes in a new edition of what the authority itself says, closes the links that it ends, and tells every linked node that there is news.
func (n *Network) learn(t *trust) {
	n.trust.Store(t)
	n.endRevoked(t)
	n.mu.Lock()
	var linked []NodeID
	for id, l := range n.links {
		l.mu.Lock()
		if len(l.callers) > 0 {
			linked = append(linked, id)
		}
		l.mu.Unlock()
	}
	n.mu.Unlock()
	n.aside(func() { n.pokeAll(linked) })
}

// pokedAtOnce bounds how many nodes are told at a time; the others learn with their next beat.
const pokedAtOnce = 64

func (n *Network) pokeAll(nodes []NodeID) {
	ctx, cancel := context.WithTimeout(context.Background(), n.timing.Beat)
	defer cancel()
	slots := make(chan struct{}, pokedAtOnce)
	for _, id := range nodes {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		n.aside(func() {
			defer func() { <-slots }()
			if _, err := n.ask(ctx, id, http.MethodPost, "/network/poke", nil, nil); err != nil {
				n.log.Debug("a node was not told at once that there is news", "peer", id.String(), "cause", err)
			}
		})
	}
}

// endRevoked closes the connections whose certificate was revoked.
func (n *Network) endRevoked(t *trust) {
	n.mu.Lock()
	var ended []*conn
	for c := range n.conns {
		if t.holds(c.holder) != nil {
			ended = append(ended, c)
		}
	}
	n.mu.Unlock()
	for _, c := range ended {
		_ = c.end(errRevoked(c.holder.Node))
	}
}

// ask sends one of the network's own requests, and reads the answer into what it is given, if any.
func (n *Network) ask(ctx context.Context, to NodeID, method, path string, body, into any) (time.Duration, error) {
	l := n.link(to)
	if l == nil {
		return 0, fault.New(fault.Unavailable, "This node has no link to %s.", to)
	}
	c, err := l.caller()
	if err != nil {
		return 0, err
	}
	return c.ask(ctx, l, method, path, body, into)
}

func (c *caller) ask(ctx context.Context, l *link, method, path string, body, into any) (took time.Duration, err error) {
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return 0, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	start := c.conn.n.clock.Now()
	resp, err := c.do(ctx, l, r)
	took = c.conn.n.clock.Now().Sub(start)
	if err != nil {
		return took, err
	}
	if err := FaultOf(resp); err != nil {
		return took, err
	}
	defer resp.Body.Close()
	if into == nil {
		return took, nil
	}
	return took, readJSON(resp.Body, maxNews, into)
}

func (n *Network) askNews(ctx context.Context, from NodeID) (told news, err error) {
	_, err = n.ask(ctx, from, http.MethodGet, "/network/news", nil, &told)
	return told, err
}

// beatOnce says that this node is there, and takes in what comes back.
func (n *Network) beatOnce(ctx context.Context, l *link, c *caller) (beatAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.Answer)
	defer cancel()
	t := n.trust.Load()
	node := c.conn.holder.Node
	l.mu.Lock()
	b := beat{Instance: n.instance, Edition: t.edition, Trusts: t.fingerprints(), Latency: l.latency.Microseconds(), Skew: l.skew.Microseconds()}
	l.mu.Unlock()
	b.Backlog = n.backlog(ctx, node)
	start := n.clock.Now()
	var answer beatAnswer
	took, err := c.ask(ctx, l, http.MethodPost, "/network/beat", b, &answer)
	if err != nil {
		return answer, err
	}
	// The answer was made about half way between (as in RFC 5905 section 8, with one stamp).
	skew := time.UnixMicro(answer.At).Sub(start.Add(took / 2))
	if skew.Abs() <= took/2 {
		skew = 0 // no more than what is not known
	}
	l.heard(took, skew, answer.Backlog)
	return answer, nil
}

// takeNews brings what this node knows of roots and revocations up to date.
func (n *Network) takeNews(ctx context.Context, c *caller, l *link) error {
	ctx, cancel := context.WithTimeout(ctx, n.timing.Answer)
	defer cancel()
	var told news
	if _, err := c.ask(ctx, l, http.MethodGet, "/network/news", nil, &told); err != nil {
		return err
	}
	t, err := n.trust.Load().follow(told)
	if err != nil {
		return err
	}
	h := *n.home.Load()
	h.Edition = t.edition
	if err := n.files.writeTrust(t); err != nil {
		return err
	}
	if err := n.files.writeHome(h); err != nil {
		return err
	}
	n.home.Store(&h)
	n.trust.Store(t)
	n.endRevoked(t)
	return nil
}

// follow is what is trusted after news: a new root only when a trusted one certifies its key, and a list only when a trusted root signed it.
// Nothing that was revoked comes back. Errors: fault.Forbidden.
func (t *trust) follow(told news) (*trust, error) {
	if told.Edition <= t.edition {
		return t, nil
	}
	roots, err := parseAll(told.Roots)
	if err != nil {
		return nil, err
	}
	crosses, err := parseAll(told.Crosses)
	if err != nil {
		return nil, err
	}
	kept := t.followed(roots, crosses)
	if len(kept) == 0 {
		return nil, fault.New(fault.Forbidden, "the news of the authority names no root that is trusted here, or follows from one that is")
	}
	list, err := x509.ParseRevocationList(told.Revoked)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the list of what is revoked is not understood")
	}
	if !signedList(list, kept) || !list.Number.IsInt64() || list.Number.Int64() != told.Edition {
		return nil, fault.New(fault.Forbidden, "the list of what is revoked is not the authority's")
	}
	next := newTrust(told.Edition, kept, nil, crosses, list)
	for serial, at := range t.revoked {
		if _, ok := next.revoked[serial]; !ok {
			next.revoked[serial] = at
		}
	}
	return next, nil
}

// followed are those of roots that are trusted, or whose key a trusted one certifies, in as many steps as it takes.
func (t *trust) followed(roots, crosses []*x509.Certificate) (kept []*x509.Certificate) {
	known := slices.Clone(t.roots)
	for range roots {
		for _, r := range roots {
			if slices.ContainsFunc(known, r.Equal) {
				continue
			}
			for _, x := range crosses {
				if bytes.Equal(x.RawSubjectPublicKeyInfo, r.RawSubjectPublicKeyInfo) && x.IsCA && signedBy(x, known) {
					known = append(known, r)
					break
				}
			}
		}
	}
	for _, r := range roots {
		if slices.ContainsFunc(known, r.Equal) {
			kept = append(kept, r)
		}
	}
	return kept
}

// maxRoots bounds how many roots and cross certificates news may hold.
const maxRoots = 32

func parseAll(ders [][]byte) (all []*x509.Certificate, err error) {
	if len(ders) > maxRoots {
		return nil, fault.New(fault.TooLarge, "more than %d roots", maxRoots)
	}
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "a root is not understood")
		}
		all = append(all, c)
	}
	return all, nil
}
