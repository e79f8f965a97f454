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
	return record.Keeper{Name: "demographics", Edition: 2, Type: "Patient", Tenant: s.k.National, Past: true,
		Ready: func(_ record.Ref, res *fhir.Resource) (any, error) { return featuresOf(res), nil },
		Keep:  s.keep,
	}
}

// familyBytes is how much of a family name stands in the index.
const familyBytes = 24

// nameRow and keyRow are the rows that a person is found by.
type nameRow struct {
	lane   store.Lane
	family string
	born   int32
	person string
	sound  string
}

type keyRow struct {
	lane   store.Lane
	hash   int64
	person string
}

func (a nameRow) compare(b nameRow) int {
	return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.family, b.family), cmp.Compare(a.born, b.born), cmp.Compare(a.person, b.person))
}

func (a keyRow) compare(b keyRow) int {
	return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.hash, b.hash), cmp.Compare(a.person, b.person))
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

// rows are what a person with these features is found by. Without a birth date nobody is: every search names one.
func (f features) rows(lane store.Lane, person string) (names []nameRow, keys []keyRow) {
	if f.born == noDay {
		return nil, nil
	}
	for _, n := range f.names {
		family := match.Plain(n.family)
		names = append(names, nameRow{lane, clipped(family), f.born, person, match.Sound(family)})
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
			keys = append(keys, keyRow{lane, keyHash(list.kind, text), person})
		}
	}
	slices.SortFunc(names, nameRow.compare)
	slices.SortFunc(keys, keyRow.compare)
	names = slices.CompactFunc(names, func(a, b nameRow) bool { return a.compare(b) == 0 })
	return names, slices.Compact(keys)
}

// keep writes what the people of a transaction are found by, and what happened to them, many rows at once.
func (s *register) keep(tx *store.Tx, kept []record.Kept) error {
	var people, events [][]any
	var names []nameRow
	var keys []keyRow
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
		people = append(people, []any{int64(v.Lane), v.ID, invalidated(v.Resource), int64(v.Label() & access.Restricted), f.pack()})
		n, ks := f.rows(v.Lane, v.ID)
		names, keys = append(names, n...), append(keys, ks...)
	}
	slices.SortFunc(names, nameRow.compare)
	slices.SortFunc(keys, keyRow.compare)
	if err := insert(tx, `INSERT INTO demographics_person (lane, person, hidden, label, features) VALUES `, people); err != nil {
		return err
	}
	nameArgs := make([][]any, len(names))
	for i, n := range names {
		nameArgs[i] = []any{int64(n.lane), n.family, int64(n.born), n.person, n.sound}
	}
	if err := insert(tx, `INSERT INTO demographics_name (lane, family, born, person, sound) VALUES `, nameArgs); err != nil {
		return err
	}
	keyArgs := make([][]any, len(keys))
	for i, k := range keys {
		keyArgs[i] = []any{int64(k.lane), k.hash, k.person}
	}
	if err := insert(tx, `INSERT INTO demographics_key (lane, hash, person) VALUES `, keyArgs); err != nil {
		return err
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
	names, keys := was.rows(lane, person)
	for _, n := range names {
		if _, err := tx.Exec(`DELETE FROM demographics_name WHERE lane = ? AND family = ? AND born = ? AND person = ?`, int64(lane), n.family, int64(n.born), person); err != nil {
			return was, err
		}
	}
	for _, k := range keys {
		if _, err := tx.Exec(`DELETE FROM demographics_key WHERE lane = ? AND hash = ? AND person = ?`, int64(lane), k.hash, person); err != nil {
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
