package audit

import (
	"embed"
	"encoding/hex"
	"math/bits"
	"strings"

	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// Schema is what audit keeps in the database.
func Schema() store.Schema { return store.Embedded("audit", schemaFS, "schema") }

// Placed is an entry and the lane that it goes to.
type Placed struct {
	Lane  store.Lane
	Entry Entry
}

// Append writes e on the account as part of tx, which must hold lane. Entry.Seq, Lane and At are ignored: the sequence
// is the next of the lane and the instant is the transaction's. The sequence is returned.
func (l *Log) Append(tx *store.Tx, lane store.Lane, e Entry) (int64, error) {
	seqs, err := l.AppendAll(tx, []Placed{{lane, e}})
	if err != nil {
		return 0, err
	}
	return seqs[0], nil
}

// AppendAll is Append for many entries, whose lanes tx must hold, in few statements. The sequences are in the order of the entries.
func (l *Log) AppendAll(tx *store.Tx, entries []Placed) ([]int64, error) {
	charts, err := l.names.chartsOf(tx, entries)
	if err != nil {
		return nil, err
	}
	last, err := l.lastSeqs(tx, entries)
	if err != nil {
		return nil, err
	}
	seqs := make([]int64, len(entries))
	given := known{actors: map[actorKey]int64{}, acts: map[actKey]int64{}}
	for from := 0; from < len(entries); {
		n := chunk(len(entries) - from)
		args := make([]any, 0, entryWidth*n)
		for i := from; i < from+n; i++ {
			p := &entries[i]
			last[p.Lane]++
			seqs[i] = last[p.Lane]
			if args, err = l.appendArgs(tx, args, given, p, seqs[i], charts[i]); err != nil {
				return nil, err
			}
		}
		if err := tx.Queue(insertEntries[n], args...); err != nil {
			return nil, err
		}
		from += n
	}
	for lane := range last {
		l.touch(lane)
	}
	return seqs, nil
}

// lastSeqs are the last sequences of the lanes of entries, many lanes to a statement. A sequence that a seal covers is never
// given again, even if somebody removed its row.
func (l *Log) lastSeqs(tx *store.Tx, entries []Placed) (map[store.Lane]int64, error) {
	last := map[store.Lane]int64{}
	var lanes []any
	for i := range entries {
		if _, known := last[entries[i].Lane]; !known {
			last[entries[i].Lane] = l.sealedTo(entries[i].Lane)
			lanes = append(lanes, int64(entries[i].Lane))
		}
	}
	for len(lanes) > 0 {
		n := chunk(len(lanes))
		rows, err := tx.Query(lastOfLanes[n], lanes[:n]...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var lane store.Lane
			var seq int64
			if err := rows.Scan(&lane, &seq); err != nil {
				return nil, err
			}
			last[lane] = max(last[lane], seq)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		lanes = lanes[n:]
	}
	return last, nil
}

// lastOfLanes[n] asks for the last sequence of n lanes, for each n that chunk gives.
var lastOfLanes = func() (sql [entriesAtOnce + 1]string) {
	for n := 1; n <= entriesAtOnce; n *= 2 {
		sql[n] = `WITH c (lane) AS (VALUES (CAST(? AS INTEGER))` + strings.Repeat(`, (?)`, n-1) +
			`) SELECT c.lane, coalesce((SELECT max(e.seq) FROM audit_entry e WHERE e.lane = c.lane), 0) FROM c`
	}
	return sql
}()

func (l *Log) appendArgs(tx *store.Tx, args []any, given known, p *Placed, seq, chart int64) ([]any, error) {
	actor, err := l.names.actor(tx, given, p.Lane, &p.Entry)
	if err != nil {
		return nil, err
	}
	act, err := l.names.act(tx, given, p.Lane, &p.Entry)
	if err != nil {
		return nil, err
	}
	var detail, request any
	if p.Entry.Detail != "" {
		detail = p.Entry.Detail
	}
	if p.Entry.RequestID != "" {
		request = packRequest(p.Entry.RequestID)
	}
	return append(args, int64(p.Lane), seq, tx.At().UnixMicro(), chart, actor, act, detail, request), nil
}

const (
	entryWidth    = 8
	entriesAtOnce = 64
)

// insertEntries[n] writes n entries at once, for each n that chunk gives.
var insertEntries = func() (sql [entriesAtOnce + 1]string) {
	for n := 1; n <= entriesAtOnce; n *= 2 {
		sql[n] = `INSERT INTO audit_entry (lane, seq, at, chart, actor, act, detail, request) VALUES ` + tuples(n, entryWidth)
	}
	return sql
}()

// chunk is how many of n rows go into one statement: a power of two, so that there are few statements to prepare.
func chunk(n int) int {
	if n >= entriesAtOnce {
		return entriesAtOnce
	}
	return 1 << (bits.Len(uint(n)) - 1)
}

// tuples is "(?, ?), (?, ?)" for n rows of columns each.
func tuples(n, columns int) string {
	one := "(?" + strings.Repeat(", ?", columns-1) + ")"
	return one + strings.Repeat(", "+one, n-1)
}

// packRequest keeps a UUID in 16 bytes and anything else as its text after a zero byte.
func packRequest(id string) []byte {
	b := make([]byte, 0, 16)
	for i := 0; len(id) == 36 && i < len(id); {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if id[i] != '-' {
				break
			}
			i++
			continue
		}
		high, low := nibble(id[i]), nibble(id[i+1])
		if high > 15 || low > 15 {
			break
		}
		b = append(b, high<<4|low)
		i += 2
	}
	if len(b) == 16 {
		return b
	}
	return append([]byte{0}, id...)
}

// nibble is the value of a lower-case hexadecimal digit, or more than 15.
func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 255
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
