package mesh

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// State is whether a mailbox may be used.
type State uint8

// The states of a mailbox. A suspended one neither sends nor takes, and may be opened again; a closed one is kept for its mail's sake.
const (
	Open State = iota + 1
	Suspended
	Closed
)

// String is the state's name in small letters.
func (s State) String() string {
	switch s {
	case Open:
		return "open"
	case Suspended:
		return "suspended"
	case Closed:
		return "closed"
	}
	return ""
}

// next are the changes of state that there are.
var next = map[State][]State{Open: {Suspended, Closed}, Suspended: {Open, Closed}}

// Mailbox is where an organisation's programs send from and collect.
type Mailbox struct {
	ID    string // 1 to 16 capital letters and digits, for example X26ABC1
	ODS   ident.ODSCode
	Name  string
	Owner string // who looks after it when nobody collects
	State State
	// Bound says that it sends and takes only what its workflows say.
	Bound bool
	// Elsewhere says that another node keeps it: ours may send to it.
	Elsewhere bool
	// Learnt says that it is elsewhere as the national node's book has it, which changes it; what a person enters is not changed by the book.
	Learnt bool
	// Certificate is the SHA-256 of the client certificate that its program must show, in hexadecimal; empty for any that the node trusts and that is its organisation's.
	Certificate string
	Workflows   []WorkflowRight // by name
	At          time.Time

	secret []byte
}

// WorkflowRight is what a mailbox may do with one workflow.
type WorkflowRight struct {
	Workflow     string
	Sends, Takes bool
}

// Sends reports whether mail of a workflow may go out from the mailbox.
func (b *Mailbox) Sends(workflow string) bool {
	return !b.Bound || slices.ContainsFunc(b.Workflows, func(w WorkflowRight) bool { return w.Sends && w.Workflow == workflow })
}

// Takes reports whether mail of a workflow may come into the mailbox.
func (b *Mailbox) Takes(workflow string) bool {
	return !b.Bound || b.registered(workflow)
}

// registered reports whether the mailbox says that it takes a workflow, so that others find it.
func (b *Mailbox) registered(workflow string) bool {
	return slices.ContainsFunc(b.Workflows, func(w WorkflowRight) bool { return w.Takes && w.Workflow == workflow })
}

// Longest names.
const (
	mostName     = 200
	mostWorkflow = 300 // published: mex-WorkflowID
)

// check refuses a mailbox that is not sound. Error: fault.Invalid.
func (b *Mailbox) check() error {
	b.ID, b.Name, b.Owner = strings.ToUpper(strings.TrimSpace(b.ID)), strings.TrimSpace(b.Name), strings.TrimSpace(b.Owner)
	b.Certificate = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(b.Certificate), ":", ""))
	switch {
	case !isMailboxID(b.ID):
		return fault.New(fault.Invalid, "The id of a mailbox is 1 to 16 capital letters and digits, for example X26HC005.")
	case b.ID == "ENDPOINTLOOKUP" || b.ID == "WORKFLOWSEARCH":
		return fault.New(fault.Invalid, "%s is an address of the interface and cannot be a mailbox.", b.ID)
	case b.ODS.IsZero():
		return fault.New(fault.Invalid, "A mailbox belongs to an organisation: give its ODS code.")
	case b.Name == "" || len(b.Name) > mostName:
		return fault.New(fault.Invalid, "A mailbox has a name of 1 to %d characters.", mostName)
	case b.Owner == "" || len(b.Owner) > mostName:
		return fault.New(fault.Invalid, "A mailbox has an owner: say who looks after it when nobody collects, in 1 to %d characters.", mostName)
	case b.Certificate != "" && (len(b.Certificate) != 64 || strings.Trim(b.Certificate, "0123456789abcdef") != ""):
		return fault.New(fault.Invalid, "The fingerprint of a certificate is its SHA-256: 64 hexadecimal digits, with or without colons.")
	}
	slices.SortFunc(b.Workflows, func(x, y WorkflowRight) int { return strings.Compare(x.Workflow, y.Workflow) })
	for i, w := range b.Workflows {
		switch {
		case w.Workflow == "" || len(w.Workflow) > mostWorkflow || strings.ContainsFunc(w.Workflow, unprintable):
			return fault.New(fault.Invalid, "A workflow has a name of 1 to %d printable characters without spaces.", mostWorkflow)
		case !w.Sends && !w.Takes:
			return fault.New(fault.Invalid, "A workflow is one that the mailbox sends, or takes, or both: %s is neither.", w.Workflow)
		case i > 0 && b.Workflows[i-1].Workflow == w.Workflow:
			return fault.New(fault.Invalid, "The workflow %s is there twice.", w.Workflow)
		}
	}
	return nil
}

// subject is what changes of a mailbox are kept under.
func subject(id string) string { return "mailbox/" + id }

// Put makes a mailbox or changes one: what it says of itself, never its state. A password of "" leaves the one that is there; a new mailbox of this node needs one. It is
// on the account and in the mailbox's history, with the reason.
// Errors: fault.Invalid; fault.Conflict when the mailbox is closed, or its organisation has mailboxes at another node.
func (o *Office) Put(ctx context.Context, by access.Principal, b Mailbox, password, reason string) error {
	if err := b.check(); err != nil {
		return err
	}
	var sealed []byte
	if password != "" {
		if len(password) > mostName || strings.ContainsFunc(password, unprintable) {
			return fault.New(fault.Invalid, "A password has at most %d printable characters without spaces.", mostName)
		}
		var err error
		if sealed, err = o.s.seal(password, subject(b.ID)); err != nil {
			return err
		}
	}
	return o.change(ctx, by, b.ID, reason, func(tx *store.Tx, old *Mailbox) (string, string, error) {
		act := "changed"
		switch {
		case old == nil:
			act, b.State, b.At = "added", Open, tx.At()
			if sealed == nil && !b.Elsewhere {
				return "", "", fault.New(fault.Invalid, "A mailbox of this node needs a password.")
			}
		case old.Learnt: // the book is set right by a person
			act, b.State, b.At = "added", Open, tx.At()
			if sealed == nil && !b.Elsewhere {
				return "", "", fault.New(fault.Invalid, "A mailbox of this node needs a password.")
			}
		case old.State == Closed:
			return "", "", fault.New(fault.Conflict, "The mailbox %s is closed.", b.ID)
		case old.ODS != b.ODS || old.Elsewhere != b.Elsewhere:
			return "", "", fault.New(fault.Conflict, "The mailbox %s belongs to %s: close it and make another for another organisation.", b.ID, old.ODS)
		default:
			b.State, b.At = old.State, old.At
			if sealed == nil {
				sealed = old.secret
			}
		}
		if err := o.apart(tx, &b); err != nil {
			return "", "", err
		}
		b.secret, b.Learnt = sealed, false
		if err := putMailbox(tx, &b); err != nil {
			return "", "", err
		}
		if b.Elsewhere {
			return act, b.Name, nil
		}
		return act, b.Name, o.k.Post().SetRoute(tx, messaging.Route{Recipient: b.ODS, Workflow: Workflow, To: messaging.Destination{Kind: Kind, Name: b.ODS.String()}, Actor: by.ID})
	})
}

// apart refuses an organisation that has mailboxes here and elsewhere: its post goes one way.
func (o *Office) apart(tx *store.Tx, b *Mailbox) error {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM mesh_mailbox WHERE lane = ? AND ods = ? AND elsewhere <> ? AND state <> ?`, boxLane, b.ODS.String(), b.Elsewhere, Closed).Scan(&n)
	if err == nil && n > 0 {
		return fault.New(fault.Conflict, "%s has mailboxes at another node and here: all of an organisation's mailboxes are kept by one node.", b.ODS)
	}
	return err
}

// Set opens, suspends or closes a mailbox. Errors: fault.NotFound; fault.Conflict when it cannot become so.
func (o *Office) Set(ctx context.Context, by access.Principal, id string, s State, reason string) error {
	return o.change(ctx, by, id, reason, func(tx *store.Tx, old *Mailbox) (string, string, error) {
		switch {
		case old == nil:
			return "", "", fault.New(fault.NotFound, "There is no mailbox %s.", id)
		case !slices.Contains(next[old.State], s):
			return "", "", fault.New(fault.Conflict, "The mailbox %s is %s and cannot become %s.", id, old.State, s)
		}
		_, err := tx.Exec(`UPDATE mesh_mailbox SET state = ?, learnt = 0 WHERE lane = ? AND mailbox = ?`, int64(s), boxLane, id)
		return map[State]string{Open: "opened", Suspended: "suspended", Closed: "closed"}[s], old.Name, err
	})
}

// change does one thing to a mailbox, in one commit with its account and history; more are lanes that it needs beside the mailbox's own.
func (o *Office) change(ctx context.Context, by access.Principal, id, reason string, do func(tx *store.Tx, old *Mailbox) (act, detail string, err error), more ...store.Lane) error {
	if strings.TrimSpace(reason) == "" {
		return fault.New(fault.Invalid, "Say why: it is kept with what you do.")
	}
	lanes := append(append(o.k.Gate.ChangeLanes(by, subject(id)), boxLane), more...)
	err := o.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		old, err := readMailbox(tx, id)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		act, detail, err := do(tx, old)
		if err != nil {
			return err
		}
		return o.k.Gate.NoteChange(ctx, tx, by, access.Change{Subject: subject(id), Act: act, Detail: detail, Reason: strings.TrimSpace(reason)})
	})
	if err != nil {
		return err
	}
	o.changed()
	if err := o.learnJob(ctx); err != nil {
		o.k.Logger.Warn("the national node was not told of a mailbox; it will be tried again", "mailbox", id, "cause", err)
	}
	return nil
}

func putMailbox(tx *store.Tx, b *Mailbox) error {
	if b.secret == nil {
		b.secret = []byte{}
	}
	_, err := tx.Exec(`INSERT INTO mesh_mailbox (lane, mailbox, ods, name, owner, secret, state, bound, elsewhere, learnt, certificate, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, mailbox) DO UPDATE SET ods = excluded.ods, name = excluded.name, owner = excluded.owner, secret = excluded.secret, state = excluded.state, bound = excluded.bound, elsewhere = excluded.elsewhere,
			learnt = excluded.learnt, certificate = excluded.certificate`,
		boxLane, b.ID, b.ODS.String(), b.Name, b.Owner, b.secret, int64(b.State), b.Bound, b.Elsewhere, b.Learnt, b.Certificate, b.At)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM mesh_workflow WHERE lane = ? AND mailbox = ?`, boxLane, b.ID); err != nil {
		return err
	}
	for _, w := range b.Workflows {
		if _, err := tx.Exec(`INSERT INTO mesh_workflow (lane, mailbox, workflow, sends, takes) VALUES (?, ?, ?, ?, ?)`, boxLane, b.ID, w.Workflow, w.Sends, w.Takes); err != nil {
			return err
		}
	}
	return nil
}

const mailboxColumns = `m.mailbox, m.ods, m.name, m.owner, m.secret, m.state, m.bound, m.elsewhere, m.learnt, m.certificate, m.at`

// readMailboxes reads the mailboxes that a condition finds, with their workflows, by id.
func readMailboxes(tx *store.Tx, where string, args ...any) ([]Mailbox, error) {
	rows, err := tx.Query(`SELECT `+mailboxColumns+` FROM mesh_mailbox m WHERE m.lane = 0 AND `+where+` ORDER BY m.mailbox`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Mailbox
	for rows.Next() {
		var b Mailbox
		var ods string
		var state int64
		if err := rows.Scan(&b.ID, &ods, &b.Name, &b.Owner, &b.secret, &state, &b.Bound, &b.Elsewhere, &b.Learnt, &b.Certificate, &b.At); err != nil {
			return nil, err
		}
		b.State = State(state) //nolint:gosec // as it was put
		if b.ODS, err = ident.ParseODSCode(ods); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the organisation of a mailbox cannot be read")
		}
		list = append(list, b)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	rows.Close()
	for i := range list {
		if list[i].Workflows, err = readWorkflows(tx, list[i].ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func readWorkflows(tx *store.Tx, id string) ([]WorkflowRight, error) {
	rows, err := tx.Query(`SELECT workflow, sends, takes FROM mesh_workflow WHERE lane = ? AND mailbox = ? ORDER BY workflow`, boxLane, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []WorkflowRight
	for rows.Next() {
		var w WorkflowRight
		if err := rows.Scan(&w.Workflow, &w.Sends, &w.Takes); err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, rows.Err()
}

// readMailbox reads one. Error: fault.NotFound.
func readMailbox(tx *store.Tx, id string) (*Mailbox, error) {
	list, err := readMailboxes(tx, `m.mailbox = ?`, id)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "There is no mailbox %s.", id)
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

// Mailbox is the one with an id. Error: fault.NotFound.
func (o *Office) Mailbox(ctx context.Context, id string) (b *Mailbox, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		b, err = readMailbox(tx, id)
		return err
	})
	return b, err
}

// Mailboxes lists them all, by id.
func (o *Office) Mailboxes(ctx context.Context) (list []Mailbox, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err = readMailboxes(tx, `1 = 1`)
		return err
	})
	return list, err
}

// sharedKey names the key that all mailboxes of a node share.
const sharedKey = "shared-key"

// SetSharedKey changes the key that all mailboxes of this node share. Error: fault.Invalid.
func (o *Office) SetSharedKey(ctx context.Context, by access.Principal, key, reason string) error {
	if key == "" || len(key) > mostName {
		return fault.New(fault.Invalid, "The shared key has 1 to %d characters.", mostName)
	}
	sealed, err := o.s.seal(key, sharedKey)
	if err != nil {
		return err
	}
	return o.change(ctx, by, sharedKey, reason, func(tx *store.Tx, _ *Mailbox) (string, string, error) {
		_, err := tx.Exec(`INSERT INTO mesh_shared (lane, name, secret, at) VALUES (?, ?, ?, ?) ON CONFLICT (lane, name) DO UPDATE SET secret = excluded.secret, at = excluded.at`, boxLane, sharedKey, sealed, tx.At())
		return "shared-key-changed", "", err
	})
}

// shared is the shared key. Error: fault.Unavailable when none was set.
func (o *Office) shared(tx *store.Tx) (string, error) {
	var sealed []byte
	err := tx.QueryRow(`SELECT secret FROM mesh_shared WHERE lane = ? AND name = ?`, boxLane, sharedKey).Scan(&sealed)
	if fault.Is(err, fault.NotFound) {
		return "", fault.New(fault.Unavailable, "This node has no shared key yet: its administrator sets one (openspine mailbox shared-key).")
	}
	if err != nil {
		return "", err
	}
	return o.s.open(sealed, sharedKey)
}

// NewPassword makes a password for a mailbox.
func NewPassword() string { return rand.Text() }
