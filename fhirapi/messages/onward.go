package messages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// sendOn puts a message into the post for the organisation that it is for. Once it returns, the message is durable.
func (d *Desk) sendOn(ctx context.Context, in *incoming) error {
	body := in.bundle.JSON()
	if len(body) > MaxSentOn {
		return fault.New(fault.TooLarge, "A message to another organisation has at most %d KB; this one has %d.", MaxSentOn>>10, len(body)>>10)
	}
	return d.k.DB.Write(ctx, d.lanes(in), func(tx *store.Tx) error {
		id, err := d.k.Post().Send(ctx, tx, messaging.Message{From: in.from.Organisation, To: in.to, Workflow: Workflow, Conversation: in.head.id, Body: body})
		if err != nil {
			return err
		}
		if err := d.put(tx, in, stateWaits, id, nil); err != nil {
			return err
		}
		return d.account(ctx, tx, in, "sent on as "+id, false)
	})
}

// wait waits for the answer to a message that was sent on; it is empty when there is none in time.
func (d *Desk) wait(ctx context.Context, in *incoming, within time.Duration) ([]byte, error) {
	moved, stop := d.k.Post().Changes()
	defer stop()
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		known, err := d.before(ctx, in)
		if err != nil || known != nil && known.state == stateAnswered {
			return known.answerIfAny(), err
		}
		select {
		case <-moved:
		case <-late.C:
			return nil, nil
		case <-ctx.Done():
			return nil, fault.Wrap(ctx.Err(), fault.Unavailable, "The message is kept. Send it again to learn what became of it.")
		}
	}
}

func (t *taken) answerIfAny() []byte {
	if t == nil {
		return nil
	}
	return t.answer
}

// arrived is asked by the post to handle a message of another organisation's for one that is kept here. It may be asked again for the same one, which is answered as before.
func (d *Desk) arrived(ctx context.Context, to messaging.Destination, m messaging.Message) ([]byte, error) {
	tenant, err := ident.ParseODSCode(to.Name)
	if err != nil || !d.hosts(tenant) {
		return nil, messaging.Refuse("The messages of %s are not taken here.", to.Name)
	}
	bundle, err := fhir.ParseLimited(m.Body, fhir.Limits{Depth: d.k.Limits.Depth})
	if err != nil {
		return nil, messaging.Refuse("What was sent is no FHIR message: %s", fault.MessageOf(err))
	}
	in, err := d.read(ctx, bundle, program(m.From, tenant), tenant)
	if err == nil {
		in.posted = true
		var answer []byte
		if answer, err = d.take(ctx, in); err == nil {
			if why, no := refusalOf(answer); no {
				return nil, messaging.Refuse("%s", why)
			}
			return answer, nil
		}
	}
	switch fault.KindOf(err) {
	case fault.Internal, fault.Unavailable, fault.Timeout, fault.TooMany, fault.Full:
		return nil, fault.Wrap(err, fault.Internal, "the message could not be handled") // it is tried again, and then parked; nothing else waits for it
	}
	return nil, messaging.Refuse("%s", fault.IssuesOf(err)[0].Diagnostics)
}

// learnLanes are those in which learn writes beside the message's own.
func (d *Desk) learnLanes(m messaging.Message) []store.Lane {
	return []store.Lane{d.lane(m.To, m.Conversation)}
}

// learn is told what became of a message that was sent on, and makes the response of it.
func (d *Desk) learn(_ context.Context, tx *store.Tx, r messaging.Receipt) error {
	if !r.State.Final() || r.State == messaging.Redirected {
		return nil
	}
	lane := d.lane(r.From, r.Conversation)
	var t taken
	err := t.scan(tx.QueryRow(`SELECT `+takenColumns+` FROM fhirmessage_taken WHERE lane = ? AND sender = ? AND header = ? AND side = ?`, lane, r.From.String(), r.Conversation, int64(sideSent)))
	if fault.Is(err, fault.NotFound) || err == nil && (t.post != r.ID || t.state == stateAnswered) {
		return nil
	}
	if err != nil {
		return err
	}
	answer, err := d.learnt(&t, tx.At(), r)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE fhirmessage_taken SET state = ?, answer = ? WHERE lane = ? AND sender = ? AND header = ? AND side = ?`,
		int64(stateAnswered), answer, lane, t.sender, t.header, int64(sideSent)); err != nil || t.reply == "" {
		return err
	}
	return d.sendReply(tx, r.To, r.From, t.header, t.reply, answer)
}

// learnt is the response to a message that was sent on: the recipient's own, or what the post says.
func (d *Desk) learnt(t *taken, at time.Time, r messaging.Receipt) ([]byte, error) {
	head, err := fhir.ParseJSON(t.source, fhir.Limits{Bytes: len(t.source)})
	if err != nil {
		return nil, err
	}
	q := request{id: t.header, header: head, from: d.base(d.k.National) + "/$process-message"}
	switch {
	case r.State == messaging.Handled && answers(r.Answer, t.header):
		return r.Answer, nil
	case r.State == messaging.Handled:
		return respond(q, at, codeOK, inform("The message is where "+r.To.String()+" takes its messages."), nil)
	}
	code := map[messaging.State]string{messaging.Refused: "processing", messaging.Expired: "timeout", messaging.Abandoned: "processing"}[r.State]
	why := r.Reason
	if why == "" {
		why = "The message was " + r.State.String() + "."
	}
	return respond(q, at, codeFatal, []fault.Issue{{Severity: "error", Code: code, Diagnostics: why}}, nil)
}

// sendReply has a response sent where it is wanted, as part of tx, which holds the lane of who answers.
func (d *Desk) sendReply(tx *store.Tx, from, to ident.ODSCode, conversation, address string, answer []byte) error {
	_, err := d.k.Post().SendTo(tx.Context(), tx, messaging.Destination{Kind: kindReply, Name: address},
		messaging.Message{From: from, To: to, Workflow: workflowResponse, Conversation: conversation, Body: answer})
	return err
}

// reply takes a response where it is wanted, at least once: whoever gets it knows it by its ids, which are the same each time.
func (d *Desk) reply(ctx context.Context, to messaging.Destination, m messaging.Message) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Name, bytes.NewReader(m.Body))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The address cannot be called.")
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	r.Header.Set("User-Agent", "OpenSpine")
	r.Header.Set("Idempotency-Key", m.ID)
	resp, err := d.client.Do(r)
	var refused *fault.Error
	switch {
	case errors.As(err, &refused) && refused.Kind() == fault.Forbidden:
		return refused
	case err != nil:
		return fault.Wrap(err, fault.Unavailable, "The address for the response is not reached.")
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // its status says all
	switch code := resp.StatusCode; {
	case code < 300:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return fault.New(fault.Unavailable, "The address for the response answers %d.", code)
	case code >= 400 && code != http.StatusUnauthorized && code != http.StatusForbidden && code != http.StatusNotFound:
		return messaging.Refuse("The sender does not take the response: %d.", code)
	default:
		return fault.New(fault.Invalid, "%s", fmt.Sprintf("The address for the response answers %d.", code)) // tried again, then for a person
	}
}
