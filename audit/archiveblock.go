package audit

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// A block holds whole batches of one lane, in four sections:
//
//	charts   zstd: the charts that occur, sorted, each as what it shares with the one before and the rest
//	columns  zstd: one column after another (see draft.columns)
//	ids      the UUIDs of details and requests, 16 bytes each: they do not compress
//	filter   a Bloom filter of the charts, so that a search for one person opens few blocks
const (
	sectionCharts = iota
	sectionColumns
	sectionIDs
	sectionFilter
	sections
)

// maxSection bounds what one section may become when it is read, whatever the file claims.
const maxSection = 64 << 20

// sealedBatch is a sealed batch as an archive keeps it. Its root is in the leaf.
type sealedBatch struct{ batch, first, last, leaf int64 }

// draft is a block in the making. Its texts are numbered: charts and details within the block, actors and acts within the file.
type draft struct {
	lane         store.Lane
	entries      []Entry
	spans        []sealedBatch
	actors, acts []int // of each entry
	charts       map[Chart]int
	details      map[string]int
	ids          []byte
	requests     []byte // a kind for each entry
}

// How an entry's request is kept.
const (
	requestNone = iota
	requestSame // as that of the entry before
	requestUUID // the next of ids
	requestText // the next of the texts
)

// idMark stands in a detail for a UUID that is kept in ids, and rawMark begins a detail that is kept as it is.
const (
	idMark  = "\x01"
	rawMark = "\x02"
)

// seal makes the sections of the block.
func (d *draft) seal(z *zstd.Encoder) [sections][]byte {
	order := d.sortCharts()
	var texts []byte
	previous := Chart{}
	texts = binary.AppendUvarint(texts, uint64(len(order)))
	for _, c := range order {
		shared := 0
		for c.Tenant == previous.Tenant && shared < min(len(c.Chart), len(previous.Chart)) && c.Chart[shared] == previous.Chart[shared] {
			shared++
		}
		texts = putText(texts, c.Tenant.String())
		texts = binary.AppendUvarint(texts, uint64(shared))
		texts = putText(texts, c.Chart[shared:])
		previous = c
	}
	columns := d.columns()
	return [sections][]byte{z.EncodeAll(texts, nil), z.EncodeAll(columns, nil), d.ids, newFilter(order)}
}

func (d *draft) sortCharts() []Chart {
	d.charts = map[Chart]int{}
	for i := range d.entries {
		d.charts[Chart{d.entries[i].Tenant, d.entries[i].Chart}] = 0
	}
	order := make([]Chart, 0, len(d.charts))
	for c := range d.charts {
		order = append(order, c)
	}
	slices.SortFunc(order, func(a, b Chart) int {
		if c := strings.Compare(a.Tenant.String(), b.Tenant.String()); c != 0 {
			return c
		}
		return strings.Compare(a.Chart, b.Chart)
	})
	for i, c := range order {
		d.charts[c] = i
	}
	return order
}

// columns are, each after its length: the batches, and for each entry what its sequence and instant are after the entry before, its
// chart, actor, act, detail and kind of request; then the details and the requests that are no UUIDs.
func (d *draft) columns() []byte {
	var batches, seqs, ats, charts, actors, acts, details, detailTexts, requestTexts []byte
	batches = binary.AppendUvarint(batches, uint64(len(d.spans)))
	var last sealedBatch
	for _, s := range d.spans {
		batches = binary.AppendVarint(batches, s.batch-last.batch)
		batches = binary.AppendVarint(batches, s.first-last.last)
		batches = binary.AppendVarint(batches, s.last-s.first)
		batches = binary.AppendVarint(batches, s.leaf-last.leaf)
		last = s
	}
	d.ids, d.requests, d.details = nil, nil, map[string]int{}
	seq, at, request := int64(0), int64(0), ""
	for i := range d.entries {
		e := &d.entries[i]
		seqs = binary.AppendVarint(seqs, e.Seq-seq)
		ats = binary.AppendVarint(ats, e.At.UnixMicro()-at)
		seq, at = e.Seq, e.At.UnixMicro()
		charts = binary.AppendUvarint(charts, uint64(d.charts[Chart{e.Tenant, e.Chart}]))
		actors = binary.AppendUvarint(actors, uint64(d.actors[i]))
		acts = binary.AppendUvarint(acts, uint64(d.acts[i]))
		pattern := d.takeIDs(e.Detail)
		n, ok := d.details[pattern]
		if !ok {
			n = len(d.details)
			d.details[pattern] = n
			detailTexts = putText(detailTexts, pattern)
		}
		details = binary.AppendUvarint(details, uint64(n))
		kind := byte(requestNone)
		switch packed := packRequest(e.RequestID); {
		case e.RequestID == "":
		case e.RequestID == request:
			kind = requestSame
		case len(packed) == 16:
			kind = requestUUID
			d.ids = append(d.ids, packed...)
		default:
			kind = requestText
			requestTexts = putText(requestTexts, e.RequestID)
		}
		request = e.RequestID
		d.requests = append(d.requests, kind)
	}
	var all []byte
	for _, c := range [][]byte{batches, seqs, ats, charts, actors, acts, details, d.requests, detailTexts, requestTexts} {
		all = binary.AppendUvarint(all, uint64(len(c)))
		all = append(all, c...)
	}
	return all
}

// takeIDs puts the UUIDs of a detail into ids and a mark into their place.
func (d *draft) takeIDs(detail string) string {
	if strings.Contains(detail, idMark) || strings.HasPrefix(detail, rawMark) {
		return rawMark + detail
	}
	var b strings.Builder
	from := 0
	for i := 0; i+36 <= len(detail); {
		if packed := packRequest(detail[i : i+36]); len(packed) == 16 && unpackRequest(packed) == detail[i:i+36] {
			b.WriteString(detail[from:i])
			b.WriteString(idMark)
			d.ids = append(d.ids, packed...)
			i += 36
			from = i
			continue
		}
		i++
	}
	if from == 0 {
		return detail
	}
	b.WriteString(detail[from:])
	return b.String()
}

func putText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A filter is a Bloom filter in lines of 64 bytes: a chart sets filterBits bits of one line, so that asking reads one line.
const (
	filterLine = 64
	filterBits = 6
	perLine    = 51 // charts for each line: ten bits for each
)

func newFilter(charts []Chart) []byte {
	b := make([]byte, filterLine*(1+len(charts)/perLine))
	for _, c := range charts {
		line, bits := filterPlace(c, len(b))
		for _, bit := range bits {
			b[line+bit/8] |= 1 << (bit % 8)
		}
	}
	return b
}

// filterPlace is where a chart's line begins in a filter of size bytes, and its bits in the line.
func filterPlace(c Chart, size int) (line int, bits [filterBits]int) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.Tenant.String() + "\x00" + c.Chart)) // a hash never fails
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	line = int((x*0x9e3779b97f4a7c15)>>32) % max(size/filterLine, 1) * filterLine
	for i := range bits {
		bits[i] = int(x >> (9 * i) % (8 * filterLine))
	}
	return line, bits
}

func inFilter(line []byte, bits [filterBits]int) bool {
	for _, bit := range bits {
		if line[bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
	}
	return true
}

// errBlock is what a block that cannot be read is.
var errBlock = fault.New(fault.Unprocessable, "a block of an archive of the account cannot be read")

// reading takes varints and texts from a section; after the first failure it gives zeros, and bad says so.
type reading struct {
	b   []byte
	bad bool
}

func (r *reading) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reading) varint() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

// length is a number that may not be more than what is left or limit.
func (r *reading) length(limit int) int {
	n := r.uvarint()
	if n > uint64(limit) {
		r.bad, r.b = true, nil
		return 0
	}
	return int(n)
}

func (r *reading) bytes() []byte {
	n := r.length(maxSection)
	if n > len(r.b) {
		r.bad, r.b, n = true, nil, 0
	}
	part := r.b[:n]
	r.b = r.b[n:]
	return part
}

func (r *reading) text() string { return string(r.bytes()) }

// block is a block that was read.
type block struct {
	lane                           store.Lane
	spans                          []sealedBatch
	charts                         []Chart
	actors                         []actorWords
	acts                           []actWords
	seqs, ats                      []int64
	chart, actor, act, detail, ids []uint32
	request                        []int64 // -1 none; below 1<<32 the place of a UUID; otherwise that of a text
	details, requestTexts          []string
	uuids                          []byte
}

// readCharts reads the first section.
func readCharts(z *zstd.Decoder, section []byte) ([]Chart, error) {
	b, err := z.DecodeAll(section, nil)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unprocessable, "%s", errBlock.Error())
	}
	r := reading{b: b}
	n := r.length(len(b))
	charts := make([]Chart, 0, min(n, 1<<14))
	previous := Chart{}
	lastTenant := ""
	for range n {
		tenant := r.text()
		shared := r.length(len(previous.Chart))
		rest := r.text()
		if r.bad {
			break
		}
		c := Chart{Tenant: previous.Tenant, Chart: previous.Chart[:shared] + rest}
		if tenant != lastTenant || len(charts) == 0 {
			if c.Tenant, err = code(tenant); err != nil {
				return nil, fault.Wrap(err, fault.Unprocessable, "%s", errBlock.Error())
			}
			lastTenant = tenant
		}
		charts = append(charts, c)
		previous = c
	}
	if r.bad || len(r.b) != 0 {
		return nil, errBlock
	}
	return charts, nil
}

// readColumns fills the block from the second section; n is how many entries it has.
func (k *block) readColumns(z *zstd.Decoder, section []byte, n int) error {
	b, err := z.DecodeAll(section, nil)
	if err != nil {
		return fault.Wrap(err, fault.Unprocessable, "%s", errBlock.Error())
	}
	all := reading{b: b}
	next := func() *reading { return &reading{b: all.bytes()} }
	batches, seqs, ats, charts, actors, acts, details, requests, detailTexts, requestTexts := next(), next(), next(), next(), next(), next(), next(), next(), next(), next()
	if all.bad || len(all.b) != 0 || n > len(b) {
		return errBlock
	}
	k.readSpans(batches)
	for len(detailTexts.b) > 0 {
		k.details = append(k.details, detailTexts.text())
	}
	for len(requestTexts.b) > 0 {
		k.requestTexts = append(k.requestTexts, requestTexts.text())
	}
	k.seqs, k.ats, k.request = make([]int64, n), make([]int64, n), make([]int64, n)
	k.chart, k.actor, k.act, k.detail, k.ids = make([]uint32, n), make([]uint32, n), make([]uint32, n), make([]uint32, n), make([]uint32, n)
	var seq, at int64
	for i := range n {
		seq, at = seq+seqs.varint(), at+ats.varint()
		k.seqs[i], k.ats[i] = seq, at
		k.chart[i], k.actor[i] = uint32(charts.length(len(k.charts)-1)), uint32(actors.length(len(k.actors)-1))
		k.act[i], k.detail[i] = uint32(acts.length(len(k.acts)-1)), uint32(details.length(len(k.details)-1))
	}
	for _, r := range []*reading{batches, seqs, ats, charts, actors, acts, details, detailTexts, requestTexts} {
		if r.bad || len(r.b) != 0 {
			return errBlock
		}
	}
	if len(requests.b) != n || n > 0 && (len(k.charts) == 0 || len(k.actors) == 0 || len(k.acts) == 0 || len(k.details) == 0) {
		return errBlock
	}
	return k.placeIDs(requests.b)
}

func (k *block) readSpans(r *reading) {
	var last sealedBatch
	for range r.length(len(r.b)) {
		s := sealedBatch{batch: last.batch + r.varint(), first: last.last + r.varint()}
		s.last, s.leaf = s.first+r.varint(), last.leaf+r.varint()
		if r.bad {
			return
		}
		k.spans = append(k.spans, s)
		last = s
	}
}

// placeIDs finds for each entry where its UUIDs are.
func (k *block) placeIDs(kinds []byte) error {
	marks := make([]uint32, len(k.details))
	for i, d := range k.details {
		if !strings.HasPrefix(d, rawMark) {
			marks[i] = uint32(strings.Count(d, idMark))
		}
	}
	id, text, last := uint32(0), int64(0), int64(-1)
	for i, kind := range kinds {
		k.ids[i] = id
		id += marks[k.detail[i]]
		switch kind {
		case requestNone:
			last = -1
		case requestSame:
		case requestUUID:
			last = int64(id)
			id++
		case requestText:
			last = 1<<32 + text
			text++
		default:
			return errBlock
		}
		k.request[i] = last
	}
	if int64(id)*16 != int64(len(k.uuids)) || text != int64(len(k.requestTexts)) {
		return errBlock
	}
	return nil
}

// entry is the i-th entry.
func (k *block) entry(i int) Entry {
	chart, actor, act := k.charts[k.chart[i]], k.actors[k.actor[i]], k.acts[k.act[i]]
	e := Entry{Lane: int32(k.lane), Seq: k.seqs[i], At: microTime(k.ats[i]), Tenant: chart.Tenant, Chart: chart.Chart,
		Actor: actor.actor, Organisation: actor.organisation, Role: actor.role, ActorName: actor.name,
		Action: act.action, Purpose: act.purpose, Basis: act.basis, Outcome: act.outcome}
	id := int(k.ids[i])
	e.Detail = k.details[k.detail[i]]
	switch {
	case strings.HasPrefix(e.Detail, rawMark):
		e.Detail = e.Detail[len(rawMark):]
	case strings.Contains(e.Detail, idMark):
		parts := strings.Split(e.Detail, idMark)
		var b strings.Builder
		for n, part := range parts {
			b.WriteString(part)
			if n+1 < len(parts) {
				b.WriteString(unpackRequest(k.uuids[16*id : 16*id+16]))
				id++
			}
		}
		e.Detail = b.String()
	}
	switch r := k.request[i]; {
	case r >= 1<<32:
		e.RequestID = k.requestTexts[r-1<<32]
	case r >= 0:
		e.RequestID = unpackRequest(bytes.Clone(k.uuids[16*r : 16*r+16]))
	}
	return e
}

// actorWords and actWords are what audit_actor and audit_act hold.
type actorWords struct {
	actor, role, name string
	organisation      ident.ODSCode
}

type actWords struct{ action, purpose, basis, outcome string }
