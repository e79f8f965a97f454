package fhirpath

import (
	"hash/maphash"
	"slices"

	"github.com/openspine/openspine/fhir"
)

func (r *run) fnEmpty(_ *call, in []Value) error {
	r.push(Bool(len(in) == 0))
	return nil
}

func (r *run) fnNot(n *call, in []Value) error {
	t, err := truth(in, n.at)
	r.pushTri(not(t))
	return err
}

func (r *run) fnExists(n *call, in []Value) error {
	found := len(in) > 0
	if len(n.args) == 1 {
		found = false
		err := r.each(n.args[0], in, func(_ *Value, results []Value) (bool, error) {
			t, err := truth(results, n.at)
			found = t == yes
			return !found, err
		})
		if err != nil {
			return err
		}
	}
	r.push(Bool(found))
	return nil
}

func (r *run) fnAll(n *call, in []Value) error {
	holds := true
	err := r.each(n.args[0], in, func(_ *Value, results []Value) (bool, error) {
		t, err := truth(results, n.at)
		holds = t == yes
		return holds, err
	})
	if err != nil {
		return err
	}
	r.push(Bool(holds))
	return nil
}

// fnBooleans is allTrue and its kin: whether all (or any) items are what.
func fnBooleans(what, all bool) func(*run, *call, []Value) error {
	return func(r *run, n *call, in []Value) error {
		result := all
		for i := range in {
			b, ok := in[i].Bool()
			if !ok {
				return n.fail("every item must be a boolean, not a %s", in[i].typ)
			}
			if (b == what) != all {
				result = !all
			}
		}
		r.push(Bool(result))
		return nil
	}
}

// with evaluates the first argument and hands it to f, which pushes its results.
func (r *run) with(n *call, f func(other []Value) error) error {
	mark := len(r.stack)
	other, err := r.argument(n, 0)
	if err != nil {
		return err
	}
	mid := len(r.stack)
	if err := f(other); err != nil {
		return err
	}
	r.collapse(mark, mid)
	return nil
}

func (r *run) fnSubsetOf(n *call, in []Value) error {
	return r.with(n, func(other []Value) error {
		r.push(Bool(setOf(other).hasAll(in)))
		return r.tick(len(in) + len(other))
	})
}

func (r *run) fnSupersetOf(n *call, in []Value) error {
	return r.with(n, func(other []Value) error {
		r.push(Bool(setOf(in).hasAll(other)))
		return r.tick(len(in) + len(other))
	})
}

func (r *run) fnCount(_ *call, in []Value) error {
	r.push(Integer(int64(len(in))))
	return nil
}

func (r *run) fnDistinct(_ *call, in []Value) error { return r.pushDistinct(in, nil) }

func (r *run) fnIsDistinct(_ *call, in []Value) error {
	mark := len(r.stack)
	err := r.pushDistinct(in, nil)
	distinct := len(r.stack)-mark == len(in)
	r.drop(mark)
	r.push(Bool(distinct))
	return err
}

// pushDistinct pushes the items of a and b, each once.
func (r *run) pushDistinct(a, b []Value) error {
	if len(a)+len(b) <= 1 {
		r.stack = append(append(r.stack, a...), b...)
		return nil
	}
	if err := r.tick(len(a) + len(b)); err != nil {
		return err
	}
	var seen set
	small, mark := len(a)+len(b) <= smallSet, len(r.stack)
	for _, list := range [2][]Value{a, b} {
		for i := range list {
			if small {
				seen.items = r.stack[mark:]
			}
			if small && !seen.has(&list[i]) || !small && seen.add(&list[i]) {
				r.push(list[i])
			}
		}
	}
	return nil
}

func (r *run) fnWhere(n *call, in []Value) error {
	this, index := r.this, r.index
	mark := len(r.stack)
	for i := range in {
		if err := r.tick(1); err != nil {
			return err
		}
		r.this, r.index = in[i:i+1:i+1], i
		results, err := r.sub(n.args[0])
		if err != nil {
			return err
		}
		t, err := truth(results, n.at)
		if err != nil {
			return err
		}
		r.drop(mark)
		if t == yes {
			r.push(in[i])
			mark++
		}
	}
	r.this, r.index = this, index
	return nil
}

func (r *run) fnSelect(n *call, in []Value) error {
	this, index := r.this, r.index
	for i := range in {
		if err := r.tick(1); err != nil {
			return err
		}
		r.this, r.index = in[i:i+1:i+1], i
		if _, err := r.sub(n.args[0]); err != nil {
			return err
		}
	}
	r.this, r.index = this, index
	return nil
}

// fnRepeat gathers what the projection gives, and what it gives of that, until nothing new comes.
func (r *run) fnRepeat(n *call, in []Value) error {
	var found set
	next := in
	for len(next) > 0 {
		first := len(found.items)
		err := r.each(n.args[0], next, func(_ *Value, results []Value) (bool, error) {
			for i := range results {
				found.add(&results[i])
			}
			return true, r.tick(len(results))
		})
		if err != nil {
			return err
		}
		next = found.items[first:]
	}
	r.stack = append(r.stack, found.items...)
	return r.tick(len(found.items))
}

func (r *run) fnSingle(n *call, in []Value) error {
	if len(in) > 1 {
		return n.fail("there are %d items", len(in))
	}
	r.stack = append(r.stack, in...)
	return nil
}

func (r *run) fnFirst(_ *call, in []Value) error {
	r.stack = append(r.stack, in[:min(1, len(in))]...)
	return nil
}

func (r *run) fnLast(_ *call, in []Value) error {
	r.stack = append(r.stack, in[max(0, len(in)-1):]...)
	return nil
}

func (r *run) fnTail(_ *call, in []Value) error {
	r.stack = append(r.stack, in[min(1, len(in)):]...)
	return nil
}

func (r *run) fnSkip(n *call, in []Value) error {
	k, ok, err := r.integerArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	r.stack = append(r.stack, in[min(max(0, k), int64(len(in))):]...)
	return nil
}

func (r *run) fnTake(n *call, in []Value) error {
	k, ok, err := r.integerArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	r.stack = append(r.stack, in[:min(max(0, k), int64(len(in)))]...)
	return nil
}

func (r *run) fnIntersect(n *call, in []Value) error {
	return r.with(n, func(other []Value) error {
		with := setOf(other)
		var seen set
		for i := range in {
			if with.has(&in[i]) && seen.add(&in[i]) {
				r.push(in[i])
			}
		}
		return r.tick(len(in) + len(other))
	})
}

func (r *run) fnExclude(n *call, in []Value) error {
	return r.with(n, func(other []Value) error {
		without := setOf(other)
		for i := range in {
			if !without.has(&in[i]) {
				r.push(in[i])
			}
		}
		return r.tick(len(in) + len(other))
	})
}

func (r *run) fnUnion(n *call, in []Value) error {
	return r.with(n, func(other []Value) error { return r.pushDistinct(in, other) })
}

// fnCombine joins without removing what is there twice. A second argument, preserveOrder, changes nothing: the order
// is always kept.
func (r *run) fnCombine(n *call, in []Value) error {
	r.stack = append(r.stack, in...)
	_, err := r.argument(n, 0)
	if err != nil {
		return err
	}
	return r.tick(len(in))
}

func (r *run) fnCoalesce(n *call, _ []Value) error {
	for i := range n.args {
		results, err := r.argument(n, i)
		if err != nil || len(results) > 0 {
			return err
		}
	}
	return nil
}

// fnAggregate folds the items into $total.
func (r *run) fnAggregate(n *call, in []Value) error {
	mark, outer := len(r.stack), r.total
	var total []Value
	if len(n.args) == 2 {
		initial, err := r.argument(n, 1)
		if err != nil {
			return err
		}
		total = slices.Clone(initial)
		r.drop(mark)
	}
	this, index := r.this, r.index
	for i := range in {
		if err := r.tick(1); err != nil {
			return err
		}
		r.this, r.index, r.total = in[i:i+1:i+1], i, total
		results, err := r.sub(n.args[0])
		if err != nil {
			return err
		}
		total = append(total[:0:0], results...)
		r.drop(mark)
	}
	r.this, r.index, r.total = this, index, outer
	r.stack = append(r.stack, total...)
	return nil
}

// sortKey is one key of one item.
type sortKey struct {
	value Value
	there bool
}

// fnSort orders by the keys given, each the other way round when a minus stands before it. An item without a key
// comes first, whichever way round.
func (r *run) fnSort(n *call, in []Value) error {
	keys := n.args
	if len(keys) == 0 {
		keys = []node{&variable{name: "$this", at: n.at}}
	}
	down := make([]bool, len(keys))
	of := make([][]sortKey, len(in))
	for i := range of {
		of[i] = make([]sortKey, len(keys))
	}
	for k, key := range keys {
		if minus, ok := key.(*unary); ok && minus.op == '-' {
			down[k], key = true, minus.x
		}
		at := 0
		err := r.each(key, in, func(_ *Value, results []Value) (bool, error) {
			v, ok, err := single(results, n.at, "a key of sort()")
			of[at][k] = sortKey{v, ok}
			at++
			return true, err
		})
		if err != nil {
			return err
		}
	}
	order := make([]int, len(in))
	for i := range order {
		order[i] = i
	}
	var failed error
	slices.SortStableFunc(order, func(a, b int) int {
		c, err := compareKeys(n, of[a], of[b], down)
		if err != nil {
			failed = err
		}
		return c
	})
	for _, i := range order {
		r.push(in[i])
	}
	return failed
}

func compareKeys(n *call, a, b []sortKey, down []bool) (int, error) {
	for k := range a {
		switch {
		case !a[k].there && !b[k].there:
			continue
		case !a[k].there:
			return -1, nil
		case !b[k].there:
			return 1, nil
		}
		c, _, comparable := order(&a[k].value, &b[k].value)
		if !comparable {
			return 0, n.fail("a %s and a %s have no order", a[k].value.typ, b[k].value.typ)
		}
		if down[k] {
			c = -c
		}
		if c != 0 {
			return c, nil
		}
	}
	return 0, nil
}

// set holds distinct values, in the order they came. Small sets are searched, larger ones hashed.
type set struct {
	items []Value
	table map[uint64][]int
}

const smallSet = 12

func setOf(values []Value) *set {
	s := &set{}
	if len(values) <= smallSet {
		s.items = values
		return s
	}
	for i := range values {
		s.add(&values[i])
	}
	return s
}

func (s *set) hasAll(values []Value) bool {
	for i := range values {
		if !s.has(&values[i]) {
			return false
		}
	}
	return true
}

func (s *set) has(v *Value) bool {
	if s.table == nil {
		for i := range s.items {
			if equal(&s.items[i], v) == yes {
				return true
			}
		}
		return false
	}
	for _, i := range s.table[hashValue(v)] {
		if equal(&s.items[i], v) == yes {
			return true
		}
	}
	return false
}

// add adds v unless its equal is there.
func (s *set) add(v *Value) bool {
	if s.has(v) {
		return false
	}
	s.items = append(s.items, *v)
	if s.table != nil {
		h := hashValue(v)
		s.table[h] = append(s.table[h], len(s.items)-1)
	} else if len(s.items) > smallSet {
		s.table = make(map[uint64][]int, 2*smallSet)
		for i := range s.items {
			h := hashValue(&s.items[i])
			s.table[h] = append(s.table[h], i)
		}
	}
	return true
}

// seed makes hashes differ between processes. It is a constant of this one.
var seed = maphash.MakeSeed()

// hashValue is the same for values that are equal, but for a number and a quantity without unit, which seldom meet.
func hashValue(v *Value) uint64 {
	s, ok := v.system()
	switch {
	case !ok:
		return hashNode(v.node) + hashNode(v.under)
	case s.typ == typeString:
		return maphash.String(seed, s.str)
	case s.typ == typeBoolean:
		return uint64(s.num)
	case isTemporal(&s):
		t := s.ref.(*Temporal).utc()
		if t.Kind == KindTime {
			return uint64(t.Hour)
		}
		return uint64(t.Year)
	}
	if d, ok := s.number(); ok {
		f, _ := d.Float64()
		return maphash.Comparable(seed, f)
	}
	return 1
}

func hashNode(n fhir.Node) uint64 {
	switch n.Kind() {
	case fhir.Object:
		h := uint64(n.Len())
		for name, member := range n.Fields() {
			h += maphash.String(seed, name) ^ hashNode(member)
		}
		return h
	case fhir.Array:
		h := uint64(n.Len())
		for item := range n.Items() {
			h = h*31 + hashNode(item)
		}
		return h
	case fhir.Number:
		return 3
	}
	return maphash.String(seed, n.String())
}
