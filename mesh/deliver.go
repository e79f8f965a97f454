package mesh

import (
	"context"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// envelope is the body of a message of the post that carries mail, or tells what became of some. Its chunks are the message's files, in order.
type envelope struct {
	What        string    `json:"what"` // data, report or acknowledged
	ID          string    `json:"id"`   // of the mail; of an acknowledgement, of the mail that was acknowledged
	From        string    `json:"from,omitempty"`
	To          string    `json:"to"`
	At          time.Time `json:"at"`
	Workflow    string    `json:"workflow,omitempty"`
	Subject     string    `json:"subject,omitempty"`
	Local       string    `json:"local,omitempty"`
	File        string    `json:"file,omitempty"`
	Checksum    string    `json:"checksum,omitempty"`
	Partner     string    `json:"partner,omitempty"`
	Encoding    string    `json:"encoding,omitempty"`
	Type        string    `json:"type,omitempty"`
	Flags       int64     `json:"flags,omitempty"`
	Linked      string    `json:"linked,omitempty"`
	Event       string    `json:"event,omitempty"`
	Code        string    `json:"code,omitempty"`
	Description string    `json:"description,omitempty"`
}

// What an envelope is for.
const (
	whatData         = "data"
	whatReport       = "report"
	whatAcknowledged = "acknowledged"
)

// openEnvelope reads an envelope. Error: a refusal, for nothing will make it better.
func openEnvelope(b []byte) (e envelope, err error) {
	if err := json.Unmarshal(b, &e); err != nil || !isMailboxID(e.To) || !isMessageID(e.ID) || e.What != whatData && e.What != whatReport && e.What != whatAcknowledged {
		return e, messaging.Refuse("What was sent is no mail for a mailbox.")
	}
	return e, nil
}

// post hands mail of one of our mailboxes to the post, in tx.
func (o *Office) post(ctx context.Context, tx *store.Tx, from *Mailbox, m *Mail, files []messaging.File) (string, error) {
	to, err := ident.ParseODSCode(m.ODS)
	if err != nil {
		return "", err
	}
	return o.mail(ctx, tx, from.ODS, to, files, envelope{What: whatData, ID: m.ID, From: m.Mailbox, To: m.Other, At: tx.At(), Workflow: m.Workflow, Subject: m.Subject, Local: m.Local, File: m.File, Checksum: m.Checksum,
		Partner: m.Partner, Encoding: m.Encoding, Type: m.Type, Flags: m.Flags})
}

func (o *Office) mail(ctx context.Context, tx *store.Tx, from, to ident.ODSCode, files []messaging.File, e envelope) (string, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "an envelope cannot be written")
	}
	return o.k.Post().Send(ctx, tx, messaging.Message{From: from, To: to, Workflow: Workflow, Body: body, Files: files})
}

// destined are the mailbox and the envelope of a message of the post: of any workflow, for other services write to mailboxes as well.
func (o *Office) destined(tx *store.Tx, to messaging.Destination, m messaging.Message) (*Mailbox, envelope, error) {
	if m.Workflow == Workflow {
		e, err := openEnvelope(m.Body)
		if err != nil {
			return nil, e, err
		}
		b, err := readMailbox(tx, e.To)
		if fault.Is(err, fault.NotFound) || err == nil && (b.Elsewhere || b.ODS != m.To) {
			err = messaging.Refuse("%s: %s %s", codeUnregistered, describe(codeUnregistered), e.To)
		}
		return b, e, err
	}
	b, err := o.addressed(tx, to.Name, m.Workflow)
	if err == nil && b.Elsewhere { // it would lie where nobody collects
		err = messaging.Refuse("%s: the mailbox %s is kept by another node.", codeUnregistered, b.ID)
	}
	if err == nil && b.ODS != m.To { // whoever names a mailbox gets nothing into somebody else's
		err = messaging.Refuse("%s: the mailbox %s is not one of %s.", codeUnregistered, to.Name, m.To)
	}
	if err != nil {
		return nil, envelope{}, err
	}
	e := envelope{What: whatData, ID: newID(tx.At()), To: b.ID, At: m.At, Workflow: m.Workflow, Local: m.ID, File: m.Workflow + ".dat", Type: "application/octet-stream"}
	if json.Valid(m.Body) {
		e.File, e.Type = m.Workflow+".json", "application/json"
	}
	return b, e, nil
}

// whose is the organisation of a mailbox that takes mail here.
func (o *Office) whose(ctx context.Context, to messaging.Destination) (ident.ODSCode, error) {
	b, err := o.Mailbox(ctx, to.Name)
	if err != nil || b.Elsewhere || b.State == Closed {
		return ident.ODSCode{}, notHere(err, to.Name)
	}
	return b.ODS, nil
}

func notHere(err error, name string) error {
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return fault.New(fault.NotFound, "There is no mailbox %s at this node.", name)
}

// addressed is the mailbox that a route names: by its id, or by its organisation and the workflow.
func (o *Office) addressed(tx *store.Tx, name, workflow string) (*Mailbox, error) {
	b, err := readMailbox(tx, name)
	if !fault.Is(err, fault.NotFound) {
		return b, err
	}
	list, err := readMailboxes(tx, `m.ods = ? AND m.elsewhere = 0 AND m.state <> ?`, name, int64(Closed))
	if err != nil {
		return nil, err
	}
	var found []*Mailbox
	for i := range list {
		if list[i].registered(workflow) {
			found = append(found, &list[i])
		}
	}
	if len(list) == 0 {
		return nil, messaging.Refuse("%s: %s %s", codeUnregistered, describe(codeUnregistered), name)
	}
	if len(found) != 1 {
		return nil, messaging.Refuse("%s: of the mailboxes of %s, %d are registered for %s; one must be.", codeWorkflow, name, len(found), workflow)
	}
	return found[0], nil
}

// placeLanes are those that place needs: they follow from what is sent, or from the name of the route.
func (o *Office) placeLanes(to messaging.Destination, m messaging.Message) []store.Lane {
	if m.Workflow == Workflow {
		e, err := openEnvelope(m.Body)
		if err != nil {
			return nil
		}
		return []store.Lane{o.lane(e.To)}
	}
	if o.k.DB.Lanes() == 1 {
		return []store.Lane{0}
	}
	var lanes []store.Lane
	err := o.k.DB.Read(context.Background(), func(tx *store.Tx) error {
		b, err := o.addressed(tx, to.Name, m.Workflow)
		if err == nil {
			lanes = []store.Lane{o.lane(b.ID)}
		}
		return err
	})
	if err != nil {
		return nil // place says why
	}
	return lanes
}

// place puts mail where the program of a mailbox finds it. It is the courier's: in the post's transaction, once for each message.
func (o *Office) place(_ context.Context, tx *store.Tx, to messaging.Destination, m messaging.Message) error {
	b, e, err := o.destined(tx, to, m)
	if err != nil {
		return err
	}
	if !tx.Holds(o.lane(b.ID)) {
		return fault.New(fault.Conflict, "the route has changed meanwhile")
	}
	if err := fromOwn(tx, &e, m); err != nil {
		return err
	}
	switch e.What {
	case whatAcknowledged:
		return o.collected(tx, b.ID, m.From.String(), e.ID, e.At)
	case whatReport:
		if err := o.failed(tx, b.ID, m.From.String(), &e); err != nil {
			return err
		}
	case whatData:
		switch {
		case b.State != Open:
			return messaging.Refuse("%s: %s %s", codeUnregistered, describe(codeUnregistered), b.ID)
		case !b.Takes(e.Workflow):
			return messaging.Refuse("%s: %s %s", codeWorkflow, describe(codeWorkflow), b.ID)
		}
	}
	return o.lay(tx, b, &e, m)
}

// fromOwn refuses mail that says it is from a mailbox of another organisation than the one that sent it.
func fromOwn(tx *store.Tx, e *envelope, m messaging.Message) error {
	if e.From == "" {
		return nil
	}
	from, err := readMailbox(tx, e.From)
	if fault.Is(err, fault.NotFound) {
		return nil // kept by the other node, and not known here
	}
	if err == nil && from.ODS != m.From {
		return messaging.Refuse("%s: %s", codeFrom, describe(codeFrom))
	}
	return err
}

// lay puts one piece of mail into an inbox.
func (o *Office) lay(tx *store.Tx, b *Mailbox, e *envelope, m messaging.Message) error {
	in := Mail{Mailbox: b.ID, Side: inbox, ID: e.ID, State: Accepted, At: tx.At(), Changed: tx.At(), Expires: tx.At().Add(CollectWithin), Kind: kindData, Other: e.From, ODS: m.From.String(),
		Workflow: e.Workflow, Subject: e.Subject, Local: e.Local, File: e.File, Checksum: e.Checksum, Partner: e.Partner, Encoding: e.Encoding, Type: e.Type, Flags: e.Flags, Chunks: len(m.Files),
		Linked: e.Linked, Event: e.Event, Code: e.Code, Description: e.Description, Post: m.ID}
	if e.What == whatReport {
		in.Kind = kindReport
	}
	if m.Workflow != Workflow {
		in.Other = ""
	}
	for i, f := range m.Files {
		in.Size += f.Size
		if err := o.putPart(tx, &in, i+1, f); err != nil {
			return err
		}
	}
	if len(m.Files) == 0 && e.What == whatData {
		in.Chunks, in.Size = 1, int64(len(m.Body))
		if _, err := tx.Exec(`INSERT INTO mesh_body (lane, mailbox, id, body) VALUES (?, ?, ?, ?)`, o.lane(b.ID), b.ID, in.ID, nonNil(m.Body)); err != nil {
			return err
		}
	}
	err := in.insert(tx, o.lane(b.ID))
	if fault.Is(err, fault.Conflict) {
		return messaging.Refuse("A message %s is in the mailbox %s already.", in.ID, b.ID)
	}
	return err
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// collected notes in a sender's outbox that the recipient has acknowledged.
func (o *Office) collected(tx *store.Tx, mailbox, ods, id string, at time.Time) error {
	_, err := tx.Exec(`UPDATE mesh_mail SET state = ?, changed = ?, expires = 0 WHERE lane = ? AND mailbox = ? AND side = ? AND id = ? AND ods = ? AND state IN (?, ?)`,
		int64(Acknowledged), at, o.lane(mailbox), mailbox, int64(outbox), id, ods, int64(Accepted), int64(Failed))
	return err
}

// failed notes in a sender's outbox that mail came back.
func (o *Office) failed(tx *store.Tx, mailbox, ods string, e *envelope) error {
	_, err := tx.Exec(`UPDATE mesh_mail SET state = ?, changed = ?, expires = 0, event = ?, code = ?, description = ? WHERE lane = ? AND mailbox = ? AND side = ? AND id = ? AND ods = ? AND state IN (?, ?)`,
		int64(Failed), tx.At(), e.Event, e.Code, e.Description, o.lane(mailbox), mailbox, int64(outbox), e.Linked, ods, int64(Uploading), int64(Accepted))
	return err
}

// learnLanes are those in which learn writes: the sender's mailbox is in the body, which a receipt has not, so that it is found by the message.
func (o *Office) learnLanes(m messaging.Message) []store.Lane {
	if o.k.DB.Lanes() == 1 {
		return nil
	}
	var lanes []store.Lane
	_ = o.k.DB.Read(context.Background(), func(tx *store.Tx) error { // what cannot be found is not written either
		mail, err := sentBy(tx, m.ID)
		if err == nil {
			lanes = []store.Lane{o.lane(mail.Mailbox)}
		}
		return err
	})
	return lanes
}

// sentBy is the mail in an outbox that a message of the post carries.
func sentBy(tx *store.Tx, post string) (*Mail, error) {
	list, err := readMails(tx, `WHERE post = ? AND side = ?`, post, int64(outbox))
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "no mail was sent so")
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

// learn is told what became of mail on its way: what was not placed comes back to the sender as a report.
func (o *Office) learn(_ context.Context, tx *store.Tx, r messaging.Receipt) error {
	if !r.State.Final() || r.State == messaging.Handled || r.State == messaging.Redirected {
		return nil
	}
	m, err := sentBy(tx, r.ID)
	if fault.Is(err, fault.NotFound) {
		return nil // a report or an acknowledgement: the mail that it was about is told of elsewhere
	}
	if err != nil {
		return err
	}
	if !tx.Holds(o.lane(m.Mailbox)) {
		return fault.New(fault.Conflict, "the mailbox of the sender is not held")
	}
	code, why := codeUndelivered, r.Reason
	if len(why) > 4 && why[2:4] == ": " && describe(why[:2]) != "" {
		code, why = why[:2], why[4:]
	}
	return o.report(tx, m, code, why)
}

// report puts a report into the inbox of a mailbox of ours whose mail came back (published: "Asynchronous error reporting").
func (o *Office) report(tx *store.Tx, m *Mail, code, why string) error {
	if !utf8.ValidString(why) || why == "" {
		why = describe(code)
	}
	e := envelope{What: whatReport, ID: newID(tx.At()), To: m.Mailbox, At: tx.At(), Workflow: m.Workflow, Subject: reportSubject(m.Subject), Local: m.Local, Linked: m.ID, Event: "SEND", Code: code, Description: clip(why, 400)}
	if err := o.failed(tx, m.Mailbox, m.ODS, &e); err != nil {
		return err
	}
	in := Mail{Mailbox: m.Mailbox, Side: inbox, ID: e.ID, State: Accepted, At: tx.At(), Changed: tx.At(), Expires: tx.At().Add(CollectWithin), Kind: kindReport, Other: m.Other, ODS: m.ODS, Workflow: e.Workflow,
		Subject: e.Subject, Local: e.Local, Linked: e.Linked, Event: e.Event, Code: e.Code, Description: e.Description}
	return in.insert(tx, o.lane(m.Mailbox))
}

// reportSubject is that of a report about mail.
func reportSubject(subject string) string {
	if subject == "" {
		return "NDR"
	}
	return clip("NDR: "+subject, 500)
}

// settleWithin is how long a sender waits for mail that is placed on this node, so that a program which looks into the recipient's inbox at once finds it.
const settleWithin = 250 * time.Millisecond

// settled waits a moment until mail for a mailbox of this node is in its inbox. What takes longer is on its way all the same.
func (o *Office) settled(ctx context.Context, m *Mail, to *Mailbox) {
	if m.State != Accepted || to == nil || to.Elsewhere {
		return
	}
	moved, stop := o.k.Post().Changes()
	defer stop()
	late := time.NewTimer(settleWithin)
	defer late.Stop()
	for {
		err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
			_, err := o.readMail(tx, to.ID, inbox, m.ID)
			return err
		})
		if !fault.Is(err, fault.NotFound) {
			return
		}
		select {
		case <-moved:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
