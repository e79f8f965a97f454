package demographics_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

func TestWhatHappensToAPersonIsAnEvent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.load(person("9990000018", "Marsh", "Ada", "1980-01-02")) // a load is none
		c := w.worker()
		c.patch("9990000018", `{"op":"add","path":"/generalPractitioner/-","value":{"type":"Organization","identifier":{"value":"A20047"}}}`).want(200)
		c.patch("9990000018", `{"op":"add","path":"/extension/-","value":`+deathNotice("1")+`},{"op":"add","path":"/deceasedDateTime","value":"2026-01-10"}`).want(200)
		c.patch("9990000018", `{"op":"replace","path":"/gender","value":"other"}`).want(400)
		sister := `{"resourceType":"RelatedPerson","id":"r1","patient":{"reference":"Patient/9990000018"},"name":[{"family":"%s"}]}`
		w.load(fmt.Appendf(nil, sister, "Marsh"))
		w.load(fmt.Appendf(nil, sister, "Reed"))
		w.load([]byte(`{"resourceType":"Patient","id":"9990000018","birthDate":"1980-01-02","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"REDACTED"}]}}`))
		db := w.node.Kernel().DB
		lane := db.LaneOf(national.String(), "9990000018")
		var got []string
		if err := db.Read(t.Context(), func(tx *store.Tx) error {
			got = nil
			list, err := demographics.Events(tx, lane, 0, 10)
			for _, e := range list {
				got = append(got, fmt.Sprint(e.Kind, " ", e.Version))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		want := []string{"pds-change-of-gp-2 2", "pds-record-change-2 2", "pds-death-notification-2 3", "pds-record-change-2 3", "pds-record-change-2 0",
			"nhs-number-change-2 4", "pds-change-of-gp-2 4", "pds-record-change-2 4"}
		if !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}

// What happened long ago and was read by all is forgotten, in steps; what somebody has yet to read is kept, however old it is.
func TestOldEventsAreForgotten(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const happened, read = 1300, 1250
		now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
		at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
		write := func(do func(tx *store.Tx) error) {
			t.Helper()
			if err := db.Write(t.Context(), []store.Lane{0}, do); err != nil {
				t.Fatal(err)
			}
		}
		step := func(before time.Time, want int64) {
			t.Helper()
			if err := demographics.PruneEvents(t.Context(), db, before); err != nil {
				t.Fatal(err)
			}
			var n int64
			if err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(`SELECT count(*) FROM demographics_event`).Scan(&n) }); err != nil || n != want {
				t.Errorf("%d events are kept, not %d (%v)", n, want, err)
			}
		}
		reads := func(reader string, from, to int64) {
			t.Helper()
			write(func(tx *store.Tx) error {
				if moved, err := demographics.Read(tx, reader, 0, from, to); err != nil || !moved {
					return fmt.Errorf("%s was elsewhere: %w", reader, err)
				}
				return nil
			})
		}
		write(func(tx *store.Tx) error {
			for i := range happened {
				kind := demographics.RecordChange
				seq := i + 1
				if i == 600 { // of one sequence two things happened: the end of a step stands between them
					kind, seq = demographics.ChangeOfGP, i
				}
				if err := tx.Queue(`INSERT INTO demographics_event (lane, seq, kind, person, ver, at) VALUES (0, ?, ?, '9990000018', 1, ?)`, seq, kind, at(seq)); err != nil {
					return err
				}
			}
			return nil
		})
		step(at(happened), happened) // nobody has read anything, and somebody may begin to
		for _, reader := range []string{"quick", "slow"} {
			if err := demographics.Reader(t.Context(), db, reader); err != nil {
				t.Fatal(err)
			}
		}
		reads("quick", 0, read)
		step(at(happened), happened) // the slow one has read nothing
		reads("slow", 0, 600)
		step(at(100), happened-99) // the hundredth is not older
		step(at(happened), happened-601)
		reads("slow", 600, read)
		step(at(happened), happened-read)
		step(at(happened), happened-read)
		reads("slow", read, happened)
		reads("quick", read, happened)
		step(at(1), happened-read)
		step(at(happened+1), 0)
	}, store.Schema{Service: "demographics", FS: os.DirFS("schema")})
}
