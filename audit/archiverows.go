package audit

import (
	"context"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// archiveRow is a row of audit_archive.
type archiveRow struct {
	id, entries, size, firstAt, lastAt int64
	name                               string
	digest                             []byte
	moved                              bool
	gone                               map[store.Lane]int64 // while it is not moved: see goneTo
}

// goneTo is up to which sequence of a lane the entries of this archive are read from it.
func (r archiveRow) goneTo(lane store.Lane) int64 {
	if r.moved {
		return 1<<63 - 1
	}
	return r.gone[lane]
}

// readArchives are all archives, the oldest first, each with how far it stands for the database in tx.
func readArchives(tx *store.Tx) ([]archiveRow, error) {
	rows, err := tx.Query(`SELECT id, name, entries, size, first_at, last_at, digest, moved FROM audit_archive WHERE lane = 0 ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []archiveRow
	for rows.Next() {
		var r archiveRow
		var moved int64
		if err := rows.Scan(&r.id, &r.name, &r.entries, &r.size, &r.firstAt, &r.lastAt, &r.digest, &moved); err != nil {
			return nil, err
		}
		r.moved = moved == 1
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].moved {
			continue
		}
		if list[i].gone, err = readGone(tx, list[i].id); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func readGone(tx *store.Tx, archive int64) (map[store.Lane]int64, error) {
	rows, err := tx.Query(`SELECT lane, gone FROM audit_archived WHERE archive = ?`, archive)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	gone := map[store.Lane]int64{}
	for rows.Next() {
		var lane, to int64
		if err := rows.Scan(&lane, &to); err != nil {
			return nil, err
		}
		gone[store.Lane(lane)] = to
	}
	return gone, rows.Err()
}

func (l *Log) archives(ctx context.Context) (list []archiveRow, err error) {
	err = l.db.ReadNow(ctx, func(tx *store.Tx) (err error) {
		list, err = readArchives(tx)
		return err
	})
	return list, err
}

// laneTail is where the archives of a lane end.
type laneTail struct {
	lane        store.Lane
	batch, last int64
	at          time.Time // of the last entry that was written into the file
}

// laneTails are the lanes whose next batch ended before an instant, how many of the others have a seal that is not the log's, and
// the first instant of the month in which the earliest of those batches ended.
func (l *Log) laneTails(ctx context.Context, leaves *leafCache, before time.Time) (tails []laneTail, held int, month time.Time, err error) {
	err = l.db.ReadNow(ctx, func(tx *store.Tx) error {
		tails, held, month = nil, 0, time.Time{}
		lanes, err := lanesOf(tx, "audit_seal")
		if err != nil {
			return err
		}
		for _, lane := range lanes {
			t, err := tailOfArchives(tx, lane)
			if err != nil {
				return err
			}
			next, err := sealsAfter(tx, lane, t.batch)
			if err != nil {
				return err
			}
			if len(next) == 0 {
				continue
			}
			ended, err := endOf(tx, lane, t.last, next[0].last, before.Add(-time.Microsecond))
			if err != nil {
				return err
			}
			if !ended.Before(before) {
				continue
			}
			if next[0].batch != t.batch+1 || !leaves.holds(ctx, lane, next[0]) {
				held++
				continue
			}
			tails = append(tails, t)
			if first := FirstKept(ended, 0); month.IsZero() || first.Before(month) {
				month = first
			}
		}
		return nil
	})
	return tails, held, month, err
}

func tailOfArchives(tx *store.Tx, lane store.Lane) (laneTail, error) {
	t := laneTail{lane: lane}
	err := tx.QueryRow(`SELECT last_batch, last_seq FROM audit_archived WHERE lane = ? ORDER BY archive DESC LIMIT 1`, int64(lane)).Scan(&t.batch, &t.last)
	if fault.Is(err, fault.NotFound) {
		err = nil
	}
	return t, err
}

// endOf is the instant of the last row after one sequence and up to another, or otherwise when somebody took them all.
func endOf(tx *store.Tx, lane store.Lane, after, last int64, otherwise time.Time) (time.Time, error) {
	var at int64
	err := tx.QueryRow(`SELECT at FROM audit_entry WHERE lane = ? AND seq > ? AND seq <= ? ORDER BY seq DESC LIMIT 1`, int64(lane), after, last).Scan(&at)
	if fault.Is(err, fault.NotFound) {
		return otherwise, nil
	}
	return microTime(at), err
}

// sealsAtOnce and rowsAtOnce bound what archiving reads at once.
const (
	sealsAtOnce = 512
	rowsAtOnce  = 2 * maxBatch
)

// sealsAfter are the next seal rows of a lane, of some thousand entries.
func sealsAfter(tx *store.Tx, lane store.Lane, batch int64) ([]sealRow, error) {
	rows, err := tx.Query(`SELECT batch, first_seq, last_seq, leaf, root FROM audit_seal WHERE lane = ? AND batch > ? ORDER BY batch LIMIT ?`, int64(lane), batch, sealsAtOnce)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list, err := scanSeals(rows)
	for i, s := range list {
		if i > 0 && s.last-list[0].first >= rowsAtOnce {
			return list[:i], err
		}
	}
	return list, err
}

// register makes a file known, in one commit. From then on it is read for what is no longer in the database, which is nothing yet.
func (l *Log) register(ctx context.Context, row archiveRow, o *outcome) error {
	return l.db.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO audit_archive (lane, id, name, entries, size, first_at, last_at, digest, moved) VALUES (0, ?, ?, ?, ?, ?, ?, ?, 0)`,
			row.id, row.name, row.entries, row.size, row.firstAt, row.lastAt, row.digest); err != nil {
			return err
		}
		for i := 0; i < len(o.w.blocks); {
			lane := o.w.blocks[i]
			entries := 0
			for ; i < len(o.w.blocks) && o.w.blocks[i].lane == lane.lane; i++ {
				lane.last, lane.to, entries = o.w.blocks[i].last, o.w.blocks[i].to, entries+o.w.blocks[i].entries
			}
			if err := tx.Queue(`INSERT INTO audit_archived (lane, archive, first_seq, last_seq, first_batch, last_batch, entries, gone) VALUES (?, ?, ?, ?, ?, ?, ?, 0)`,
				int64(lane.lane), row.id, lane.first, lane.last, lane.from, lane.to, entries); err != nil {
				return err
			}
		}
		return nil
	})
}

// finishMoves takes out of the database what registered files hold.
func (l *Log) finishMoves(ctx context.Context, done *Archived) error {
	list, err := l.archives(ctx)
	if err != nil {
		return err
	}
	for _, row := range list {
		if row.moved {
			continue
		}
		if err := l.move(ctx, row, done); err != nil {
			return err
		}
		if err := l.db.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE audit_archive SET moved = 1 WHERE lane = 0 AND id = ?`, row.id)
			return err
		}); err != nil {
			return err
		}
		if err := l.step("moved"); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) move(ctx context.Context, row archiveRow, done *Archived) error {
	f, a, err := l.openArchive(row)
	if err != nil {
		return err
	}
	defer f.Close()
	for n, h := range a.blocks {
		if h.last <= row.gone[h.lane] {
			continue
		}
		k, sound, err := a.block(f, n, l.unzip)
		if err != nil || !sound {
			return row.fault("was changed", err)
		}
		for from, i := 0, 0; from < len(k.spans); {
			to, begin := from, i
			for ; to < len(k.spans) && (to == from || i-begin < l.sizes.moved); to++ {
				for i < len(k.seqs) && k.seqs[i] <= k.spans[to].last {
					i++
				}
			}
			if k.spans[to-1].last > row.gone[h.lane] {
				if err := l.takeOut(ctx, row, h.lane, k.spans[from:to], k.seqs[begin:i]); err != nil {
					return err
				}
				done.Entries += int64(i - begin)
				if err := l.step("taken out"); err != nil {
					return err
				}
			}
			from = to
		}
	}
	return nil
}

// takeOut deletes some batches with their seals and notes that the archive stands for them, in one commit. Only rows that the archive
// holds are deleted; the newest seal of a lane stays, for the next is numbered after it.
func (l *Log) takeOut(ctx context.Context, row archiveRow, lane store.Lane, batches []sealedBatch, seqs []int64) error {
	return l.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		for i := 0; i < len(seqs); {
			first := i
			for i++; i < len(seqs) && seqs[i] == seqs[i-1]+1; i++ {
			}
			if err := tx.Queue(`DELETE FROM audit_entry WHERE lane = ? AND seq >= ? AND seq <= ?`, int64(lane), seqs[first], seqs[i-1]); err != nil {
				return err
			}
		}
		if err := tx.Queue(`DELETE FROM audit_seal WHERE lane = ? AND batch >= ? AND batch <= ? AND batch < (SELECT max(batch) FROM audit_seal WHERE lane = ?)`,
			int64(lane), batches[0].batch, batches[len(batches)-1].batch, int64(lane)); err != nil {
			return err
		}
		return tx.Queue(`UPDATE audit_archived SET gone = ? WHERE lane = ? AND archive = ?`, batches[len(batches)-1].last, int64(lane), row.id)
	})
}

// Kept says where the entries are.
type Kept struct {
	Online   int64 // in the database
	Archived int64 // in archives
	Archives int64 // files
	Bytes    int64 // of the files
}

// Kept counts the entries, in a few steps for each lane.
func (l *Log) Kept(ctx context.Context) (k Kept, err error) {
	err = l.db.ReadNow(ctx, func(tx *store.Tx) error {
		k = Kept{}
		lanes, err := lanesOf(tx, "audit_entry")
		if err != nil {
			return err
		}
		for _, lane := range lanes {
			var n int64
			if err := tx.QueryRow(`SELECT (SELECT max(seq) FROM audit_entry WHERE lane = ?) - (SELECT min(seq) FROM audit_entry WHERE lane = ?) + 1`, int64(lane), int64(lane)).Scan(&n); err != nil {
				return err
			}
			k.Online += n
		}
		list, err := readArchives(tx)
		if err != nil {
			return err
		}
		for _, r := range list {
			k.Archives, k.Archived, k.Bytes = k.Archives+1, k.Archived+r.entries, k.Bytes+r.size
			if r.moved {
				continue
			}
			waiting, err := waitingIn(tx, r.id)
			if err != nil {
				return err
			}
			k.Archived -= waiting
		}
		return nil
	})
	return k, err
}

// waitingIn is how many entries of an archive are still in the database.
func waitingIn(tx *store.Tx, archive int64) (n int64, err error) {
	err = tx.QueryRow(`SELECT CAST(coalesce(sum(CASE WHEN gone < first_seq THEN entries ELSE last_seq - gone END), 0) AS BIGINT) FROM audit_archived WHERE archive = ? AND gone < last_seq`, archive).Scan(&n)
	return n, err
}
