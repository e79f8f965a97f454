package mesh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// The book is which mailboxes there are in the country. The national node keeps it: each node tells it of its own mailboxes, and learns of all others,
// so that programs of a node may send to any, look addresses up, and go on with both while the link is down.

// listed is a mailbox as the book has it.
type listed struct {
	ID        string          `json:"mailbox"`
	ODS       ident.ODSCode   `json:"ods"`
	Name      string          `json:"name"`
	Owner     string          `json:"owner"`
	State     State           `json:"state"`
	Bound     bool            `json:"bound,omitempty"`
	Workflows []WorkflowRight `json:"workflows,omitempty"`
}

func (b *Mailbox) listed() listed {
	return listed{b.ID, b.ODS, b.Name, b.Owner, b.State, b.Bound, b.Workflows}
}

// telling is what a node tells the national one: its own mailboxes, and which edition of the book it has.
type telling struct {
	Own  []listed `json:"own"`
	Have string   `json:"have"`
}

// bookPage is the book, or only its edition when that is the one that the node has; Refused says why a mailbox of the node is not in it, by its id.
type bookPage struct {
	Edition string            `json:"edition"`
	All     []listed          `json:"all,omitempty"`
	Refused map[string]string `json:"refused,omitempty"`
}

// book is what of it is kept in memory.
type book struct {
	mu      sync.Mutex
	changes int64             // how often a mailbox has changed since the start
	page    *bookPage         // of the national node, until something changes
	told    map[string]string // what nodes told of themselves last, as a hash, by node
	have    string            // the edition that this node has learnt
}

const (
	pathBook   = "/mesh/book"
	bookEvery  = 15 * time.Second
	bookWithin = 5 * time.Second // for one exchange, with which a program may be kept waiting
	bookMost   = 64 << 20        // bytes, of a book
	tellMost   = 8 << 20         // bytes, of a node's own mailboxes
)

// national reports whether this node keeps the book.
func (o *Office) national() bool { return o.ours(o.k.National) }

// ours reports whether an organisation is kept by this node.
func (o *Office) ours(org ident.ODSCode) bool {
	for _, t := range o.k.Tenants {
		if t.Code == org {
			return true
		}
	}
	return false
}

// changed forgets the book that was put together, for a mailbox has changed.
func (o *Office) changed() {
	o.book.mu.Lock()
	defer o.book.mu.Unlock()
	o.book.changes++
	o.book.page = nil
}

// openBook serves the book to other nodes, or has it fetched whenever the link comes up.
func (o *Office) openBook() {
	o.book.told = map[string]string{}
	if o.national() {
		o.k.Network.Handle("POST "+pathBook, http.HandlerFunc(o.serveBook))
		return
	}
	o.k.Network.Up(func(network.NodeID) {
		if err := o.learnJob(context.Background()); err != nil {
			o.k.Logger.Warn("which mailboxes there are could not be learnt; it will be tried again", "cause", err)
		}
	})
}

// learnJob is LearnBook by the clock; a link that is down is no failure of it.
func (o *Office) learnJob(ctx context.Context) error {
	if err := o.LearnBook(ctx); !fault.Is(err, fault.Unavailable) {
		return err
	}
	return nil
}

// LearnBook tells the national node of this node's mailboxes and learns of all others. It does nothing on the national node, which is told.
// Errors: fault.Unavailable while that node is not reached.
func (o *Office) LearnBook(ctx context.Context) error {
	if o.national() {
		return nil
	}
	to, err := o.k.Network.Route(o.k.National)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bookWithin)
	defer cancel()
	all, err := o.Mailboxes(ctx)
	if err != nil {
		return err
	}
	o.book.mu.Lock()
	t := telling{Own: []listed{}, Have: o.book.have}
	o.book.mu.Unlock()
	for i := range all {
		if !all[i].Elsewhere && all[i].State != Closed {
			t.Own = append(t.Own, all[i].listed())
		}
	}
	page, err := o.askBook(ctx, to, t)
	if err != nil {
		return err
	}
	for id, why := range page.Refused {
		o.k.Logger.Warn("a mailbox of this node is not in the national book: no other node can send to it", "mailbox", id, "reason", why)
	}
	if page.Edition == t.Have {
		return nil
	}
	if err := o.keepBook(ctx, page.All, func(b *Mailbox) bool { return !o.ours(b.ODS) }); err != nil {
		return err
	}
	o.book.mu.Lock()
	defer o.book.mu.Unlock()
	o.book.have = page.Edition
	return nil
}

func (o *Office) askBook(ctx context.Context, to network.NodeID, t telling) (page bookPage, err error) {
	text, err := json.Marshal(t)
	if err != nil {
		return page, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, pathBook, bytes.NewReader(text))
	if err != nil {
		return page, err
	}
	resp, err := o.k.Network.Do(ctx, to, r)
	if err != nil {
		return page, err
	}
	if err := network.FaultOf(resp); err != nil {
		return page, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, bookMost)).Decode(&page)
	return page, fault.Wrap(err, fault.Unavailable, "the book of mailboxes was cut short")
}

// serveBook takes in what a node tells of its mailboxes, and answers with the book.
func (o *Office) serveBook(w http.ResponseWriter, r *http.Request) {
	page, err := o.told(r)
	var text []byte
	if err == nil {
		text, err = json.Marshal(page)
	}
	if err != nil {
		network.Refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(text); err != nil {
		o.k.Logger.Debug("the book of mailboxes was cut short", "cause", err)
	}
}

func (o *Office) told(r *http.Request) (page bookPage, err error) {
	ctx := r.Context()
	peer, ok := network.PeerFrom(ctx)
	if !ok {
		return page, fault.New(fault.Unauthenticated, "a question over no link")
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, tellMost+1))
	if err != nil {
		return page, fault.Wrap(err, fault.Invalid, "what was told ended early")
	}
	if len(text) > tellMost {
		return page, fault.New(fault.TooLarge, "a node tells of its mailboxes in %d bytes at most", tellMost)
	}
	var t telling
	if err := json.Unmarshal(text, &t); err != nil {
		return page, fault.Wrap(err, fault.Invalid, "what was told of mailboxes is not understood")
	}
	refused, err := o.hear(ctx, peer, t.Own)
	if err != nil {
		return page, err
	}
	all, err := o.wholeBook(ctx)
	if err != nil {
		return page, err
	}
	page = bookPage{Edition: all.Edition, Refused: refused}
	if t.Have != all.Edition {
		page.All = all.All
	}
	return page, nil
}

// hear enters what a node tells of its own mailboxes. Those that it may not have are refused, each for itself.
func (o *Office) hear(ctx context.Context, peer network.Peer, own []listed) (refused map[string]string, err error) {
	text, err := json.Marshal(own)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	hash, node := hex.EncodeToString(sum[:]), peer.Node.String()
	o.book.mu.Lock()
	same := o.book.told[node] == hash
	o.book.mu.Unlock()
	if same {
		return nil, nil
	}
	refused = map[string]string{}
	var good []listed
	for _, l := range own {
		b := l.mailbox(time.Time{})
		switch known, err := o.Mailbox(ctx, l.ID); {
		case b.check() != nil || l.State < Open || l.State > Closed:
			refused[clip(l.ID, 16)] = "it is no sound mailbox"
		case !peer.Speaks(l.ODS) || o.ours(l.ODS):
			refused[l.ID] = "the node does not speak for its organisation"
		case fault.Is(err, fault.NotFound), err == nil && known.ODS == l.ODS && known.Elsewhere:
			good = append(good, l)
		case err != nil:
			return nil, err
		default:
			refused[l.ID] = "another organisation has a mailbox of this name"
		}
	}
	if err := o.keepBook(ctx, good, func(b *Mailbox) bool { return peer.Speaks(b.ODS) && !o.ours(b.ODS) }); err != nil {
		return nil, err
	}
	if len(refused) == 0 {
		o.book.mu.Lock()
		defer o.book.mu.Unlock()
		o.book.told[node] = hash
	}
	return refused, nil
}

// mailbox is what the book says, as a mailbox elsewhere.
func (l listed) mailbox(at time.Time) Mailbox {
	return Mailbox{ID: l.ID, ODS: l.ODS, Name: l.Name, Owner: l.Owner, State: l.State, Bound: l.Bound, Workflows: l.Workflows, Elsewhere: true, Learnt: true, At: at}
}

// keepBook makes what was learnt of the mailboxes that about says be as a list has it: those that are not in it are closed. What a person has entered stays.
func (o *Office) keepBook(ctx context.Context, list []listed, about func(*Mailbox) bool) error {
	wrote := false
	err := o.k.DB.Write(ctx, []store.Lane{boxLane}, func(tx *store.Tx) error {
		wrote = false
		all, err := readMailboxes(tx, `1 = 1`)
		if err != nil {
			return err
		}
		known := make(map[string]*Mailbox, len(all))
		for i := range all {
			known[all[i].ID] = &all[i]
		}
		for _, l := range list {
			b, old := l.mailbox(tx.At()), known[l.ID]
			delete(known, l.ID)
			if !about(&b) || b.check() != nil || old != nil && (!old.Learnt || sameListed(old.listed(), l)) {
				continue
			}
			wrote = true
			if err := putMailbox(tx, &b); err != nil {
				return err
			}
		}
		for _, b := range known {
			if !b.Learnt || b.State == Closed || !about(b) {
				continue
			}
			wrote = true
			b.State = Closed
			if err := putMailbox(tx, b); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && wrote {
		o.changed()
	}
	return err
}

func sameListed(a, b listed) bool {
	if len(a.Workflows) == 0 && len(b.Workflows) == 0 {
		a.Workflows, b.Workflows = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// wholeBook is every mailbox that is known here and not closed, with an edition that says when two books are the same.
func (o *Office) wholeBook(ctx context.Context) (*bookPage, error) {
	o.book.mu.Lock()
	page, changes := o.book.page, o.book.changes
	o.book.mu.Unlock()
	if page != nil {
		return page, nil
	}
	all, err := o.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	page = &bookPage{}
	for i := range all {
		if all[i].State != Closed {
			page.All = append(page.All, all[i].listed())
		}
	}
	slices.SortFunc(page.All, func(a, b listed) int { return strings.Compare(a.ID, b.ID) })
	text, err := json.Marshal(page.All)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	page.Edition = hex.EncodeToString(sum[:16])
	o.book.mu.Lock()
	defer o.book.mu.Unlock()
	if o.book.changes == changes {
		o.book.page = page
	}
	return page, nil
}
