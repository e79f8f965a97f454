package links

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// lineWorkflow is what a line is sent as.
const lineWorkflow = "network.line"

// lineLife is how long a line waits for a link; lineMost is how long it may be, in characters.
const (
	lineLife = 7 * 24 * time.Hour
	lineMost = 200
)

// note is a line as it travels.
type note struct {
	By   string `json:"by"`
	Line string `json:"line"`
}

// The ways of a line.
const (
	waySent     = 1
	wayReceived = 2
)

func (d *desk) lineLane(org ident.ODSCode) store.Lane { return d.k.DB.LaneOf(org.String(), "") }

// lineHandler takes the lines of others and learns what became of our own.
func (d *desk) lineHandler() messaging.Handler {
	return messaging.Handler{
		Workflow: lineWorkflow, Owner: "whoever runs the network at the recipient", TTL: lineLife,
		Lanes: func(m messaging.Message) []store.Lane { return []store.Lane{d.lineLane(m.To)} },
		Handle: func(_ context.Context, tx *store.Tx, m messaging.Message) error {
			var n note
			if err := json.Unmarshal(m.Body, &n); err != nil || n.Line == "" || len([]rune(n.Line)) > lineMost {
				return messaging.Refuse("this is no line of text")
			}
			return putLine(tx, d.lineLane(m.To), line{way: wayReceived, ID: m.ID, At: m.At, From: m.From, To: m.To, By: n.By, Text: n.Line, State: messaging.Handled, Since: tx.At()})
		},
		LearnLanes: func(m messaging.Message) []store.Lane { return []store.Lane{d.lineLane(m.From)} },
		Learn: func(_ context.Context, tx *store.Tx, r messaging.Receipt) error {
			_, err := tx.Exec(`UPDATE links_line SET state = ?, since = ?, reason = ? WHERE lane = ? AND way = ? AND id = ?`,
				int64(r.State), r.At, r.Reason, d.lineLane(r.From), waySent, r.ID)
			return err
		},
	}
}

// line is one that was sent or received here.
type line struct {
	way      int64
	ID       string
	At       time.Time
	From, To ident.ODSCode
	By, Text string
	State    messaging.State
	Since    time.Time // when it came to be so
	Reason   string
}

func putLine(tx *store.Tx, lane store.Lane, l line) error {
	_, err := tx.Exec(`INSERT INTO links_line (lane, way, id, at, sender, recipient, writer, line, state, since, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		lane, l.way, l.ID, l.At, l.From.String(), l.To.String(), l.By, l.Text, int64(l.State), l.Since, l.Reason)
	return err
}

// mostLines is how many lines a page's list and its export go back.
const mostLines = 1000

func (d *desk) lines(ctx context.Context) (list []line, err error) {
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT way, id, at, sender, recipient, writer, line, state, since, reason FROM links_line ORDER BY at DESC, id DESC, way DESC LIMIT ?`, mostLines)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var l line
			var at, since, state int64
			var from, to string
			if err := rows.Scan(&l.way, &l.ID, &at, &from, &to, &l.By, &l.Text, &state, &since, &l.Reason); err != nil {
				return err
			}
			l.At, l.Since, l.State = time.UnixMicro(at).UTC(), time.UnixMicro(since).UTC(), messaging.State(state) //nolint:gosec // as it was put
			if l.From, err = ident.ParseODSCode(from); err != nil {
				return err
			}
			if l.To, err = ident.ParseODSCode(to); err != nil {
				return err
			}
			list = append(list, l)
		}
		return rows.Err()
	})
	return list, err
}

// linesView is the lines that went to and fro, and the form for another.
type linesView struct {
	Page     web.Page
	URL      string
	From     string
	Mine     bool // the reader's organisation is kept here, so that they can send
	To, Line string
	Known    string
	Errors   web.FieldErrors
	Table    web.Table
	Way      string
	Ways     []web.Option
}

func (d *desk) showLines(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	return d.renderLines(w, r, p, http.StatusOK, linesView{})
}

func (d *desk) renderLines(w http.ResponseWriter, r *http.Request, p access.Principal, status int, v linesView) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "-at")
	if err != nil {
		return err
	}
	list, err := d.lines(ctx)
	if err != nil {
		return err
	}
	v.Way = state.Filter("way")
	list = slices.DeleteFunc(list, func(l line) bool {
		return v.Way == "sent" && l.way != waySent || v.Way == "received" && l.way != wayReceived
	})
	if column, descending := state.Sort(); column == "at" && !descending {
		slices.Reverse(list)
	}
	if state.Filter("format") == "csv" {
		return linesCSV(w, list)
	}
	v.URL, v.From, v.Mine = r.URL.RequestURI(), d.k.Organisation(ctx, p.Organisation), d.keeps(p.Organisation)
	v.Page = web.Page{Title: web.Text(ctx, "links.lines-title"), Back: web.Link{Text: web.Text(ctx, "links.title"), URL: "/network"}, Live: true, Failed: len(v.Errors) > 0}
	if v.Known, err = d.known(ctx, p.Organisation); err != nil {
		return err
	}
	for _, k := range []string{"", "sent", "received"} {
		v.Ways = append(v.Ways, web.Option{Value: k, Text: web.Text(ctx, "links.way."+map[bool]string{true: "both", false: k}[k == ""])})
	}
	after, err := offset(state.After() + state.Before())
	if err != nil {
		return err
	}
	v.Table = d.linesTable(ctx, state, list, after)
	if target, ok := web.Partial(r); ok && target == "lines" {
		return web.Render(w, r, http.StatusOK, linesPart(v))
	}
	return web.Render(w, r, status, linesPage(v))
}

func (d *desk) keeps(org ident.ODSCode) bool {
	for _, t := range d.k.Tenants {
		if t.Code == org {
			return true
		}
	}
	return false
}

// known are organisations to which a line can be sent, with their names.
func (d *desk) known(ctx context.Context, own ident.ODSCode) (string, error) {
	s, err := d.k.Network.Status(ctx)
	if err != nil {
		return "", err
	}
	var words []string
	add := func(code ident.ODSCode) {
		if code != own && len(words) < 8 {
			words = append(words, code.String()+" ("+d.k.Organisation(ctx, code)+")")
		}
	}
	for _, l := range s.Links {
		for _, code := range l.Organisations {
			add(code)
		}
	}
	for _, t := range d.k.Tenants {
		add(t.Code)
	}
	return strings.Join(words, ", "), nil
}

func (d *desk) linesTable(ctx context.Context, state web.TableState, list []line, after int) web.Table {
	t := web.Table{ID: "lines-table", State: state, Caption: web.Text(ctx, "links.lines-caption"), Count: web.Count(ctx, "links.lines-count", len(list)), CSVURL: state.With("format", "csv"),
		Empty: web.Empty{Text: web.Text(ctx, "links.lines-none"), Help: web.Text(ctx, "links.lines-help")}}
	for i, k := range []string{"at", "who", "line", "became"} {
		c := web.Column{Text: web.Text(ctx, "links.line."+k), Whole: k == "at", Share: []int{3, 5, 5, 4}[i]}
		if k == "at" {
			c.Sort = k
		}
		t.Columns = append(t.Columns, c)
	}
	for _, l := range turn(&t, list, after) {
		who := web.Text(ctx, "links.sent-to", d.k.Organisation(ctx, l.To))
		if l.way == wayReceived {
			who = web.Text(ctx, "links.received-from", d.k.Organisation(ctx, l.From))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.Seconds(l.At)), web.ShowCell(web.Lines(who, l.By)), web.Cell(l.Text), web.ShowCell(lineState(l))}})
	}
	return t
}

func linesCSV(w http.ResponseWriter, list []line) error {
	return web.CSV(w, "lines", []string{"sent_at", "way", "from", "to", "by", "line", "state", "state_at", "reason", "id"}, func(yield func([]string, error) bool) {
		for _, l := range list {
			way := "sent"
			if l.way == wayReceived {
				way = "received"
			}
			if !yield([]string{stamp(l.At), way, l.From.String(), l.To.String(), l.By, l.Text, l.State.String(), stamp(l.Since), l.Reason, l.ID}, nil) {
				return
			}
		}
	})
}

// sendLine sends a line of text to another organisation. The row and the message are one commit.
func (d *desk) sendLine(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	ctx := r.Context()
	v := linesView{To: strings.TrimSpace(r.PostForm.Get("to")), Line: strings.TrimSpace(r.PostForm.Get("line"))}
	to, err := ident.ParseODSCode(strings.ToUpper(v.To))
	if err != nil || to == p.Organisation {
		v.Errors.Add("to", web.Text(ctx, "links.line-to-wrong"))
	}
	if n := len([]rune(v.Line)); n == 0 || n > lineMost {
		v.Errors.Add("line", web.Text(ctx, "links.line-wrong", strconv.Itoa(lineMost)))
	}
	if !d.keeps(p.Organisation) {
		return fault.New(fault.Forbidden, "%s", web.Text(ctx, "links.line-not-here", p.Organisation))
	}
	if len(v.Errors) == 0 {
		err = d.send(ctx, p, to, v.Line)
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Unavailable) {
			v.Errors.Add("to", web.Text(ctx, "links.line-nobody", to))
		} else if err != nil {
			return err
		}
	}
	if len(v.Errors) > 0 {
		return d.renderLines(w, r, p, http.StatusUnprocessableEntity, v)
	}
	return web.SeeOther(w, r, "/network/lines")
}

func (d *desk) send(ctx context.Context, p access.Principal, to ident.ODSCode, text string) error {
	body, err := json.Marshal(note{By: p.Name, Line: text})
	if err != nil {
		return err
	}
	lane := d.lineLane(p.Organisation)
	return d.k.DB.Write(ctx, []store.Lane{d.k.Post().LaneOf(p.Organisation, ""), lane, d.k.Gate.DeedLane(p)}, func(tx *store.Tx) error {
		id, err := d.k.Post().Send(ctx, tx, messaging.Message{From: p.Organisation, To: to, Workflow: lineWorkflow, Body: body})
		if err != nil {
			return err
		}
		if err := d.k.Gate.Record(ctx, tx, p, access.Deed{Action: "send", Basis: "network", Detail: "a line to " + to.String() + ", message " + id}); err != nil {
			return err
		}
		return putLine(tx, lane, line{way: waySent, ID: id, At: tx.At(), From: p.Organisation, To: to, By: p.Name, Text: text, State: messaging.Accepted, Since: tx.At()})
	})
}
