package mesh

import (
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
)

// administration is what the pages do, for programs of the administrators: JSON, with the same rules, reasons and account.
func (o *Office) administration() []catalogue.Route {
	return []catalogue.Route{
		catalogue.ForRole("GET /api/mailboxes", o.apiList, access.Administrator),
		catalogue.ForRole("GET /api/mailboxes/{mailbox}", o.apiShow, access.Administrator),
		catalogue.ForRole("PUT /api/mailboxes/{mailbox}", o.apiPut, access.Administrator),
		catalogue.ForRole("POST /api/mailboxes/{mailbox}/{act}", o.apiAct, access.Administrator),
		catalogue.ForRole("POST /api/mailboxes/{mailbox}/inbox/{message}", o.apiAgain, access.Administrator),
		catalogue.ForRole("POST /api/mailboxes/{mailbox}/outbox/{message}", o.apiAgain, access.Administrator),
	}
}

// boxJSON is a mailbox as the interface says it.
type boxJSON struct {
	Mailbox      string       `json:"mailbox"`
	Organisation string       `json:"organisation"`
	Name         string       `json:"name"`
	Owner        string       `json:"owner"`
	State        string       `json:"state"`
	Elsewhere    bool         `json:"elsewhere"`
	Bound        bool         `json:"bound"`
	Certificate  string       `json:"certificate,omitempty"`
	Sends        []string     `json:"sends,omitempty"`
	Takes        []string     `json:"takes,omitempty"`
	Made         time.Time    `json:"made"`
	Waiting      *int         `json:"waiting,omitempty"` // of a mailbox of this node
	Oldest       *time.Time   `json:"oldest,omitempty"`
	Seen         *time.Time   `json:"seen,omitempty"`
	Password     string       `json:"password,omitempty"` // once, when it was made
	History      []changeJSON `json:"history,omitempty"`
}

// changeJSON is what was done to a mailbox.
type changeJSON struct {
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Act    string    `json:"act"`
	Reason string    `json:"reason"`
}

func boxOf(s *Standing) boxJSON {
	b := boxJSON{Mailbox: s.ID, Organisation: s.ODS.String(), Name: s.Name, Owner: s.Owner, State: s.State.String(), Elsewhere: s.Elsewhere, Bound: s.Bound, Certificate: s.Certificate, Made: s.At}
	for _, w := range s.Workflows {
		if w.Sends {
			b.Sends = append(b.Sends, w.Workflow)
		}
		if w.Takes {
			b.Takes = append(b.Takes, w.Workflow)
		}
	}
	if s.Elsewhere {
		return b
	}
	b.Waiting = &s.Waiting
	if !s.Oldest.IsZero() {
		b.Oldest = &s.Oldest
	}
	if !s.Seen.IsZero() {
		b.Seen = &s.Seen
	}
	return b
}

func (o *Office) apiList(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := o.may(r.Context(), p, access.Search); err != nil {
		return err
	}
	all, err := o.Standings(r.Context())
	if err != nil {
		return err
	}
	list := make([]boxJSON, len(all))
	for i := range all {
		list[i] = boxOf(&all[i])
	}
	return catalogue.AnswerJSON(w, http.StatusOK, map[string]any{"mailboxes": list})
}

// named is the mailbox of the address.
func named(r *http.Request) string { return strings.ToUpper(r.PathValue("mailbox")) }

func (o *Office) apiShow(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := o.may(r.Context(), p, access.Read); err != nil {
		return err
	}
	return o.apiBox(w, r, http.StatusOK, "")
}

// apiBox answers with a mailbox as it is now.
func (o *Office) apiBox(w http.ResponseWriter, r *http.Request, status int, password string) error {
	s, err := o.Standing(r.Context(), named(r))
	if err != nil {
		return err
	}
	changes, err := o.k.Gate.Changes(r.Context(), subject(s.ID))
	if err != nil {
		return err
	}
	b := boxOf(&s)
	b.Password = password
	for _, c := range changes {
		b.History = append(b.History, changeJSON{c.At, c.By, c.Act, c.Reason})
	}
	return catalogue.AnswerJSON(w, status, b)
}

// apiPut makes a mailbox, or changes what it says of itself. A new one of this node is given a password, which is in the answer, this once.
func (o *Office) apiPut(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	if err := o.may(ctx, p, access.Update); err != nil {
		return err
	}
	var q struct {
		Organisation, Name, Owner, Certificate, Reason string
		Elsewhere, Bound                               bool
		Sends, Takes                                   []string
	}
	if err := catalogue.ReadJSON(r, &q); err != nil {
		return err
	}
	b := Mailbox{ID: named(r), Name: q.Name, Owner: q.Owner, Certificate: q.Certificate, Elsewhere: q.Elsewhere, Bound: q.Bound, Workflows: Rights(q.Sends, q.Takes)}
	var err error
	if b.ODS, err = ident.ParseODSCode(strings.TrimSpace(q.Organisation)); err != nil {
		return fault.Wrap(err, fault.Invalid, "organisation: %s", fault.MessageOf(err))
	}
	status := http.StatusOK
	if _, err := o.Mailbox(ctx, b.ID); fault.Is(err, fault.NotFound) {
		status = http.StatusCreated
	} else if err != nil {
		return err
	}
	password, err := o.PasswordFor(ctx, b, false)
	if err != nil {
		return err
	}
	if err := o.Put(ctx, p, b, password, q.Reason); err != nil {
		return err
	}
	return o.apiBox(w, r, status, password)
}

// apiAct opens, suspends or closes a mailbox, or gives it another password.
func (o *Office) apiAct(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx, act := r.Context(), r.PathValue("act")
	if err := o.may(ctx, p, access.Update); err != nil {
		return err
	}
	var q struct{ Reason string }
	if err := catalogue.ReadJSON(r, &q); err != nil {
		return err
	}
	var password string
	var err error
	switch state, known := (map[string]State{"open": Open, "suspend": Suspended, "close": Closed})[act]; {
	case known:
		err = o.Set(ctx, p, named(r), state, q.Reason)
	case act == "password":
		var b *Mailbox
		if b, err = o.Mailbox(ctx, named(r)); err == nil {
			password = NewPassword()
			err = o.Put(ctx, p, *b, password, q.Reason)
		}
	default:
		err = fault.New(fault.NotFound, "What can be done to a mailbox is open, suspend, close and password.")
	}
	if err != nil {
		return err
	}
	return o.apiBox(w, r, http.StatusOK, password)
}

// apiAgain places undelivered mail into its inbox again, or sends what came back into an outbox once more.
func (o *Office) apiAgain(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := o.may(r.Context(), p, access.Update); err != nil {
		return err
	}
	var q struct{ Reason string }
	if err := catalogue.ReadJSON(r, &q); err != nil {
		return err
	}
	if err := o.again(r, p, named(r), q.Reason); err != nil {
		return err
	}
	return o.apiBox(w, r, http.StatusOK, "")
}
