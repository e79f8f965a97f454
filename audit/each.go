package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Each calls fn with every entry that q selects, newest first, a page at a time: for exports. q.Limit is the size of a page.
func (l *Log) Each(ctx context.Context, q Query, fn func(Entry) error) error {
	if q.Limit == 0 {
		q.Limit = 1000
	}
	for {
		page, err := l.Search(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// ID names an entry for ever: its lane and sequence.
func (e Entry) ID() string { return fmt.Sprintf("%d-%d", e.Lane, e.Seq) }

// ByID is the entry that Entry.ID names. Errors: fault.NotFound.
func (l *Log) ByID(ctx context.Context, id string) (Entry, error) {
	var lane, seq int64
	none := fault.New(fault.NotFound, "There is no such entry.")
	if n, err := fmt.Sscanf(id, "%d-%d", &lane, &seq); err != nil || n != 2 || lane < 0 || lane >= int64(l.db.Lanes()) ||
		strings.TrimSpace(id) != (Entry{Lane: int32(lane), Seq: seq}).ID() {
		return Entry{}, none
	}
	var rows []Entry
	var pieces []piece
	err := l.db.ReadNow(ctx, func(tx *store.Tx) (err error) {
		pieces = nil
		if rows, err = readRows(tx, store.Lane(lane), seq, seq); err != nil || len(rows) > 0 {
			return err
		}
		pieces, err = readPieces(tx, store.Lane(lane))
		return err
	})
	if err != nil {
		return Entry{}, err
	}
	if len(rows) > 0 {
		return rows[0], nil
	}
	e, found, err := l.archivedEntry(pieces, store.Lane(lane), seq)
	if err == nil && !found {
		err = none
	}
	return e, err
}
