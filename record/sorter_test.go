package record

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Rows sort as their columns do, and read as they were written.
func FuzzSortedRows(f *testing.F) {
	f.Add(int64(0), int64(-1), "", "\x00", 0.5, -0.5, []byte("x"))
	f.Add(int64(1)<<62, -int64(1)<<63, "ab", "ab\x00\xff", 1e300, 0.0, []byte(nil))
	f.Add(int64(-256), int64(-255), "Ä", "A\xff", -1e300, 1.0, []byte{0})
	f.Fuzz(func(t *testing.T, n, m int64, s, z string, x, y float64, b []byte) {
		if x != x || y != y {
			t.Skip("not a number")
		}
		x, y = x+0, y+0 // there is but one zero
		one, two := appendRow(nil, 3, n, s, x, b), appendRow(nil, 3, m, z, y, b)
		want := cmp.Or(cmp.Compare(n, m), strings.Compare(s, z), cmp.Compare(x, y))
		if got := bytes.Compare(one, two); got != want {
			t.Errorf("%d %q %v against %d %q %v: %d, want %d", n, s, x, m, z, y, got, want)
		}
		table, columns, err := readRow(one, nil)
		if err != nil || table != 3 || len(columns) != 4 || columns[0] != n || columns[1] != s || columns[2] != x || !bytes.Equal(columns[3].([]byte), b) {
			t.Errorf("%d %v %v", table, columns, err)
		}
	})
}

// What was written by somebody else does not read, and nothing worse.
func FuzzReadRow(f *testing.F) {
	f.Add(appendRow(nil, 1, int64(-5), "text", 2.5, []byte("body")))
	f.Fuzz(func(t *testing.T, row []byte) {
		table, columns, err := readRow(row, nil)
		if err != nil {
			return
		}
		again, more, err := readRow(appendRow(nil, table, columns...), nil)
		if err != nil || again != table || fmt.Sprint(more) != fmt.Sprint(columns) {
			t.Errorf("%v, then %v (%v)", columns, more, err)
		}
	})
}

// Rows of several sorters, more than memory holds, come out in order, each once.
func TestRowsAreMergedInOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var want [][]byte
	sorters := []*sorter{newSorter(t.TempDir()), newSorter(t.TempDir()), newSorter(t.TempDir())}
	for i := range 20_000 {
		row := appendRow(nil, byte(r.IntN(3)), r.Int64N(1000)-500, strings.Repeat("x", r.IntN(9)), int64(i))
		want = append(want, row)
		s := sorters[r.IntN(2)] // the third has none
		s.most = 10_000
		if err := s.add(row); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(want, bytes.Compare)
	var got [][]byte
	if err := merged(sorters, func(row []byte) error {
		got = append(got, slices.Clone(row))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(sorters[0].runs) < 5 || !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d rows of %d, in %d files", len(got), len(want), len(sorters[0].runs))
	}
	for _, s := range sorters {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
}
