package audit_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
)

func sampleEntries() (entries []audit.Entry) {
	rng := rand.New(rand.NewPCG(3, 3))
	for i := range 20 {
		e := look("9000000009", "ann")
		if i%3 == 0 {
			e = usual(rng, 5, 5)
		}
		if i%4 == 0 {
			e.Detail, e.RequestID = "\x01\x02 and "+e.RequestID+e.RequestID, "another"
		}
		e.Lane, e.Seq, e.At = int32(i/7), int64(i+1), january.AddDate(0, 0, i*i)
		entries = append(entries, e)
	}
	return entries
}

// What is written into an archive is read from it, and a file in which any byte is another is not taken for it.
func TestAnArchiveReadsBack(t *testing.T) {
	t.Parallel()
	want := sampleEntries()
	b, err := audit.SampleArchive(t.TempDir(), want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := audit.ReadArchive(b); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, want)
	}
	for cut := range len(b) {
		if _, err := audit.ReadArchive(b[:cut]); !fault.Is(err, fault.Unprocessable) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

// Whatever is in a file, it is read or refused.
func FuzzArchive(f *testing.F) {
	b, err := audit.SampleArchive(f.TempDir(), sampleEntries())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("openspine account archive 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := audit.ReadArchive(b); err != nil && !fault.Is(err, fault.Unprocessable) && !fault.Is(err, fault.Unavailable) {
			t.Errorf("%v", err)
		}
		if err := audit.ReadArchiveIndex(b, 1<<20); err != nil && !fault.Is(err, fault.Unprocessable) {
			t.Errorf("%v", err)
		}
	})
}

// The same behind what guards a block, where damage is met only by whoever verifies.
func FuzzArchiveBlock(f *testing.F) {
	f.Add([]byte{1, 3, 'X', '2', '6', 0, 1, '9'}, []byte{0, 1, 2, 1, 2, 1, 0, 1, 0, 1, 0, 1, 0, 1, 2, 2, 1, 'a', 0}, make([]byte, 16), 1)
	f.Fuzz(func(t *testing.T, charts, columns, ids []byte, n int) {
		entries, err := audit.ReadBlock(charts, columns, ids, max(n, 0))
		if err != nil && !fault.Is(err, fault.Unprocessable) {
			t.Errorf("%v", err)
		}
		if err == nil && len(entries) != max(n, 0) {
			t.Errorf("%d entries of %d", len(entries), n)
		}
	})
}
