package record

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
)

// A walk goes through an index in its order and shows what satisfies the plan. While most of what it meets does, reading
// each body is quickest. When too little does, it asks the index first: the candidates of the other conditions are held as
// a set in memory, and only what is in the set is read.

const (
	walkChunk = 4096      // index rows read at once when most are passed over
	amongMost = 1_000_000 // candidates of one condition that may be held as a set
	patience  = 300       // bodies that a walk may expect to read for nothing before it asks the index
	bodyCost  = 40        // index rows that can be read while one body is
	setCost   = 120       // and where they are read into a set
)

// runSource goes through an index. A resource that stands there under several keys is shown at the first of those that
// satisfy the condition.
func (f *finder) runSource(p *plan, src *source, after *place, desc bool, visit visit) error {
	var from *resident
	if after != nil {
		from = &after.at
	}
	var c *cond
	if p.drive >= 0 {
		c = p.conds[p.drive].c
	}
	looked, shown := 0, 0
	for chunk := firstChunk; ; chunk = p.grown(chunk) {
		list, err := f.read(src, from, chunk, desc)
		if err != nil || len(list) == 0 {
			return err
		}
		last := list[len(list)-1]
		ended := len(list) < chunk
		list = p.within(slices.Compact(list))
		p.met.addAll(list)
		looked += len(list)
		more, err := f.showAll(p, list, func(s *subject, r resident) (bool, error) {
			if !src.unique && r.key != s.firstKey(src, c, f, desc) {
				return true, nil
			}
			shown++
			return visit(s, place{drive: p.drive, at: r})
		})
		if err != nil || !more || ended {
			return err
		}
		from = &last
		if waste := p.waste(looked, shown); waste > patience {
			p.tried = looked
			if err := f.narrow(p, src, waste*setCost/2); err != nil {
				return err
			}
		}
	}
}

// grown is how many index rows are read next.
func (p *plan) grown(chunk int) int {
	if p.among != nil {
		return min(4*chunk, walkChunk)
	}
	return min(2*chunk, lastChunk)
}

// within leaves out what cannot match.
func (p *plan) within(list []resident) []resident {
	if p.among == nil {
		return list
	}
	return slices.DeleteFunc(list, func(r resident) bool { return !p.among.has(r.lane, r.rid) })
}

// showAll is show for a list of any length, a few at first.
func (f *finder) showAll(p *plan, list []resident, visit func(*subject, resident) (bool, error)) (more bool, err error) {
	if err := f.spend(0); err != nil {
		return false, err
	}
	for chunk := firstChunk; len(list) > 0; chunk = min(2*chunk, lastChunk) {
		n := min(chunk, len(list))
		if more, err := f.show(p, list[:n], visit); err != nil || !more {
			return false, err
		}
		list = list[n:]
	}
	return true, nil
}

// waste is how many bodies a walk would still read, going by what it has found. It is asked now and then, while the index has
// not been.
func (p *plan) waste(looked, shown int) int {
	if p.among != nil || looked < 3*firstChunk || looked < 4*p.tried {
		return 0
	}
	if p.want == 0 {
		if shown > looked/2 {
			return 0
		}
		return 4 * looked
	}
	return (p.want - shown) * looked / max(shown, 1)
}

// narrow asks the index for all that satisfies each condition, where that is not more than most rows, and keeps what is common.
func (f *finder) narrow(p *plan, walked *source, most int) error {
	most = min(most, amongMost)
	var order []*planned
	for _, pc := range p.conds {
		if pc.src == nil || pc.src == walked || len(pc.src.parts) > mostParts || pc.est > max(most, listMost+1) {
			continue // of no use, or counted before and found too many
		}
		var err error
		if pc.est > listMost {
			pc.est, err = f.count(pc.src, most+1)
		}
		if err != nil {
			return err
		}
		if pc.est <= most {
			order = append(order, pc)
		}
	}
	slices.SortStableFunc(order, func(a, b *planned) int { return cmp.Compare(a.est, b.est) })
	for _, pc := range order {
		if p.among != nil && pc.est > setCost*p.among.n {
			break // reading what is left is cheaper
		}
		set, err := f.spots(pc.src)
		if err != nil {
			return err
		}
		pc.held = true
		if p.among != nil {
			set = p.among.and(set)
		}
		p.among = set
	}
	return nil
}

// spots is a whole source as a set.
func (f *finder) spots(s *source) (*spots, error) {
	if s.list != nil {
		return spotsOf(s.list), nil
	}
	set := newSpots()
	for _, p := range s.parts {
		if f.r.db.Lanes() == 1 {
			if err := f.listed(set, p); err != nil {
				return nil, err
			}
			continue
		}
		rows, err := f.tx.Query(`SELECT lane, rid FROM `+p.table+` WHERE `+p.where, p.args...)
		if err != nil {
			return nil, err
		}
		var r resident
		for rows.Next() {
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

// listed adds a part to a set. The one lane's numbers come in one text: that costs a quarter of a row for each.
func (f *finder) listed(set *spots, p part) error {
	var text string
	if err := f.tx.QueryRow(`SELECT coalesce(group_concat(rid), '') FROM `+p.table+` WHERE `+p.where, p.args...).Scan(&text); err != nil {
		return err
	}
	for rest := text; rest != ""; {
		var one string
		one, rest, _ = strings.Cut(rest, ",")
		rid, err := strconv.ParseInt(one, 10, 64)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "a list of numbers does not read")
		}
		set.add(0, rid)
	}
	return nil
}

// walkOrRank settles whether a plan that has its candidates in memory is sorted by reading each of them, or by going through
// the index of the sort key until enough of them have turned up.
func (f *finder) walkOrRank(p *plan) error {
	if len(p.list) <= 2*fewEnough || p.want == 0 || !f.walkable(p) {
		return nil
	}
	all, err := f.r.size(f.tx, p.kind)
	if err != nil {
		return err
	}
	if n := int64(len(p.list)); n*bodyCost > all/n*int64(p.want) {
		p.drive, p.among = driveSort, spotsOf(p.list)
	}
	return nil
}

// runSorted goes through the index of the sort key, and then through what lacks the value.
func (f *finder) runSorted(p *plan, after *place, visit visit) error {
	src := f.sortSource(p)
	if after == nil || !after.missing {
		stopped := false
		if after == nil {
			p.met = newSpots()
		}
		err := f.runSource(p, src, after, p.sort[0].desc, func(s *subject, at place) (bool, error) {
			at.drive = driveSort
			more, err := visit(s, at)
			stopped = !more
			return more, err
		})
		if err != nil || stopped || src.unique {
			return err
		}
		after = nil
	}
	return f.runMissing(p, src, after, visit)
}

// runMissing goes through what lacks the sort key: the candidates that the walk has not met, if they can be held, else
// everything of the type.
func (f *finder) runMissing(p *plan, src *source, after *place, visit visit) error {
	rest := *p
	rest.sort = nil
	rest.conds = append(slices.Clone(p.conds), &planned{c: &cond{code: p.sort[0].code, form: formMissing, values: []value{{missing: true}}}})
	if rest.among == nil {
		if err := f.narrow(&rest, src, amongMost); err != nil {
			return err
		}
	}
	mark := func(s *subject, at place) (bool, error) {
		at.drive, at.missing, at.listed = driveSort, true, rest.drive == driveList
		return visit(s, at)
	}
	if rest.among != nil && (after == nil || after.listed) {
		rest.drive, rest.list = driveList, slices.DeleteFunc(rest.among.list(), func(r resident) bool { return p.met.has(r.lane, r.rid) })
		return f.runList(&rest, after, mark)
	}
	if after != nil && after.listed {
		return tooCostly() // what was few on the page before has become many
	}
	if after == nil {
		if full, err := f.everyoneHas(p, src); err != nil || full {
			return err
		}
	}
	rest.drive, rest.met = driveAll, nil
	return f.runSource(&rest, f.driving(&rest), after, false, mark)
}
