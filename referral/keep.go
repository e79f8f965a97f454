package referral

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// chartOf is whose a UBRN is; access.NotHere when it is nobody's.
func (s *Referrals) chartOf(tx *store.Tx, u ident.UBRN) (chart string, err error) {
	err = tx.QueryRow(`SELECT chart FROM referral_number WHERE lane = ? AND ubrn = ?`, int64(s.ubrnLane(u)), u.String()).Scan(&chart)
	if fault.Is(err, fault.NotFound) {
		return "", access.NotHere()
	}
	return chart, err
}

// ErrNotReferral says that a number is a question's for advice, of which no referral was made; errors.Is finds it.
var ErrNotReferral = errors.New("referral: the number is a question's for advice, not a referral's")

// load is a referral as it is now. Error: ErrNotReferral; access.NotHere when the number is nobody's.
func (s *Referrals) load(tx *store.Tx, chart string, u ident.UBRN) (r Referral, err error) {
	var body []byte
	err = tx.QueryRow(`SELECT body FROM referral_case WHERE lane = ? AND chart = ? AND ubrn = ?`, int64(s.chartLane(chart)), chart, u.String()).Scan(&body)
	if fault.Is(err, fault.NotFound) {
		if asked, err := s.isAdvice(tx, chart, u); err != nil || asked {
			return r, notReferral(err)
		}
		return r, access.NotHere()
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

func notReferral(err error) error {
	if err != nil {
		return err
	}
	return fault.Wrap(ErrNotReferral, fault.NotFound, "This number is that of a question for advice.")
}

// versionOf is a referral as it was at a version; access.NotHere when it never had that one.
func (s *Referrals) versionOf(tx *store.Tx, chart string, u ident.UBRN, version int64) (r Referral, err error) {
	var body []byte
	err = tx.QueryRow(`SELECT body FROM referral_version WHERE lane = ? AND chart = ? AND ubrn = ? AND version = ?`, int64(s.chartLane(chart)), chart, u.String(), version).Scan(&body)
	if fault.Is(err, fault.NotFound) {
		return r, access.NotHere()
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

// save writes the version that an act made of what was, what worklists go by, and that it happened.
func (s *Referrals) save(tx *store.Tx, was, r Referral, a Act) error {
	if err := s.happened(tx, was, r, a); err != nil {
		return err
	}
	tx.Then(func() {
		s.changes.Tell(r.Practice.String())
		for _, c := range r.Shortlist { // also who had it before
			s.changes.Tell(c.Provider.String())
		}
	})
	body, err := json.Marshal(r)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a referral cannot be written")
	}
	lane, starts := int64(s.chartLane(r.Chart)), int64(0)
	if r.Appointment != nil {
		starts = r.Appointment.Start.UnixMicro()
	}
	err = tx.Queue(`INSERT INTO referral_version (lane, chart, ubrn, version, at, act, actor, actor_name, party, organisation, comment, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		lane, r.Chart, r.UBRN.String(), r.Version, a.At.UnixMicro(), string(a.Kind), a.By.ID, a.By.Name, string(a.By.Party), a.By.Organisation.String(), a.Comment, body)
	if err != nil {
		return err
	}
	last, flagged := instants(r.Limit())
	return tx.Queue(`INSERT INTO referral_case (lane, chart, ubrn, version, state, priority, practice, provider, service, since, starts, accepted, attended, closed, limit_day, flagged, body)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lane, chart, ubrn) DO UPDATE SET version = excluded.version, state = excluded.state, priority = excluded.priority,
		practice = excluded.practice, provider = excluded.provider, service = excluded.service, since = excluded.since, starts = excluded.starts, accepted = excluded.accepted,
		attended = excluded.attended, closed = excluded.closed, limit_day = excluded.limit_day, flagged = excluded.flagged, body = excluded.body`,
		lane, r.Chart, r.UBRN.String(), r.Version, string(r.State), string(r.Priority), r.Practice.String(), r.Provider().String(), r.Chosen.Service, r.Since.UnixMicro(), starts,
		r.Accepted, r.Attended, r.Closed, last, flagged, body)
}

// What an event of a referral may be filtered by, beside the number of its patient (package events). The first two are also who is told: the practice, and whoever's business it is or was.
const (
	FactPractice = "requestingOrganisationODS"
	FactProvider = "performingOrganisationODS"
	FactState    = "referralstate"
	FactAction   = "action"
	FactUBRN     = "ubrn"

	// Of a visit: booked, arrived …; referral or follow-up; and what came of it.
	FactVisit   = "visitstate"
	FactKind    = "visitkind"
	FactOutcome = "outcome"
)

// happened notes the change for whoever subscribed to such: in the commit of the change, so that neither is without the other.
func (s *Referrals) happened(tx *store.Tx, was, r Referral, a Act) error {
	facts := map[string][]string{FactPractice: {r.Practice.String()}, FactState: {string(r.State)}, FactAction: {string(a.Kind)}, FactUBRN: {r.UBRN.String()}}
	for _, one := range []Referral{was, r} {
		if to := one.Provider().String(); theirs(one) && !slices.Contains(facts[FactProvider], to) {
			facts[FactProvider] = append(facts[FactProvider], to)
		}
	}
	if err := demographics.Happened(tx, s.chartLane(r.Chart), demographics.ReferralChange, r.Patient.String(), r.Version, demographics.About{ID: r.UBRN.String(), Facts: facts}); err != nil {
		return err
	}
	switch a.Kind {
	case ActAssessed:
		if was.Attended { // at a visit that was told of
			return nil
		}
		return s.visited(tx, r, visit{state: booking.VisitAttended, outcome: booking.ActAssessed})
	case ActAttended:
		return s.visited(tx, r, visit{state: booking.VisitAttended, outcome: a.Outcome})
	case ActNotAttended:
		return s.visited(tx, r, visit{state: booking.VisitMissed})
	}
	return nil
}

// versions are all versions of a referral, the first one first.
func (s *Referrals) versions(tx *store.Tx, chart string, u ident.UBRN) (list []Version, err error) {
	rows, err := tx.Query(`SELECT act, actor, actor_name, party, organisation, comment, body FROM referral_version WHERE lane = ? AND chart = ? AND ubrn = ? ORDER BY version`,
		int64(s.chartLane(chart)), chart, u.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v Version
		var organisation string
		var body []byte
		if err := rows.Scan(&v.Act, &v.By.ID, &v.By.Name, &v.By.Party, &organisation, &v.Notes, &body); err != nil {
			return nil, err
		}
		if organisation != "" {
			if v.By.Organisation, err = ident.ParseODSCode(organisation); err != nil {
				return nil, fault.Wrap(err, fault.Internal, "an organisation of a referral's history cannot be read")
			}
		}
		if err := json.Unmarshal(body, &v.Referral); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a version of a referral cannot be read")
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// hashOf names a text by its content.
func hashOf(text string) string {
	if text == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// keepLetter keeps a letter's text under its hash.
func (s *Referrals) keepLetter(tx *store.Tx, chart, text string) error {
	if text == "" {
		return nil
	}
	return tx.Queue(`INSERT INTO referral_letter (lane, chart, hash, words) VALUES (?, ?, ?, ?) ON CONFLICT (lane, chart, hash) DO NOTHING`,
		int64(s.chartLane(chart)), chart, hashOf(text), text)
}

// letterOf is the text of a referral's letter; empty while there is none.
func (s *Referrals) letterOf(tx *store.Tx, r Referral) (text string, err error) {
	if r.Letter == "" {
		return "", nil
	}
	err = tx.QueryRow(`SELECT words FROM referral_letter WHERE lane = ? AND chart = ? AND hash = ?`, int64(s.chartLane(r.Chart)), r.Chart, r.Letter).Scan(&text)
	return text, err
}

// micros is when, in whole microseconds, as rows keep it.
func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
