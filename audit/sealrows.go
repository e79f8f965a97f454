package audit

import (
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// numbered is a small number in its lane.
type numbered struct {
	lane store.Lane
	id   int64
}

// who and what are the words of an actor's and an act's number. odd is the text of an organisation that is not well formed.
type (
	who struct {
		actor, name, role, odd string
		organisation           ident.ODSCode
	}
	what struct{ action, purpose, basis, outcome string }
)

// sealedRows is readRows for the sealer, which reads every entry once: whose words a number stands for is asked once for each number and not
// for each entry. A number keeps its words for good; where somebody gives it others in the database, what is sealed says what it stood for.
func (l *Log) sealedRows(tx *store.Tx, lane store.Lane, first, last int64) ([]Entry, error) {
	rows, err := tx.Query(`SELECT e.seq, e.at, e.actor, e.act, coalesce(e.detail, ''), e.request, coalesce(c.tenant, ''), coalesce(c.chart, '')
		FROM audit_entry e LEFT JOIN audit_chart c ON c.lane = e.lane AND c.id = e.chart
		WHERE e.lane = ? AND e.seq >= ? AND e.seq <= ? ORDER BY e.seq`, int64(lane), first, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Entry
	var numbers [][2]int64
	for rows.Next() {
		e := Entry{Lane: int32(lane)}
		var at int64
		var of [2]int64
		var tenant string
		var request []byte
		if err := rows.Scan(&e.Seq, &at, &of[0], &of[1], &e.Detail, &request, &tenant, &e.Chart); err != nil {
			return nil, err
		}
		e.At, e.RequestID = time.UnixMicro(at).UTC(), unpackRequest(request)
		if e.Tenant, err = code(tenant); err != nil {
			e.Detail = "tenant " + tenant + " " + e.Detail
		}
		list, numbers = append(list, e), append(numbers, of)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i, of := range numbers {
		if err := l.names.spell(tx, &list[i], numbered{lane, of[0]}, numbered{lane, of[1]}); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// spell fills in who did what in e. tx is a Read, so that what it finds was committed.
func (n *names) spell(tx *store.Tx, e *Entry, actor, act numbered) error {
	n.mu.RLock()
	by, known := n.who[actor]
	did, done := n.what[act]
	n.mu.RUnlock()
	if !known {
		var organisation string
		err := tx.QueryRow(`SELECT actor, name, role, organisation FROM audit_actor WHERE lane = ? AND id = ?`, int64(actor.lane), actor.id).
			Scan(&by.actor, &by.name, &by.role, &organisation)
		if err == nil {
			if by.organisation, err = code(organisation); err != nil {
				by.odd = organisation
			}
			keepWords(n, n.who, actor, by)
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	if !done {
		err := tx.QueryRow(`SELECT action, purpose, basis, outcome FROM audit_act WHERE lane = ? AND id = ?`, int64(act.lane), act.id).
			Scan(&did.action, &did.purpose, &did.basis, &did.outcome)
		if err == nil {
			keepWords(n, n.what, act, did)
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	e.Actor, e.ActorName, e.Role, e.Organisation = by.actor, by.name, by.role, by.organisation
	e.Action, e.Purpose, e.Basis, e.Outcome = did.action, did.purpose, did.basis, did.outcome
	if by.odd != "" {
		e.Detail = "organisation " + by.odd + " " + e.Detail
	}
	return nil
}

// keepWords remembers the words of a number.
func keepWords[W any](n *names, words map[numbered]W, number numbered, w W) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(words) >= rememberedNames {
		clear(words)
	}
	words[number] = w
}
