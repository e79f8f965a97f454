package events

import (
	"context"
	"encoding/json"
	"time"

	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// lane is where the tables of this package stand.
func (s *service) lane() store.Lane { return s.k.DB.LaneOf(s.k.National.String(), "events") }

const columns = `id, of, owner, organisation, principal, tenant, kind, criteria, endpoint, payload, headers, reason, ends, status, note, made, changed, failing, failures, reached`

// subscriptions reads those that a condition chooses.
func (s *service) subscriptions(tx *store.Tx, where string, args ...any) ([]subscription, error) {
	rows, err := tx.Query(`SELECT `+columns+` FROM events_subscription WHERE lane = ? AND `+where, append([]any{int64(s.lane())}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []subscription
	for rows.Next() {
		var q subscription
		var organisation, principal, tenant, headers string
		var failing, reached int64
		if err := rows.Scan(&q.ID, &q.Of, &q.Owner, &organisation, &principal, &tenant, &q.Kind, &q.Criteria, &q.Endpoint, &q.Payload, &headers, &q.Reason, &q.Ends, &q.Status, &q.Note,
			&q.Made, &q.Changed, &failing, &q.Failures, &reached); err != nil {
			return nil, err
		}
		if err := q.open(organisation, principal, tenant, headers); err != nil {
			return nil, err
		}
		q.Failing, q.Reached = instantOf(failing), instantOf(reached)
		list = append(list, q)
	}
	return list, rows.Err()
}

// open understands what is kept as text.
func (q *subscription) open(organisation, principal, tenant, headers string) error {
	if err := json.Unmarshal([]byte(principal), &q.Principal); err != nil {
		return fault.Wrap(err, fault.Internal, "who subscribed cannot be read")
	}
	if err := json.Unmarshal([]byte(headers), &q.Headers); err != nil {
		return fault.Wrap(err, fault.Internal, "the headers of a subscription cannot be read")
	}
	for _, code := range []struct {
		text string
		into *ident.ODSCode
	}{{organisation, &q.Organisation}, {tenant, &q.Tenant}} {
		if code.text == "" {
			continue
		}
		parsed, err := ident.ParseODSCode(code.text)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "the organisation of a subscription cannot be read")
		}
		*code.into = parsed
	}
	return nil
}

func instantOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func microsOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// subscriptionByID reads one. Errors: fault.NotFound.
func (s *service) subscriptionByID(tx *store.Tx, id string) (subscription, error) {
	list, err := s.subscriptions(tx, `id = ?`, id)
	if err != nil {
		return subscription{}, err
	}
	if len(list) == 0 {
		return subscription{}, fault.New(fault.NotFound, "There is no such subscription.")
	}
	return list[0], nil
}

// put writes a subscription as it is now, as part of tx.
func (s *service) put(tx *store.Tx, q *subscription) error {
	principal, err := json.Marshal(q.Principal)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "who subscribes cannot be kept")
	}
	q.Changed = tx.At()
	if q.Made.IsZero() {
		q.Made = q.Changed
	}
	headers := q.Headers
	if headers == nil {
		headers = []string{}
	}
	_, err = tx.Exec(`INSERT INTO events_subscription (lane, `+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, id) DO UPDATE SET owner = excluded.owner, organisation = excluded.organisation, principal = excluded.principal, tenant = excluded.tenant, kind = excluded.kind, criteria = excluded.criteria,
		endpoint = excluded.endpoint, payload = excluded.payload, headers = excluded.headers, reason = excluded.reason, ends = excluded.ends, status = excluded.status, note = excluded.note, changed = excluded.changed,
		failing = excluded.failing, failures = excluded.failures, reached = excluded.reached`,
		int64(s.lane()), q.ID, q.Of, q.Owner, q.Organisation.String(), string(principal), q.Tenant.String(), q.Kind, q.Criteria, q.Endpoint, q.Payload, string(mustJSON(headers)), q.Reason, q.Ends, q.Status, q.Note,
		q.Made, q.Changed, microsOf(q.Failing), q.Failures, microsOf(q.Reached))
	return err
}

// drop takes a subscription away, as part of tx. What is on its way to the subscriber ends when it comes up.
func (s *service) drop(tx *store.Tx, id string) error {
	for _, table := range []string{`DELETE FROM events_subscription WHERE lane = ? AND id = ?`, `DELETE FROM events_delivery WHERE lane = ? AND subscription = ?`} {
		if _, err := tx.Exec(table, int64(s.lane()), id); err != nil {
			return err
		}
	}
	return nil
}

// keepFor is how long it is remembered what was published and what was sent: longer than anybody publishes again, and as long as the post keeps what it sent.
const keepFor = 35 * 24 * time.Hour

// prune forgets what is older, and what happened to people before that, once it was read.
func (s *service) prune(ctx context.Context) error {
	if s.makersOf != nil { // the national node alone keeps a register
		if err := demographics.PruneEvents(ctx, s.k.DB, s.k.Clock.Now().Add(-keepFor)); err != nil {
			return err
		}
	}
	return s.k.DB.Write(ctx, []store.Lane{s.lane()}, func(tx *store.Tx) error {
		for _, table := range []string{`DELETE FROM events_event WHERE lane = ? AND at < ?`, `DELETE FROM events_delivery WHERE lane = ? AND at < ?`} {
			if _, err := tx.Exec(table, int64(s.lane()), tx.At().Add(-keepFor)); err != nil {
				return err
			}
		}
		return nil
	})
}
