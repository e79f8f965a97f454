package record

import (
	"bufio"
	"bytes"
	"cmp"
	orderly "container/heap"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"slices"

	"github.com/openspine/openspine/fault"
)

// sorter puts rows into the order of their tables' keys, however many there are: what memory does not hold waits in files, sorted, and is
// merged in the end. A row is a text of bytes that sort as the row does (see appendRow). The files have no name, so that nothing is left
// of them when the program ends in the middle.
type sorter struct {
	folder  string
	most    int // bytes of rows held in memory
	arena   []byte
	entries []sorting
	runs    []*os.File
}

// sorting is a row in the arena: what it begins with, in two words, and where it stands.
type sorting struct {
	first, second uint64
	at, n         uint32
}

// sorterMemory is how many bytes of rows one sorter holds: with what points at them about 140 MB.
const sorterMemory = 64 << 20

func newSorter(folder string) *sorter { return &sorter{folder: folder, most: sorterMemory} }

// add takes a row that was made with appendRow.
func (s *sorter) add(row []byte) error {
	if len(s.arena)+len(row) > s.most && len(s.entries) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	e := sorting{at: uint32(len(s.arena)), n: uint32(len(row))}
	var head [16]byte
	copy(head[:], row)
	e.first, e.second = binary.BigEndian.Uint64(head[:]), binary.BigEndian.Uint64(head[8:])
	s.arena = append(s.arena, row...)
	s.entries = append(s.entries, e)
	return nil
}

// spill writes what is in memory to a file of its own, in order.
func (s *sorter) spill() (err error) {
	if len(s.entries) == 0 {
		return nil
	}
	row := func(e sorting) []byte { return s.arena[e.at : e.at+e.n] }
	slices.SortFunc(s.entries, func(a, b sorting) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		if a.second != b.second {
			return cmp.Compare(a.second, b.second)
		}
		return bytes.Compare(row(a), row(b))
	})
	f, err := os.CreateTemp(s.folder, "sorting-*")
	if err != nil {
		return unsorted(err)
	}
	s.runs = append(s.runs, f)
	if err := os.Remove(f.Name()); err != nil {
		return unsorted(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	var length [binary.MaxVarintLen32]byte
	for _, e := range s.entries {
		_, _ = w.Write(length[:binary.PutUvarint(length[:], uint64(e.n))]) // Flush tells
		_, _ = w.Write(row(e))
	}
	s.arena, s.entries = s.arena[:0], s.entries[:0]
	return unsorted(w.Flush())
}

func unsorted(err error) error {
	return fault.Wrap(err, fault.Unavailable, "what is searched could not be sorted in the data folder")
}

// close gives the files back.
func (s *sorter) close() error {
	var errs []error
	for _, f := range s.runs {
		errs = append(errs, f.Close())
	}
	s.runs, s.arena, s.entries = nil, nil, nil
	return errors.Join(errs...)
}

// run is a sorted file that is being read.
type run struct {
	from *bufio.Reader
	row  []byte
}

func (r *run) next() (more bool, err error) {
	n, err := binary.ReadUvarint(r.from)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err == nil {
		r.row = slices.Grow(r.row[:0], int(n))[:n]
		_, err = io.ReadFull(r.from, r.row)
	}
	return err == nil, unsorted(err)
}

// merging is a heap of runs, the one with the least row on top.
type merging []*run

func (m merging) Len() int           { return len(m) }
func (m merging) Less(i, j int) bool { return bytes.Compare(m[i].row, m[j].row) < 0 }
func (m merging) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merging) Push(x any)        { *m = append(*m, x.(*run)) }
func (m *merging) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// merged hands all rows of sorters to take, in order. A row is good only until take returns.
func merged(sorters []*sorter, take func(row []byte) error) error {
	var m merging
	for _, s := range sorters {
		if err := s.spill(); err != nil {
			return err
		}
		s.arena, s.entries = nil, nil
		for _, f := range s.runs {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				return unsorted(err)
			}
			r := &run{from: bufio.NewReaderSize(f, 256<<10)}
			more, err := r.next()
			if err != nil {
				return err
			}
			if more {
				m = append(m, r)
			}
		}
	}
	orderly.Init(&m)
	for len(m) > 0 {
		if err := take(m[0].row); err != nil {
			return err
		}
		more, err := m[0].next()
		if err != nil {
			return err
		}
		if more {
			orderly.Fix(&m, 0)
		} else {
			orderly.Pop(&m)
		}
	}
	return nil
}

// Marks before the columns of a row. A whole number's says how many bytes follow, so that numbers sort by it first.
const (
	markNumber = 0x20 // of nothing: 0; below, numbers under 0
	markReal   = 0x40
	markText   = 0x50
	markBytes  = 0x60 // not in the order of keys; the last column of a row
)

// appendRow appends a row as bytes that sort as rows with the same kinds of columns do: int64, float64, string or []byte.
func appendRow(to []byte, table byte, columns ...any) []byte {
	to = append(to, table)
	for _, c := range columns {
		switch c := c.(type) {
		case int64:
			to = appendNumberKey(to, c)
		case float64:
			bits := math.Float64bits(c)
			if bits>>63 == 1 {
				bits = ^bits
			} else {
				bits |= 1 << 63
			}
			to = binary.BigEndian.AppendUint64(append(to, markReal), bits)
		case string:
			to = append(to, markText)
			for i := range len(c) {
				if to = append(to, c[i]); c[i] == 0 {
					to = append(to, 0xff)
				}
			}
			to = append(to, 0, 0)
		case []byte:
			to = binary.AppendUvarint(append(to, markBytes), uint64(len(c)))
			to = append(to, c...)
		}
	}
	return to
}

func appendNumberKey(to []byte, n int64) []byte {
	u := uint64(n)
	if n < 0 {
		u = ^u
	}
	size := 0
	for x := u; x > 0; x >>= 8 {
		size++
	}
	mark := byte(markNumber + size)
	if n < 0 {
		mark, u = byte(markNumber-1-size), uint64(n)
	} else if size == 0 {
		return append(to, mark)
	}
	to = append(to, mark)
	for i := size - 1; i >= 0; i-- {
		to = append(to, byte(u>>(8*i)))
	}
	return to
}

// readRow appends the columns of a row to columns.
func readRow(row []byte, columns []any) (table byte, _ []any, err error) {
	damaged := fault.New(fault.Internal, "a sorted row does not read")
	if len(row) == 0 {
		return 0, nil, damaged
	}
	table, row = row[0], row[1:]
	for len(row) > 0 {
		mark := row[0]
		row = row[1:]
		switch {
		case mark == markReal && len(row) >= 8:
			bits := binary.BigEndian.Uint64(row)
			if bits>>63 == 1 {
				bits &^= 1 << 63
			} else {
				bits = ^bits
			}
			columns, row = append(columns, math.Float64frombits(bits)), row[8:]
		case mark == markText:
			text, n := readText(row)
			if n < 0 {
				return 0, nil, damaged
			}
			columns, row = append(columns, text), row[n:]
		case mark == markBytes:
			size, n := binary.Uvarint(row)
			if n <= 0 || size > uint64(len(row)-n) {
				return 0, nil, damaged
			}
			columns, row = append(columns, slices.Clone(row[n:n+int(size)])), row[n+int(size):]
		case mark >= markNumber-9 && mark <= markNumber+8:
			size, u := int(mark)-markNumber, uint64(0)
			if size < 0 {
				size, u = -1-size, ^uint64(0)
			}
			if size > len(row) {
				return 0, nil, damaged
			}
			for _, b := range row[:size] {
				u = u<<8 | uint64(b)
			}
			columns, row = append(columns, int64(u)), row[size:]
		default:
			return 0, nil, damaged
		}
	}
	return table, columns, nil
}

// readText is the text that a row goes on with, and how many bytes of the row it takes; below 0 when it does not end.
func readText(row []byte) (string, int) {
	var text []byte
	for i := 0; i+1 < len(row); i++ {
		switch {
		case row[i] != 0:
			text = append(text, row[i])
		case row[i+1] == 0:
			return string(text), i + 2
		default:
			text = append(text, 0)
			i++
		}
	}
	return "", -1
}
