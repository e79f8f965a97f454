package referral_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// until is a schema as it was before the migration of a number.
func until(t *testing.T, s store.Schema, number string) store.Schema {
	t.Helper()
	files := fstest.MapFS{}
	list, err := fs.ReadDir(s.FS, ".")
	for _, f := range list {
		var text []byte
		if err == nil && f.Name() < number {
			text, err = fs.ReadFile(s.FS, f.Name())
			files[f.Name()] = &fstest.MapFile{Data: text}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return store.Schema{Service: s.Service, FS: files}
}

// TestReferralsMoveIntoRowsOfOnePage: a database from before holds the same referrals and versions afterwards, each once, and finds them by the same indexes.
func TestReferralsMoveIntoRowsOfOnePage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		long := []byte(strings.Repeat("é", 3000))
		const one = `INSERT INTO referral_case (lane, chart, ubrn, version, state, priority, practice, provider, service, since, starts, accepted, attended, closed, body, limit_day, flagged)
			VALUES (0, 'chart', '000000070000', ?, 'BOOKED', 'ROUTINE', 'Z99801', 'RZZ01', 'hearts', 5, 6, 1, 0, 0, ?, 20000, 20010)`
		const version = `INSERT INTO referral_version (lane, chart, ubrn, version, at, act, actor, actor_name, party, organisation, comment, body) VALUES (0, 'chart', '000000070000', ?, 7, 'book', 'gp', 'Dr W', 'referrer', 'Z99801', '', ?)`
		err := db.Write(t.Context(), nil, func(tx *store.Tx) error {
			_, err := tx.Exec(one, int64(2), long)
			for n := range int64(2) {
				if err == nil {
					_, err = tx.Exec(version, n+1, long)
				}
			}
			return err
		})
		if err == nil {
			err = db.Migrate(t.Context(), referral.Schema())
		}
		if err != nil {
			t.Fatal(err)
		}
		err = db.Read(t.Context(), func(tx *store.Tx) error {
			var state, practice string
			var n, versions, limit, flagged int64
			var body []byte
			if err := tx.QueryRow(`SELECT state, practice, version, limit_day, flagged, body FROM referral_case WHERE lane = 0 AND chart = 'chart' AND ubrn = '000000070000'`).Scan(&state, &practice, &n, &limit, &flagged, &body); err != nil {
				return err
			}
			if state != "BOOKED" || practice != "Z99801" || n != 2 || limit != 20000 || flagged != 20010 || string(body) != string(long) {
				t.Errorf("it has become %s of %s, version %d, %d, %d, with %d bytes", state, practice, n, limit, flagged, len(body))
			}
			err := tx.QueryRow(`SELECT count(*), min(length(body)) FROM referral_version WHERE lane = 0 AND chart = 'chart' AND ubrn = '000000070000' AND act = 'book' AND actor_name = 'Dr W'`).Scan(&versions, &n)
			if versions != 2 || n != int64(len(long)) {
				t.Errorf("%d versions, the shortest of %d bytes", versions, n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for what, query := range map[string]string{"referral": one, "version": version} {
			if err := db.Write(t.Context(), nil, func(tx *store.Tx) error { _, err := tx.Exec(query, int64(2), long); return err }); err == nil {
				t.Errorf("a %s stands twice", what)
			}
		}
	}, until(t, referral.Schema(), "0019"))
	db := storetest.Open(t, referral.Schema())
	for column, index := range map[string]string{"practice": "referral_case_practice", "provider": "referral_case_provider", "service": "referral_case_service", "flagged": "referral_case_flagged"} {
		if steps := strings.Join(storetest.Plan(t, db, `SELECT ubrn FROM referral_case WHERE `+column+` = ?`, "1"), " "); !strings.Contains(steps, index) {
			t.Errorf("a referral is found by its %s by %s", column, steps)
		}
	}
}
