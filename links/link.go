package links

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// linkView is one link.
type linkView struct {
	Page   web.Page
	URL    string
	Peer   string
	Name   string
	State  network.State
	For    string
	Facts  []web.Row
	Cut    *network.Cut
	Spans  []web.Option
	Span   string
	Charts []web.Chart
	Events web.Table
	Reason string
	Errors web.FieldErrors
	Wait   int64
}

// window is how far back the plots go, in spans of what length.
type window struct {
	key        string
	back, long time.Duration
}

func windows() []window {
	return []window{{"hour", time.Hour, time.Minute}, {"day", 24 * time.Hour, time.Hour}, {"quarter", 90 * 24 * time.Hour, 24 * time.Hour}}
}

func (d *desk) link(r *http.Request) (*linkView, network.LinkStatus, error) {
	ctx := r.Context()
	id, err := nodeIn(r)
	if err != nil {
		return nil, network.LinkStatus{}, err
	}
	l, err := d.k.Network.Link(ctx, id)
	if err != nil {
		return nil, l, err
	}
	name := d.siteName(ctx, id)
	v := &linkView{URL: linkURL(id), Peer: id.String(), Name: name, State: l.State, For: web.Text(ctx, "links.for", elapsed(ctx, d.k.Clock.Now(), l.Since)), Cut: l.Cut, Wait: l.Backlog.Messages,
		Page: web.Page{Title: web.Text(ctx, "links.link", name), Back: web.Link{Text: web.Text(ctx, "links.title"), URL: "/network"}}}
	return v, l, nil
}

func (d *desk) showLink(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	ctx := r.Context()
	v, l, err := d.link(r)
	if err != nil {
		return err
	}
	state, err := web.ReadTableState(r)
	if err != nil {
		return err
	}
	events, err := d.k.Network.Events(ctx, l.Peer, mostEvents)
	if err != nil {
		return err
	}
	if state.Filter("format") == "csv" {
		return eventsCSV(w, r, events)
	}
	all := windows()
	i := max(0, slices.IndexFunc(all, func(w window) bool { return w.key == state.Filter("span") }))
	v.Span, v.URL = all[i].key, r.URL.RequestURI()
	for _, w := range all {
		v.Spans = append(v.Spans, web.Option{Value: w.key, Text: web.Text(ctx, "links.span."+w.key)})
	}
	history, err := d.k.Network.History(ctx, l.Peer, all[i].long, d.k.Clock.Now().Add(-all[i].back))
	if err != nil {
		return err
	}
	v.Facts = d.facts(ctx, l)
	v.Charts = charts(ctx, history, all[i])
	after, err := offset(state.After() + state.Before())
	if err != nil {
		return err
	}
	v.Events = eventsTable(ctx, state, events, after)
	v.Page.Live = true
	return web.RenderPart(w, r, "link", linkPart(v), linkPage(v))
}

func (d *desk) facts(ctx context.Context, l network.LinkStatus) []web.Row {
	now := d.k.Clock.Now()
	row := func(key, text string) web.Row { return web.Row{Key: web.Text(ctx, "links.fact."+key), Text: text} }
	waiting, theirs := web.Text(ctx, "links.nothing"), web.Text(ctx, "links.nothing")
	if b := l.Backlog; b.Messages > 0 {
		waiting = web.Count(ctx, "links.messages", int(b.Messages)) + ", " + web.Text(ctx, "links.oldest", elapsed(ctx, now, b.Oldest))
	}
	if b := l.Theirs; b.Messages > 0 {
		theirs = web.Count(ctx, "links.messages", int(b.Messages)) + ", " + web.Text(ctx, "links.oldest", elapsed(ctx, now, b.Oldest))
	}
	rows := []web.Row{
		{Key: web.Text(ctx, "links.fact.state"), Value: stateCell(l.State, web.Text(ctx, "links.for", elapsed(ctx, now, l.Since)))},
		row("organisations", codes(l)),
		row("latency", latency(ctx, l.Latency)),
		row("clock", skew(ctx, l.Skew)),
		row("traffic", web.Text(ctx, "links.traffic", volume(ctx, l.SentRate), volume(ctx, l.ReceivedRate))),
		row("requests", web.Text(ctx, "links.requests", l.Requests, l.Failures)),
		row("waiting", waiting),
		row("theirs", theirs),
		row("heard", elapsed(ctx, now, l.Heard)),
	}
	if l.LastError != "" {
		rows = append(rows, web.Row{Key: web.Text(ctx, "links.fact.error"), Value: web.Lines(l.LastError, format.Seconds(l.LastErrorAt))})
	}
	if !l.CertUntil.IsZero() {
		rows = append(rows, row("certificate", format.Date(l.CertUntil)))
	}
	return rows
}

// skew is by how much the other clock is ahead, in words.
func skew(ctx context.Context, d time.Duration) string {
	seconds := strconv.FormatFloat(d.Abs().Seconds(), 'f', 1, 64)
	switch {
	case d.Abs() < 100*time.Millisecond:
		return web.Text(ctx, "links.clock-same")
	case d > 0:
		return web.Text(ctx, "links.clock-ahead", seconds)
	default:
		return web.Text(ctx, "links.clock-behind", seconds)
	}
}

// charts are the plots of a link's history; each title says what was found.
func charts(ctx context.Context, history []network.Span, w window) []web.Chart {
	label := func(t time.Time) string {
		switch w.key {
		case "hour", "day":
			return format.Time(t)
		default:
			return format.Date(t)
		}
	}
	within := web.Text(ctx, "links.within."+w.key)
	plot := func(key, title string, names []string, values ...func(network.Span) (float64, string)) web.Chart {
		if len(history) == 0 { // nothing was found
			title = web.Text(ctx, "links.topic-"+key, within)
		}
		c := web.Chart{ID: "plot-" + key, Title: title, XName: web.Text(ctx, "links.axis.time"), YName: web.Text(ctx, "links.axis."+key)}
		for i, value := range values {
			s := web.Series{}
			if len(values) > 1 {
				s.Name = web.Text(ctx, names[i])
			}
			for _, h := range history {
				if key == "latency" && h.Mean == 0 { // no beat was measured
					continue
				}
				y, text := value(h)
				s.Points = append(s.Points, web.Point{Label: label(h.At), X: float64(h.At.Unix()), Y: y, Text: text})
			}
			c.Series = append(c.Series, s)
		}
		return c
	}
	ms := func(d time.Duration) (float64, string) {
		return d.Seconds() * 1000, web.Text(ctx, "links.ms", milliseconds(d))
	}
	rate := func(bytes int64, h network.Span) (float64, string) {
		if h.Watched <= 0 {
			return 0, volume(ctx, 0)
		}
		y := float64(bytes) / h.Watched.Seconds()
		return y / 1000, volume(ctx, y)
	}
	return []web.Chart{
		plot("latency", latencyFinding(ctx, history, within), []string{"links.series.mean", "links.series.slowest"},
			func(h network.Span) (float64, string) { return ms(h.Mean) }, func(h network.Span) (float64, string) { return ms(h.Slowest) }),
		plot("throughput", throughputFinding(ctx, history, within), []string{"links.series.sent", "links.series.received"},
			func(h network.Span) (float64, string) { return rate(h.Sent, h) }, func(h network.Span) (float64, string) { return rate(h.Received, h) }),
		plot("backlog", backlogFinding(ctx, history, within, label), nil,
			func(h network.Span) (float64, string) {
				return float64(h.Backlog), web.Count(ctx, "links.messages", int(h.Backlog))
			}),
		plot("up", upFinding(ctx, history, within), nil, func(h network.Span) (float64, string) {
			if h.Watched <= 0 {
				return 0, web.Text(ctx, "links.not-known")
			}
			y := 100 * h.Up.Seconds() / h.Watched.Seconds()
			return y, strconv.FormatFloat(y, 'f', 1, 64) + " %"
		}),
	}
}

func latencyFinding(ctx context.Context, history []network.Span, within string) string {
	var sum, worst time.Duration
	beats := int64(0)
	for _, h := range history {
		if h.Mean == 0 {
			continue
		}
		sum, beats, worst = sum+h.Mean*time.Duration(h.Beats), beats+h.Beats, max(worst, h.Slowest)
	}
	if beats == 0 {
		return web.Text(ctx, "links.finding-no-latency", within)
	}
	return web.Text(ctx, "links.finding-latency", milliseconds(sum/time.Duration(beats)), milliseconds(worst), within)
}

func throughputFinding(ctx context.Context, history []network.Span, within string) string {
	sent, received := int64(0), int64(0)
	for _, h := range history {
		sent, received = sent+h.Sent, received+h.Received
	}
	return web.Text(ctx, "links.finding-throughput", bytes(ctx, sent), bytes(ctx, received), within)
}

// bytes is an amount of them.
func bytes(ctx context.Context, n int64) string {
	switch {
	case n < 1000:
		return web.Text(ctx, "links.amount-b", n)
	case n < 1e6:
		return web.Text(ctx, "links.amount-kb", strconv.FormatFloat(float64(n)/1e3, 'f', 1, 64))
	default:
		return web.Text(ctx, "links.amount-mb", strconv.FormatFloat(float64(n)/1e6, 'f', 1, 64))
	}
}

func backlogFinding(ctx context.Context, history []network.Span, within string, label func(time.Time) string) string {
	var worst network.Span
	for _, h := range history {
		if h.Backlog > worst.Backlog {
			worst = h
		}
	}
	if worst.Backlog == 0 {
		return web.Text(ctx, "links.finding-no-backlog", within)
	}
	return web.Count(ctx, "links.finding-backlog", int(worst.Backlog), label(worst.At), within)
}

func upFinding(ctx context.Context, history []network.Span, within string) string {
	var up, watched time.Duration
	for _, h := range history {
		up, watched = up+h.Up, watched+h.Watched
	}
	if watched == 0 {
		return web.Text(ctx, "links.finding-no-up", within)
	}
	return web.Text(ctx, "links.finding-up", strconv.FormatFloat(100*up.Seconds()/watched.Seconds(), 'f', 1, 64), within)
}

// mostEvents is how many events of a link a page and its export know.
const mostEvents = 500

func eventsTable(ctx context.Context, state web.TableState, events []network.Event, after int) web.Table {
	t := web.Table{ID: "events", State: state, Caption: web.Text(ctx, "links.events"), CSVURL: state.With("format", "csv"),
		Empty:   web.Empty{Text: web.Text(ctx, "links.events-none")},
		Columns: []web.Column{{Text: web.Text(ctx, "links.column.at"), Whole: true, Share: 2}, {Text: web.Text(ctx, "links.column.what"), Share: 2}, {Text: web.Text(ctx, "links.column.note"), Share: 6}}}
	for _, e := range turn(&t, events, after) {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.Seconds(e.At)), web.Cell(web.Text(ctx, "links.event."+e.What)), web.NoteCell(e.Note)}})
	}
	return t
}

func eventsCSV(w http.ResponseWriter, _ *http.Request, events []network.Event) error {
	return web.CSV(w, "link-events", []string{"at", "node", "what", "note"}, func(yield func([]string, error) bool) {
		for _, e := range events {
			if !yield([]string{stamp(e.At), e.Peer.String(), e.What, e.Note}, nil) {
				return
			}
		}
	})
}

func (d *desk) askCut(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	v, _, err := d.link(r)
	if err != nil {
		return err
	}
	v.Page = d.actPage(r.Context(), v, "links.cut-title")
	return web.Render(w, r, http.StatusOK, cutPage(v))
}

func (d *desk) askHeal(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	v, _, err := d.link(r)
	if err != nil {
		return err
	}
	v.Page = d.actPage(r.Context(), v, "links.heal-title")
	return web.Render(w, r, http.StatusOK, healPage(v))
}

func (d *desk) actPage(ctx context.Context, v *linkView, title string) web.Page {
	return web.Page{Title: web.Text(ctx, title, v.Name), Back: web.Link{Text: web.Text(ctx, "links.link", v.Name), URL: v.URL}}
}

// doCut cuts a link, with a reason that stands with the cut for all to read.
func (d *desk) doCut(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, l, err := d.link(r)
	if err == nil {
		err = web.CheckForm(r, v.Peer)
	}
	if err != nil {
		return err
	}
	ctx := r.Context()
	if v.Reason = reasonOf(ctx, r, &v.Errors); len(v.Errors) > 0 {
		v.Page = d.actPage(ctx, v, "links.cut-title")
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, cutPage(v))
	}
	if err := d.k.Network.CutLink(ctx, p, l.Peer, v.Reason); err != nil {
		return err
	}
	return web.SeeOther(w, r, v.URL)
}

// doHeal lets a link that was cut come back.
func (d *desk) doHeal(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, l, err := d.link(r)
	if err == nil {
		err = web.CheckForm(r, v.Peer)
	}
	if err != nil {
		return err
	}
	ctx := r.Context()
	if v.Reason = reasonOf(ctx, r, &v.Errors); len(v.Errors) > 0 {
		v.Page = d.actPage(ctx, v, "links.heal-title")
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, healPage(v))
	}
	if err := d.k.Network.HealLink(ctx, p, l.Peer, v.Reason); err != nil {
		return err
	}
	return web.SeeOther(w, r, v.URL)
}

// ledgersView is how the ledgers of two nodes compare, both ways.
type ledgersView struct {
	Page web.Page
	URL  string
	Name string
	At   time.Time
	Even bool
	Ways []ledgerWay
	Why  string // why they cannot be compared now
}

// ledgerWay is one way of the post.
type ledgerWay struct {
	Title       string
	Difference  int64
	Facts       []web.Row
	Differences []messaging.Difference
}

// pathLedger is where a peer asks how this node's ledger of what it sent there compares with the peer's own.
const pathLedger = "/links/ledger"

// serveLedger compares for the peer what this node sent to it.
func (d *desk) serveLedger(w http.ResponseWriter, r *http.Request) {
	peer, ok := network.PeerFrom(r.Context())
	if !ok {
		network.Refuse(w, fault.New(fault.Unauthenticated, "a question over no link"))
		return
	}
	sum, err := d.k.Post().Reconcile(r.Context(), peer.Node)
	if err != nil {
		network.Refuse(w, err)
		return
	}
	text, err := json.Marshal(sum)
	if err != nil {
		network.Refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(text); err != nil {
		d.k.Logger.Debug("an answer to a peer was cut short", "cause", err)
	}
}

// ledgerWithin is how long a comparison may take, and ledgerBytes how long the other's answer may be.
const (
	ledgerWithin = 30 * time.Second
	ledgerBytes  = 4 << 20
)

// compare has both nodes compare what they sent each other.
func (d *desk) compare(ctx context.Context, peer network.NodeID) (sent, received messaging.Reconciled, err error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerWithin)
	defer cancel()
	if sent, err = d.k.Post().Reconcile(ctx, peer); err != nil {
		return sent, received, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, pathLedger, nil)
	if err != nil {
		return sent, received, err
	}
	resp, err := d.k.Network.Do(ctx, peer, q)
	if err != nil {
		return sent, received, err
	}
	if err := network.FaultOf(resp); err != nil {
		return sent, received, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, ledgerBytes)).Decode(&received); err != nil {
		return sent, received, fault.Wrap(err, fault.Unavailable, "the answer of %s cannot be read", peer)
	}
	return sent, received, nil
}

// difference is by how many messages two ledgers disagree.
func difference(r messaging.Reconciled) int64 {
	n := int64(0)
	for _, d := range r.Differences {
		n += max(d.Sent-d.Received, d.Received-d.Sent)
	}
	return n
}

func (d *desk) showLedgers(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	lv, l, err := d.link(r)
	if err != nil {
		return err
	}
	ctx := r.Context()
	v := ledgersView{Page: d.actPage(ctx, lv, "links.ledgers"), URL: lv.URL, Name: lv.Name, At: d.k.Clock.Now()}
	sent, received, err := d.compare(ctx, l.Peer)
	switch {
	case fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Timeout):
		v.Why = fault.MessageOf(err)
	case err != nil:
		return err
	default:
		v.Even = sent.Even() && received.Even()
		v.Ways = []ledgerWay{way(ctx, web.Text(ctx, "links.sent-there", lv.Name), sent), way(ctx, web.Text(ctx, "links.sent-here", lv.Name), received)}
	}
	return web.Render(w, r, http.StatusOK, ledgersPage(v))
}

func way(ctx context.Context, title string, r messaging.Reconciled) ledgerWay {
	row := func(key string, n int64) web.Row {
		return web.Row{Key: web.Text(ctx, "links.ledger."+key), Text: web.Count(ctx, "links.messages", int(n))}
	}
	return ledgerWay{Title: title, Difference: difference(r), Differences: r.Differences,
		Facts: []web.Row{row("difference", difference(r)), row("arrived", r.Sent), row("on-the-way", r.OnTheWay), row("undelivered", r.Undelivered)}}
}
