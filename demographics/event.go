package demographics

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// The kinds of event, as the national notification service names them (multicast notification service, signal schemas). A birth is a
// record change too: the service names no kind for it.
const (
	RecordChange      = "pds-record-change-2"
	ChangeOfGP        = "pds-change-of-gp-2"
	DeathNotification = "pds-death-notification-2"
	NHSNumberChange   = "nhs-number-change-2" // superseded by another, no longer superseded, invalidated, or valid again
)

// ReferralChange is the kind of event that somebody's referral was made or changed. The national service names no kind for it: this one is named as its are.
const ReferralChange = "ers-referral-change-1"

// VisitChange is the kind of event that somebody came to a clinic, did not, was seen there, or has another visit there. The national service names no kind for it either.
const VisitChange = "outpatient-visit-change-1"

// EncounterChange is the kind of event that somebody was admitted to a hospital, or what became of that. The national service names no kind for it either.
const EncounterChange = "encounter-change-1"

// About is what of a person's an event is about, when it is not about who they are.
type About struct {
	ID    string              `json:"id"`              // of a referral its UBRN
	Ref   string              `json:"ref,omitempty"`   // where it is asked for, when that is elsewhere
	Facts map[string][]string `json:"facts,omitempty"` // what subscribers may filter by: compared, and never sent
}

// Event is one thing that happened to a person. It names them and says nothing else of them: whoever is told may ask.
type Event struct {
	Lane    store.Lane
	Seq     int64 // with Lane and Kind, which event; ascending in a lane
	Kind    string
	Person  string // NHS number
	Version int64  // of the record, or of what the event is about, after it; 0 for what is no version, as when a number is superseded
	At      time.Time
	About   About // zero for what happened to who they are
}

// Events are those of a lane after a place in it, oldest first, at most limit: what is sent to subscribers from.
func Events(tx *store.Tx, lane store.Lane, after int64, limit int) ([]Event, error) {
	rows, err := tx.Query(`SELECT seq, kind, person, ver, at, about FROM demographics_event WHERE lane = ? AND seq > ? ORDER BY seq, kind LIMIT ?`, int64(lane), after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Event
	for rows.Next() {
		e := Event{Lane: lane}
		var about string
		if err := rows.Scan(&e.Seq, &e.Kind, &e.Person, &e.Version, &e.At, &about); err != nil {
			return nil, err
		}
		if about != "" {
			if err := json.Unmarshal([]byte(about), &e.About); err != nil {
				return nil, fault.Wrap(err, fault.Internal, "what an event is about cannot be read")
			}
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// Unread are the events that a reader has not read yet, oldest first in each lane, those of one lane together, at most limit. A reader is named in
// one word, and begins with the first event that there ever was.
func Unread(tx *store.Tx, reader string, limit int) (list []Event, err error) {
	var behind []Event // in each lane in which something is unread, where the reader is
	rows, err := tx.Query(`SELECT r.lane, r.seq FROM demographics_reader r WHERE r.reader = ?
		AND EXISTS (SELECT 1 FROM demographics_event e WHERE e.lane = r.lane AND e.seq > r.seq) ORDER BY r.lane LIMIT ?`, reader, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var at Event
		if err := rows.Scan(&at.Lane, &at.Seq); err != nil {
			return nil, err
		}
		behind = append(behind, at)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, at := range behind {
		if len(list) == limit {
			break
		}
		some, err := Events(tx, at.Lane, at.Seq, limit-len(list))
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

// Read moves a reader on: it has read a lane's events up to seq, as part of tx, which holds the lane. It is false, and nothing is written, when the
// reader was not where it thought, at from: another process was quicker. Of one sequence all events are read together.
func Read(tx *store.Tx, reader string, lane store.Lane, from, seq int64) (bool, error) {
	n, err := tx.Exec(`UPDATE demographics_reader SET seq = ? WHERE lane = ? AND reader = ? AND seq = ?`, seq, int64(lane), reader, from)
	return n == 1, err
}

// Place is how far a reader has come in a lane.
func Place(tx *store.Tx, reader string, lane store.Lane) (seq int64, err error) {
	err = tx.QueryRow(`SELECT seq FROM demographics_reader WHERE lane = ? AND reader = ?`, int64(lane), reader).Scan(&seq)
	return seq, err
}

// Reader makes a reader known in every lane, if it is not.
func Reader(ctx context.Context, db *store.DB, reader string) error {
	known := false
	err := db.Read(ctx, func(tx *store.Tx) error {
		var n int64
		if err := tx.QueryRow(`SELECT count(*) FROM demographics_reader WHERE reader = ?`, reader).Scan(&n); err != nil {
			return err
		}
		known = n == int64(db.Lanes())
		return nil
	})
	for lane := 0; lane < db.Lanes() && err == nil && !known; lane++ {
		err = db.Write(ctx, []store.Lane{store.Lane(lane)}, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO demographics_reader (lane, reader, seq) VALUES (?, ?, 0) ON CONFLICT (lane, reader) DO NOTHING`, int64(lane), reader)
			return err
		})
	}
	return err
}

// prunedAtOnce is how many events one transaction forgets.
const prunedAtOnce = 500

// PruneEvents forgets events that every reader has read and that happened before a time, oldest first, some in each commit. What somebody has yet to read is kept, however old; so is
// everything while there is no reader.
func PruneEvents(ctx context.Context, db *store.DB, before time.Time) error {
	var lanes []store.Lane
	err := db.Read(ctx, func(tx *store.Tx) error {
		lanes = nil
		rows, err := tx.Query(`SELECT r.lane FROM (SELECT lane, min(seq) AS done FROM demographics_reader GROUP BY lane) r
			WHERE (SELECT e.at FROM demographics_event e WHERE e.lane = r.lane AND e.seq <= r.done ORDER BY e.seq, e.kind LIMIT 1) < ? ORDER BY r.lane`, before)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var lane store.Lane
			if err := rows.Scan(&lane); err != nil {
				return err
			}
			lanes = append(lanes, lane)
		}
		return rows.Err()
	})
	for _, lane := range lanes {
		for more := true; more && err == nil; {
			err = db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
				more, err = pruneSome(tx, lane, before)
				return err
			})
		}
	}
	return err
}

// pruneSome forgets a lane's oldest events that may be forgotten; more means that there may be others. Those of one sequence are forgotten together, as they are read.
func pruneSome(tx *store.Tx, lane store.Lane, before time.Time) (more bool, err error) {
	rows, err := tx.Query(`SELECT seq, at FROM demographics_event WHERE lane = ? AND seq <= (SELECT coalesce(min(seq), 0) FROM demographics_reader WHERE lane = ?) ORDER BY seq, kind LIMIT ?`,
		int64(lane), int64(lane), prunedAtOnce)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var last int64
	more = true
	seen := 0
	for more && rows.Next() {
		var seq int64
		var at time.Time
		if err := rows.Scan(&seq, &at); err != nil {
			return false, err
		}
		if seen++; at.Before(before) {
			last = seq
		} else {
			more = false
		}
	}
	if err := rows.Err(); err != nil || last == 0 {
		return false, err
	}
	rows.Close()
	_, err = tx.Exec(`DELETE FROM demographics_event WHERE lane = ? AND seq <= ?`, int64(lane), last)
	return more && seen == prunedAtOnce, err
}

// happened are the rows for what a version tells. What the node itself loads (a seed, an import) is no event: nobody's life changed.
func happened(k record.Kept) (rows [][]any) {
	v := k.Version
	if k.Before == nil && strings.HasPrefix(v.Actor, "service/") {
		return nil
	}
	for _, kind := range kindsOf(k.Before, v.Resource) {
		rows = append(rows, []any{int64(v.Lane), v.Seq, kind, v.ID, v.Ver, v.At.UnixMicro()})
	}
	return rows
}

// NumberChanged notes that a number was superseded, or speaks for somebody again. It is called in the transaction that links or parts the
// records, which holds the lane of the number's chart; tell whoever kept something under that number to ask again.
func NumberChanged(tx *store.Tx, lane store.Lane, number string) error {
	seq, err := tx.Seq(lane)
	if err != nil {
		return err
	}
	return insert(tx, insertEvents, [][]any{{int64(lane), seq, NHSNumberChange, number, int64(0), tx.At()}})
}

// Happened notes that something of a person's changed, in the transaction that changes it, which holds the lane: kind, whose by their NHS number, which version, and what about.
func Happened(tx *store.Tx, lane store.Lane, kind, number string, version int64, about About) error {
	seq, err := tx.Seq(lane)
	if err != nil {
		return err
	}
	text, err := json.Marshal(about)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "what an event is about cannot be written")
	}
	return tx.Queue(`INSERT INTO demographics_event (lane, seq, kind, person, ver, at, about) VALUES (?, ?, ?, ?, ?, ?, ?)`, int64(lane), seq, kind, number, version, tx.At(), string(text))
}

const insertEvents = `INSERT INTO demographics_event (lane, seq, kind, person, ver, at) VALUES `

// aroundKeeper notes that the people around a person changed: their record is another, as the published service has it. It keeps no table
// of its own.
func (s *register) aroundKeeper() record.Keeper {
	return record.Keeper{Name: "demographics related", Type: "RelatedPerson", Tenant: s.k.National,
		Keep: func(tx *store.Tx, kept []record.Kept) error {
			var events [][]any
			for _, k := range kept {
				v := k.Version
				if v.Chart != "" && (k.Before != nil || !strings.HasPrefix(v.Actor, "service/")) {
					events = append(events, []any{int64(v.Lane), v.Seq, RecordChange, v.Chart, int64(0), v.At})
				}
			}
			return insert(tx, insertEvents, events)
		}}
}

// kindsOf are the kinds of event that make one version of another; either may be nil.
func kindsOf(before, after *fhir.Resource) []string {
	kinds := []string{RecordChange}
	if after == nil {
		return kinds
	}
	practice := func(r *fhir.Resource) string { return r.Get("generalPractitioner.0.identifier.value").String() }
	death := func(r *fhir.Resource) string {
		for e := range r.Get("extension").Items() {
			if e.Field("url").String() == DeathURL {
				return e.Get("extension.0.valueCodeableConcept.coding.0.code").String()
			}
		}
		return ""
	}
	wasPractice, wasDeath := "", ""
	if before != nil {
		wasPractice, wasDeath = practice(before), death(before)
	}
	if now := practice(after); now != wasPractice {
		kinds = append(kinds, ChangeOfGP)
	}
	if before != nil && invalidated(before) != invalidated(after) {
		kinds = append(kinds, NHSNumberChange)
	}
	if now := death(after); now != wasDeath && now != "" {
		kinds = append(kinds, DeathNotification)
	}
	return kinds
}
