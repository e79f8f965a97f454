package mesh

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// How many messages a page of an inbox names (published, operation list_messages).
const (
	usualResults = 500
	leastResults = 10
	mostResults  = 5000
)

// place in an inbox: what came after it is on the next page.
type inboxPlace struct {
	at time.Time
	id string
}

// String is what callers hold, and parseInboxPlace reads.
func (p inboxPlace) String() string {
	return base64.URLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%s", p.at.UnixMicro(), p.id))
}

// parseInboxPlace reads a continue_from. ok is false for what String did not make.
func parseInboxPlace(s string) (p inboxPlace, ok bool) {
	b, err := base64.URLEncoding.DecodeString(s)
	if err != nil || len(b) > 64 {
		return p, false
	}
	at, id, two := strings.Cut(string(b), ".")
	us, err := strconv.ParseInt(at, 10, 64)
	if !two || err != nil || us < 0 || !isMessageID(id) {
		return p, false
	}
	p = inboxPlace{time.UnixMicro(us).UTC(), id}
	return p, p.String() == s
}

// workflowFilter is a condition on a workflow id (published, parameter workflow_filter).
type workflowFilter struct {
	not  bool
	kind byte // '=' equals, '^' begins with, '*' contains, 0 for any
	text string
}

// parseWorkflowFilter reads one: WORKFLOW, WORKFL*, *FLOW*, each with ! before it for the contrary. ok is false for anything else.
func parseWorkflowFilter(s string) (f workflowFilter, ok bool) {
	if s == "" {
		return f, true
	}
	if n := len(s); n < 2 || n > 255 {
		return f, false
	}
	s, f.not = strings.CutPrefix(s, "!")
	f.kind = '='
	if rest, star := strings.CutSuffix(s, "*"); star {
		s, f.kind = rest, '^'
		if rest, star := strings.CutPrefix(s, "*"); star {
			s, f.kind = rest, '*'
		}
	}
	f.text = s
	return f, s != "" && !strings.Contains(s, "*") && !strings.HasPrefix(s, "!")
}

// cond is the condition in SQL, with its arguments: begins with or contains, in bytes.
func (f workflowFilter) cond() (string, []any) {
	cond, n := "", len([]rune(f.text))
	args := []any{f.text}
	switch f.kind {
	case 0:
		return "1 = 1", nil
	case '=':
		cond = "workflow = ?"
	case '^':
		cond, args = "substr(workflow, 1, ?) = ?", []any{int64(n), f.text}
	case '*':
		cond = "replace(workflow, ?, '') <> workflow" // the way of asking that both engines know, and that minds capitals
	}
	if f.not {
		cond = "NOT (" + cond + ")"
	}
	return cond, args
}

// matches is cond, outside the database.
func (f workflowFilter) matches(workflow string) bool {
	is := true
	switch f.kind {
	case 0:
		return true
	case '=':
		is = workflow == f.text
	case '^':
		is = strings.HasPrefix(workflow, f.text)
	case '*':
		is = strings.Contains(workflow, f.text)
	}
	return is != f.not
}

// listQuery is what the query of an inbox asks for.
type listQuery struct {
	most   int
	after  inboxPlace
	filter workflowFilter
	raw    url.Values
}

func readListQuery(q url.Values, version int) (l listQuery, err error) {
	l.most, l.raw = usualResults, url.Values{}
	if v := q.Get("max_results"); v != "" {
		if l.most, err = natural(v); err != nil || l.most < leastResults || l.most > mostResults {
			return l, invalidAt("query", "max_results", fmt.Sprintf("ensure this value is a number from %d to %d", leastResults, mostResults), "value_error.number")
		}
		l.raw.Set("max_results", v)
	}
	var ok bool
	if v := q.Get("continue_from"); v != "" {
		if l.after, ok = parseInboxPlace(v); !ok && version == 1 && isMessageID(strings.ToUpper(v)) {
			l.after, ok = inboxPlace{id: strings.ToUpper(v)}, true
		}
		if !ok {
			return l, invalidAt("query", "continue_from", "this is not from links.next of an inbox", "value_error")
		}
	}
	if l.filter, ok = parseWorkflowFilter(q.Get("workflow_filter")); !ok {
		return l, invalidAt("query", "workflow_filter", "a workflow, WORKFLOW* or *WORKFLOW*, with ! before it for all others, of 2 to 255 characters", "value_error")
	}
	if v := q.Get("workflow_filter"); v != "" {
		l.raw.Set("workflow_filter", v)
	}
	return l, nil
}

// list names the messages that wait in an inbox, the first that came first (published: "Check an inbox").
func (o *Office) list(w http.ResponseWriter, r *http.Request, from caller) error {
	q, err := readListQuery(r.URL.Query(), from.version)
	if err != nil {
		return err
	}
	var mails []Mail
	count := 0
	err = o.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		if q.after.id != "" && q.after.at.IsZero() { // version 1 continues from a message
			if m, err := o.readMail(tx, from.ID, inbox, q.after.id); err == nil {
				q.after.at = m.At
			} else if !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		if mails, err = o.waiting(tx, from.ID, q); err != nil || from.version == 1 {
			return err
		}
		count, err = o.count(tx, from.ID)
		return err
	})
	if err != nil {
		return err
	}
	next := ""
	if len(mails) > q.most {
		mails = mails[:q.most]
		last := mails[q.most-1]
		next = inboxPlace{last.At, last.ID}.String()
	}
	ids := make([]string, len(mails))
	for i := range mails {
		ids[i] = mails[i].ID
	}
	if from.version == 1 {
		return answer(w, http.StatusOK, 1, struct {
			Messages []string `json:"messages"`
		}{ids})
	}
	return answer(w, http.StatusOK, 2, struct {
		Messages []string          `json:"messages"`
		Links    map[string]string `json:"links"`
		Count    int               `json:"approx_inbox_count"`
	}{ids, links(base+from.ID+"/inbox", q.raw, next), count})
}

// links are those of a page: itself, and the next if there is one.
func links(path string, q url.Values, next string) map[string]string {
	self := path
	if len(q) > 0 {
		self += "?" + q.Encode()
	}
	l := map[string]string{"self": self}
	if next != "" {
		q.Set("continue_from", next)
		l["next"] = path + "?" + q.Encode()
	}
	return l
}

// waiting is a page of what waits in an inbox, and one more if there is one.
func (o *Office) waiting(tx *store.Tx, mailbox string, q listQuery) ([]Mail, error) {
	cond, args := q.filter.cond()
	args = append([]any{o.lane(mailbox), mailbox, int64(inbox), int64(Accepted), micros(q.after.at), micros(q.after.at), q.after.id}, args...)
	return readMails(tx, `WHERE lane = ? AND mailbox = ? AND side = ? AND state = ? AND (at > ? OR at = ? AND id > ?) AND `+cond+` ORDER BY at, id LIMIT ?`, append(args, q.most+1)...)
}

func (o *Office) count(tx *store.Tx, mailbox string) (n int, err error) {
	err = tx.QueryRow(`SELECT count(*) FROM mesh_mail WHERE lane = ? AND mailbox = ? AND side = ? AND state = ?`, o.lane(mailbox), mailbox, int64(inbox), int64(Accepted)).Scan(&n)
	return n, err
}

// counted says how many messages wait (published: "Check an inbox count", deprecated).
func (o *Office) counted(w http.ResponseWriter, r *http.Request, from caller) error {
	n := 0
	err := o.k.DB.Read(r.Context(), func(tx *store.Tx) (err error) {
		n, err = o.count(tx, from.ID)
		return err
	})
	if err != nil {
		return err
	}
	if from.version == 2 {
		return answer(w, http.StatusOK, 2, struct {
			Count int `json:"count"`
		}{n})
	}
	return answer(w, http.StatusOK, 1, struct {
		Count      int    `json:"count"`
		InternalID string `json:"internalID"`
		All        bool   `json:"allResultsIncluded"`
	}{n, newID(o.k.Clock.Now()), true})
}

// acknowledge takes a message out of the inbox, for its recipient has it (published: "Acknowledge message"). To do so again is the same.
func (o *Office) acknowledge(w http.ResponseWriter, r *http.Request, from caller) error {
	id := strings.ToUpper(r.PathValue("message"))
	if err := o.acknowledged(r.Context(), &from, id); err != nil {
		return err
	}
	if from.version == 2 {
		w.Header().Set("Content-Type", mediaType(2))
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return answer(w, http.StatusOK, 1, struct {
		MessageID string `json:"messageId"`
	}{id})
}

func (o *Office) acknowledged(ctx context.Context, from *caller, id string) error {
	var m *Mail
	var sender *Mailbox
	err := o.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if m, err = o.readMail(tx, from.ID, inbox, id); err != nil || m.Other == "" {
			return err
		}
		sender, err = readMailbox(tx, m.Other)
		if fault.Is(err, fault.NotFound) {
			sender, err = nil, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	lanes := o.sendLanes(from)
	if sender != nil {
		lanes = append(lanes, o.lane(sender.ID))
	}
	return o.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		now, err := o.readMail(tx, from.ID, inbox, id)
		switch {
		case err != nil:
			return err
		case now.State == Acknowledged:
			return nil
		case now.State != Accepted:
			return expired()
		}
		if _, err := tx.Exec(`UPDATE mesh_mail SET state = ?, changed = ?, expires = ? WHERE lane = ? AND mailbox = ? AND side = ? AND id = ?`,
			int64(Acknowledged), tx.At(), now.At.Add(KeepFor), o.lane(from.ID), from.ID, int64(inbox), id); err != nil {
			return err
		}
		if err := o.tellSender(ctx, tx, from, now, sender); err != nil {
			return err
		}
		return o.note(ctx, tx, &from.Mailbox, "acknowledge", id)
	})
}

// tellSender lets the outbox of the sender know that its mail was collected: at once when it is on this node, otherwise by the post.
func (o *Office) tellSender(ctx context.Context, tx *store.Tx, from *caller, m *Mail, sender *Mailbox) error {
	switch {
	case m.Kind != kindData || m.Other == "":
		return nil // a report, or what a service sent
	case sender != nil && !sender.Elsewhere:
		return o.collected(tx, sender.ID, from.ODS.String(), m.ID, tx.At())
	}
	to, err := senderOf(m)
	if err != nil {
		return err
	}
	_, err = o.mail(ctx, tx, from.ODS, to, nil, envelope{What: whatAcknowledged, ID: m.ID, From: from.ID, To: m.Other, At: tx.At()})
	if fault.Is(err, fault.NotFound) {
		return nil // nobody is known to keep the sender's post any more: the recipient is not kept waiting for that
	}
	return err
}

// expired is 410: the message was here, and is not to be had any more.
func expired() error {
	return fault.New(fault.Gone, "The message was here, and has been acknowledged, has expired or has failed: it cannot be downloaded any more.")
}
