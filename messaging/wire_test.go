package messaging

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/openspine/openspine/ident"
)

func wireSeeds() [][]byte {
	it := item{num: 7, hops: 1, Message: Message{ID: "0123456789abcdefgh", From: ident.MustODSCode("X26"), To: ident.MustODSCode("RQX"), Workflow: "w", Conversation: "c", Body: []byte("body"),
		At: time.UnixMicro(5).UTC(), Files: []File{{Size: 3, Name: "n", Type: "t"}}}}
	s := stream{"inc", 3}
	e := exchange{mine: "a", yours: "b", batches: []batch{{stream: s, after: 5, through: 9, items: []item{it}}}, notices: []notice{{stream: s, low: 1, high: 4, at: 9, state: Handled, turn: 1},
		{stream: s, low: 7, high: 7, at: 9, state: Refused, turn: 2, reason: "no", envelope: &it}}}
	g, h := greeting{mine: "a", streams: []mark{{stream: s, high: 4}}, word: "w"}, greeted{mine: "b", marks: []mark{{stream: s, high: 4, gaps: []gap{{1, 2}}}}, again: "w"}
	return [][]byte{e.encode(), g.encode(), h.encode(), (&exchanged{marks: h.marks}).encode(), nil, {edition}}
}

// FuzzWire: whatever comes is refused, or is exactly what its own encoding says; nothing panics or makes room for what is only claimed.
func FuzzWire(f *testing.F) {
	for _, s := range wireSeeds() {
		f.Add(s)
	}
	f.Add([]byte{0}) // a list of files that says it is empty, which is written as nothing
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := decodeExchange(b); err == nil {
			again, err := decodeExchange(e.encode())
			if err != nil || !reflect.DeepEqual(e, again) {
				t.Fatalf("an exchange comes back otherwise: %v\n%+v\n%+v", err, e, again)
			}
		}
		if g, err := decodeGreeting(b); err == nil {
			again, err := decodeGreeting(g.encode())
			if err != nil || !reflect.DeepEqual(g, again) {
				t.Fatalf("a greeting comes back otherwise: %v", err)
			}
		}
		if g, err := decodeGreeted(b); err == nil {
			again, err := decodeGreeted(g.encode())
			if err != nil || !reflect.DeepEqual(g, again) {
				t.Fatalf("an answer comes back otherwise: %v", err)
			}
		}
		if e, err := decodeExchanged(b); err == nil && !bytes.Equal((&exchanged{marks: e.marks}).encode()[:1], b[:1]) {
			t.Fatal("another edition")
		}
		if files, err := takeFiles(b); err == nil {
			again, err := takeFiles(putFiles(nil, files))
			if err != nil || !reflect.DeepEqual(files, again) {
				t.Fatalf("files come back otherwise: %v", err)
			}
		}
		if list, err := decodeLines(b); err == nil && len(list) > len(b) {
			t.Fatal("more lines than bytes")
		}
	})
}

func TestWireKeepsWhatItIsGiven(t *testing.T) {
	for i, s := range wireSeeds()[:1] {
		e, err := decodeExchange(s)
		if err != nil || !bytes.Equal(e.encode(), s) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := decodeExchange(wireSeeds()[0][:40]); err == nil {
		t.Error("what was cut short was understood")
	}
}

// FuzzRef: a place in a link is refused, or is what it says.
func FuzzRef(f *testing.F) {
	f.Add("0-1f-3")
	f.Add("-1--2-+3")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRef(s); err == nil && r.String() != s {
			t.Fatalf("%q is read as %q", s, r)
		}
	})
}
