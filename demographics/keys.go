package demographics

import (
	"cmp"
	"github.com/openspine/openspine/demographics/match"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// keeper keeps what people are found by in step with their records.
func (s *register) keeper() record.Keeper {
	return record.Keeper{Name: "demographics", Edition: 3, Type: "Patient", Tenant: s.k.National, Past: true,
		Ready:     func(_ record.Ref, res *fhir.Resource) (any, error) { return featuresOf(res), nil },
		Keep:      s.keep,
		Searching: &record.Searching{Inserts: inserts(), Rows: rowsLater},
	}
}

// familyBytes is how much of a family name stands in the index.
const familyBytes = 24

// The tables that a person is found by, and that which holds what a search compares of them.
const (
	inName = iota
	inBorn
	inSound
	inKey
	inPerson
)

// inserts are the tables, the columns of their keys first.
func inserts() []string {
	return []string{
		inName:   `INSERT INTO demographics_name (lane, family, born, person) VALUES `,
		inBorn:   `INSERT INTO demographics_born (lane, born, person) VALUES `,
		inSound:  `INSERT INTO demographics_sound (lane, sound, born, person) VALUES `,
		inKey:    `INSERT INTO demographics_key (lane, hash, person) VALUES `,
		inPerson: `INSERT INTO demographics_person (lane, person, hidden, label, features) VALUES `,
	}
}

// deletes take one row away by its key.
func deletes() []string {
	return []string{
		inName:  `DELETE FROM demographics_name WHERE lane = ? AND family = ? AND born = ? AND person = ?`,
		inBorn:  `DELETE FROM demographics_born WHERE lane = ? AND born = ? AND person = ?`,
		inSound: `DELETE FROM demographics_sound WHERE lane = ? AND sound = ? AND born = ? AND person = ?`,
		inKey:   `DELETE FROM demographics_key WHERE lane = ? AND hash = ? AND person = ?`,
	}
}

// keyRow is a row that a person is found by: family or sound and born, born alone, or a hash.
type keyRow struct {
	table  int
	lane   store.Lane
	text   string
	number int64
	person string
}

func (a keyRow) compare(b keyRow) int {
	return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.lane, b.lane), cmp.Compare(a.text, b.text), cmp.Compare(a.number, b.number), cmp.Compare(a.person, b.person))
}

// columns are those of the row's table.
func (a keyRow) columns() []any {
	if a.table == inName || a.table == inSound {
		return []any{int64(a.lane), a.text, a.number, a.person}
	}
	return []any{int64(a.lane), a.number, a.person}
}

// clipped is a folded family name as the index holds it.
func clipped(family string) string {
	if len(family) > familyBytes {
		return strings.ToValidUTF8(family[:familyBytes], "")
	}
	return family
}

// keyHash is where a postcode (p), telephone number (t) or address of electronic mail (e) stands.
func keyHash(kind, text string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(kind + "\x00" + text)) // a hash never fails
	return int64(h.Sum64() >> 1)
}

// squeezed is a postcode without spaces, as it is compared.
func squeezed(postcode string) string { return strings.ToUpper(strings.ReplaceAll(postcode, " ", "")) }

// rows are what a person with these features is found by, in order. Without a birth date nobody is: every search names one.
func (f features) rows(lane store.Lane, person string) (rows []keyRow) {
	if f.born == noDay {
		return nil
	}
	born := int64(f.born)
	for _, n := range f.names {
		family := match.Plain(n.family)
		rows = append(rows, keyRow{inName, lane, clipped(family), born, person}, keyRow{inSound, lane, match.Sound(family), born, person})
	}
	if len(f.names) > 0 {
		rows = append(rows, keyRow{inBorn, lane, "", born, person})
	}
	for _, list := range []struct {
		kind  string
		texts []pastText
	}{{"p", f.postcodes}, {"t", f.phones}, {"e", f.emails}} {
		for _, t := range list.texts {
			text := t.text
			if list.kind == "p" {
				text = squeezed(text)
			}
			rows = append(rows, keyRow{inKey, lane, "", keyHash(list.kind, text), person})
		}
	}
	slices.SortFunc(rows, keyRow.compare)
	return slices.Compact(rows)
}

// personRow is what a search compares of a person.
func personRow(v record.Version, f features) []any {
	hidden := int64(0)
	if invalidated(v.Resource) {
		hidden = 1
	}
	return []any{int64(v.Lane), v.ID, hidden, int64(v.Label() & access.Restricted), f.pack()}
}

// rowsLater are all rows of a person who was not there before.
func rowsLater(v record.Version, made any, put func(table int, columns ...any) error) error {
	f, ok := made.(features)
	if !ok {
		return fault.New(fault.Internal, "nothing was made ready of a person")
	}
	for _, row := range f.rows(v.Lane, v.ID) {
		if err := put(row.table, row.columns()...); err != nil {
			return err
		}
	}
	return put(inPerson, personRow(v, f)...)
}

// keep writes what the people of a transaction are found by, and what happened to them, many rows at once.
func (s *register) keep(tx *store.Tx, kept []record.Kept) error {
	var people, events [][]any
	var found []keyRow
	for _, k := range kept {
		v := k.Version
		if !k.Again {
			events = append(events, happened(k)...)
		}
		var was features
		if k.Before != nil || v.Ver > 1 || k.Again {
			var err error
			if was, err = s.forget(tx, v.Lane, v.ID); err != nil {
				return err
			}
		}
		if v.Deleted {
			continue
		}
		now, ok := k.Made.(features)
		if !ok {
			return fault.New(fault.Internal, "nothing was made ready of a person")
		}
		f := now
		if !k.Again || v.Ver > 1 { // else everything begins anew with the first version
			f = now.remembering(was)
		}
		people = append(people, personRow(v, f))
		found = append(found, f.rows(v.Lane, v.ID)...)
	}
	into := inserts()
	if err := insert(tx, into[inPerson], people); err != nil {
		return err
	}
	slices.SortFunc(found, keyRow.compare)
	var rows [inPerson][][]any
	for _, row := range found {
		rows[row.table] = append(rows[row.table], row.columns())
	}
	for table := range rows {
		if err := insert(tx, into[table], rows[table]); err != nil {
			return err
		}
	}
	return insert(tx, insertEvents, events)
}

// forget takes away the rows of a person who is written again, and gives back what they were found by. What stood there
// may be from before this register was: then there is nothing.
func (s *register) forget(tx *store.Tx, lane store.Lane, person string) (features, error) {
	var packed []byte
	err := tx.QueryRow(`SELECT features FROM demographics_person WHERE lane = ? AND person = ?`, int64(lane), person).Scan(&packed)
	if fault.Is(err, fault.NotFound) {
		return features{}, nil
	}
	if err != nil {
		return features{}, err
	}
	was, err := unpackFeatures(packed)
	if err != nil {
		return features{}, err
	}
	gone := deletes()
	for _, row := range was.rows(lane, person) {
		if _, err := tx.Exec(gone[row.table], row.columns()...); err != nil {
			return was, err
		}
	}
	_, err = tx.Exec(`DELETE FROM demographics_person WHERE lane = ? AND person = ?`, int64(lane), person)
	return was, err
}

// rowsAtOnce is how many rows one statement writes.
const rowsAtOnce = 100

// insert writes rows of the same width.
func insert(tx *store.Tx, statement string, rows [][]any) error {
	for part := range slices.Chunk(rows, rowsAtOnce) {
		one := "(" + strings.Repeat(", ?", len(part[0]))[2:] + ")"
		var args []any
		for _, row := range part {
			args = append(args, row...)
		}
		if _, err := tx.Exec(statement+strings.Repeat(", "+one, len(part))[2:], args...); err != nil {
			return err
		}
	}
	return nil
}
