package links

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/web"
)

// mapView is the picture of the network and the list beneath it.
type mapView struct {
	Self    string
	Name    string
	None    bool // the node belongs to no network
	Office  bool // the certificates are kept here
	Alarms  []string
	Finding string
	Picture picture
	Table   web.Table
	State   string
	States  []web.Option
	URL     string
}

func (d *desk) showMap(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "site", "state", "waiting", "latency")
	if err != nil {
		return err
	}
	status, err := d.k.Network.Status(ctx)
	if err != nil {
		return err
	}
	v := mapView{State: state.Filter("state"), States: []web.Option{{Text: web.Text(ctx, "links.every-state")}}, URL: r.URL.RequestURI()}
	if v.None = status.Self.IsZero(); v.None {
		return web.Render(w, r, http.StatusOK, mapPage(v))
	}
	for _, s := range states() {
		v.States = append(v.States, web.Option{Value: string(s), Text: stateWord(ctx, s)})
	}
	v.Self, v.Name, v.Office, v.Alarms = status.Self.String(), d.siteName(ctx, status.Self), status.Self == status.Authority, status.Alarms
	list := slices.Clone(status.Links)
	status.Links = standing(status.Links)
	if v.State != string(network.StateRevoked) {
		list = slices.Clone(status.Links)
	}
	v.Finding = finding(ctx, status.Links)
	v.Picture = d.draw(ctx, status)
	list = slices.DeleteFunc(list, func(l network.LinkStatus) bool { return v.State != "" && string(l.State) != v.State })
	sortLinks(list, state)
	if state.Filter("format") == "csv" {
		return d.mapCSV(w, r, list)
	}
	after, err := offset(state.After() + state.Before())
	if err != nil {
		return err
	}
	v.Table = d.mapTable(ctx, state, list, after)
	return web.RenderPart(w, r, "network", mapPart(v), mapPage(v))
}

// finding says in a sentence how the links are.
func finding(ctx context.Context, all []network.LinkStatus) string {
	up, waiting := 0, int64(0)
	for _, l := range all {
		if l.State == network.StateUp {
			up++
		}
		waiting += l.Backlog.Messages
	}
	if len(all) == 0 {
		return web.Text(ctx, "links.finding-none")
	}
	text := web.Text(ctx, "links.finding", up, len(all))
	if up == len(all) {
		text = web.Count(ctx, "links.finding-all", up)
	}
	if waiting > 0 {
		text += " " + web.Count(ctx, "links.finding-waiting", int(waiting))
	}
	return text
}

func (d *desk) siteName(ctx context.Context, id network.NodeID) string {
	return d.k.Organisation(ctx, id.Organisation())
}

func sortLinks(list []network.LinkStatus, state web.TableState) {
	column, descending := state.Sort()
	slices.SortStableFunc(list, func(a, b network.LinkStatus) int {
		order := 0
		switch column {
		case "state":
			order = slices.Index(states(), a.State) - slices.Index(states(), b.State)
		case "waiting":
			order = cmp.Compare(a.Backlog.Messages, b.Backlog.Messages)
		case "latency":
			order = cmp.Compare(a.Latency, b.Latency)
		}
		if order == 0 {
			order = strings.Compare(a.Peer.String(), b.Peer.String())
		}
		if descending {
			order = -order
		}
		return order
	})
}

// offset reads a page's cursor: how many rows come before it.
func offset(cursor string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(cursor)
	if err != nil || n < 0 || n > 1_000_000 {
		return 0, fault.New(fault.Invalid, "That is no page of this list.")
	}
	return n, nil
}

// turn gives the rows of one page of a list, and sets the table's cursors.
func turn[T any](t *web.Table, list []T, after int) []T {
	after = min(after, len(list))
	end := min(after+pageSize, len(list))
	if end < len(list) {
		t.NextCursor = strconv.Itoa(end)
	}
	if after > 0 {
		t.PreviousCursor = strconv.Itoa(max(0, after-pageSize))
	}
	return list[after:end]
}

func (d *desk) mapTable(ctx context.Context, state web.TableState, list []network.LinkStatus, after int) web.Table {
	t := web.Table{ID: "links", State: state, Caption: web.Text(ctx, "links.caption"), Count: web.Count(ctx, "links.count", len(list)), CSVURL: state.With("format", "csv"), RowHeader: true,
		Empty: web.Empty{Text: web.Text(ctx, "links.empty"), Help: web.Text(ctx, "links.empty-help")}}
	for i, k := range []string{"site", "state", "latency", "traffic", "waiting", "error"} {
		c := web.Column{Text: web.Text(ctx, "links.column."+k), Numeric: k == "latency", Share: []int{5, 3, 2, 3, 3, 6}[i]}
		if k != "traffic" && k != "error" {
			c.Sort = k
		}
		t.Columns = append(t.Columns, c)
	}
	now := d.k.Clock.Now()
	for _, l := range turn(&t, list, after) {
		waiting := web.Cell(web.Text(ctx, "links.nothing"))
		if l.Backlog.Messages > 0 {
			waiting = web.ShowCell(web.Lines(web.Count(ctx, "links.messages", int(l.Backlog.Messages)), web.Text(ctx, "links.oldest", elapsed(ctx, now, l.Backlog.Oldest))))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{
			web.ShowCell(siteLink(d.siteName(ctx, l.Peer), l.Peer.String(), linkURL(l.Peer))),
			web.ShowCell(stateCell(l.State, web.Text(ctx, "links.for", elapsed(ctx, now, l.Since)))),
			web.Cell(latency(ctx, l.Latency)),
			web.Cell(web.Text(ctx, "links.traffic", volume(ctx, l.SentRate), volume(ctx, l.ReceivedRate))),
			waiting, web.NoteCell(l.LastError),
		}})
	}
	return t
}

func (d *desk) mapCSV(w http.ResponseWriter, r *http.Request, list []network.LinkStatus) error {
	header := []string{"node", "organisations", "state", "since", "latency_ms", "clock_ahead_s", "sent_bytes_per_s", "received_bytes_per_s", "waiting", "oldest", "last_error", "certificate_until"}
	return web.CSV(w, "links", header, func(yield func([]string, error) bool) {
		for _, l := range list {
			row := []string{l.Peer.String(), codes(l), string(l.State), stamp(l.Since), fmt.Sprintf("%.3f", l.Latency.Seconds()*1000), fmt.Sprintf("%.3f", l.Skew.Seconds()),
				fmt.Sprintf("%.0f", l.SentRate), fmt.Sprintf("%.0f", l.ReceivedRate), strconv.FormatInt(l.Backlog.Messages, 10), stamp(l.Backlog.Oldest), l.LastError, stamp(l.CertUntil)}
			if !yield(row, nil) {
				return
			}
		}
	})
}

func codes(l network.LinkStatus) string {
	words := make([]string, len(l.Organisations))
	for i, c := range l.Organisations {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func linkURL(id network.NodeID) string { return "/network/links/" + id.String() }

// elapsed is how long ago something was, to the second while it is new.
func elapsed(ctx context.Context, now, at time.Time) string {
	if at.IsZero() {
		return web.Text(ctx, "links.not-known")
	}
	if d := now.Sub(at); d < 2*time.Minute {
		return web.Count(ctx, "links.seconds", max(0, int(d/time.Second)))
	}
	return web.Text(ctx, "links.ago", web.Ago(ctx, now, at))
}

// latency is a round trip in milliseconds.
func latency(ctx context.Context, d time.Duration) string {
	if d <= 0 {
		return web.Text(ctx, "links.not-known")
	}
	return web.Text(ctx, "links.ms", milliseconds(d))
}

func milliseconds(d time.Duration) string {
	ms := d.Seconds() * 1000
	if ms < 10 {
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 0, 64)
}

// volume is so many bytes in a second.
func volume(ctx context.Context, perSecond float64) string {
	switch {
	case perSecond < 1000:
		return web.Text(ctx, "links.bytes", strconv.FormatFloat(perSecond, 'f', 0, 64))
	case perSecond < 1e6:
		return web.Text(ctx, "links.kilobytes", strconv.FormatFloat(perSecond/1e3, 'f', 1, 64))
	default:
		return web.Text(ctx, "links.megabytes", strconv.FormatFloat(perSecond/1e6, 'f', 1, 64))
	}
}

// picture is the network as it is drawn: this node to the left, each linked site to the right.
type picture struct {
	Height int
	HubY   int // of the middle of this node
	Hub    []string
	Sites  []site
	More   int // linked, up, and left out of the picture
}

// site is one box of the picture, with its link.
type site struct {
	URL   string // where it leads
	Code  string
	Lines []string // its name
	State network.State
	Words string // state and latency, or what waits
	Y     int    // of its middle
}

// The picture's measures, in the units of its viewBox.
const (
	pictureWidth = 400
	rowHeight    = 104
	mostSites    = 40
	lineLetters  = 26
	hubLetters   = 13
)

// draw places the sites. Where there are very many, those that are up are left out first.
func (d *desk) draw(ctx context.Context, s network.Status) picture {
	list := slices.Clone(s.Links)
	if len(list) > mostSites {
		slices.SortStableFunc(list, func(a, b network.LinkStatus) int {
			return cmp.Compare(upLast(a), upLast(b))
		})
	}
	p := picture{Hub: append([]string{s.Self.String()}, wrap(d.siteName(ctx, s.Self), hubLetters)...)}
	p.More = max(0, len(list)-mostSites)
	list = list[:len(list)-p.More]
	p.Height = max(2, len(list)) * rowHeight
	p.HubY = p.Height / 2
	for i, l := range list {
		words := stateWord(ctx, l.State)
		switch {
		case l.Backlog.Messages > 0:
			words += ", " + web.Count(ctx, "links.wait", int(l.Backlog.Messages))
		case l.State == network.StateUp && l.Latency > 0:
			words += ", " + latency(ctx, l.Latency)
		}
		name := d.siteName(ctx, l.Peer)
		if name == l.Peer.String() {
			name = "" // the code says it
		}
		p.Sites = append(p.Sites, site{URL: linkURL(l.Peer), Code: l.Peer.String(), Lines: wrap(name, lineLetters), State: l.State, Words: words,
			Y: i*rowHeight + rowHeight/2 + (p.Height-len(list)*rowHeight)/2})
	}
	return p
}

func upLast(l network.LinkStatus) int {
	if l.State == network.StateUp && l.Backlog.Messages == 0 {
		return 1
	}
	return 0
}

// wrap breaks a name into lines that fit a box.
func wrap(name string, letters int) (lines []string) {
	for _, word := range strings.Fields(name) {
		if n := len(lines); n > 0 && len([]rune(lines[n-1]))+1+len([]rune(word)) <= letters {
			lines[n-1] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

func itoa(n int) string { return strconv.Itoa(n) }
