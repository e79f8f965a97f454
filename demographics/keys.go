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

// The tables that a person is found by; the last two say under which day a person stands, and hold there what a search compares of them.
const (
	inName = iota
	inSound
	inKey
	inPerson
	inBorn
)

// inserts are the tables, the columns of their keys first.
func inserts() []string {
	return []string{
		inName:   `INSERT INTO demographics_name (lane, family, born, person) VALUES `,
		inSound:  `INSERT INTO demographics_sound (lane, sound, born, person) VALUES `,
		inKey:    `INSERT INTO demographics_key (lane, hash, person) VALUES `,
		inPerson: `INSERT INTO demographics_person (lane, person, born) VALUES `,
		inBorn:   `INSERT INTO demographics_born (lane, born, person, hidden, label, features) VALUES `,
	}
}

// deletes take one row away by what identifies it.
func deletes() []string {
	return []string{
		inName:   `DELETE FROM demographics_name WHERE lane = ? AND family = ? AND born = ? AND person = ?`,
		inSound:  `DELETE FROM demographics_sound WHERE lane = ? AND sound = ? AND born = ? AND person = ?`,
		inKey:    `DELETE FROM demographics_key WHERE lane = ? AND hash = ? AND person = ?`,
		inPerson: `DELETE FROM demographics_person WHERE lane = ? AND person = ? AND born = ?`,
		inBorn:   `DELETE FROM demographics_born WHERE lane = ? AND born = ? AND person = ?`,
	}
}

// keyRow is a row that a person is found by: family or sound and born, or a hash.
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

// day is under which day a person stands: noDay for those who cannot be found by the day of their birth.
func (f features) day() int64 {
	if len(f.names) == 0 {
		return int64(noDay)
	}
	return int64(f.born)
}

// personRow says under which day a person stands.
func personRow(v record.Version, f features) []any {
	return []any{int64(v.Lane), v.ID, f.day()}
}

// bornRow is what a search compares of a person.
func bornRow(v record.Version, f features) []any {
	hidden := int64(0)
	if invalidated(v.Resource) {
		hidden = 1
	}
	return []any{int64(v.Lane), f.day(), v.ID, hidden, int64(v.Label() & access.Restricted), f.pack()}
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
	if err := put(inPerson, personRow(v, f)...); err != nil {
		return err
	}
	return put(inBorn, bornRow(v, f)...)
}

// keep writes what the people of a transaction are found by, and what happened to them, many rows at once.
func (s *register) keep(tx *store.Tx, kept []record.Kept) error {
	var events [][]any
	var rows [inBorn + 1][][]any
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
		rows[inPerson] = append(rows[inPerson], personRow(v, f))
		rows[inBorn] = append(rows[inBorn], bornRow(v, f))
		found = append(found, f.rows(v.Lane, v.ID)...)
	}
	slices.SortFunc(found, keyRow.compare)
	for _, row := range found {
		rows[row.table] = append(rows[row.table], row.columns())
	}
	for table, into := range inserts() {
		if err := insert(tx, into, rows[table]); err != nil {
			return err
		}
	}
	return insert(tx, insertEvents, events)
}

// forget takes away the rows of a person who is written again, and gives back what they were found by. What stood there
// may be from before this register was: then there is nothing.
func (s *register) forget(tx *store.Tx, lane store.Lane, person string) (features, error) {
	var day int64
	var packed []byte
	err := tx.QueryRow(`SELECT p.born, p.features FROM `+theirDay+` WHERE w.lane = ? AND w.person = ?`, int64(lane), person).Scan(&day, &packed)
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
	if _, err := tx.Exec(gone[inPerson], int64(lane), person, day); err != nil {
		return was, err
	}
	_, err = tx.Exec(gone[inBorn], int64(lane), day, person)
	return was, err
}

// theirDay joins w, under which day people stand, and p, what is compared of them there.
const theirDay = `demographics_person w JOIN demographics_born p ON p.lane = w.lane AND p.born = w.born AND p.person = w.person`

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
