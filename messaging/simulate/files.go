package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/messaging/simulate/country"
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

// store puts the files of a message into the post, before it is sent; false means that it cannot be sent.
func (n *node) store(key int) (list []messaging.File, ok bool) {
	w := n.w
	var numbers []int
	for range 1 + w.Rng.IntN(3) {
		number := shared + len(w.files)*3 + len(numbers)
		if w.Rng.IntN(3) == 0 {
			number = w.Rng.IntN(shared)
		}
		holds := w.fileOf(number)
		var from io.Reader = bytes.NewReader(holds)
		if w.Chance(60) {
			from = country.BreaksOff{Rest: bytes.NewReader(holds[:w.Rng.IntN(len(holds)+1)])}
		}
		f, err := n.Post.Store(w.Ctx, from, fmt.Sprint("f", number), "application/octet-stream")
		if err != nil {
			w.Say("%s cannot store a file", n.Name)
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
		w.Break("%s is handed message %d with %d files of %d", n.Name, key, len(list), len(w.files[key]))
	}
	for i, f := range list {
		r, err := n.Post.Open(ctx, f)
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
		}
		switch want := w.fileOf(w.files[key][i]); {
		case n.Disk.Dark():
			return fault.New(fault.Unavailable, "the power is gone")
		case err != nil:
			w.Break("%s has message %d and cannot open its file %s: %v", n.Name, key, f.Name, err)
		case !bytes.Equal(got, want):
			w.Break("%s has message %d whose file %s is %d bytes that are not the %d that were sent", n.Name, key, f.Name, len(got), len(want))
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
		known, err := n.Post.ByID(w.Ctx, d.id)
		if err != nil || len(known) == 0 {
			w.Break("%s handled message %d and does not know it: %v", n.Name, d.key, err)
			continue
		}
		w.res.Files += len(known[0].Files)
		if err := n.whole(w.Ctx, d.key, known[0].Files); err != nil {
			w.Break("%s cannot be read: %v", n.Name, err)
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
	case w.Chance(w.Weights.Lose):
		return nil, fault.New(fault.Unavailable, "%s is not reached", to.Name)
	case mood.poison:
		return nil, errors.New("poison")
	case mood.refuse:
		return nil, messaging.Refuse("not wanted")
	case mood.until > w.Step:
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
	w.Say("%s takes %d to %s, again: %v", n.Name, key, to.Name, before)
	if !before {
		w.outside = append(w.outside, visit{key, m.ID, conversationOf(m), n})
	}
	if w.Chance(w.Weights.Crash) {
		n.Disk.CutPower()
	}
	if w.Chance(w.Weights.LoseAnswer) {
		return nil, fault.New(fault.Timeout, "the answer was lost")
	}
	return fmt.Appendf(nil, "taken %d", key), nil
}

func conversationOf(m messaging.Message) string {
	return strings.Join([]string{m.From.String(), ">", m.To.String(), "/", m.Conversation}, "")
}
