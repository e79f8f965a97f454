package bookings

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// chunk is how much of a file a row holds here: little, so that small files have many.
const chunk = 700

// attach lets the practice add a file to a referral, or put one in place of some that are there.
func (n *node) attach(m made, r referral.Referral) {
	w := n.w
	instead := len(r.Attachments) > 0 && w.Rng.IntN(2) == 0
	if len(r.Attachments) > 2 && !instead {
		return
	}
	holds := []byte(strings.Repeat(fmt.Sprintf("result %d\n", w.Rng.IntN(1000)), 1+w.Rng.IntN(4*chunk/12)))
	if w.Rng.IntN(3) == 0 {
		holds = w.content()
	}
	f, err := n.refer.Upload(w.Ctx, n.caller(w.gp()), referral.Upload{Name: fmt.Sprintf("results %d.txt", len(w.files)), For: m.ubrn}, bytes.NewReader(holds))
	if !n.done("uploads a file for "+m.ubrn.String(), err) {
		return
	}
	w.files[f.ID] = holds
	work := referral.Work{Kind: referral.ActLetter, Replace: instead, Files: []referral.FileRef{{ID: f.ID, Description: "of March"}}}
	for _, a := range r.Attachments {
		if instead && a.Kind != referral.FromProvider && w.Rng.IntN(2) == 0 { // it stays; what the hospital attached does anyway
			work.Files = append(work.Files, referral.FileRef{ID: a.ID})
		}
	}
	if instead {
		w.Say("%s: the files of %s, of which there are %d, become %d", n.Name, m.ubrn, len(r.Attachments), len(work.Files))
	}
	if !n.act(m, r, n.caller(w.gp()), work) {
		return
	}
	w.res.Attached++
	var want, got []string
	for _, a := range r.Attachments {
		if !instead || a.Kind == referral.FromProvider {
			want = append(want, a.ID)
		}
	}
	for _, x := range work.Files {
		want = append(want, x.ID)
	}
	now, err := n.refer.Get(w.Ctx, n.caller(w.gp()), m.ubrn)
	if !n.done("looks at the files of "+m.ubrn.String(), err) {
		return
	}
	for _, a := range now.Attachments {
		got = append(got, a.ID)
	}
	if !slices.Equal(got, want) {
		w.Break("%s was to have the files %v, and has %v", m.ubrn, want, got)
	}
}

// checkFiles looks whether whoever has a referral has its files, in their order and byte by byte, and no other. No two have one name.
func (w *world) checkFiles(r referral.Referral, known map[string]seenBy) {
	spine, u := w.nodes[0], r.UBRN
	var ids []string
	names := map[string]bool{}
	for _, a := range r.Attachments {
		w.checkFile(spine, u, a.ID, a.Size, a.Hash)
		if names[a.Name] {
			w.Break("%s has two files called %s", u, a.Name)
		}
		ids, names[a.Name] = append(ids, a.ID), true
	}
	for _, n := range w.nodes[1:] {
		c, there := known[n.Name].cases[u.String()]
		if !there || c.Gone {
			continue
		}
		var told []string
		for _, a := range c.Attachments {
			w.checkFile(n, u, a.ID, a.Size, a.Hash)
			told = append(told, a.ID)
			w.res.Files++
		}
		if !slices.Equal(told, ids) {
			w.Break("%s has the files %v, and %s knows %v", u, ids, n.Name, told)
		}
	}
}

// checkFile looks whether a node has a file of a referral or of a question, byte by byte.
func (w *world) checkFile(n *node, u ident.UBRN, id string, size int64, hash string) {
	f, err := booking.Attachment{Size: size, Hash: hash}.File()
	if err == nil {
		err = w.holds(n, f, id)
	}
	if err != nil {
		w.Break("%s has a file that %s has not: %v", u, n.Name, err)
	}
}

// checkOnce looks whether each node keeps what files hold once, whoever attached it and however often.
func (w *world) checkOnce() {
	for _, n := range w.nodes {
		err := n.DB.Read(w.Ctx, func(tx *store.Tx) error {
			return each(tx, `SELECT count(*), size FROM post_file WHERE whole = 1 GROUP BY hash, size HAVING count(*) > 1`, func(r *store.Rows) error {
				var times, size int64
				err := r.Scan(&times, &size)
				w.Break("%s keeps %d bytes of a file %d times", n.Name, size, times)
				return err
			})
		})
		if err != nil {
			w.Break("%s cannot be read: %v", n.Name, err)
		}
	}
}

// holds reads a file at a node, and compares it with what was attached.
func (w *world) holds(n *node, f messaging.File, id string) error {
	r, err := n.Post.Open(w.Ctx, f)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, w.files[id]) {
		err = fmt.Errorf("it is %d bytes that are not the %d that were attached", len(got), len(w.files[id]))
	}
	return err
}
