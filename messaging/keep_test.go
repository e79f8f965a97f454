package messaging_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// TestWhatIsKeptOutlivesEveryMessage keeps one of two files for good: the other is gone when nothing has needed it for long.
func TestWhatIsKeptOutlivesEveryMessage(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a := newTown(t, db, nil, "X26", spine)
		var files []messaging.File
		for _, text := range []string{"kept", "not kept"} {
			f, err := a.post.Store(t.Context(), bytes.NewReader([]byte(text)), text, "text/plain")
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		lane := db.LaneOf("X26", "letters")
		keep := func(f messaging.File) error {
			return db.Write(t.Context(), []store.Lane{lane}, func(tx *store.Tx) error { return a.post.Keep(tx, lane, "a referral", f) })
		}
		for range 2 {
			if err := keep(files[0]); err != nil {
				t.Fatal(err)
			}
		}
		if err := keep(messaging.File{Size: 4}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a file that is not here was kept: %v", err)
		}
		a.clock.Advance(1000 * 24 * time.Hour)
		if err := a.post.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.post.Open(t.Context(), files[0]); err != nil {
			t.Errorf("what was kept: %v", err)
		}
		if _, err := a.post.Open(t.Context(), files[1]); !fault.Is(err, fault.NotFound) {
			t.Errorf("what was not: %v", err)
		}
	}, messaging.Schema(), deeds())
}
