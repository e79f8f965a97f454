package audit

import (
	"embed"
	"encoding/hex"
	"io/fs"
	"strings"
	"sync"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// Schema is what audit keeps in the database.
func Schema() store.Schema {
	sub, err := fs.Sub(schemaFS, "schema")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return store.Schema{Service: "audit", FS: sub}
}

// Append writes e on the account as part of tx, which must hold lane. Entry.Seq, Lane and At are ignored: the sequence
// is the next of the lane and the instant is the transaction's. The sequence is returned.
func (l *Log) Append(tx *store.Tx, lane store.Lane, e Entry) (int64, error) {
	chart, err := l.names.chart(tx, lane, e.Tenant, e.Chart)
	if err != nil {
		return 0, err
	}
	actor, err := l.names.actor(tx, lane, e)
	if err != nil {
		return 0, err
	}
	act, err := l.names.act(tx, lane, e)
	if err != nil {
		return 0, err
	}
	var detail, request any
	if e.Detail != "" {
		detail = e.Detail
	}
	if e.RequestID != "" {
		request = packRequest(e.RequestID)
	}
	// A sequence that a seal covers is never given again, even if somebody removed its row.
	var seq int64
	err = tx.QueryRow(`INSERT INTO audit_entry (lane, seq, at, chart, actor, act, detail, request)
		SELECT ?, 1 + max(s.last), ?, ?, ?, ?, ?, ?
		FROM (SELECT coalesce(max(seq), 0) AS last FROM audit_entry WHERE lane = ? UNION ALL SELECT CAST(? AS BIGINT)) AS s
		RETURNING seq`,
		int64(lane), tx.At().UnixMicro(), chart, actor, act, detail, request, int64(lane), l.sealedTo(lane)).Scan(&seq)
	if err != nil {
		return 0, err
	}
	l.touch(lane)
	return seq, nil
}

// packRequest keeps a UUID in 16 bytes and anything else as its text after a zero byte.
func packRequest(id string) []byte {
	if len(id) == 36 && strings.ToLower(id) == id && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-' {
		if b, err := hex.DecodeString(strings.ReplaceAll(id, "-", "")); err == nil {
			return b
		}
	}
	return append([]byte{0}, id...)
}

func unpackRequest(b []byte) string {
	switch {
	case len(b) == 0:
		return ""
	case len(b) == 16:
		h := hex.EncodeToString(b)
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	}
	return string(b[1:])
}

// names remembers the small numbers of what repeats. Only names that were seen in a committed snapshot are remembered:
// one that was given in a transaction that failed must not be used again.
type names struct {
	mu     sync.RWMutex
	charts map[chartKey]int64
	actors map[actorKey]int64
	acts   map[actKey]int64
	fresh  map[any]struct{} // given in transactions whose end is not known here
}

type chartKey struct {
	lane   store.Lane
	tenant ident.ODSCode
	chart  string
}

type actorKey struct {
	lane                            store.Lane
	actor, organisation, role, name string
}

type actKey struct {
	lane                            store.Lane
	action, purpose, basis, outcome string
}

// rememberedCharts and rememberedNames bound the memory; when one is full it is begun anew.
const (
	rememberedCharts = 200_000
	rememberedNames  = 50_000
)

func newNames() *names {
	return &names{charts: map[chartKey]int64{}, actors: map[actorKey]int64{}, acts: map[actKey]int64{}, fresh: map[any]struct{}{}}
}

func (n *names) chart(tx *store.Tx, lane store.Lane, tenant ident.ODSCode, chart string) (int64, error) {
	k := chartKey{lane, tenant, chart}
	n.mu.RLock()
	id, ok := n.charts[k]
	n.mu.RUnlock()
	if ok {
		return id, nil
	}
	return n.give(tx, k, findChart, `INSERT INTO audit_chart (lane, id, tenant, chart)
		SELECT ?, 1 + coalesce((SELECT max(id) FROM audit_chart WHERE lane = ?), 0), ?, ? RETURNING id`,
		int64(lane), tenant.String(), chart)
}

func (n *names) actor(tx *store.Tx, lane store.Lane, e Entry) (int64, error) {
	k := actorKey{lane, e.Actor, e.Organisation.String(), e.Role, e.ActorName}
	n.mu.RLock()
	id, ok := n.actors[k]
	n.mu.RUnlock()
	if ok {
		return id, nil
	}
	return n.give(tx, k, findActor, `INSERT INTO audit_actor (lane, id, actor, organisation, role, name)
		SELECT ?, 1 + coalesce((SELECT max(id) FROM audit_actor WHERE lane = ?), 0), ?, ?, ?, ? RETURNING id`,
		int64(lane), k.actor, k.organisation, k.role, k.name)
}

func (n *names) act(tx *store.Tx, lane store.Lane, e Entry) (int64, error) {
	k := actKey{lane, e.Action, e.Purpose, e.Basis, e.Outcome}
	n.mu.RLock()
	id, ok := n.acts[k]
	n.mu.RUnlock()
	if ok {
		return id, nil
	}
	return n.give(tx, k, findAct, `INSERT INTO audit_act (lane, id, action, purpose, basis, outcome)
		SELECT ?, 1 + coalesce((SELECT max(id) FROM audit_act WHERE lane = ?), 0), ?, ?, ?, ? RETURNING id`,
		int64(lane), k.action, k.purpose, k.basis, k.outcome)
}

const (
	findChart = `SELECT id FROM audit_chart WHERE lane = ? AND tenant = ? AND chart = ?`
	findActor = `SELECT id FROM audit_actor WHERE lane = ? AND actor = ? AND organisation = ? AND role = ? AND name = ?`
	findAct   = `SELECT id FROM audit_act WHERE lane = ? AND action = ? AND purpose = ? AND basis = ? AND outcome = ?`
)

// give finds the number of a name in tx or gives it the next one. key[0] is the lane.
func (n *names) give(tx *store.Tx, k any, find, insert string, key ...any) (int64, error) {
	var id int64
	err := tx.QueryRow(find, key...).Scan(&id)
	if fault.Is(err, fault.NotFound) {
		args := append([]any{key[0], key[0]}, key[1:]...)
		err = tx.QueryRow(insert, args...).Scan(&id)
	}
	if err != nil {
		return 0, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.fresh) < rememberedNames {
		n.fresh[k] = struct{}{}
	}
	return id, nil
}

// learn remembers the names given lately that are now committed. tx is a Read.
func (n *names) learn(tx *store.Tx) error {
	n.mu.Lock()
	fresh := n.fresh
	n.fresh = map[any]struct{}{}
	n.mu.Unlock()
	for k := range fresh {
		var id int64
		var err error
		switch k := k.(type) {
		case chartKey:
			err = tx.QueryRow(findChart, int64(k.lane), k.tenant.String(), k.chart).Scan(&id)
		case actorKey:
			err = tx.QueryRow(findActor, int64(k.lane), k.actor, k.organisation, k.role, k.name).Scan(&id)
		case actKey:
			err = tx.QueryRow(findAct, int64(k.lane), k.action, k.purpose, k.basis, k.outcome).Scan(&id)
		}
		if fault.Is(err, fault.NotFound) {
			continue // its transaction failed
		}
		if err != nil {
			return err
		}
		n.remember(k, id)
	}
	return nil
}

func (n *names) remember(k any, id int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.charts) >= rememberedCharts {
		n.charts = map[chartKey]int64{}
	}
	if len(n.actors) >= rememberedNames {
		n.actors = map[actorKey]int64{}
	}
	if len(n.acts) >= rememberedNames {
		n.acts = map[actKey]int64{}
	}
	switch k := k.(type) {
	case chartKey:
		n.charts[k] = id
	case actorKey:
		n.actors[k] = id
	case actKey:
		n.acts[k] = id
	}
}
