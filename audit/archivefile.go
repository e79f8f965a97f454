package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// An archive file is:
//
//	"openspine account archive 1\n"
//	the sections of each block, one after another
//	zstd( the actors; the acts; for each block its lane, place, lengths, SHA-256 and what it reaches over )
//	the length of that index (8 bytes) and its SHA-256, which the database keeps too
const archiveMagic = "openspine account archive 1\n"

// archiveTail is the length of what follows the index.
const archiveTail = 8 + sha256.Size

// blockHead is what the index says of a block.
type blockHead struct {
	lane            store.Lane
	offset          int64
	lengths         [sections]int64
	sum             [sha256.Size]byte
	entries         int
	first, last     int64 // sequences that it covers
	from, to        int64 // batches
	firstAt, lastAt int64 // earliest and latest instant
}

func (h blockHead) size() (n int64) {
	for _, l := range h.lengths {
		n += l
	}
	return n
}

// archiveWriter writes one file. Blocks are written as they fill, so that its memory does not grow with the file.
type archiveWriter struct {
	f      *os.File
	out    *bufio.Writer
	at     int64
	z      *zstd.Encoder
	actors index[actorWords]
	acts   index[actWords]
	blocks []blockHead
	draft  *draft
	digest digester
	most   int // entries of a block
}

// index numbers what it is given.
type index[T comparable] struct {
	numbers map[T]int
	list    []T
}

func (x *index[T]) of(v T) int {
	n, ok := x.numbers[v]
	if !ok {
		if x.numbers == nil {
			x.numbers = map[T]int{}
		}
		n = len(x.list)
		x.numbers[v], x.list = n, append(x.list, v)
	}
	return n
}

func newArchiveWriter(f *os.File, k keys, most int) (*archiveWriter, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, err
	}
	w := &archiveWriter{f: f, out: bufio.NewWriterSize(f, 1<<18), z: z, digest: newDigester(k), most: most}
	return w, w.put([]byte(archiveMagic))
}

func (w *archiveWriter) put(b []byte) error {
	n, err := w.out.Write(b)
	w.at += int64(n)
	return err
}

func (w *archiveWriter) entries() (n int) {
	for _, b := range w.blocks {
		n += b.entries
	}
	if w.draft != nil {
		n += len(w.draft.entries)
	}
	return n
}

// batch adds a sealed batch and the rows that stand for it.
func (w *archiveWriter) batch(lane store.Lane, s sealedBatch, rows []Entry) error {
	if w.draft != nil && (w.draft.lane != lane || len(w.draft.entries)+len(rows) > w.most) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.draft == nil {
		w.draft = &draft{lane: lane}
	}
	d := w.draft
	d.spans = append(d.spans, s)
	for i := range rows {
		e := &rows[i]
		d.entries = append(d.entries, *e)
		d.actors = append(d.actors, w.actors.of(actorWords{actor: e.Actor, role: e.Role, name: e.ActorName, organisation: e.Organisation}))
		d.acts = append(d.acts, w.acts.of(actWords{action: e.Action, purpose: e.Purpose, basis: e.Basis, outcome: e.Outcome}))
		w.digest.add(lane, e)
	}
	return nil
}

// flush writes the block in the making.
func (w *archiveWriter) flush() error {
	d := w.draft
	if d == nil {
		return nil
	}
	w.draft = nil
	h := blockHead{lane: d.lane, offset: w.at, entries: len(d.entries), from: d.spans[0].batch, to: d.spans[len(d.spans)-1].batch,
		first: d.spans[0].first, last: d.spans[len(d.spans)-1].last}
	for i := range d.entries {
		at := d.entries[i].At.UnixMicro()
		if i == 0 {
			h.firstAt, h.lastAt = at, at
		}
		h.firstAt, h.lastAt, h.first = min(h.firstAt, at), max(h.lastAt, at), min(h.first, d.entries[i].Seq)
	}
	sum := sha256.New()
	for i, section := range d.seal(w.z) {
		h.lengths[i] = int64(len(section))
		sum.Write(section) // a hash never fails
		if err := w.put(section); err != nil {
			return err
		}
	}
	sum.Sum(h.sum[:0])
	w.blocks = append(w.blocks, h)
	return nil
}

// finish writes the index and makes the file durable. It returns the index's SHA-256 and that of what was written, by entry.
func (w *archiveWriter) finish() (digest, entries []byte, err error) {
	if err := w.flush(); err != nil {
		return nil, nil, err
	}
	packed := w.z.EncodeAll(w.index(), nil)
	sum := sha256.Sum256(packed)
	if err := w.put(packed); err != nil {
		return nil, nil, err
	}
	tail := binary.BigEndian.AppendUint64(nil, uint64(len(packed)))
	if err := w.put(append(tail, sum[:]...)); err != nil {
		return nil, nil, err
	}
	return sum[:], w.digest.sum(), errors.Join(w.out.Flush(), w.f.Sync())
}

func (w *archiveWriter) index() []byte {
	b := binary.AppendUvarint(nil, uint64(len(w.actors.list)))
	for _, a := range w.actors.list {
		b = putText(putText(putText(putText(b, a.actor), a.organisation.String()), a.role), a.name)
	}
	b = binary.AppendUvarint(b, uint64(len(w.acts.list)))
	for _, a := range w.acts.list {
		b = putText(putText(putText(putText(b, a.action), a.purpose), a.basis), a.outcome)
	}
	b = binary.AppendUvarint(b, uint64(len(w.blocks)))
	for _, h := range w.blocks {
		for _, n := range []int64{int64(h.lane), h.offset, h.lengths[0], h.lengths[1], h.lengths[2], h.lengths[3], int64(h.entries), h.first, h.last - h.first, h.from, h.to - h.from, h.firstAt, h.lastAt - h.firstAt} {
			b = binary.AppendVarint(b, n)
		}
		b = append(b, h.sum[:]...)
	}
	return b
}

// archiveFile is the index of an archive file.
type archiveFile struct {
	digest []byte
	actors []actorWords
	acts   []actWords
	blocks []blockHead
}

// errArchive is what a file that is no archive is.
var errArchive = fault.New(fault.Unprocessable, "it is no archive of the account, or it was changed")

// readArchive reads the index of an archive file of size bytes.
func readArchive(r io.ReaderAt, size int64, z *zstd.Decoder) (*archiveFile, error) {
	tail := make([]byte, archiveTail)
	magic := make([]byte, len(archiveMagic))
	if size < int64(len(archiveMagic)+archiveTail) {
		return nil, errArchive
	}
	if err := errors.Join(readAt(r, magic, 0), readAt(r, tail, size-archiveTail)); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint64(tail)
	if string(magic) != archiveMagic || length > uint64(size-int64(len(archiveMagic)+archiveTail)) {
		return nil, errArchive
	}
	packed := make([]byte, length)
	if err := readAt(r, packed, size-archiveTail-int64(length)); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(packed)
	if !bytes.Equal(sum[:], tail[8:]) {
		return nil, errArchive
	}
	b, err := z.DecodeAll(packed, nil)
	if err != nil {
		return nil, errArchive
	}
	return parseIndex(b, sum[:], size-archiveTail-int64(length))
}

// parseIndex reads an index; blocks end at end.
func parseIndex(b, digest []byte, end int64) (*archiveFile, error) {
	f := &archiveFile{digest: digest}
	r := reading{b: b}
	for range r.length(len(r.b)) {
		if r.bad {
			return nil, errArchive
		}
		a := actorWords{actor: r.text()}
		organisation, err := code(r.text())
		if err != nil {
			return nil, errArchive
		}
		a.organisation, a.role, a.name = organisation, r.text(), r.text()
		f.actors = append(f.actors, a)
	}
	for range r.length(len(r.b)) {
		if r.bad {
			return nil, errArchive
		}
		f.acts = append(f.acts, actWords{r.text(), r.text(), r.text(), r.text()})
	}
	for range r.length(len(r.b)) {
		var n [13]int64
		for i := range n {
			n[i] = r.varint()
		}
		h := blockHead{lane: store.Lane(n[0]), offset: n[1], lengths: [sections]int64(n[2:6]), entries: int(n[6]), first: n[7], last: n[7] + n[8], from: n[9], to: n[9] + n[10], firstAt: n[11], lastAt: n[11] + n[12]}
		if r.bad || len(r.b) < sha256.Size || n[0] < 0 || n[0] > 1<<30 || n[6] < 0 || n[6] > maxSection || n[8] < 0 || n[10] < 0 || n[12] < 0 || h.lengths[sectionFilter]%filterLine != 0 || h.lengths[sectionIDs]%16 != 0 {
			return nil, errArchive
		}
		for _, l := range h.lengths {
			if l < 0 || l > maxSection {
				return nil, errArchive
			}
		}
		if h.offset < int64(len(archiveMagic)) || h.offset > end || h.size() > end-h.offset {
			return nil, errArchive
		}
		h.sum = [sha256.Size]byte(r.b)
		r.b = r.b[sha256.Size:]
		f.blocks = append(f.blocks, h)
	}
	if r.bad || len(r.b) != 0 {
		return nil, errArchive
	}
	return f, nil
}

// readAt fills b, or says that the file cannot be read: fault.Unavailable.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	if _, err := r.ReadAt(b, offset); err != nil {
		return fault.Wrap(err, fault.Unavailable, "an archive of the account cannot be read")
	}
	return nil
}

// block reads the n-th block; sound says whether it is what the index says. A block that is not sound may still be legible.
func (f *archiveFile) block(r io.ReaderAt, n int, z *zstd.Decoder) (k *block, sound bool, err error) {
	h := f.blocks[n]
	b := make([]byte, h.size())
	if err := readAt(r, b, h.offset); err != nil {
		return nil, false, err
	}
	sound = sha256.Sum256(b) == h.sum
	k = &block{lane: h.lane, actors: f.actors, acts: f.acts}
	section := func(i int) []byte {
		part := b[:h.lengths[i]]
		b = b[h.lengths[i]:]
		return part
	}
	charts, columns := section(sectionCharts), section(sectionColumns)
	k.uuids = section(sectionIDs)
	if k.charts, err = readCharts(z, charts); err != nil {
		return nil, sound, err
	}
	return k, sound, k.readColumns(z, columns, h.entries)
}

// mayHold reports whether the n-th block may hold any of charts, by its filter.
func (f *archiveFile) mayHold(r io.ReaderAt, n int, charts []Chart) (bool, error) {
	h := f.blocks[n]
	size := int(h.lengths[sectionFilter])
	if size == 0 {
		return true, nil
	}
	from := h.offset + h.size() - h.lengths[sectionFilter]
	line := make([]byte, filterLine)
	for _, c := range charts {
		at, bits := filterPlace(c, size)
		if err := readAt(r, line, from+int64(at)); err != nil {
			return false, err
		}
		if inFilter(line, bits) {
			return true, nil
		}
	}
	return false, nil
}

func newArchiveDecoder() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSection))
}

// digester is a running hash over entries in their places, to compare what was read with what was written.
type digester struct {
	keys    keys
	sealers map[store.Lane]*sealer
	sofar   []byte
}

func newDigester(k keys) digester { return digester{keys: k, sealers: map[store.Lane]*sealer{}} }

func (d *digester) add(lane store.Lane, e *Entry) {
	s := d.sealers[lane]
	if s == nil {
		s = d.keys.sealer(lane)
		d.sealers[lane] = s
	}
	b := binary.BigEndian.AppendUint64(append([]byte{}, d.sofar...), uint64(e.Seq))
	sum := sha256.Sum256(append(b, s.rowHash(*e)...))
	d.sofar = sum[:]
}

func (d *digester) sum() []byte { return d.sofar }

func microTime(us int64) time.Time { return time.UnixMicro(us).UTC() }
