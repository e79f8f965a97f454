package definition

import (
	"runtime"
	"testing"
)

func TestMemory(t *testing.T) {
	var before, idle, used runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, err := open(r4File)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&idle)
	for _, name := range s.TypeNames() {
		s.Type(name).Element("id")
	}
	s.SearchParameters("Patient")
	runtime.GC()
	runtime.ReadMemStats(&used)
	loaded, all := int64(idle.HeapAlloc)-int64(before.HeapAlloc), int64(used.HeapAlloc)-int64(before.HeapAlloc)
	t.Logf("heap: %d KB when loaded, %d KB with every type and parameter in use", loaded/1024, all/1024)
	if all > 15<<20 {
		t.Errorf("the definitions hold %d MB of heap, more than 15", all>>20)
	}
	runtime.KeepAlive(s)
}

func TestDamagedFileIsRefused(t *testing.T) {
	for _, at := range []int{0, 4, 100, len(r4File) / 2, len(r4File) - 1} {
		b := append([]byte(nil), r4File...)
		b[at] ^= 0x40
		if s, err := open(b); err == nil && s.version == "4.0.1" && len(s.types) == 0 {
			t.Errorf("a file with byte %d changed was read", at)
		}
	}
	if _, err := open(r4File[:len(r4File)/2]); err == nil {
		t.Error("half a file was read")
	}
	if _, err := open(nil); err == nil {
		t.Error("an empty file was read")
	}
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := open(r4File); err != nil {
			b.Fatal(err)
		}
	}
}
