package events

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// gone is after how long of not being reached a subscription is said to be in error: its events go on waiting, and its owner and administrators see why.
const gone = 24 * time.Hour

// letter is what is posted to an address.
type letter struct {
	method, url, media string
	headers            []string
	message            string // the name of the message, the same each time that it is posted
	body               []byte
}

// carry takes an event to the address of a subscription. It may be asked to again for the same message: the receiver knows it by X-OpenSpine-Message.
func (s *service) carry(ctx context.Context, to messaging.Destination, m messaging.Message) error {
	q, err := s.current(ctx, to.Name)
	switch {
	case fault.Is(err, fault.NotFound):
		return messaging.Refuse("The subscription has ended.")
	case err != nil:
		return err
	case q.Status == off:
		return fault.New(fault.Unavailable, "The subscription is paused.")
	case q.Of == ofResources:
		return s.carryHook(ctx, &q, m)
	}
	l := letter{method: http.MethodPost, url: q.Endpoint, media: q.Payload, headers: q.Headers, message: m.ID, body: m.Body}
	err = s.post(ctx, l)
	s.noted(ctx, &q, err)
	return err
}

// current is a subscription as it is now.
func (s *service) current(ctx context.Context, id string) (q subscription, err error) {
	err = s.k.DB.Read(ctx, func(tx *store.Tx) error {
		q, err = s.subscriptionByID(tx, id)
		return err
	})
	return q, err
}

// post sends a letter. fault.Unavailable means that whoever is there is not reached, and that all for them waits; anything else is about this letter.
func (s *service) post(ctx context.Context, l letter) error {
	if err := s.k.Outward.Check(l.url); err != nil {
		return fault.New(fault.Forbidden, "%s", fault.MessageOf(err))
	}
	r, err := http.NewRequestWithContext(ctx, l.method, l.url, bytes.NewReader(l.body))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The address cannot be called.")
	}
	if len(l.body) > 0 {
		r.Header.Set("Content-Type", l.media)
	}
	r.Header.Set("User-Agent", "OpenSpine")
	r.Header.Set("X-OpenSpine-Message", l.message)
	for _, h := range l.headers {
		if name, value, ok := headerOf(h); ok {
			r.Header.Set(name, value)
		}
	}
	resp, err := s.client.Do(r)
	var refused *fault.Error
	switch {
	case errors.As(err, &refused) && refused.Kind() == fault.Forbidden:
		return refused
	case err != nil && ctx.Err() != nil:
		return fault.Wrap(err, fault.Unavailable, "The node is stopping.")
	case err != nil:
		return fault.Wrap(err, fault.Unavailable, "The address is not reached: %s", why(err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // what it says beside its status means nothing to us
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout:
		return fault.New(fault.Unavailable, "The address answers %d.", code)
	default:
		return fault.New(fault.Invalid, "The address answers %d.", code)
	}
}

// why is what kept a call from arriving, in few words and without the address, which may hold a secret.
func why(err error) string {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "it does not answer in time."
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	text := err.Error()
	if len(text) > 200 {
		text = text[:200]
	}
	return text
}

// reachedAnew is how old it may be what is kept of when something was last delivered.
const reachedAnew = time.Minute

// noted keeps how a delivery went. That the keeping fails is no failure of the delivery, which would be made again.
func (s *service) noted(ctx context.Context, q *subscription, failure error) {
	if failure == nil && q.Failing.IsZero() && q.Status == active && s.k.Clock.Now().Sub(q.Reached) < reachedAnew {
		return
	}
	err := s.k.DB.Write(context.WithoutCancel(ctx), []store.Lane{s.lane()}, func(tx *store.Tx) error {
		now, err := s.subscriptionByID(tx, q.ID)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		now.went(tx.At(), failure)
		_, err = tx.Exec(`UPDATE events_subscription SET status = ?, note = ?, failing = ?, failures = ?, reached = ? WHERE lane = ? AND id = ?`,
			now.Status, now.Note, microsOf(now.Failing), now.Failures, microsOf(now.Reached), int64(s.lane()), q.ID)
		return err
	})
	if err != nil {
		s.k.Logger.Error("events: how a delivery went could not be kept", "subscription", q.ID, "error", err)
	}
}

// went is what a delivery does to a subscription.
func (q *subscription) went(at time.Time, failure error) {
	if q.Status == requested {
		q.Status, q.Note, q.Failing, q.Failures, q.Reached = active, "", time.Time{}, 0, at
		if failure != nil {
			q.Status, q.Note, q.Failing, q.Failures, q.Reached = failed, errHandshake+fault.MessageOf(failure), at, 1, time.Time{}
		}
		return
	}
	if failure == nil {
		q.Failing, q.Failures, q.Reached = time.Time{}, 0, at
		if q.Status == failed {
			q.Status, q.Note = active, ""
		}
		return
	}
	q.Failures++
	if q.Failing.IsZero() {
		q.Failing = at
	}
	if at.Sub(q.Failing) >= gone && (q.Status == active || q.Status == failed) {
		q.Status = failed
	}
	if q.Status == active || q.Status == failed {
		q.Note = fault.MessageOf(failure)
	}
}

// over reports whether the end of a FHIR Subscription has come.
func (q *subscription) over(now time.Time) bool {
	ends, ok := instant(q.Ends)
	return ok && q.Of == ofResources && !ends.After(now)
}
