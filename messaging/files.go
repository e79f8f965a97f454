package messaging

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// chunksAtOnce is how many chunks of a file (Options.Chunk) one commit writes: a file of any size takes little memory and holds nobody up.
const chunksAtOnce = 2

// MaxFile bounds a file.
const MaxFile = 16 << 30

// files are kept in the lane of their id.
func (p *Post) fileLane(id string) store.Lane { return p.db.LaneOf("", id) }

// Store keeps what r holds, to go beside a message: read in chunks, never whole in memory, kept once however often it is stored. When it returns the file
// is durable. One that no message takes along within a week is dropped. Errors: those of r; fault.TooLarge.
func (p *Post) Store(ctx context.Context, r io.Reader, name, mime string) (File, error) {
	id, err := p.newID(p.clock.Now())
	if err != nil {
		return File{}, err
	}
	if err := p.newFile(ctx, id, nil, 0); err != nil {
		return File{}, err
	}
	sum := sha256.New()
	size, err := p.fill(ctx, id, 0, r, sum, MaxFile)
	if err != nil {
		return File{}, errors.Join(err, p.dropFile(context.WithoutCancel(ctx), id))
	}
	f := File{Size: size, Name: name, Type: mime}
	copy(f.Hash[:], sum.Sum(nil))
	return f, p.whole(ctx, id, f)
}

func (p *Post) newFile(ctx context.Context, id string, hash []byte, size int64) error {
	return p.db.Write(ctx, []store.Lane{p.fileLane(id)}, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO post_file (lane, file, hash, size, whole, at, used) VALUES (?, ?, ?, ?, 0, ?, ?)`, p.fileLane(id), id, nonNil(hash), size, tx.At(), tx.At())
		return err
	})
}

// fill appends what r holds to a file that has its chunks up to from, and returns the size that it has then.
func (p *Post) fill(ctx context.Context, id string, from int64, r io.Reader, sum hash.Hash, most int64) (int64, error) {
	chunk := p.o.Chunk
	buf := make([]byte, chunksAtOnce*chunk)
	for num := from; ; num += chunksAtOnce {
		n, end, err := readChunk(r, buf)
		size := num*chunk + int64(n)
		if size > most {
			return 0, fault.New(fault.TooLarge, "The file is larger than the %d bytes that it may have.", most)
		}
		if err != nil {
			n -= n % int(chunk) // what is whole is kept, to go on from
		}
		_, _ = sum.Write(buf[:n]) // a hash never fails
		if werr := p.append(ctx, id, num, buf[:n]); werr != nil {
			return 0, werr
		}
		if err != nil {
			return 0, err
		}
		if end {
			return size, nil
		}
	}
}

// append writes chunks of a file from num on.
func (p *Post) append(ctx context.Context, id string, num int64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	lane, chunk := p.fileLane(id), p.o.Chunk
	return p.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		for i := int64(0); i*chunk < int64(len(b)); i++ {
			if err := tx.Queue(`INSERT INTO post_chunk (lane, file, num, data) VALUES (?, ?, ?, ?)`, lane, id, num+i, b[i*chunk:min((i+1)*chunk, int64(len(b)))]); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`UPDATE post_file SET used = ? WHERE lane = ? AND file = ?`, tx.At(), lane, id)
		return err
	})
}

// readChunk fills buf, or as much of it as there is before the end.
func readChunk(r io.Reader, buf []byte) (n int, end bool, err error) {
	for n < len(buf) {
		k, err := r.Read(buf[n:])
		n += k
		if errors.Is(err, io.EOF) {
			return n, true, nil
		}
		if err != nil {
			return n, false, fault.Wrap(err, fault.Unavailable, "the file broke off")
		}
	}
	return n, false, nil
}

// whole makes a file one that can be found by its hash; if there is one with that hash already, this one is dropped.
func (p *Post) whole(ctx context.Context, id string, f File) error {
	known := false
	err := p.db.Write(ctx, []store.Lane{p.fileLane(id)}, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE post_file SET used = ? WHERE hash = ? AND whole = 1`, tx.At(), f.Hash[:])
		if known = n > 0 && !p.o.Seams.KeepTwice; known || err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE post_file SET hash = ?, size = ?, whole = 1, used = ? WHERE lane = ? AND file = ?`, f.Hash[:], f.Size, tx.At(), p.fileLane(id), id)
		return err
	})
	if err != nil || !known {
		return err
	}
	return p.dropFile(ctx, id)
}

// dropFile takes a file away, some chunks at a time.
func (p *Post) dropFile(ctx context.Context, id string) error {
	lane := p.fileLane(id)
	for more := true; more; {
		err := p.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
			n, err := tx.Exec(`DELETE FROM post_chunk WHERE lane = ? AND file = ? AND num IN (SELECT num FROM post_chunk WHERE lane = ? AND file = ? ORDER BY num LIMIT 16)`, lane, id, lane, id)
			if more = n > 0; more || err != nil {
				return err
			}
			_, err = tx.Exec(`DELETE FROM post_file WHERE lane = ? AND file = ?`, lane, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// useFiles sees to it that the files of a message are here.
func useFiles(tx *store.Tx, files []File) error {
	for i := range files {
		n, err := tx.Exec(`UPDATE post_file SET used = ? WHERE hash = ? AND whole = 1 AND size = ?`, tx.At(), files[i].Hash[:], files[i].Size)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "A file of the message is not stored here: store it first (Post.Store).")
		}
	}
	return nil
}

// Keep keeps files for good that are whole here, whether messages need them or not. The keeper names what they are kept for; lane is one that tx holds. Keeping again changes nothing.
// Error: fault.Conflict when one is not here.
func (p *Post) Keep(tx *store.Tx, lane store.Lane, keeper string, files ...File) error {
	if err := useFiles(tx, files); err != nil {
		return err
	}
	for i := range files {
		if err := tx.Queue(`INSERT INTO post_keep (lane, hash, keeper) VALUES (?, ?, ?) ON CONFLICT (lane, hash, keeper) DO NOTHING`, lane, files[i].Hash[:], keeper); err != nil {
			return err
		}
	}
	return nil
}

// attach notes which files a message needs, so that they are kept and its recipient may fetch them.
func (l *letter) attach(tx *store.Tx) error {
	for i := range l.Files {
		if err := tx.Queue(`INSERT INTO post_attach (lane, queue, num, hash) VALUES (?, ?, ?, ?) ON CONFLICT (lane, queue, num, hash) DO NOTHING`, l.lane, l.queue, l.num, l.Files[i].Hash[:]); err != nil {
			return err
		}
	}
	return nil
}

// lacksFiles reports whether a file of a message is not here yet.
func (t *turn) lacksFiles(l *letter) (bool, error) {
	if l.source == 0 || t.p.o.Seams.NoFiles {
		return false, nil
	}
	for i := range l.Files {
		if _, err := fileBy(t.tx, &l.Files[i]); err != nil {
			if fault.Is(err, fault.NotFound) {
				t.p.ringAfter(t.tx, Work{Queue: l.queue, Lane: l.lane, Fetch: true})
				return true, nil
			}
			return false, err
		}
	}
	return false, nil
}

// fetchOn sees to it that the files of a message that is passed on are fetched, if they are not here.
func (p *Post) fetchOn(tx *store.Tx, q queue, l *letter) error {
	t := turn{p: p, ctx: tx.Context(), tx: tx, q: q, lane: l.lane, at: tx.At(), now: p.clock.Now()}
	lacks, err := t.lacksFiles(l)
	if err != nil || !lacks {
		return err
	}
	return t.hold(l, fetching, 0, t.now, "its files are on their way")
}

// fileBy is the id of a file that is here whole.
func fileBy(tx *store.Tx, f *File) (id string, err error) {
	err = tx.QueryRow(`SELECT file FROM post_file WHERE hash = ? AND whole = 1`, f.Hash[:]).Scan(&id)
	return id, err
}

// Open opens a file that is here whole, for reading at any place. Errors: fault.NotFound.
func (p *Post) Open(ctx context.Context, f File) (io.ReadSeeker, error) {
	r := &fileReader{ctx: ctx, p: p, have: -1}
	err := p.db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT file, size FROM post_file WHERE hash = ? AND whole = 1`, f.Hash[:]).Scan(&r.id, &r.size)
	})
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "The file is not kept here.")
	}
	return r, err
}

// fileReader reads a file chunk by chunk.
type fileReader struct {
	ctx      context.Context
	p        *Post
	id       string
	size, at int64
	have     int64 // the number of the chunk at hand; -1 for none
	chunk    []byte
}

// Read is io.Reader's.
func (r *fileReader) Read(b []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	if num := r.at / r.p.o.Chunk; num != r.have {
		err := r.p.db.Read(r.ctx, func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT data FROM post_chunk WHERE lane = ? AND file = ? AND num = ?`, r.p.fileLane(r.id), r.id, num).Scan(&r.chunk)
		})
		if err != nil {
			return 0, err
		}
		r.have = num
	}
	n := copy(b, r.chunk[min(r.at%r.p.o.Chunk, int64(len(r.chunk))):])
	if n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	r.at += int64(n)
	return n, nil
}

// Seek is io.Seeker's.
func (r *fileReader) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += r.at
	case io.SeekEnd:
		off += r.size
	}
	if off < 0 {
		return 0, fault.New(fault.Invalid, "a place before the beginning")
	}
	r.at = off
	return off, nil
}

// serveFile hands a file, or a range of it, to a peer to which a message goes that needs it.
func (p *Post) serveFile(w http.ResponseWriter, r *http.Request) {
	peer, ok := network.PeerFrom(r.Context())
	sum, err := hex.DecodeString(r.PathValue("hash"))
	if !ok || err != nil || len(sum) != sha256.Size {
		refuse(w, fault.New(fault.NotFound, "there is no such file"))
		return
	}
	var f File
	copy(f.Hash[:], sum)
	var coming int64 // messages for which it is being fetched
	err = p.db.Read(r.Context(), func(tx *store.Tx) error {
		var needed int64
		err := tx.QueryRow(`SELECT count(*), coalesce(sum(CASE WHEN h.why = ? AND h.tries < ? THEN 1 ELSE 0 END), 0) FROM post_attach a JOIN post_queue q ON q.lane = 0 AND q.queue = a.queue
			LEFT JOIN post_held h ON h.lane = a.lane AND h.queue = a.queue AND h.num = a.num WHERE a.hash = ? AND q.kind = ? AND q.name = ?`, int64(fetching), fetchTries, sum, kindNode, peer.Node.String()).Scan(&needed, &coming)
		if err == nil && needed == 0 {
			err = fault.New(fault.NotFound, "there is no such file for you")
		}
		return err
	})
	var body io.ReadSeeker
	if err == nil {
		body, err = p.Open(r.Context(), f)
		switch {
		case fault.Is(err, fault.NotFound) && coming > 0:
			err = fault.New(fault.Unavailable, "the file is on its way here")
		case fault.Is(err, fault.NotFound): // of a message of days that a restore has lost, known from its recipient; or nobody before us has it
			err = fault.New(fault.NotFound, "the file is here no more")
		}
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, body)
}

// fetchTries is how often a file is asked for of a node that has not got it, until it is not expected any more.
const fetchTries = 8

// fetchesAtOnce is how many messages one turn fetches files for.
const fetchesAtOnce = 8

// turnFetch fetches the files that messages of a queue wait for.
func (p *Post) turnFetch(ctx context.Context, w Work) (more bool, err error) {
	var due []letter
	var q queue
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		if q, err = p.queue(tx, w.Queue); err != nil {
			return err
		}
		due, err = letters(tx, false, 0, `SELECT `+letterColumns+` FROM post_message m JOIN post_held h ON h.lane = m.lane AND h.queue = m.queue AND h.num = m.num
			WHERE h.lane = ? AND h.queue = ? AND h.why = ? AND h.due > 0 AND (h.due <= ? OR h.due > ?) ORDER BY h.due LIMIT ?`,
			w.Lane, w.Queue, int64(fetching), p.clock.Now(), p.beyond(p.clock.Now()), fetchesAtOnce)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	for i := range due {
		if err == nil {
			err = p.fetched(ctx, q, &due[i], p.fetchAll(ctx, &due[i]))
		}
	}
	return len(due) == fetchesAtOnce, err
}

// fetchAll fetches what a message lacks from the node that it came from.
func (p *Post) fetchAll(ctx context.Context, l *letter) error {
	var src source
	err := p.db.Read(ctx, func(tx *store.Tx) (err error) {
		src, err = sourceAt(tx, l.source)
		return err
	})
	for i := range l.Files {
		if err == nil {
			err = p.fetch(ctx, src.peer, l.Files[i])
		}
	}
	return err
}

// fetched writes down how fetching went: the message goes on, or is tried again, or parked when what came was not what was promised.
func (p *Post) fetched(ctx context.Context, q queue, l *letter, cause error) error {
	lanes := []store.Lane{l.lane}
	return p.writeAll(ctx, lanes, func(tx *store.Tx) error {
		var tries int
		err := tx.QueryRow(`SELECT tries FROM post_held WHERE lane = ? AND queue = ? AND num = ? AND why = ?`, l.lane, l.queue, l.num, int64(fetching)).Scan(&tries)
		if fault.Is(err, fault.NotFound) {
			return nil // a person has decided
		}
		if err != nil {
			return err
		}
		now, err := letterAt(tx, l.lane, l.queue, l.num)
		if err != nil {
			return err
		}
		t := turn{p: p, ctx: tx.Context(), tx: tx, q: q, lane: l.lane, at: tx.At(), now: p.clock.Now()}
		switch k := fault.KindOf(cause); {
		case q.to.Kind == kindNode && (cause == nil || now.state.Final()): // it needs no further turn here
			_, err = tx.Exec(`DELETE FROM post_held WHERE lane = ? AND queue = ? AND num = ?`, l.lane, l.queue, l.num)
			return err
		case cause == nil:
			p.ringAfter(tx, Work{Queue: l.queue, Lane: l.lane})
			return t.hold(l, retrying, 0, t.now, "its files are here")
		case k == fault.NotFound || k == fault.Unprocessable || k == fault.TooLarge:
			// What was passed on is for its recipient's node to park: we go on asking, and say there that the file is not to be had.
			if tries++; tries >= fetchTries && q.to.Kind != kindNode {
				if h := p.handlers[now.Workflow]; h != nil && h.Compares && k == fault.NotFound {
					t.end(now, Abandoned, "a restore of its sender has lost a file of it; both ends compare what they know", "")
					if err := t.close(); err != nil {
						return err
					}
					return p.release(tx, now, fetching)
				}
				if err := t.hold(l, parked, tries, time.Time{}, fault.MessageOf(cause)); err != nil {
					return err
				}
				return t.park(now, fault.MessageOf(cause))
			}
			return t.hold(l, fetching, tries, t.now.Add(p.backoff(tries)), fault.MessageOf(cause))
		}
		return t.hold(l, fetching, tries, t.now.Add(p.backoff(1)), fault.MessageOf(cause))
	})
}

// fetch fetches one file from a peer, going on where an earlier try ended.
func (p *Post) fetch(ctx context.Context, peer network.NodeID, f File) error {
	if f.Size > MaxFile {
		return fault.New(fault.TooLarge, "the file is larger than a file may be")
	}
	p.mu.Lock()
	busy := p.fetching[f.Hash]
	p.fetching[f.Hash] = true
	p.mu.Unlock()
	if busy {
		return fault.New(fault.Unavailable, "the file is being fetched")
	}
	defer func() {
		p.mu.Lock()
		delete(p.fetching, f.Hash)
		p.mu.Unlock()
	}()
	id, sum, chunks, err := p.begun(ctx, f)
	if err != nil || id == "" {
		return err
	}
	if chunks*p.o.Chunk < f.Size {
		if err := p.receive(ctx, peer, f, id, chunks, sum); err != nil {
			return err
		}
	}
	if !bytes.Equal(sum.Sum(nil), f.Hash[:]) {
		return errors.Join(fault.New(fault.Unprocessable, "the file that came is not the one that was promised"), p.dropFile(ctx, id))
	}
	return p.whole(ctx, id, f)
}

// begun finds what is here of a file, and hashes it; an id of "" means that all of it is here.
func (p *Post) begun(ctx context.Context, f File) (id string, sum hash.Hash, chunks int64, err error) {
	whole := false
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(`SELECT file, whole FROM post_file WHERE hash = ? ORDER BY whole DESC, file LIMIT 1`, f.Hash[:]).Scan(&id, &whole)
		if fault.Is(err, fault.NotFound) {
			id = ""
			return nil
		}
		return err
	})
	if err != nil || whole {
		return "", nil, 0, err
	}
	sum = sha256.New()
	if id == "" {
		if id, err = p.newID(p.clock.Now()); err != nil {
			return "", nil, 0, err
		}
		return id, sum, 0, p.newFile(ctx, id, f.Hash[:], f.Size)
	}
	for ; ; chunks++ {
		var chunk []byte
		err = p.db.Read(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT data FROM post_chunk WHERE lane = ? AND file = ? AND num = ?`, p.fileLane(id), id, chunks).Scan(&chunk)
		})
		if fault.Is(err, fault.NotFound) {
			return id, sum, chunks, nil
		}
		if err != nil {
			return "", nil, 0, err
		}
		_, _ = sum.Write(chunk) // a hash never fails
	}
}

// receive asks for the rest of a file.
func (p *Post) receive(ctx context.Context, peer network.NodeID, f File, id string, chunks int64, sum hash.Hash) error {
	if p.o.Carrier == nil {
		return fault.New(fault.Unavailable, "this node has no links to others")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, pathFiles+hex.EncodeToString(f.Hash[:]), nil)
	if err != nil {
		return err
	}
	want := http.StatusOK
	if chunks > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", chunks*p.o.Chunk))
		want = http.StatusPartialContent
	}
	answer, err := p.o.Carrier.Do(ctx, peer, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != want {
		return fault.New(kindOfStatus(answer.StatusCode), "the node %s answers %d when asked for a file", peer, answer.StatusCode)
	}
	size, err := p.fill(ctx, id, chunks, io.LimitReader(answer.Body, f.Size-chunks*p.o.Chunk), sum, f.Size)
	if err != nil {
		return err
	}
	if size != f.Size {
		return p.cutShort(ctx, id, size)
	}
	return nil
}

// cutShort takes the last chunk of a file away if it is not a full one, so that the rest can follow.
func (p *Post) cutShort(ctx context.Context, id string, size int64) error {
	lane := p.fileLane(id)
	if size%p.o.Chunk != 0 {
		if err := p.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM post_chunk WHERE lane = ? AND file = ? AND num = ?`, lane, id, size/p.o.Chunk)
			return err
		}); err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable, "the file broke off")
}
