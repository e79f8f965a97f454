package edge

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// mostTaken is how many files one round takes.
const mostTaken = 1000

// take moves whole files from the outbox to where nobody else writes, in the order of their names. Each gets a folder of its own, whose name is
// never used again: by it is known whether the file was sent.
func (g *gateway) take(ctx context.Context) error {
	count := 0
	return filepath.WalkDir(g.in(Outbox), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // the local system has taken it back
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case count == mostTaken:
			return fs.SkipAll
		case unfinished(d.Name()) && d.IsDir() && path != g.in(Outbox):
			return fs.SkipDir
		case !d.Type().IsRegular() || unfinished(d.Name()):
			return nil
		}
		below, err := filepath.Rel(g.in(Outbox), path)
		if err != nil {
			return err
		}
		count++
		return g.claim(path, below, count)
	})
}

// unfinished reports whether a name says that its file is still being written.
func unfinished(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".part")
}

func (g *gateway) claim(path, below string, n int) error {
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	key := fmt.Sprintf("%020d-%04d-%s", g.k.Clock.Now().UnixMicro(), n, hex.EncodeToString(random[:]))
	to := g.in(taken, key, below)
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	if err := os.Rename(path, to); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return os.RemoveAll(g.in(taken, key))
		}
		return err
	}
	return errors.Join(settle(filepath.Dir(to)), settle(filepath.Dir(path)))
}

// settle makes what a folder holds durable.
func settle(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// sendTaken sends what was taken, the oldest first. It stops where nothing can be sent for now.
func (g *gateway) sendTaken(ctx context.Context) error {
	list, err := os.ReadDir(g.in(taken))
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := g.sendOne(ctx, d.Name()); err != nil {
			return err
		}
	}
	return nil
}

// parcel is a file that was taken.
type parcel struct {
	key, path, name            string
	to, workflow, conversation string
}

// unpack finds the file in the folder of a key. A folder without one is of a claim that was cut off before it took anything, or after the file was sent.
func (g *gateway) unpack(key string) (p parcel, found bool, err error) {
	err = filepath.WalkDir(g.in(taken, key), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			p, found = parcel{key: key, path: path, name: d.Name()}, true
		}
		return err
	})
	if err != nil || !found {
		return p, found, err
	}
	below, err := filepath.Rel(g.in(taken, key), p.path)
	if err != nil {
		return p, found, err
	}
	parts := strings.Split(filepath.ToSlash(below), "/")
	if len(parts) == 3 || len(parts) == 4 {
		p.to, p.workflow = parts[0], parts[1]
	}
	if len(parts) == 4 {
		p.conversation = parts[2]
	}
	return p, found, nil
}

// sendOne sends one file that was taken, unless it was.
func (g *gateway) sendOne(ctx context.Context, key string) error {
	p, found, err := g.unpack(key)
	if err != nil {
		return err
	}
	if found {
		var sent bool
		if sent, err = g.wasSent(ctx, key); err == nil && !sent {
			err = g.send(ctx, p)
		}
	}
	switch k := fault.KindOf(err); {
	case err == nil:
		return os.RemoveAll(g.in(taken, key))
	case k == fault.Invalid || k == fault.NotFound || k == fault.TooLarge:
		return g.refuse(p, fault.MessageOf(err))
	}
	return err // tried again in the next round
}

func (g *gateway) wasSent(ctx context.Context, key string) (sent bool, err error) {
	err = g.k.DB.Read(ctx, func(tx *store.Tx) error {
		var n int64
		err := tx.QueryRow(`SELECT count(*) FROM edge_sent WHERE lane = ? AND key = ?`, g.lane(), key).Scan(&n)
		sent = n > 0
		return err
	})
	return sent, err
}

// message is what a file is sent as; one that is larger than a body is stored, and travels beside the message.
func (g *gateway) message(ctx context.Context, p parcel) (m messaging.Message, err error) {
	m.From = g.own
	if m.To, err = ident.ParseODSCode(p.to); err != nil {
		return m, fault.New(fault.Invalid, "A file goes into outbox/TO/WORKFLOW/, or outbox/TO/WORKFLOW/CONVERSATION/, where TO is an ODS code.")
	}
	for at, text := range map[*string]string{&m.Workflow: p.workflow, &m.Conversation: p.conversation} {
		if *at, err = url.PathUnescape(text); err != nil {
			return m, fault.New(fault.Invalid, "The folder's name %s cannot be read: percent signs stand before two digits.", text)
		}
	}
	f, err := os.Open(p.path)
	if err != nil {
		return m, err
	}
	defer f.Close()
	about, err := f.Stat()
	if err != nil {
		return m, err
	}
	if about.Size() > messaging.MaxBody {
		file, err := g.k.Post().Store(ctx, f, p.name, "application/octet-stream")
		m.Files = []messaging.File{file}
		return m, err
	}
	m.Body, err = io.ReadAll(io.LimitReader(f, messaging.MaxBody+1))
	return m, err
}

// send sends a file: the message and the memory of the file are one commit.
func (g *gateway) send(ctx context.Context, p parcel) error {
	m, err := g.message(ctx, p)
	if err != nil {
		return err
	}
	return g.k.DB.Write(ctx, []store.Lane{g.lane(), g.k.Post().LaneOf(m.From, m.Conversation)}, func(tx *store.Tx) error {
		id, err := g.k.Post().Send(ctx, tx, m)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO edge_sent (lane, key, id, name, told) VALUES (?, ?, ?, ?, 0)`, g.lane(), p.key, id, p.name)
		return err
	})
}

// refuse puts a file that cannot be sent aside, with the reason beside it.
func (g *gateway) refuse(p parcel, why string) error {
	to := g.in(Refused, p.key+"-"+short(p.name))
	if err := write(to+".reason.txt", []byte(why+"\n")); err != nil {
		return err
	}
	if err := os.Rename(p.path, to); err != nil {
		return err
	}
	return errors.Join(settle(g.in(Refused)), os.RemoveAll(g.in(taken, p.key)))
}

// short is a file's name with room for what is put before or behind it.
func short(name string) string {
	if len(name) > nameMost {
		return name[len(name)-nameMost:]
	}
	return name
}

const nameMost = 150

// write puts a file where it is whole or not at all, and durable.
func write(path string, content []byte) error {
	return put(path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

func put(path string, fill func(w io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".*.part")
	if err != nil {
		return err
	}
	err = errors.Join(fill(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return settle(filepath.Dir(path))
}

// receipt is what became of a file that was sent.
type receipt struct {
	ID       string    `json:"id"`
	File     string    `json:"file"`
	To       string    `json:"to"`
	Workflow string    `json:"workflow"`
	State    string    `json:"state"`
	At       time.Time `json:"at"`
	Reason   string    `json:"reason,omitempty"`
}

// mostTold is how many messages one round asks about.
const mostTold = 500

// open is a message of which the last is not told yet.
type open struct {
	key, id, name string
	told          messaging.State
}

// waiting are the next messages to ask about, around and around, so that those behind a dead link hold up no receipts of others.
func (g *gateway) waiting(ctx context.Context) (list []open, err error) {
	err = g.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT key, id, name, told FROM edge_sent WHERE lane = ? AND key > ? ORDER BY key LIMIT ?`, g.lane(), g.last, mostTold)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var o open
			var told int64
			if err := rows.Scan(&o.key, &o.id, &o.name, &told); err != nil {
				return err
			}
			o.told = messaging.State(told) //nolint:gosec // as it was put
			list = append(list, o)
		}
		return rows.Err()
	})
	if g.last = ""; len(list) == mostTold {
		g.last = list[len(list)-1].key
	}
	return list, err
}

// tell writes the receipts that are due.
func (g *gateway) tell(ctx context.Context) error {
	list, err := g.waiting(ctx)
	if err != nil {
		return err
	}
	for _, o := range list {
		items, err := g.k.Post().ByID(ctx, o.id)
		if err != nil {
			return err
		}
		if len(items) == 0 || items[0].State == o.told {
			continue
		}
		it := items[0]
		steps, err := g.k.Post().Timeline(ctx, it.Ref)
		if err != nil {
			return err
		}
		r := receipt{ID: o.id, File: o.name, To: it.Message.To.String(), Workflow: it.Workflow, State: it.State.String(), At: it.At}
		for _, s := range steps {
			r.At, r.Reason = s.At, cmp.Or(s.Reason, r.Reason)
		}
		text, err := json.MarshalIndent(r, "", "\t")
		if err != nil {
			return err
		}
		if err := write(g.in(Receipts, short(o.name)+"."+o.id+".json"), append(text, '\n')); err != nil {
			return err
		}
		if err := g.told(ctx, o.key, it.State); err != nil {
			return err
		}
	}
	return nil
}

// told remembers which state a receipt says; of a final one nothing more is to be remembered.
func (g *gateway) told(ctx context.Context, key string, s messaging.State) error {
	return g.k.DB.Write(ctx, []store.Lane{g.lane()}, func(tx *store.Tx) error {
		if s.Final() {
			_, err := tx.Exec(`DELETE FROM edge_sent WHERE lane = ? AND key = ?`, g.lane(), key)
			return err
		}
		_, err := tx.Exec(`UPDATE edge_sent SET told = ? WHERE lane = ? AND key = ?`, int64(s), g.lane(), key)
		return err
	})
}
