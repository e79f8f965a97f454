package hospital_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// TestCasesMoveIntoRowsOfOnePage: a database from before holds the same referrals afterwards, each once, and finds them by the same indexes.
func TestCasesMoveIntoRowsOfOnePage(t *testing.T) {
	t.Parallel()
	before := fstest.MapFS{}
	files, err := fs.ReadDir(hospital.Schema().FS, ".")
	for _, f := range files {
		var text []byte
		if err == nil && f.Name() < "0014" {
			text, err = fs.ReadFile(hospital.Schema().FS, f.Name())
			before[f.Name()] = &fstest.MapFile{Data: text}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		long := []byte(strings.Repeat("é", 3000))
		insert := func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO hospital_case (lane, tenant, ubrn, version, state, gone, priority, service, number, chart, session, slot, epoch, starts, clock, received, sent, body)
				VALUES (0, 'RQX', '000000070000', 3, 'BOOKED', 1, 'ROUTINE', 'hearts', '9990000018', 'chart', 's1', 's1-0900', 5, 6, 7, 8, 9, ?)`, long)
			return err
		}
		err := db.Write(t.Context(), nil, insert)
		if err == nil {
			err = db.Migrate(t.Context(), hospital.Schema())
		}
		if err != nil {
			t.Fatal(err)
		}
		err = db.Read(t.Context(), func(tx *store.Tx) error {
			var body []byte
			err := tx.QueryRow(`SELECT body FROM hospital_case WHERE lane = 0 AND tenant = 'RQX' AND ubrn = '000000070000' AND version = 3 AND state = 'BOOKED' AND gone = 1 AND priority = 'ROUTINE' AND service = 'hearts' AND number = '9990000018'
				AND chart = 'chart' AND session = 's1' AND slot = 's1-0900' AND epoch = 5 AND starts = 6 AND clock = 7 AND received = 8 AND sent = 9`).Scan(&body)
			if string(body) != string(long) {
				t.Errorf("it has become one of %d bytes", len(body))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), nil, insert); err == nil {
			t.Error("it stands twice")
		}
	}, store.Schema{Service: hospital.Schema().Service, FS: before})
	db := storetest.Open(t, hospital.Schema())
	for index, cond := range map[string]string{"hospital_case_slot": "session = ?", "hospital_case_chart": "chart = ?", "hospital_case_sent": "sent > ?", "hospital_case_state": "gone = ?"} {
		if steps := strings.Join(storetest.Plan(t, db, `SELECT ubrn FROM hospital_case WHERE tenant = ? AND `+cond, "RQX", int64(1)), " "); !strings.Contains(steps, index) {
			t.Errorf("by %s it is found by %s", cond, steps)
		}
	}
}
