package audit

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/openspine/openspine/store"
)

// sealRow is a row of audit_seal, or what stands for it in an archive, where the root is left to the leaf.
type sealRow struct {
	batch, first, last, leaf int64
	root                     []byte
	archived                 bool
}

// checkLane checks the seals of a lane against the log, its sealed rows against the leaves, and looks over what is not
// sealed yet. used gets the leaves that belong to the database as it is.
func (v *verifier) checkLane(ctx context.Context, lane store.Lane, used map[uint64]bool) error {
	p := laneCheck{verifier: v, lane: lane, seal: v.log.keys.sealer(lane), intruders: map[int64]bool{}}
	if err := p.findChain(ctx, used); err != nil {
		return err
	}
	v.report.Lanes++
	for i, h := range p.chain {
		used[h.index] = true
		if err := p.batch(ctx, i); err != nil {
			return err
		}
	}
	return p.rest(ctx)
}

// findChain finds the lane's batches in order: those that seal rows and archives name, checked against the log, and those of this
// life of the database that only the log still knows.
func (p *laneCheck) findChain(ctx context.Context, used map[uint64]bool) error {
	rows, err := p.seals(ctx)
	if err != nil {
		return err
	}
	byBatch := map[int64]head{} // the newest leaf of this life for each batch
	elsewhere := map[int64]head{}
	for _, h := range p.heads {
		switch {
		case h.bad || h.lane != p.lane:
		case h.life == p.log.db.Incarnation():
			byBatch[h.batch] = h
		default:
			elsewhere[h.batch] = h
		}
	}
	chain := map[int64]head{}
	last := int64(0)
	for _, s := range rows {
		if s.leaf >= 0 && uint64(s.leaf) >= p.size {
			break // sealed after the checkpoint that is checked here
		}
		h, ok := p.headFor(ctx, p.lane, s)
		if !ok {
			p.find(Finding{Kind: SealBad, Lane: int32(p.lane), Batch: s.batch, What: "its seal row is not what the log holds"})
			if h, ok = byBatch[s.batch]; !ok {
				if h, ok = elsewhere[s.batch]; !ok {
					continue
				}
			}
		}
		chain[s.batch] = h
		last = max(last, s.batch)
	}
	p.missing(chain, byBatch, elsewhere, last, used)
	for _, h := range chain {
		p.chain = append(p.chain, h)
	}
	slices.SortFunc(p.chain, func(a, b head) int { return int(a.first - b.first) })
	return nil
}

// missing puts into the chain what only the log still knows. One batch at the end, whose seal row was not written before a crash or is
// being written at this moment, is no finding: its entries are held to the log like all others.
func (p *laneCheck) missing(chain, byBatch, elsewhere map[int64]head, last int64, used map[uint64]bool) {
	removed := func(batch int64) {
		p.find(Finding{Kind: SealBad, Lane: int32(p.lane), Batch: batch, What: "its seal row was removed"})
	}
	var newest int64
	for batch := range byBatch {
		newest = max(newest, batch)
	}
	for batch, h := range byBatch {
		if _, ok := chain[batch]; ok {
			continue
		}
		if batch == newest && batch == last+1 {
			chain[batch] = h
			continue
		}
		if p.excusedBatch(batch) {
			used[h.index] = true
			continue
		}
		removed(batch)
		chain[batch] = h
	}
	for batch := int64(1); batch < last; batch++ {
		if _, ok := chain[batch]; ok {
			continue
		}
		h, ok := elsewhere[batch]
		if p.excusedBatch(batch) {
			if ok {
				used[h.index] = true
			}
			continue
		}
		removed(batch)
		if ok {
			chain[batch] = h
		}
	}
}

// headFor is the leaf that a seal row names, if row and leaf agree.
func (v *verifier) headFor(ctx context.Context, lane store.Lane, s sealRow) (head, bool) {
	if s.leaf < 0 || uint64(s.leaf) >= uint64(len(v.heads)) {
		return head{}, false
	}
	h := v.heads[s.leaf]
	if h.bad || h.lane != lane || h.batch != s.batch || h.first != s.first || h.last != s.last {
		return head{}, false
	}
	f, err := v.leafCache.at(ctx, h.index)
	return h, err == nil && (s.archived || bytes.Equal(f.root, s.root))
}

func readSeals(tx *store.Tx, lane store.Lane) ([]sealRow, error) {
	rows, err := tx.Query(`SELECT batch, first_seq, last_seq, leaf, root FROM audit_seal WHERE lane = ? ORDER BY batch`, int64(lane))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return scanSeals(rows)
}

func scanSeals(rows *store.Rows) ([]sealRow, error) {
	var list []sealRow
	for rows.Next() {
		var s sealRow
		if err := rows.Scan(&s.batch, &s.first, &s.last, &s.leaf, &s.root); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// laneCheck goes through one lane.
type laneCheck struct {
	*verifier
	lane  store.Lane
	seal  *sealer
	chain []head
	done  int64     // the last sequence looked at
	at    time.Time // of the last row looked at
	moved bool      // a row was inserted or removed, which explains why those after it have other numbers

	pieces    []piece        // what archives hold of the lane
	excused   []sealedBatch  // what cannot be looked at, because its archive cannot be read: batch to leaf, first to last
	intruders map[int64]bool // rows of the database whose place is in an archive
}

type mark = [printSize]byte

// batch compares the rows of chain[i] with its leaf. Rows between the batch before and this one are looked at too.
func (p *laneCheck) batch(ctx context.Context, i int) error {
	h := p.chain[i]
	p.passOver()
	f, err := p.leafCache.at(ctx, h.index)
	if err != nil {
		return err
	}
	from := min(p.done+1, h.first)
	if i == 0 {
		from = -1 << 62
	}
	rows, err := p.rows(ctx, from, h.last)
	if err != nil {
		return err
	}
	p.report.Batches++
	p.report.Entries += h.last - h.first + 1
	p.report.Archived += p.inArchives(h.first, h.last)
	gap := p.done + 1
	p.done = h.last
	if p.intact(f, rows) && h.first == gap {
		p.inOrder(f.batch, rows)
		return nil
	}
	for seq := gap; seq < h.first; seq++ {
		p.find(Finding{Kind: Removed, Lane: int32(p.lane), Row: true, Seq: seq, What: "it was gone before its batch was sealed"})
	}
	if err := p.name(ctx, i, f, rows); err != nil {
		return err
	}
	if len(rows) > 0 {
		p.at = rows[len(rows)-1].At
	}
	return nil
}

// intact reports whether rows are exactly what the leaf seals.
func (p *laneCheck) intact(f leaf, rows []Entry) bool {
	if int64(len(rows)) != f.last-f.first+1 || rows[0].Seq != f.first {
		return false
	}
	again := p.seal.build(f.incarnation, f.batch, rows)
	return bytes.Equal(again.root, f.root) && bytes.Equal(again.prints, f.prints)
}

// inOrder finds rows that were written behind the node's back before their batch was sealed, and claim an earlier instant.
func (p *laneCheck) inOrder(batch int64, rows []Entry) {
	for _, e := range rows {
		if e.At.Before(p.at) {
			p.find(Finding{Kind: BackDated, Lane: int32(p.lane), Row: true, Seq: e.Seq, Batch: batch, At: e.At, What: "its instant is before that of the entry before it, and was so when it was sealed"})
		}
		p.at = maxTime(p.at, e.At)
	}
}

// name says which rows of a batch that is not intact were changed, removed, inserted or back-dated. Rows are known again by
// their marks, also when they were renumbered within the batch or into the one beside it.
func (p *laneCheck) name(ctx context.Context, i int, f leaf, rows []Entry) error {
	sealed, present, err := p.neighbourhood(ctx, i)
	if err != nil {
		return err
	}
	before := len(p.report.Findings)
	bySeq := map[int64]Entry{}
	explained := map[int64]bool{} // sequences whose sealed row is accounted for by a changed one in its place
	for n, e := range rows {
		bySeq[e.Seq] = e
		m := mark(p.seal.rowHash(e))
		if e.Seq >= f.first && m == f.print(e.Seq) {
			continue
		}
		if _, known := sealed[m]; known && e.Seq >= f.first {
			continue // it was sealed under another number: its neighbours were inserted or removed
		}
		finding := Finding{Kind: Inserted, Lane: int32(p.lane), Row: true, Seq: e.Seq, Batch: f.batch, At: e.At, What: "no such entry was sealed"}
		if e.Seq >= f.first && !present[f.print(e.Seq)] {
			explained[e.Seq] = true
			finding.Kind, finding.What = Changed, "it does not say what was sealed"
			if n > 0 && e.At.Before(rows[n-1].At) || n+1 < len(rows) && e.At.After(rows[n+1].At) || n == 0 && e.At.Before(p.at) {
				finding.Kind, finding.What = BackDated, "its instant is not between those of its neighbours, and it does not say what was sealed"
			}
		}
		p.moved = p.moved || finding.Kind == Inserted
		p.find(finding)
	}
	for seq := f.first; seq <= f.last; seq++ {
		if !present[f.print(seq)] && !explained[seq] {
			p.moved = true
			p.find(Finding{Kind: Removed, Lane: int32(p.lane), Row: true, Seq: seq, Batch: f.batch, What: "it was sealed and is gone"})
		}
	}
	if len(p.report.Findings) == before && !p.report.More && !p.moved {
		what := "its rows were renumbered"
		if p.sameMarks(f, bySeq) {
			what = "its root is not that of its rows"
		}
		p.find(Finding{Kind: Changed, Lane: int32(p.lane), Batch: f.batch, What: what})
	}
	return nil
}

func (p *laneCheck) sameMarks(f leaf, bySeq map[int64]Entry) bool {
	for seq := f.first; seq <= f.last; seq++ {
		e, ok := bySeq[seq]
		if !ok || mark(p.seal.rowHash(e)) != f.print(seq) {
			return false
		}
	}
	return true
}

// neighbourhood is what was sealed in chain[i] and the batches beside it, and which marks the rows there now have.
func (p *laneCheck) neighbourhood(ctx context.Context, i int) (sealed map[mark]int64, present map[mark]bool, err error) {
	from, to := max(i-1, 0), min(i+1, len(p.chain)-1)
	sealed, present = map[mark]int64{}, map[mark]bool{}
	for _, h := range p.chain[from : to+1] {
		f, err := p.leafCache.at(ctx, h.index)
		if err != nil {
			return nil, nil, err
		}
		for seq := f.first; seq <= f.last; seq++ {
			sealed[f.print(seq)] = seq
		}
	}
	rows, err := p.rows(ctx, p.chain[from].first, p.chain[to].last+maxBatch)
	for _, e := range rows {
		present[mark(p.seal.rowHash(e))] = true
	}
	return sealed, present, err
}

// rest looks over what is not sealed yet: a gap and an instant out of order can be seen even there.
func (p *laneCheck) rest(ctx context.Context) error {
	p.passOver()
	from := p.done + 1
	if len(p.chain) == 0 {
		from = -1 << 62
	}
	for {
		rows, err := p.rows(ctx, from, max(from, 0)+maxBatch)
		if err != nil {
			return err
		}
		for _, e := range rows {
			switch {
			case e.Seq < 1:
				p.find(Finding{Kind: Inserted, Lane: int32(p.lane), Row: true, Seq: e.Seq, At: e.At, What: "sequences begin at 1"})
				continue
			case e.At.Before(p.at):
				p.find(Finding{Kind: BackDated, Lane: int32(p.lane), Row: true, Seq: e.Seq, At: e.At, What: "its instant is before that of the entry before it; it is not sealed yet"})
			}
			for seq := p.done + 1; seq < e.Seq && seq < p.done+maxFindings; seq++ {
				p.find(Finding{Kind: Removed, Lane: int32(p.lane), Row: true, Seq: seq, What: "it is gone; it was not sealed yet"})
			}
			p.done, p.at = e.Seq, maxTime(p.at, e.At)
			p.report.Unsealed++
		}
		if len(rows) == 0 {
			return nil
		}
		from = rows[len(rows)-1].Seq + 1
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
