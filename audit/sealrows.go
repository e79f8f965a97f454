package audit

import (
	"cmp"
	"slices"
	"strings"
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

// who, what and about are the words of an actor's, an act's and a chart's number. odd is the text of an organisation, or of a tenant, that is not well formed.
type (
	who struct {
		actor, name, role, odd string
		organisation           ident.ODSCode
	}
	what  struct{ action, purpose, basis, outcome string }
	about struct {
		chart, odd string
		tenant     ident.ODSCode
	}
)

// spoken are the numbers of one entry.
type spoken struct{ chart, actor, act int64 }

// sealedRows is readRows for the sealer, which reads every entry once: whose words a number stands for is asked once for each number and not
// for each entry. A number keeps its words for good; where somebody gives it others in the database, what is sealed says what it stood for.
func (l *Log) sealedRows(tx *store.Tx, lane store.Lane, first, last int64) ([]Entry, error) {
	rows, err := tx.Query(`SELECT e.seq, e.at, e.chart, e.actor, e.act, coalesce(e.detail, ''), e.request FROM audit_entry e
		WHERE e.lane = ? AND e.seq >= ? AND e.seq <= ? ORDER BY e.seq`, int64(lane), first, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Entry
	var stand []spoken
	for rows.Next() {
		e := Entry{Lane: int32(lane)}
		var at int64
		var of spoken
		var request []byte
		if err := rows.Scan(&e.Seq, &at, &of.chart, &of.actor, &of.act, &e.Detail, &request); err != nil {
			return nil, err
		}
		e.At, e.RequestID = time.UnixMicro(at).UTC(), unpackRequest(request)
		list, stand = append(list, e), append(stand, of)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	charts, err := l.names.about(tx, lane, stand)
	if err != nil {
		return nil, err
	}
	for i, of := range stand {
		c, e := charts[of.chart], &list[i]
		if e.Tenant, e.Chart = c.tenant, c.chart; c.odd != "" {
			e.Detail = "tenant " + c.odd + " " + e.Detail
		}
		if err := l.names.spell(tx, e, numbered{lane, of.actor}, numbered{lane, of.act}); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// about is whom the charts' numbers stand for. Those that are not remembered are looked for together. tx is a Read, so that what it finds was
// committed.
func (n *names) about(tx *store.Tx, lane store.Lane, stand []spoken) (map[int64]about, error) {
	known := make(map[int64]about, len(stand))
	var unknown []any
	n.mu.RLock()
	for _, of := range stand {
		if _, seen := known[of.chart]; seen {
			continue
		}
		words, ok := n.whom[numbered{lane, of.chart}]
		if known[of.chart] = words; !ok {
			unknown = append(unknown, of.chart)
		}
	}
	n.mu.RUnlock()
	slices.SortFunc(unknown, func(a, b any) int { return cmp.Compare(a.(int64), b.(int64)) }) // neighbours stand on one page
	for len(unknown) > 0 {
		size := chunk(len(unknown))
		rows, err := tx.Query(chartWords[size], append(slices.Clip(unknown[:size]), int64(lane))...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var id int64
			var tenant string
			var words about
			if err := rows.Scan(&id, &tenant, &words.chart); err != nil {
				return nil, err
			}
			if words.tenant, err = code(tenant); err != nil {
				words.odd = tenant
			}
			known[id] = words
			keepWords(n, n.whom, numbered{lane, id}, words)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		unknown = unknown[size:]
	}
	return known, nil
}

// chartWords[n] asks for the words of n charts of one lane, each by a step into the table.
var chartWords = func() (sql [entriesAtOnce + 1]string) {
	for n := 1; n <= entriesAtOnce; n *= 2 {
		sql[n] = `SELECT c.id, c.tenant, c.chart FROM (VALUES (CAST(? AS BIGINT))` + strings.Repeat(", (?)", n-1) +
			`) AS k CROSS JOIN audit_chart c WHERE c.lane = ? AND c.id = k.column1`
	}
	return sql
}()

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
