package audit

import (
	"strings"
	"sync"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// names remembers the small numbers of what repeats. Only names that were seen in a committed snapshot are remembered:
// one that was given in a transaction that failed must not be used again.
type names struct {
	mu     sync.RWMutex
	charts map[chartKey]int64
	actors map[actorKey]int64
	acts   map[actKey]int64
	fresh  map[any]struct{} // given in transactions whose end is not known here
	who    map[numbered]who // by their numbers, for the sealer
	what   map[numbered]what
	whom   map[numbered]about
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
	return &names{charts: map[chartKey]int64{}, actors: map[actorKey]int64{}, acts: map[actKey]int64{}, fresh: map[any]struct{}{},
		who: map[numbered]who{}, what: map[numbered]what{}, whom: map[numbered]about{}}
}

// chartsOf are the numbers of the entries' charts. Those that are not remembered are looked for together.
func (n *names) chartsOf(tx *store.Tx, entries []Placed) ([]int64, error) {
	ids := make([]int64, len(entries))
	var unknown []chartKey
	n.mu.RLock()
	for i := range entries {
		k := chartKey{entries[i].Lane, entries[i].Entry.Tenant, entries[i].Entry.Chart}
		if id, ok := n.charts[k]; ok {
			ids[i] = id
		} else {
			unknown = append(unknown, k)
		}
	}
	n.mu.RUnlock()
	if len(unknown) == 0 {
		return ids, nil
	}
	given, err := findCharts(tx, unknown)
	if err != nil {
		return nil, err
	}
	if err := giveCharts(tx, unknown, given); err != nil {
		return nil, err
	}
	for i := range entries {
		if ids[i] == 0 {
			ids[i] = given[chartKey{entries[i].Lane, entries[i].Entry.Tenant, entries[i].Entry.Chart}]
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range unknown {
		n.noteFresh(k)
	}
	return ids, nil
}

// findCharts reads the numbers that charts have.
func findCharts(tx *store.Tx, keys []chartKey) (map[chartKey]int64, error) {
	found := make(map[chartKey]int64, len(keys))
	args := make([]any, 0, 3*min(len(keys), entriesAtOnce))
	for len(keys) > 0 {
		size := chunk(len(keys))
		args = args[:0]
		for _, k := range keys[:size] {
			args = append(args, int64(k.lane), k.tenant.String(), k.chart)
		}
		keys = keys[size:]
		rows, err := tx.Query(selectCharts[size], args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var k chartKey
			var tenant string
			var id int64
			if err := rows.Scan(&k.lane, &tenant, &k.chart, &id); err != nil {
				return nil, err
			}
			if tenant != "" {
				if k.tenant, err = ident.ParseODSCode(tenant); err != nil {
					return nil, fault.Wrap(err, fault.Internal, "the account names no tenant")
				}
			}
			found[k] = id
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// selectCharts[n] finds n charts at once, each by a step into the index (which SQLite does for a join, and not for a list of rows
// after IN), and insertCharts[n] writes them.
var selectCharts, insertCharts = func() (find, insert [entriesAtOnce + 1]string) {
	for n := 1; n <= entriesAtOnce; n *= 2 {
		find[n] = `SELECT c.lane, c.tenant, c.chart, c.id FROM (VALUES (CAST(? AS BIGINT), CAST(? AS TEXT), CAST(? AS TEXT))` +
			strings.Repeat(", (?, ?, ?)", n-1) + `) AS k CROSS JOIN audit_chart c WHERE c.lane = k.column1 AND c.tenant = k.column2 AND c.chart = k.column3`
		insert[n] = `INSERT INTO audit_chart (lane, id, tenant, chart) VALUES ` + tuples(n, 4)
	}
	return find, insert
}()

// giveCharts gives each chart that has no number the next one of its lane, and puts it into given.
func giveCharts(tx *store.Tx, keys []chartKey, given map[chartKey]int64) error {
	last := map[store.Lane]int64{}
	var rows [][4]any
	for _, k := range keys {
		if _, ok := given[k]; ok {
			continue
		}
		id, ok := last[k.lane]
		if !ok {
			if err := tx.QueryRow(`SELECT coalesce(max(id), 0) FROM audit_chart WHERE lane = ?`, int64(k.lane)).Scan(&id); err != nil {
				return err
			}
		}
		id++
		last[k.lane], given[k] = id, id
		rows = append(rows, [4]any{int64(k.lane), id, k.tenant.String(), k.chart})
	}
	for len(rows) > 0 {
		size := chunk(len(rows))
		args := make([]any, 0, 4*size)
		for _, row := range rows[:size] {
			args = append(args, row[:]...)
		}
		rows = rows[size:]
		if err := tx.Queue(insertCharts[size], args...); err != nil {
			return err
		}
	}
	return nil
}

// known are the numbers that one call has found or given already, in its own transaction.
type known struct {
	actors map[actorKey]int64
	acts   map[actKey]int64
}

func (n *names) actor(tx *store.Tx, given known, lane store.Lane, e *Entry) (int64, error) {
	k := actorKey{lane, e.Actor, e.Organisation.String(), e.Role, e.ActorName}
	if id, ok := given.actors[k]; ok {
		return id, nil
	}
	n.mu.RLock()
	id, ok := n.actors[k]
	n.mu.RUnlock()
	if ok {
		return id, nil
	}
	id, err := n.give(tx, k, findActor, `INSERT INTO audit_actor (lane, id, actor, organisation, role, name)
		SELECT ?, 1 + coalesce((SELECT max(id) FROM audit_actor WHERE lane = ?), 0), ?, ?, ?, ? RETURNING id`,
		int64(lane), k.actor, k.organisation, k.role, k.name)
	if err == nil {
		given.actors[k] = id
	}
	return id, err
}

func (n *names) act(tx *store.Tx, given known, lane store.Lane, e *Entry) (int64, error) {
	k := actKey{lane, e.Action, e.Purpose, e.Basis, e.Outcome}
	if id, ok := given.acts[k]; ok {
		return id, nil
	}
	n.mu.RLock()
	id, ok := n.acts[k]
	n.mu.RUnlock()
	if ok {
		return id, nil
	}
	id, err := n.give(tx, k, findAct, `INSERT INTO audit_act (lane, id, action, purpose, basis, outcome)
		SELECT ?, 1 + coalesce((SELECT max(id) FROM audit_act WHERE lane = ?), 0), ?, ?, ?, ? RETURNING id`,
		int64(lane), k.action, k.purpose, k.basis, k.outcome)
	if err == nil {
		given.acts[k] = id
	}
	return id, err
}

const (
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
	n.noteFresh(k)
	return id, nil
}

func (n *names) noteFresh(k any) {
	if len(n.fresh) < rememberedNames {
		n.fresh[k] = struct{}{}
	}
}

// learn remembers the names given lately that are now committed. tx is a Read.
func (n *names) learn(tx *store.Tx) error {
	n.mu.Lock()
	fresh := n.fresh
	n.fresh = map[any]struct{}{}
	n.mu.Unlock()
	var charts []chartKey
	for k := range fresh {
		var id int64
		var err error
		switch k := k.(type) {
		case chartKey:
			charts = append(charts, k)
			continue
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
	found, err := findCharts(tx, charts)
	if err != nil {
		return err
	}
	for k, id := range found {
		n.remember(k, id)
	}
	return nil
}

func (n *names) remember(k any, id int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch k := k.(type) {
	case chartKey:
		if len(n.charts) >= rememberedCharts {
			clear(n.charts)
		}
		n.charts[k] = id
	case actorKey:
		if len(n.actors) >= rememberedNames {
			clear(n.actors)
		}
		n.actors[k] = id
	case actKey:
		if len(n.acts) >= rememberedNames {
			clear(n.acts)
		}
		n.acts[k] = id
	}
}
