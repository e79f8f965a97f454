package record

import (
	"context"
	"encoding/hex"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Spaces of interned words.
const (
	spaceKind    = 1 // "TENANT/Type"
	spaceParam   = 2 // "TENANT/Type/code/edition"
	spaceSetting = 3 // "name=value"
)

type wordKey struct {
	space int64
	word  string
}

// words interns text that would otherwise stand in every row. A word once given a number keeps it. New words are
// committed in a write of their own before any row uses them, so a number in a row always has its word.
type words struct {
	db   *store.DB
	lane store.Lane

	mu   sync.RWMutex
	num  map[wordKey]int64
	word map[int64]map[int64]string // space → num → word

	params map[string][]int64 // "tenant/type/code" → numbers in every edition
	top    map[int64]int64    // space → the highest number seen
}

func newWords(db *store.DB) *words {
	return &words{db: db, lane: db.LaneOf("", "record words"), num: map[wordKey]int64{}, word: map[int64]map[int64]string{}, params: map[string][]int64{}, top: map[int64]int64{}}
}

// load reads every word; there are a few thousand.
func (w *words) load(ctx context.Context) error {
	return w.db.Read(ctx, func(tx *store.Tx) error {
		return w.take(tx, `SELECT space, num, word FROM record_word WHERE lane = ?`, w.lane)
	})
}

// catchUp reads the kinds and parameters that another process has given numbers since. Words are committed before what uses
// them, so a transaction that has caught up knows the words of every row that it can see.
func (w *words) catchUp(tx *store.Tx) error {
	w.mu.RLock()
	kinds, params := w.top[spaceKind], w.top[spaceParam]
	w.mu.RUnlock()
	return w.take(tx, `SELECT space, num, word FROM record_word WHERE lane = ? AND space = ? AND num > ?
		UNION ALL SELECT space, num, word FROM record_word WHERE lane = ? AND space = ? AND num > ?`,
		w.lane, int64(spaceKind), kinds, w.lane, int64(spaceParam), params)
}

func (w *words) take(tx *store.Tx, query string, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		var space, num int64
		var word string
		if err := rows.Scan(&space, &num, &word); err != nil {
			return err
		}
		w.keep(space, num, word)
	}
	return rows.Err()
}

func (w *words) keep(space, num int64, word string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.num[wordKey{space, word}] = num
	w.top[space] = max(w.top[space], num)
	if w.word[space] == nil {
		w.word[space] = map[int64]string{}
	}
	if _, kept := w.word[space][num]; space == spaceParam && !kept {
		base := word[:strings.LastIndexByte(word, '/')]
		old := w.params[base]
		w.params[base] = append(old[:len(old):len(old)], num) // the old list may be in use
	}
	w.word[space][num] = word
}

// known is the number of a word that has one.
func (w *words) known(space int64, word string) (int64, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	n, ok := w.num[wordKey{space, word}]
	return n, ok
}

// of is the word of a number, "" when this process has not seen it.
func (w *words) of(space, num int64) string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.word[space][num]
}

// with lists the numbers of a space's words that satisfy keep.
func (w *words) with(space int64, keep func(word string) bool) map[int64]string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	found := map[int64]string{}
	for num, word := range w.word[space] {
		if keep(word) {
			found[num] = word
		}
	}
	return found
}

// intern gives words their numbers, committing those that are new. It must not be called inside a Write.
func (w *words) intern(ctx context.Context, space int64, list ...string) error {
	var missing []string
	for _, word := range list {
		if _, ok := w.known(space, word); !ok {
			missing = append(missing, word)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	given := make([]int64, len(missing))
	err := w.db.Write(ctx, []store.Lane{w.lane}, func(tx *store.Tx) error {
		for i, word := range missing {
			num, err := w.internOne(tx, space, word)
			if err != nil {
				return err
			}
			given[i] = num
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, word := range missing {
		w.keep(space, given[i], word)
	}
	return nil
}

func (w *words) internOne(tx *store.Tx, space int64, word string) (int64, error) {
	var num int64
	err := tx.QueryRow(`SELECT num FROM record_word WHERE lane = ? AND space = ? AND word = ?`, w.lane, space, word).Scan(&num)
	if err == nil || fault.KindOf(err) != fault.NotFound {
		return num, err
	}
	err = tx.QueryRow(`SELECT coalesce(max(num), 0) + 1 FROM record_word WHERE lane = ? AND space = ?`, w.lane, space).Scan(&num)
	if err != nil {
		return 0, err
	}
	_, err = tx.Exec(`INSERT INTO record_word (lane, space, num, word) VALUES (?, ?, ?, ?)`, w.lane, space, num, word)
	return num, err
}

// refresh reads words that another process interned, and reports whether num is now known.
func (w *words) refresh(tx *store.Tx, space, num int64) (string, error) {
	if word := w.of(space, num); word != "" {
		return word, nil
	}
	var word string
	err := tx.QueryRow(`SELECT word FROM record_word WHERE lane = ? AND space = ? AND num = ?`, w.lane, space, num).Scan(&word)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "a row names a word that does not exist")
	}
	return word, nil
}

// secret is a random key of 32 bytes that is made once and kept.
func (w *words) secret(ctx context.Context, name string, random io.Reader) ([]byte, error) {
	find := func() ([]byte, bool) {
		for _, word := range w.with(spaceSetting, func(word string) bool { return strings.HasPrefix(word, name+"=") }) {
			key, err := hex.DecodeString(strings.TrimPrefix(word, name+"="))
			return key, err == nil
		}
		return nil, false
	}
	if key, ok := find(); ok {
		return key, nil
	}
	fresh := make([]byte, 32)
	if _, err := io.ReadFull(random, fresh); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "no randomness for a key")
	}
	err := w.db.Write(ctx, []store.Lane{w.lane}, func(tx *store.Tx) error {
		var n int64
		if err := tx.QueryRow(`SELECT count(*) FROM record_word WHERE lane = ? AND space = ? AND word >= ? AND word < ?`,
			w.lane, spaceSetting, name+"=", name+">").Scan(&n); err != nil || n > 0 {
			return err
		}
		_, err := w.internOne(tx, spaceSetting, name+"="+hex.EncodeToString(fresh))
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := w.load(ctx); err != nil {
		return nil, err
	}
	if key, ok := find(); ok {
		return key, nil
	}
	return nil, fault.New(fault.Internal, "the key %s was not kept", name)
}

// kindWord is a tenant's resource type as it is interned.
func kindWord(tenant, typ string) string { return tenant + "/" + typ }

// kind is the number of a tenant's resource type, if anything was ever prepared for it.
func (w *words) kind(tenant, typ string) (int64, bool) {
	return w.known(spaceKind, kindWord(tenant, typ))
}

// kindIn is kind in a transaction, which also knows what another process has added.
func (w *words) kindIn(tx *store.Tx, tenant, typ string) (int64, bool, error) {
	if n, ok := w.kind(tenant, typ); ok {
		return n, true, nil
	}
	if err := w.catchUp(tx); err != nil {
		return 0, false, err
	}
	n, ok := w.kind(tenant, typ)
	return n, ok, nil
}

// actorNum numbers who writes: 48 bits of a hash over id and name.
func actorNum(word string) int64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, word) // a hash never fails
	return int64(h.Sum64() >> 16)
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// paramsOf are the numbers of an index parameter in every edition; base is "tenant/type/code".
func (w *words) paramsOf(base string) []int64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.params[base]
}

// forget takes a word and its number away, once no row uses it.
func (w *words) forget(ctx context.Context, space, num int64) error {
	err := w.db.Write(ctx, []store.Lane{w.lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM record_word WHERE lane = ? AND space = ? AND num = ?`, w.lane, space, num)
		return err
	})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	word := w.word[space][num]
	delete(w.word[space], num)
	delete(w.num, wordKey{space, word})
	if base, _, ok := cutLast(word); ok && space == spaceParam {
		w.params[base] = slices.DeleteFunc(slices.Clone(w.params[base]), func(n int64) bool { return n == num })
	}
	return nil
}
