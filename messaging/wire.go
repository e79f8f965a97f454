package messaging

import (
	"encoding/binary"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// What nodes say to one another, in binary: numbers are uvarints, texts and bytes follow their length, times are µs since 1970. Each
// begins with the edition of the words, so that a newer node can speak to an older one.
const edition = 1

// Bounds of what one exchange may hold, beside the length of its body.
const (
	mostItems   = 1024
	mostNotes   = 1024
	mostStreams = 1 << 16
	mostGaps    = 1 << 12  // of one stream
	mostWire    = 16 << 20 // bytes of a request or an answer
)

// stream names a sender's lane in one of its lives.
type stream struct {
	incarnation string
	lane        int64
}

// mark is the highest number of a stream that the receiver has.
type mark struct {
	stream
	high int64
	gaps []gap // that the sender may have forgotten; in a greeting only
}

// gap is numbers that were left out of a stream.
type gap struct{ low, high int64 }

// batch is what comes in a stream after a number, as far as through: what is left out was given up or went elsewhere.
type batch struct {
	stream
	after, through int64
	items          []item
}

type item struct {
	num  int64
	hops int
	Message
}

// notice is what became of some messages of a stream that the addressee sent. An envelope tells one that may have lost it what the message was.
type notice struct {
	stream
	low, high int64
	at        int64
	state     State
	turn      int64
	reason    string
	envelope  *item
}

// greeting says who calls, and which streams it has for whom it calls.
type greeting struct {
	mine    string
	streams []mark // how far the caller believes that they have come
	word    string // that the callee asked to be told (greeted.again)
}

// greeted says who answers, and how far it has those streams.
type greeted struct {
	mine  string
	marks []mark
	// again is not empty when the callee has met another life of the caller's and wants to know that this one is there now: the caller greets again, with this word.
	again string
}

// exchange is what one side has for the other; both lives are named.
type exchange struct {
	mine, yours string
	batches     []batch
	notices     []notice
}

// exchanged is the answer.
type exchanged struct{ marks []mark }

func putText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func putBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func putInt(b []byte, n int64) []byte { return binary.AppendUvarint(b, uint64(n)) } //nolint:gosec // what is negative comes back so

func putStream(b []byte, s stream) []byte { return putInt(putText(b, s.incarnation), s.lane) }

func putFiles(b []byte, files []File) []byte {
	if len(files) == 0 {
		return nonNil(b)
	}
	b = putInt(b, int64(len(files)))
	for _, f := range files {
		b = append(b, f.Hash[:]...)
		b = putText(putText(putInt(b, f.Size), f.Name), f.Type)
	}
	return b
}

func putItem(b []byte, it *item) []byte {
	b = putInt(putInt(b, it.num), int64(it.hops))
	b = putText(putText(putText(putText(putText(b, it.ID), it.From.String()), it.To.String()), it.Workflow), it.Conversation)
	b = putInt(putInt(b, micros(it.At)), micros(it.Expires))
	return putBytes(putBytes(b, putFiles(nil, it.Files)), it.Body)
}

func (g *greeting) encode() []byte {
	b := putInt(putText([]byte{edition}, g.mine), int64(len(g.streams)))
	for _, s := range g.streams {
		b = putInt(putStream(b, s.stream), s.high)
	}
	return putLast(b, g.word)
}

// putLast puts a text that is left out where it is empty: it came later, and those who do not know it are not disturbed.
func putLast(b []byte, s string) []byte {
	if s == "" {
		return b
	}
	return putText(b, s)
}

func putMarks(b []byte, marks []mark) []byte {
	b = putInt(b, int64(len(marks)))
	for _, m := range marks {
		b = putInt(putInt(putStream(b, m.stream), m.high), int64(len(m.gaps)))
		for _, g := range m.gaps {
			b = putInt(putInt(b, g.low), g.high)
		}
	}
	return b
}

func (g *greeted) encode() []byte {
	return putLast(putMarks(putText([]byte{edition}, g.mine), g.marks), g.again)
}

func (e *exchanged) encode() []byte { return putMarks([]byte{edition}, e.marks) }

func (e *exchange) encode() []byte {
	b := putInt(putText(putText([]byte{edition}, e.mine), e.yours), int64(len(e.batches)))
	for i := range e.batches {
		t := &e.batches[i]
		b = putInt(putInt(putInt(putStream(b, t.stream), t.after), t.through), int64(len(t.items)))
		for j := range t.items {
			b = putItem(b, &t.items[j])
		}
	}
	b = putInt(b, int64(len(e.notices)))
	for i := range e.notices {
		n := &e.notices[i]
		b = putInt(putInt(putInt(putStream(b, n.stream), n.low), n.high), n.at)
		b = putText(putInt(putInt(b, int64(n.state)), n.turn), n.reason)
		if n.envelope == nil {
			b = putInt(b, 0)
		} else {
			b = putItem(putInt(b, 1), n.envelope)
		}
	}
	return b
}

// reader takes words apart. After the first thing that is wrong it gives zeros, and err says what.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fault.New(fault.Invalid, "what the other node says cannot be understood: %s", what)
	}
	r.b = nil
}

func (r *reader) int() int64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail("a number is cut short")
		return 0
	}
	r.b = r.b[size:]
	return int64(n) //nolint:gosec // as putInt
}

// count is a number from 0 to most.
func (r *reader) count(most int64) int {
	n := r.int()
	if n < 0 || n > most || n > int64(len(r.b)) {
		r.fail("a count is too large")
		return 0
	}
	return int(n)
}

// small is a number from 0 to most, of which nothing need follow.
func (r *reader) small(most int64) int64 {
	n := r.int()
	if n < 0 || n > most {
		r.fail("a number is too large")
		return 0
	}
	return n
}

func (r *reader) bytes(most int64) []byte {
	n := r.count(most)
	if r.err != nil {
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) text(most int64) string { return string(r.bytes(most)) }

func (r *reader) begin() {
	if len(r.b) == 0 || r.b[0] != edition {
		r.fail("it is of another edition")
		return
	}
	r.b = r.b[1:]
}

func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("there is more than was announced")
	}
	return r.err
}

func (r *reader) stream() stream {
	s := stream{r.text(64), r.int()}
	if r.err == nil && (s.incarnation == "" || s.lane < 0) {
		r.fail("a stream has no name")
	}
	return s
}

func (r *reader) code() ident.ODSCode {
	s := r.text(12)
	if r.err != nil {
		return ident.ODSCode{}
	}
	code, err := ident.ParseODSCode(s)
	if err != nil {
		r.fail(fault.MessageOf(err))
	}
	return code
}

func (r *reader) time() time.Time { return fromMicros(r.int()) }

func (r *reader) item() (it item) {
	it.num, it.hops = r.int(), int(r.small(255))
	it.ID, it.From, it.To = r.text(64), r.code(), r.code()
	it.Workflow, it.Conversation = r.text(MaxWorkflow), r.text(MaxConversation)
	it.At, it.Expires = r.time(), r.time()
	files := r.bytes(maxFilesBytes)
	it.Body = r.bytes(MaxBody)
	if r.err != nil {
		return it
	}
	var err error
	if it.Files, err = takeFiles(files); err == nil {
		err = it.check()
	}
	if err != nil {
		r.fail(fault.MessageOf(err))
	}
	return it
}

// takeFiles is the reverse of putFiles.
func takeFiles(b []byte) ([]File, error) {
	if len(b) == 0 {
		return nil, nil
	}
	r := reader{b: b}
	files := make([]File, r.count(MaxFiles))
	if len(files) == 0 {
		r.fail("a list of files is empty") // none is written as nothing
	}
	for i := range files {
		f := &files[i]
		if len(r.b) < len(f.Hash) {
			r.fail("a hash is cut short")
			break
		}
		copy(f.Hash[:], r.b)
		r.b = r.b[len(f.Hash):]
		f.Size, f.Name, f.Type = r.int(), r.text(255), r.text(255)
		if f.Size < 0 {
			r.fail("a size is negative")
		}
	}
	return files, r.end()
}

// last reads a text that is left out where it is empty.
func (r *reader) last(most int64) string {
	if r.err != nil || len(r.b) == 0 {
		return ""
	}
	s := r.text(most)
	if r.err == nil && s == "" {
		r.fail("a last text is empty")
	}
	return s
}

func (r *reader) marks() []mark {
	marks := make([]mark, r.count(mostStreams))
	for i := range marks {
		marks[i] = mark{stream: r.stream(), high: r.int()}
		gaps := make([]gap, r.count(mostGaps))
		for j := range gaps {
			if gaps[j] = (gap{r.int(), r.int()}); gaps[j].low < 1 || gaps[j].high < gaps[j].low {
				r.fail("a gap is none")
			}
		}
		if len(gaps) > 0 {
			marks[i].gaps = gaps
		}
	}
	return marks
}

func decodeGreeting(b []byte) (g greeting, err error) {
	r := reader{b: b}
	r.begin()
	g.mine = r.text(64)
	g.streams = make([]mark, r.count(mostStreams))
	for i := range g.streams {
		g.streams[i] = mark{stream: r.stream(), high: r.int()}
	}
	g.word = r.last(64)
	return g, r.end()
}

func decodeGreeted(b []byte) (g greeted, err error) {
	r := reader{b: b}
	r.begin()
	g.mine, g.marks = r.text(64), r.marks()
	g.again = r.last(64)
	return g, r.end()
}

func decodeExchanged(b []byte) (e exchanged, err error) {
	r := reader{b: b}
	r.begin()
	e.marks = r.marks()
	return e, r.end()
}

func decodeExchange(b []byte) (e exchange, err error) {
	r := reader{b: b}
	r.begin()
	e.mine, e.yours = r.text(64), r.text(64)
	e.batches = make([]batch, r.count(mostItems))
	for i := range e.batches {
		t := &e.batches[i]
		t.stream, t.after, t.through = r.stream(), r.int(), r.int()
		t.items = make([]item, r.count(mostItems))
		last := t.after
		for j := range t.items {
			t.items[j] = r.item()
			if n := t.items[j].num; n <= last || n > t.through {
				r.fail("the numbers of a stream do not rise")
			}
			last = t.items[j].num
		}
		if r.err == nil && (t.after < 0 || t.through < t.after) {
			r.fail("a stream goes back")
		}
	}
	e.notices = make([]notice, r.count(mostNotes))
	for i := range e.notices {
		e.notices[i] = r.notice()
	}
	return e, r.end()
}

func (r *reader) notice() (n notice) {
	n.stream, n.low, n.high, n.at = r.stream(), r.int(), r.int(), r.int()
	n.state, n.turn, n.reason = State(r.small(int64(states)-1)), r.int(), r.text(4*longestReason+16)
	if r.small(1) == 1 {
		it := r.item()
		n.envelope = &it
	}
	if r.err == nil && (n.low < 1 || n.high < n.low || n.state == 0 || n.turn < 0 || n.envelope != nil && n.high != n.low) {
		r.fail("a note is about nothing")
	}
	return n
}
