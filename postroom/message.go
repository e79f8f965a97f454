package postroom

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// messageView is one message: what is known of it here, what happened to it, and what may be decided.
type messageView struct {
	Page     web.Page
	Item     messaging.Item
	Facts    []web.Row
	Timeline web.Table
	Files    web.Table
	Acts     []web.Link
	Done     string
	Undo     web.Link
	Content  string // the address of what it holds, for who may open it
	Others   []web.Link
}

func (d *desk) show(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	it, err := d.find(r, p)
	if err != nil {
		return err
	}
	legs, err := d.legs(ctx, p, it)
	if err != nil {
		return err
	}
	if err := d.looked(ctx, p, access.Search, d.k.Gate.DeedLane(p), "message "+it.ID); err != nil {
		return err
	}
	v := &messageView{Item: it, Done: r.URL.Query().Get("done"), Page: web.Page{Title: web.Text(ctx, "postroom.message.title"), Back: web.Link{Text: web.Text(ctx, "postroom.title"), URL: pathSearch}}}
	if it.Held != nil && it.Held.Parked {
		v.Page.Back = web.Link{Text: web.Text(ctx, "postroom.parked.title"), URL: pathParked}
	}
	v.Facts = d.facts(ctx, it)
	if v.Timeline, err = d.timeline(ctx, r, legs); err != nil {
		return err
	}
	v.Files = files(ctx, p, it)
	for _, leg := range legs {
		if leg.Ref != it.Ref {
			v.Others = append(v.Others, web.Link{Text: web.Text(ctx, "postroom.message.other", d.destination(ctx, leg.To), web.Text(ctx, "postroom.state."+leg.State.String())), URL: messagePath(leg.Ref)})
		}
	}
	for _, a := range d.acts(p, it) {
		v.Acts = append(v.Acts, web.Link{Text: web.Text(ctx, "postroom.act."+a), URL: messagePath(it.Ref) + "/" + a})
	}
	if p.Role == access.Clerk && it.Size > 0 {
		v.Content = messagePath(it.Ref) + "/content"
	}
	v.Undo = d.undo(r, p, it)
	return web.Render(w, r, http.StatusOK, messagePage(v))
}

// legs are all places where this node knows a message: redirected from one to another, or sent on. That of the address is among them.
func (d *desk) legs(ctx context.Context, p access.Principal, it messaging.Item) ([]messaging.Item, error) {
	all, err := d.k.Post().ByID(ctx, it.ID)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(o messaging.Item) bool { return !sees(p, o) })
	slices.Reverse(all)
	if !slices.ContainsFunc(all, func(o messaging.Item) bool { return o.Ref == it.Ref }) {
		all = append(all, it)
	}
	return all, nil
}

// facts are what is known of a message.
func (d *desk) facts(ctx context.Context, it messaging.Item) []web.Row {
	var rows []web.Row
	add := func(key, text string) {
		rows = append(rows, web.Row{Key: web.Text(ctx, "postroom.column."+key), Text: text})
	}
	show := func(key, first, second string) {
		rows = append(rows, web.Row{Key: web.Text(ctx, "postroom.column."+key), Value: web.Lines(first, second)})
	}
	add("id", it.ID)
	rows = append(rows, web.Row{Key: web.Text(ctx, "postroom.column.state"), Value: stateTag(it)})
	show("from", d.k.Organisation(ctx, it.From), it.From.String())
	show("to", d.k.Organisation(ctx, it.Message.To), it.Message.To.String())
	add("workflow", it.Workflow)
	if it.Conversation != "" {
		add("conversation", it.Conversation)
	}
	show("sent", format.Seconds(it.At), d.age(ctx, it.At))
	if !it.Peer.IsZero() {
		add("peer", it.Peer.String())
	}
	add("destination", d.destination(ctx, it.To))
	if it.Tried && it.Delivered.IsZero() && !it.State.Final() {
		add("doubt", web.Text(ctx, "postroom.message.tried", it.To.Name))
	}
	if !it.Ended.IsZero() {
		add("ended", format.Seconds(it.Ended))
	}
	if !it.Expires.IsZero() {
		add("expires", format.DateTime(it.Expires))
	}
	add("size", web.Text(ctx, "postroom.message.size", bytesText(it.Size)))
	if h := it.Held; h != nil {
		show("why", web.Text(ctx, "postroom.why."+h.Why), web.Text(ctx, "postroom.since", format.DateTime(h.Since), d.age(ctx, h.Since)))
		add("reason", h.Reason)
		add("owner", h.Owner)
		add("tries", strconv.Itoa(h.Tries))
		if !h.Due.IsZero() {
			add("due", format.Seconds(h.Due))
		}
		if h.Behind > 0 {
			add("behind", strconv.Itoa(h.Behind))
		}
	}
	return rows
}

// bytesText is a size in the unit that matters.
func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}

// timeline is all that happened to a message, in every place where this node knows it.
func (d *desk) timeline(ctx context.Context, r *http.Request, legs []messaging.Item) (t web.Table, err error) {
	state, err := web.ReadTableState(r, "when")
	if err != nil {
		return t, err
	}
	type line struct {
		messaging.Step
		where string
	}
	var lines []line
	for i, leg := range legs {
		steps, err := d.k.Post().Timeline(ctx, leg.Ref)
		if err != nil {
			return t, err
		}
		for _, s := range steps {
			if i > 0 && s.What == messaging.Accepted.String() {
				continue // it was sent once
			}
			lines = append(lines, line{s, d.destination(ctx, leg.To)})
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.At.Compare(b.At) })
	t = web.Table{ID: "timeline", State: state, Caption: web.Text(ctx, "postroom.message.timeline"), RowHeader: true}
	for _, k := range []string{"when", "what", "where", "who", "reason"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "postroom.column."+k), Whole: k == "when", Share: map[string]int{"when": 5, "what": 4, "where": 5, "who": 4, "reason": 6}[k]})
	}
	for _, l := range lines {
		who := l.Actor
		if who == "" {
			who = web.Text(ctx, "postroom.message.post")
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.Seconds(l.At)), web.Cell(stepText(ctx, l.What)), web.Cell(l.where), web.Cell(who), web.NoteCell(l.Reason)}})
	}
	return t, nil
}

// stepText is what happened, in words.
func stepText(ctx context.Context, what string) string {
	key := "postroom.step." + string(bytes.ReplaceAll([]byte(what), []byte(" "), []byte("-")))
	if web.HasText(key) {
		return web.Text(ctx, key)
	}
	return what
}

// contentView is what a message holds.
type contentView struct {
	Page  web.Page
	Item  messaging.Item
	Text  string
	Files web.Table
	Note  string
}

// contentMost is how much of a message is shown, in bytes.
const contentMost = 64 << 10

// content shows what a message holds to a clerk of its sender or recipient. That it was opened is on the account first.
func (d *desk) content(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	it, err := d.find(r, p)
	if err != nil {
		return err
	}
	body, err := d.k.Post().Body(ctx, it.Ref)
	if err != nil {
		return err
	}
	if err := d.looked(ctx, p, access.Read, it.Ref.Lane, "what message "+it.ID+" holds"); err != nil {
		return err
	}
	v := contentView{Item: it, Files: files(ctx, p, it), Page: web.Page{Title: web.Text(ctx, "postroom.content.title"), Back: web.Link{Text: web.Text(ctx, "postroom.message.title"), URL: messagePath(it.Ref)}}}
	v.Text, v.Note = shown(ctx, body)
	return web.Render(w, r, http.StatusOK, contentPage(v))
}

// shown is a body as a person can read it, and what is to be said about that.
func shown(ctx context.Context, body []byte) (text, note string) {
	var laid bytes.Buffer
	if json.Valid(body) && json.Indent(&laid, body, "", "  ") == nil {
		body = laid.Bytes()
	}
	if !utf8.Valid(body) {
		return hex.Dump(body[:min(len(body), 1024)]), web.Text(ctx, "postroom.content.binary", bytesText(int64(len(body))))
	}
	if len(body) > contentMost {
		return string(bytes.ToValidUTF8(body[:contentMost], nil)), web.Text(ctx, "postroom.content.more", bytesText(contentMost), bytesText(int64(len(body))))
	}
	return string(body), ""
}

// acts are what somebody may decide about a message as it is.
func (d *desk) acts(p access.Principal, it messaging.Item) (list []string) {
	if !mayDecide(p, it) || it.State.Final() {
		return nil
	}
	inDoubt := it.To.Kind == "node" && it.Tried && (it.Held == nil || !it.Held.Parked)
	if h := it.Held; h != nil {
		list = append(list, actTake)
		if h.Parked || h.Why == "retrying" || h.Why == "fetching" {
			list = append(list, actRetry)
		}
	}
	if !inDoubt {
		list = append(list, actRedirect, actAbandon)
	}
	return list
}

// undo is how what was just done is undone, where it can be.
func (d *desk) undo(r *http.Request, p access.Principal, it messaging.Item) web.Link {
	ctx, q := r.Context(), r.URL.Query()
	if !mayDecide(p, it) || it.State.Final() {
		return web.Link{}
	}
	switch was := q.Get("was"); {
	case was == "":
	case q.Get("done") == actTake && it.Held != nil && it.Held.Owner != was:
		return web.Link{Text: web.Text(ctx, "postroom.undo.take", was), URL: messagePath(it.Ref) + "/take?owner=" + queryText(was)}
	case q.Get("done") == actRedirect && it.Message.To.String() != was:
		return web.Link{Text: web.Text(ctx, "postroom.undo.redirect", was), URL: messagePath(it.Ref) + "/redirect?to=" + queryText(was)}
	}
	return web.Link{}
}
