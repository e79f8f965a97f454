package demographics

import (
	"path"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// A database from before what is compared stood with the day of birth holds the same people afterwards, those too who are found by no day.
func TestWhatIsComparedMovesToItsDay(t *testing.T) {
	t.Parallel()
	before := fstest.MapFS{}
	files, err := schemaFiles.ReadDir("schema")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files[:5] {
		text, err := schemaFiles.ReadFile(path.Join("schema", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		before[f.Name()] = &fstest.MapFile{Data: text}
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Write(t.Context(), nil, func(tx *store.Tx) error {
			if _, err := tx.Exec(`INSERT INTO demographics_person (lane, person, hidden, label, features)
				VALUES (0, '9990000018', 0, 1, ?), (0, '9990000026', 1, 0, ?), (0, '9990000034', 0, 0, ?)`, []byte{1}, []byte{2}, []byte{3}); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO demographics_born (lane, born, person) VALUES (0, 7000, '9990000018'), (0, -20, '9990000026')`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Migrate(t.Context(), schema()); err != nil {
			t.Fatal(err)
		}
		type one struct {
			person              string
			born, hidden, label int64
			features            string
		}
		var got []one
		if err := db.Read(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.Query(`SELECT w.person, p.born, p.hidden, p.label, p.features FROM ` + theirDay + ` ORDER BY w.person`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var o one
				var b []byte
				if err := rows.Scan(&o.person, &o.born, &o.hidden, &o.label, &b); err != nil {
					return err
				}
				o.features = string(b)
				got = append(got, o)
			}
			return rows.Err()
		}); err != nil {
			t.Fatal(err)
		}
		want := []one{{"9990000018", 7000, 0, 1, "\x01"}, {"9990000026", -20, 1, 0, "\x02"}, {"9990000034", int64(noDay), 0, 0, "\x03"}}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}, store.Schema{Service: "demographics", FS: before})
}
