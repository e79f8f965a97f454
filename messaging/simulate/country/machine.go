package country

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storefault"
)

// Machine is a node's: its clock, its disk, its chance, and what runs on it while it has power.
type Machine struct {
	Name   string
	ID     network.NodeID
	Own    []ident.ODSCode // whose post it keeps
	Rng    *rand.Rand
	Secret *rand.ChaCha8 // where ids come from
	Clock  *clock.Fake
	Disk   *storefault.Disk
	Pages  int          // after how many the database writes its log back
	Start  func() error // puts what runs there on DB, and sets Post and Handler
	Stop   func()       // before DB is closed; nil for nothing

	DB      *store.DB
	Post    *messaging.Post
	Handler http.Handler
	Up      bool
	Down    int  // steps until it comes back
	Lost    bool // was ever restored

	c        *Country
	fullTill int
	backups  [][]byte
}

// NewMachine is a machine without power, among those of the country. Seed decides its chance, and how its clock is wrong.
func (c *Country) NewMachine(name string, seed uint64, start time.Time) (*Machine, error) {
	disk, err := storefault.New(seed)
	if err != nil {
		return nil, err
	}
	m := Bare(name, seed, start)
	m.c, m.Disk = c, disk
	m.Clock.Advance(time.Duration(seed%5) * time.Minute) //nolint:gosec // small
	c.Machines = append(c.Machines, m)
	return m, nil
}

// Bare is a machine of no country, without a disk.
func Bare(name string, seed uint64, start time.Time) *Machine {
	var key [32]byte
	copy(key[:], fmt.Sprintf("%s %d", name, seed))
	return &Machine{Name: name, ID: network.MustNodeID(name), Rng: rand.New(rand.NewPCG(seed, 7)), //nolint:gosec // a simulation's chance
		Secret: rand.NewChaCha8(key), Clock: clock.NewFake(start), Pages: 20}
}

// Path is where its database lies on its disk.
func (m *Machine) Path() string { return filepath.Join("/", m.Name+".db") }

// Open brings the machine up on what its disk holds. While there are faults it may die again at once.
func (m *Machine) Open() error {
	m.Disk.PowerOn()
	if m.fullTill == 0 {
		m.Disk.SetQuota(0)
	}
	db, err := store.Open(m.c.Ctx, m.Path(), store.Options{VFS: m.Disk.VFS(), Clock: m.Clock, Rand: m.Secret, CheckpointPages: m.Pages, MoveInTurn: true})
	if err == nil {
		m.DB = db
		err = m.Start()
	}
	if err == nil {
		m.Up = true
		m.linked()
		return nil
	}
	if k := fault.KindOf(err); m.c.Calm || !m.Disk.Dark() && k != fault.Full && k != fault.Unavailable {
		return err
	}
	m.Die() // the disk is full, or the power went again
	return nil
}

// linked tells those who have a line to it that it is there again, as links do.
func (m *Machine) linked() {
	hub := m.c.Machines[0]
	for _, o := range m.c.Machines {
		if o != m && o.Up && (m == hub || o == hub) {
			o.Post.Reached(m.ID)
		}
	}
}

func (m *Machine) stop() (err error) {
	if m.Stop != nil {
		m.Stop()
	}
	if m.DB != nil {
		err = m.DB.Close()
	}
	m.DB, m.Up = nil, false
	return err
}

// Die is what a loss of power does.
func (m *Machine) Die() {
	m.c.Faults.Crashes++
	m.Disk.CutPower()
	_ = m.stop() // without power it cannot
	m.Down = 1 + m.c.Rng.IntN(8)
	m.c.Say("%s loses power", m.Name)
}

// Return is a step of a machine that is down: true once it comes back.
func (m *Machine) Return() (bool, error) {
	if m.Down--; m.Down > 0 {
		return false, nil
	}
	m.c.Say("%s comes back", m.Name)
	return true, m.Open()
}

// Fill fills the disk, but for so many bytes, for some steps.
func (m *Machine) Fill(left, steps int) {
	m.c.Faults.FullDisks++
	m.fullTill = m.c.Step + steps
	m.Disk.SetQuota(m.Disk.Used() + int64(left))
	m.c.Say("%s has a full disk", m.Name)
}

// Full reports whether the disk was filled.
func (m *Machine) Full() bool { return m.fullTill > 0 }

// Turn turns one thing that the post has to do.
func (m *Machine) Turn() {
	list, err := m.Post.Pending(m.c.Ctx)
	if err != nil || len(list) == 0 {
		return
	}
	w := list[m.c.Rng.IntN(len(list))]
	_, err = m.Post.Turn(m.c.Ctx, w)
	m.c.Say("%s works on %s %x: %v", m.Name, w.Peer, w.Queue, err == nil)
}

// Drain turns everything that the post has to do now.
func (m *Machine) Drain() (did bool, err error) {
	for range 1000 {
		list, err := m.Post.Pending(m.c.Ctx)
		if err != nil || len(list) == 0 {
			return did, err
		}
		for _, w := range list {
			if _, err := m.Post.Turn(m.c.Ctx, w); err != nil && !fault.Is(err, fault.Unavailable) {
				return did, fmt.Errorf("%s: %w", m.Name, err)
			}
			did = did || !w.Fetch // a file that is to be had makes other work
		}
	}
	return did, fmt.Errorf("%s never has nothing to do", m.Name)
}

// Backup keeps a copy of the database.
func (m *Machine) Backup() {
	var b bytes.Buffer
	if err := m.DB.Backup(m.c.Ctx, &b); err != nil {
		return
	}
	if len(m.backups) == 3 {
		m.backups = m.backups[1:]
	}
	m.backups = append(m.backups, b.Bytes())
	m.c.Say("%s is backed up", m.Name)
}

// DropBackups throws the copies away.
func (m *Machine) DropBackups() { m.backups = nil }

// Restore puts an old copy in the place of the database.
func (m *Machine) Restore() (err error) {
	if len(m.backups) == 0 {
		return nil
	}
	from := m.backups[m.c.Rng.IntN(len(m.backups))]
	if err := m.stop(); err != nil || m.Disk.Dark() {
		m.Die()
		return nil // the power went as it closed
	}
	dir, err := os.MkdirTemp(memory(), "openspine-simulate-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	place := filepath.Join(dir, "restored.db")
	if err := store.Restore(m.c.Ctx, bytes.NewReader(from), place, store.Options{Clock: m.Clock, Rand: m.Secret}); err != nil {
		return err
	}
	holds, err := os.ReadFile(place)
	if err != nil {
		return err
	}
	m.Disk.Put(m.Path(), holds)
	m.Disk.Remove(m.Path() + "-wal")
	m.Lost = true
	m.c.Faults.Restores++
	m.c.Say("%s is restored from a backup", m.Name)
	return m.Open()
}

// Hopeless reports whether a message that is passed on lacks a file that nobody before it has any more either.
func Hopeless(it messaging.Item) bool {
	return it.Held.Why == "fetching" && it.To.Kind == "node" && it.Held.Tries >= 8
}

// Expects reports whether a file is on its way here, or it is still to be seen that it is not.
func (m *Machine) Expects() bool {
	list, _, err := m.Post.Held(m.c.Ctx, messaging.Worklist{Limit: 500})
	return err == nil && slices.ContainsFunc(list, func(it messaging.Item) bool { return it.Held.Why == "fetching" && !Hopeless(it) })
}
