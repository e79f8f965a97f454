package store

import (
	"context"
	"sync"
)

// view is a snapshot that several Reads share.
type view struct {
	db *DB
	tx *Tx
	mu sync.Mutex // held by the Read that uses tx, and for ever once the View has returned
}

type viewKey struct{}

// View runs fn with a context under which every Read of this database sees one and the same snapshot, so that what was
// decided and what is then read cannot differ, at the cost of one Read instead of several. A Write under it is durable as
// ever, but Reads under the same View do not see it. The time limit of a Read holds for the whole View.
// A Read that runs while another one does (in another goroutine) has a snapshot of its own.
func (db *DB) View(ctx context.Context, fn func(ctx context.Context) error) error {
	return db.eng.read(ctx, db.opt.ReadLimit, recent, func(tx *Tx) error {
		v := &view{db: db, tx: tx}
		defer v.mu.Lock()
		err := fn(context.WithValue(ctx, viewKey{}, v))
		tx.failed = nil // whoever ran a statement that failed has been told
		return err
	})
}

// rememberedAnswers is how many answers a snapshot remembers.
const rememberedAnswers = 16

// Once is what find finds in tx, asked once in each snapshot: the Reads of one View that use the same key share the answer, which
// must then not be changed. In a Write, where answers change, find is asked each time. A failure is not remembered.
func Once[K comparable, V any](tx *Tx, key K, find func() (V, error)) (V, error) {
	if !tx.readonly {
		return find()
	}
	if known, ok := tx.answers[key]; ok {
		if v, ok := known.(V); ok {
			return v, nil
		}
	}
	v, err := find()
	if err == nil && len(tx.answers) < rememberedAnswers {
		if tx.answers == nil {
			tx.answers = map[any]any{}
		}
		tx.answers[key] = v
	}
	return v, err
}

// shared runs fn in the snapshot of ctx's View, or beside it if that is not new enough, and reports whether there was a View.
func (db *DB) shared(ctx context.Context, as reading, fn func(tx *Tx) error) (ran bool, err error) {
	v, ok := ctx.Value(viewKey{}).(*view)
	if !ok || v.db != db || !v.mu.TryLock() {
		return false, nil
	}
	defer v.mu.Unlock()
	if v.tx.usable() != nil {
		return false, nil
	}
	if as == now && v.tx.behind != nil && v.tx.behind() {
		return true, db.eng.read(ctx, db.opt.ReadLimit, beside, fn)
	}
	return true, v.tx.settle(fn(v.tx))
}
