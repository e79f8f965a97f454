package record

import "github.com/openspine/openspine/store"

// noteMove keeps whose chart the versions before next were written in, for a resource that changes charts.
func noteMove(tx *store.Tx, was, next *row) error {
	return tx.Queue(`INSERT INTO record_move (lane, rid, ver, chart, came_lane, came_seq) VALUES (?, ?, ?, ?, ?, ?)`,
		next.lane, next.rid, next.ver, was.chart, was.lane, was.seq)
}

// leave takes a resource out of the lane that it was in: a last version there says so to whoever watches that lane, its
// row and index rows go, and its history stays where it was written.
func (r *Records) leave(tx *store.Tx, d *Draft, was, next *row, by author) error {
	seq, err := tx.Seq(was.lane)
	if err != nil {
		return err
	}
	left := *was
	left.seq, left.ver, left.op, left.at = seq, next.ver, Left, next.at
	if err := r.putVersion(tx, &Draft{dict: plain, packed: []byte{}}, &left, was.seq, by); err != nil {
		return err
	}
	if err := tx.Queue(`DELETE FROM record_resource WHERE lane = ? AND rid = ?`, was.lane, was.rid); err != nil {
		return err
	}
	if err := tx.Queue(`INSERT INTO record_left (lane, rid, id, chart) VALUES (?, ?, ?, ?)`, was.lane, was.rid, was.id, was.chart); err != nil {
		return err
	}
	if err := dropRows(tx, was.lane, was.rid, d.wasRows); err != nil {
		return err
	}
	next.rid = next.seq
	if err := noteMove(tx, was, next); err != nil {
		return err
	}
	return r.bringMoves(tx, was, next)
}

// bringMoves carries the notes of earlier moves along, so that the whole history can be followed from where
// the resource now stands.
func (r *Records) bringMoves(tx *store.Tx, was, next *row) error {
	return tx.Queue(`INSERT INTO record_move (lane, rid, ver, chart, came_lane, came_seq)
		SELECT ?, ?, ver, chart, came_lane, came_seq FROM record_move WHERE lane = ? AND rid = ?`,
		next.lane, next.rid, was.lane, was.rid)
}

// step is one move in a resource's past.
type step struct {
	ver      int64 // the first version after it
	chart    string
	cameLane store.Lane
	cameSeq  int64
}

func moves(tx *store.Tx, lane store.Lane, rid int64) ([]step, error) {
	rows, err := tx.Query(`SELECT ver, chart, came_lane, came_seq FROM record_move WHERE lane = ? AND rid = ? ORDER BY ver`, lane, rid)
	if err != nil {
		return nil, err
	}
	var list []step
	for rows.Next() {
		var s step
		if err := rows.Scan(&s.ver, &s.chart, &s.cameLane, &s.cameSeq); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}
