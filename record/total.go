package record

// total counts what satisfies conds: in SQL where the index tells all, else by reading bodies within the limits.
func (f *finder) total(typ string, conds []cond) (int64, error) {
	p, none, err := f.plan(typ, conds, nil, 0)
	if err != nil || none {
		return 0, err
	}
	if n, ok, err := f.plainTotal(p); ok || err != nil {
		return n, err
	}
	var n int64
	if !f.countable(p) {
		err := f.run(p, nil, func(*subject, place) (bool, error) { n++; return true, nil })
		return n, err
	}
	cond, args := f.visible(p)
	from := `record_resource r`
	if p.drive >= 0 {
		from = ``
		var more []any
		for i, part := range p.conds[p.drive].src.parts {
			if i > 0 {
				from += ` UNION `
			}
			from += `SELECT lane, rid FROM ` + part.table + ` WHERE ` + part.where
			more = append(more, part.args...)
		}
		from = `(` + from + `) AS d JOIN record_resource r ON r.lane = d.lane AND r.rid = d.rid`
		args = append(more, args...)
		if len(p.conds[p.drive].src.parts) == 1 {
			cond += ` GROUP BY r.lane, r.rid`
			from, cond = `(SELECT 1 FROM `+from+` WHERE `+cond+`) AS g`, `1 = 1`
		}
	}
	err = f.tx.QueryRow(`SELECT count(*) FROM `+from+` WHERE `+cond, args...).Scan(&n)
	return n, err
}

// countable reports whether SQL alone tells what satisfies a plan: it is driven by an index or by everything, and each
// condition is either the drive, exactly, or a few exact hashes.
func (f *finder) countable(p *plan) bool {
	if p.drive == driveList || p.drive >= 0 && len(p.conds[p.drive].src.parts) > mostParts {
		return false
	}
	for i, pc := range p.conds {
		if i == p.drive && pc.src.exact {
			continue
		}
		if pc.hashes == nil || !pc.exactHash() || i == p.drive || len(pc.hashes.params)*len(pc.hashes.list) > 20 {
			return false
		}
	}
	return true
}

// plainTotal counts index rows alone, where a scope shows whatever is not marked: what is marked is little, and that of it
// which may not be seen is taken away. ok is false when the index does not tell.
func (f *finder) plainTotal(p *plan) (n int64, ok bool, err error) {
	if len(p.conds) > 1 || !f.scope.Plain(p.typ) {
		return 0, false, nil
	}
	if len(p.conds) == 0 {
		hidden, err := f.unseen(p)
		if err != nil {
			return 0, false, err
		}
		err = f.tx.QueryRow(`SELECT CAST(coalesce(sum(live), 0) AS BIGINT) FROM record_count WHERE kind = ?`, p.kind).Scan(&n)
		return n - int64(hidden.n), true, err
	}
	pc := p.conds[0]
	// Of two editions of the index, one may still hold rows of what has been voided.
	if pc.src == nil || !pc.src.exact || len(pc.src.parts) == 0 || len(f.params(p.typ, pc.c.code)) != 1 {
		return 0, false, nil
	}
	hidden, err := f.unseen(p)
	if err != nil {
		return 0, false, err
	}
	if part := pc.src.parts[0]; hidden.n == 0 && len(pc.src.parts) == 1 && part.table == "idx_hash" {
		err = f.tx.QueryRow(`SELECT count(*) FROM idx_hash WHERE `+part.where, part.args...).Scan(&n)
		return n, true, err
	}
	all, err := f.spots(pc.src)
	if err != nil {
		return 0, false, err
	}
	return int64(all.n - all.and(hidden).n), true, nil
}

// unseen is what of a plan's kind the scope does not show, where it shows all that is plain.
func (f *finder) unseen(p *plan) (*spots, error) {
	cond, args := f.scope.SQL("r", p.typ)
	restricted, more := f.scope.Restricted()
	where := `r.kind = ? AND r.op <> ? AND NOT (` + cond + `)`
	args = append([]any{p.kind, int64(Voided)}, args...)
	set := newSpots()
	// The restricted charts come first: CROSS JOIN keeps SQLite from going through all of the kind to look for them.
	for _, q := range []struct {
		query string
		args  []any
	}{
		{`SELECT r.lane, r.rid FROM record_resource r WHERE r.label <> 0 AND ` + where, args},
		{`SELECT r.lane, r.rid FROM (` + restricted + `) x CROSS JOIN record_resource r WHERE r.lane = x.lane AND r.chart = x.chart AND r.chart <> '' AND ` + where, append(more, args...)},
		{`SELECT r.lane, r.rid FROM record_resource r WHERE r.chart = '' AND r.author <> '' AND ` + where, args},
	} {
		rows, err := f.tx.Query(q.query, q.args...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var r resident
			if err := rows.Scan(&r.lane, &r.rid); err != nil {
				return nil, err
			}
			set.add(r.lane, r.rid)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
	}
	return set, nil
}
