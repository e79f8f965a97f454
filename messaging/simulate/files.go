package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
)

// chunk is how much of a file a row holds here: little, so that small files have many.
const chunk = 700

// shared is how many files there are that many messages take along; the others are one message's own.
const shared = 4

// fileOf is what the file of a number holds: nothing, whole chunks, or any number of bytes.
func (w *world) fileOf(number int) []byte {
	r := rand.New(rand.NewPCG(w.res.Seed, uint64(number)+5000)) //nolint:gosec // a simulation's chance
	size := r.IntN(6 * chunk)
	switch r.IntN(6) {
	case 0:
		size = 0
	case 1:
		size -= size % chunk
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return b
}

// breaks is a reader that ends with a failure.
type breaks struct{ rest io.Reader }

func (b breaks) Read(p []byte) (int, error) {
	n, err := b.rest.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("it broke off")
	}
	return n, err
}

// store puts the files of a message into the post, before it is sent; false means that it cannot be sent.
func (n *node) store(key int) (list []messaging.File, ok bool) {
	w := n.w
	var numbers []int
	for range 1 + w.rng.IntN(3) {
		number := shared + len(w.files)*3 + len(numbers)
		if w.rng.IntN(3) == 0 {
			number = w.rng.IntN(shared)
		}
		holds := w.fileOf(number)
		var from io.Reader = bytes.NewReader(holds)
		if w.chance(60) {
			from = breaks{bytes.NewReader(holds[:w.rng.IntN(len(holds)+1)])}
		}
		f, err := n.post.Store(w.ctx, from, fmt.Sprint("f", number), "application/octet-stream")
		if err != nil {
			w.say("%s cannot store a file", n.name)
			return nil, false
		}
		list, numbers = append(list, f), append(numbers, number)
	}
	w.files[key] = numbers
	return list, true
}

// whole holds the files of a message, as whoever is handed it finds them, to what was sent. A node without power finds nothing.
func (n *node) whole(ctx context.Context, key int, list []messaging.File) error {
	w := n.w
	if len(list) != len(w.files[key]) {
		w.broken("%s is handed message %d with %d files of %d", n.name, key, len(list), len(w.files[key]))
	}
	for i, f := range list {
		r, err := n.post.Open(ctx, f)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
		}
		switch want := w.fileOf(w.files[key][i]); {
		case n.disk.Dark():
			return fault.New(fault.Unavailable, "the power is gone")
		case err != nil:
			w.broken("%s has message %d and cannot open its file %s: %v", n.name, key, f.Name, err)
		case !bytes.Equal(got, want):
			w.broken("%s has message %d whose file %s is %d bytes that are not the %d that were sent", n.name, key, f.Name, len(got), len(want))
		}
	}
	return nil
}

// checkFiles looks at rest at the files of what was handled at a node.
func (w *world) checkFiles(n *node, list []deed) {
	for _, d := range list {
		if len(w.files[d.key]) == 0 {
			continue
		}
		known, err := n.post.ByID(w.ctx, d.id)
		if err != nil || len(known) == 0 {
			w.broken("%s handled message %d and does not know it: %v", n.name, d.key, err)
			continue
		}
		w.res.Files += len(known[0].Files)
		if err := n.whole(w.ctx, d.key, known[0].Files); err != nil {
			w.broken("%s cannot be read: %v", n.name, err)
		}
	}
}

// visit is a message that a system elsewhere has taken.
type visit struct {
	key              int
	id, conversation string
	n                *node
}

// ask is a system elsewhere, which knows by its number a message that it has taken: it is not reached, it says no, it fails, its answer is lost, and the
// power goes here when it has answered.
func (n *node) ask(ctx context.Context, to messaging.Destination, m messaging.Message) ([]byte, error) {
	w, key := n.w, keyOf(m.Body)
	mood := w.moodOf(key, m.To.String())
	switch {
	case w.chance(w.w.lose):
		return nil, fault.New(fault.Unavailable, "%s is not reached", to.Name)
	case mood.poison:
		return nil, errors.New("poison")
	case mood.refuse:
		return nil, messaging.Refuse("not wanted")
	case mood.until > w.step:
		return nil, fault.New(fault.TooMany, "not now")
	}
	if err := n.whole(ctx, key, m.Files); err != nil {
		return nil, err
	}
	before := false
	for _, v := range w.outside {
		before = before || v.id == m.ID && v.n == n
	}
	w.res.Carried++
	w.say("%s takes %d to %s, again: %v", n.name, key, to.Name, before)
	if !before {
		w.outside = append(w.outside, visit{key, m.ID, conversationOf(m), n})
	}
	if w.chance(w.w.crash) {
		n.disk.CutPower()
	}
	if w.chance(w.w.loseAnswer) {
		return nil, fault.New(fault.Timeout, "the answer was lost")
	}
	return fmt.Appendf(nil, "taken %d", key), nil
}

// broken off is an answer of which some bytes come.
func (w *world) breakOff(answer *http.Response) {
	text, _ := io.ReadAll(answer.Body) // in memory
	some := bytes.NewReader(text[:w.rng.IntN(len(text)+1)])
	if answer.Body = io.NopCloser(some); w.rng.IntN(2) == 0 {
		answer.Body = io.NopCloser(breaks{some})
	}
	w.res.Lost++
}

func conversationOf(m messaging.Message) string {
	return strings.Join([]string{m.From.String(), ">", m.To.String(), "/", m.Conversation}, "")
}
