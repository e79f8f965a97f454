package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/openspine/openspine/store"
)

// piece is what one archive holds of one lane, with how far it stands for the database.
type piece struct {
	row            archiveRow
	known          bool // the archive is in the list of archives
	first, last    int64
	firstBatch, to int64 // batches
	gone           int64
}

func readPieces(tx *store.Tx, lane store.Lane) ([]piece, error) {
	rows, err := tx.Query(`SELECT r.archive, r.first_seq, r.last_seq, r.first_batch, r.last_batch, r.gone, coalesce(a.name, ''), a.digest, coalesce(a.first_at, 0), coalesce(a.last_at, 0)
		FROM audit_archived r LEFT JOIN audit_archive a ON a.lane = 0 AND a.id = r.archive WHERE r.lane = ? ORDER BY r.archive`, int64(lane))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []piece
	for rows.Next() {
		var p piece
		if err := rows.Scan(&p.row.id, &p.first, &p.last, &p.firstBatch, &p.to, &p.gone, &p.row.name, &p.row.digest, &p.row.firstAt, &p.row.lastAt); err != nil {
			return nil, err
		}
		p.known = p.row.name != ""
		list = append(list, p)
	}
	return list, rows.Err()
}

// blockCache reads blocks for a run of Verify and remembers those read last, and what was found wrong with files.
type blockCache struct {
	log    *Log
	opened map[int64]*openedArchive
	recent []recentBlock
	told   map[string]bool
}

type openedArchive struct {
	f   *os.File
	a   *archiveFile
	err error
}

type recentBlock struct {
	archive int64
	n       int
	k       *block
	sound   bool
	err     error
}

func (c *blockCache) close() {
	for _, o := range c.opened {
		if o.f != nil {
			_ = o.f.Close() // it was only read
		}
	}
}

func (c *blockCache) open(row archiveRow) *openedArchive {
	o := c.opened[row.id]
	if o == nil {
		o = &openedArchive{}
		o.f, o.a, o.err = c.log.openArchive(row)
		if c.opened == nil {
			c.opened = map[int64]*openedArchive{}
		}
		c.opened[row.id] = o
	}
	return o
}

func (c *blockCache) block(o *openedArchive, archive int64, n int) recentBlock {
	for _, r := range c.recent {
		if r.archive == archive && r.n == n {
			return r
		}
	}
	r := recentBlock{archive: archive, n: n}
	r.k, r.sound, r.err = o.a.block(o.f, n, c.log.unzip)
	c.recent = append(c.recent, r)
	if len(c.recent) > 3 {
		c.recent = slices.Delete(c.recent, 0, 1)
	}
	return r
}

// once reports whether key is asked about for the first time.
func (c *blockCache) once(key string) bool {
	if c.told[key] {
		return false
	}
	if c.told == nil {
		c.told = map[string]bool{}
	}
	c.told[key] = true
	return true
}

// checkArchives finds archives that are missing or whose index is another, and files that are none.
func (v *verifier) checkArchives(ctx context.Context) error {
	list, err := v.log.archives(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, row := range list {
		v.report.Archives++
		known[row.name] = true
		v.archive(row)
	}
	entries, err := os.ReadDir(v.log.archiveDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !known[e.Name()] {
			v.report.Strays = append(v.report.Strays, e.Name())
		}
	}
	return err
}

// archive opens an archive, or tells, once, that it cannot be read and gives nil.
func (v *verifier) archive(row archiveRow) *openedArchive {
	o := v.blocks.open(row)
	if o.err == nil {
		return o
	}
	if v.blocks.once(fmt.Sprint("file ", row.id)) {
		what := "it was changed: it is not the file that the database knows; its entries cannot be checked"
		if errors.Is(o.err, fs.ErrNotExist) {
			what = "it is missing: its entries cannot be checked"
		} else if errors.Is(o.err, fs.ErrPermission) {
			what = "it may not be read: its entries cannot be checked"
		}
		v.report.find(Finding{Kind: FileBad, File: row.name, What: what})
	}
	return nil
}

// eachBlock calls fn with the blocks of the lane that reach over any of first..last, and excuses what cannot be read.
func (p *laneCheck) eachBlock(pieces []piece, first, last int64, fn func(k *block, gone int64)) {
	for _, c := range pieces {
		if c.last < first || c.first > last {
			continue
		}
		var o *openedArchive
		if !c.known {
			if p.blocks.once(fmt.Sprint("row ", c.row.id)) {
				p.report.find(Finding{Kind: FileBad, File: fmt.Sprintf("archive %d", c.row.id), What: "it was taken from the list of archives: its entries cannot be checked"})
			}
		} else {
			o = p.archive(c.row)
		}
		if o == nil {
			p.excuse(sealedBatch{c.firstBatch, c.first, c.last, c.to})
			continue
		}
		for n, h := range o.a.blocks {
			if h.lane != p.lane || h.last < first || h.first > last {
				continue
			}
			r := p.blocks.block(o, c.row.id, n)
			if (!r.sound || r.err != nil) && p.blocks.once(fmt.Sprint("block ", c.row.id, " ", n)) {
				p.report.find(Finding{Kind: FileBad, File: c.row.name, What: fmt.Sprintf("it was changed where it holds the entries %d to %d of lane %d", h.first, h.last, p.lane)})
			}
			if r.err != nil {
				p.excuse(sealedBatch{h.from, h.first, h.last, h.to})
				continue
			}
			fn(r.k, c.gone)
		}
	}
}

func (p *laneCheck) excuse(s sealedBatch) {
	if !slices.Contains(p.excused, s) {
		p.excused = append(p.excused, s)
	}
}

func (p *laneCheck) excusedBatch(batch int64) bool {
	return slices.ContainsFunc(p.excused, func(s sealedBatch) bool { return s.batch <= batch && batch <= s.leaf })
}

// passOver goes on behind what cannot be looked at.
func (p *laneCheck) passOver() {
	for again := true; again; {
		again = false
		for _, s := range p.excused {
			if s.first <= p.done+1 && p.done < s.last {
				p.done, again = s.last, true
			}
		}
	}
}

// seals are the lane's seal rows, in order, those of archives among them.
func (p *laneCheck) seals(ctx context.Context) (list []sealRow, err error) {
	err = p.log.db.ReadNow(ctx, func(tx *store.Tx) (err error) {
		if p.pieces, err = readPieces(tx, p.lane); err != nil {
			return err
		}
		list, err = readSeals(tx, p.lane)
		return err
	})
	if err != nil {
		return nil, err
	}
	inRows := map[int64]bool{}
	for _, s := range list {
		inRows[s.batch] = true
	}
	p.eachBlock(p.pieces, -1<<62, 1<<62, func(k *block, _ int64) {
		for _, s := range k.spans {
			if !inRows[s.batch] {
				list = append(list, sealRow{batch: s.batch, first: s.first, last: s.last, leaf: s.leaf, archived: true})
			}
		}
	})
	slices.SortFunc(list, func(a, b sealRow) int { return int(a.batch - b.batch) })
	return list, nil
}

// rows are the lane's entries from first to last, wherever each is. A row of the database whose place is in an archive is told of
// and left out.
func (p *laneCheck) rows(ctx context.Context, first, last int64) (entries []Entry, err error) {
	var online []Entry
	err = p.log.db.ReadNow(ctx, func(tx *store.Tx) (err error) {
		if p.pieces, err = readPieces(tx, p.lane); err != nil {
			return err
		}
		online, err = readRows(tx, p.lane, first, last)
		return err
	})
	if err != nil {
		return nil, err
	}
	gone := int64(-1 << 62)
	for _, c := range p.pieces {
		if c.gone > 0 {
			gone = max(gone, c.gone)
		}
	}
	p.eachBlock(p.pieces, first, min(last, gone), func(k *block, to int64) {
		for i, seq := range k.seqs {
			if seq >= first && seq <= last && seq <= to {
				entries = append(entries, k.entry(i))
			}
		}
	})
	for _, e := range online {
		if e.Seq > gone {
			entries = append(entries, e)
		} else if !p.intruders[e.Seq] {
			p.intruders[e.Seq] = true
			p.report.find(Finding{Kind: Inserted, Lane: int32(p.lane), Row: true, Seq: e.Seq, At: e.At, What: "it is in the database, and its place is in an archive"})
		}
	}
	return entries, nil
}

// find reports a finding, with the archive that it is in.
func (p *laneCheck) find(f Finding) {
	for _, c := range p.pieces {
		if f.Row && f.Seq >= c.first && f.Seq <= min(c.last, c.gone) || !f.Row && f.Batch >= c.firstBatch && f.Batch <= c.to && c.gone >= c.last {
			f.File = strings.TrimSpace(c.row.name)
		}
	}
	p.report.find(f)
}

// inArchives is how many of the sequences from first to last are read from archives.
func (p *laneCheck) inArchives(first, last int64) (n int64) {
	for _, c := range p.pieces {
		n += max(0, min(last, c.last, c.gone)-max(first, c.first)+1)
	}
	return n
}
