package hospital_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/store"
)

// TestALongSessionIsGivenWhole: more slots than one statement writes, all but the reserve, each by the message that hands it over.
func TestALongSessionIsGivenWhole(t *testing.T) {
	t.Parallel()
	aLongSessionIsGivenWhole(t, given(t, false))
}

// TestALongSessionIsGivenWholeOnPostgres is the same on the other engine.
func TestALongSessionIsGivenWholeOnPostgres(t *testing.T) {
	t.Parallel()
	aLongSessionIsGivenWhole(t, given(t, true))
}

func aLongSessionIsGivenWhole(t *testing.T, w *world) {
	ctx, k := t.Context(), w.nodes[1].Node.Kernel()
	starts := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 4).Add(9 * time.Hour)
	makes := func(id string, slots, reserve int, give bool) {
		t.Helper()
		s := hospital.Session{ID: id, Clinic: "heart", Starts: starts, Ends: starts.Add(7 * time.Hour), Minutes: 10, State: "open"}
		if err := w.o.MakeSession(ctx, rqx, s, slots, reserve, give); err != nil {
			t.Fatal(err)
		}
	}
	makes("long", 41, 4, true)
	makes("other", 20, 0, false)
	counts := func(session string) (theirs, own, messages int) {
		t.Helper()
		if err := k.DB.Read(ctx, func(tx *store.Tx) error {
			if err := tx.QueryRow(`SELECT count(*), count(DISTINCT handed) FROM hospital_slot WHERE session = ? AND epoch = 1 AND base = 1 AND handed <> ''`, session).Scan(&theirs, &messages); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT count(*) FROM hospital_slot WHERE session = ? AND epoch = 0 AND base = 0 AND handed = ''`, session).Scan(&own)
		}); err != nil {
			t.Fatal(err)
		}
		return theirs, own, messages
	}
	if theirs, own, messages := counts("long"); theirs != 37 || own != 4 || messages != 1 {
		t.Errorf("%d slots were handed over by %d messages, and %d kept", theirs, messages, own)
	}
	if theirs, own, _ := counts("other"); theirs != 0 || own != 20 {
		t.Errorf("of a session that was not given %d slots were handed over, and %d kept", theirs, own)
	}
}
