package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/openspine/openspine/fault"
)

// pgSession is one transaction on one PostgreSQL connection.
type pgSession struct {
	e     *pgEngine
	c     *pgx.Conn
	ctx   context.Context
	until time.Time // when a read has lasted too long by the store's clock; zero is never

	pending []pending
	queued  int // how many of them are more than savepoints
	weight  int // bytes of their arguments
}

// fault words an error, noting whether the connection was lost with it.
func (s *pgSession) fault(err error) error {
	if err != nil && s.c.IsClosed() && s.ctx.Err() == nil {
		err = errors.Join(errGone, err)
	}
	return pgFault(err)
}

func (s *pgSession) late() error {
	if !s.until.IsZero() && s.e.opt.Clock.Now().After(s.until) {
		return fault.New(fault.Timeout, "reading took too long and was stopped; ask for less")
	}
	return nil
}

func (s *pgSession) exec(query string, args []any) (int64, error) {
	if err := s.late(); err != nil {
		return 0, err
	}
	tag, err := s.answer(s.e.rewrite(query), args)
	if err != nil {
		return 0, err
	}
	if !tag.Insert() && !tag.Update() && !tag.Delete() {
		return 0, nil
	}
	return tag.RowsAffected(), nil
}

// answer runs a statement behind what is pending.
func (s *pgSession) answer(query string, args []any) (pgconn.CommandTag, error) {
	if len(s.pending) == 0 {
		tag, err := s.c.Exec(s.ctx, query, args...)
		return tag, s.fault(err)
	}
	res, err := s.pipelined(query, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := res.Exec()
	if cerr := res.Close(); err == nil {
		err = cerr
	}
	return tag, s.fault(err)
}

func (s *pgSession) query(query string, args []any) (cursor, error) {
	if err := s.late(); err != nil {
		return nil, err
	}
	if len(s.pending) == 0 {
		rows, err := s.c.Query(s.ctx, s.e.rewrite(query), args...)
		if err != nil {
			return nil, s.fault(err)
		}
		return &pgCursor{s: s, rows: rows}, nil
	}
	res, err := s.pipelined(s.e.rewrite(query), args)
	if err != nil {
		return nil, err
	}
	rows, err := res.Query()
	if err != nil {
		_ = res.Close() // says the same again
		return nil, s.fault(err)
	}
	return &pgCursor{s: s, rows: &batchRows{Rows: rows, res: res}}, nil
}

// script runs several statements, after what is pending.
func (s *pgSession) script(sql string) error {
	if err := s.drain(); err != nil {
		return err
	}
	_, err := s.c.PgConn().Exec(s.ctx, sql).ReadAll()
	return s.fault(err)
}

// load copies rows into a table.
func (s *pgSession) load(t BackupTable, rows [][]any) error {
	if err := s.drain(); err != nil {
		return err
	}
	_, err := s.c.CopyFrom(s.ctx, pgx.Identifier{t.Name}, t.Columns, pgx.CopyFromRows(rows))
	return s.fault(err)
}

// rollback ends the transaction, also when its context has ended.
func (s *pgSession) rollback() error {
	if s.c.IsClosed() {
		return errGone
	}
	if len(s.pending) > 0 && s.pending[0].query == beginRead {
		return nil // the server has not heard of it
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := s.c.Exec(ctx, "ROLLBACK")
	return err
}

type pgCursor struct {
	s    *pgSession
	rows pgx.Rows
	vals []any
}

func (r *pgCursor) next() (bool, error) {
	if err := r.s.late(); err != nil {
		return false, err
	}
	if r.rows.Next() {
		return true, nil
	}
	return false, r.s.fault(r.rows.Err())
}

func (r *pgCursor) close() error {
	r.rows.Close()
	return r.s.fault(r.rows.Err())
}

func (r *pgCursor) scan(dest []any) error {
	raw, fields := r.rows.RawValues(), r.rows.FieldDescriptions()
	if len(dest) != len(fields) {
		return fmt.Errorf("a row of %d columns was scanned into %d", len(fields), len(dest))
	}
	r.vals = nil
	for i, d := range dest {
		v, err := r.value(i, raw[i], fields[i])
		if err == nil {
			err = assign(d, v)
		}
		if err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

// value decodes a column. The bytes of raw change with the next row; assign copies them.
func (r *pgCursor) value(i int, raw []byte, f pgconn.FieldDescription) (any, error) {
	if raw == nil {
		return nil, nil
	}
	if f.Format == pgtype.BinaryFormatCode {
		switch f.DataTypeOID {
		case pgtype.Int8OID:
			return int64(binary.BigEndian.Uint64(raw)), nil
		case pgtype.Int4OID:
			return int64(int32(binary.BigEndian.Uint32(raw))), nil
		case pgtype.Float8OID:
			return math.Float64frombits(binary.BigEndian.Uint64(raw)), nil
		case pgtype.ByteaOID:
			return raw, nil
		}
	}
	if f.DataTypeOID == pgtype.TextOID || f.DataTypeOID == pgtype.VarcharOID {
		return string(raw), nil
	}
	if r.vals == nil {
		vals, err := r.rows.Values()
		if err != nil {
			return nil, err
		}
		r.vals = vals
	}
	if n, ok := r.vals[i].(pgtype.Numeric); ok {
		return fromNumeric(n)
	}
	return value(r.vals[i])
}

// fromNumeric is for sums: PostgreSQL adds integers up to a numeric.
func fromNumeric(n pgtype.Numeric) (any, error) {
	if whole, err := n.Int64Value(); err == nil && whole.Valid {
		return whole.Int64, nil
	}
	f, err := n.Float64Value()
	return f.Float64, err
}
