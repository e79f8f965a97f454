package access

import "strings"

// The kinds of row that the rules can tell apart in one tenant and type: what the principal is to the chart, and what
// hides it. A scope asks the rules about each kind once and writes down, as SQL, which kinds may be seen.

// bonds that a chart can have with a principal: each combination that relation rows can make.
var bondKinds = [...]bond{
	{},
	{related: true},
	{related: true, direct: true},
	{related: true, broken: true},
	{related: true, direct: true, broken: true},
}

var labelKinds = [...]Label{0, Restricted, Sealed, Restricted | Sealed}

// seen says, for one type, which kinds of row may be seen.
type seen struct {
	nobody  [len(labelKinds)]bool // about nobody
	unfiled [len(labelKinds)]bool // about nobody knows whom, written by somebody else
	written [len(labelKinds)]bool // the same, written by the principal
	filed   [len(labelKinds)][len(bondKinds)]bool
	own     [len(labelKinds)][len(bondKinds)]bool
	person  string // the chart that is the principal's own, or that their token is confined to; "" for none
}

func (t seen) empty() bool { return t == seen{person: t.person} }

// table asks the rules about each kind of row of a type.
func (s *scope) table(typ string) seen {
	var t seen
	ask := func(chart string, label Label, b bond) bool {
		b.related = b.related || s.everyone.related
		b.direct = b.direct || s.everyone.direct
		b.broken = b.broken || s.everyone.broken
		b.label |= s.everyone.label
		pl := Place{Tenant: s.tenant, Chart: chart, Type: typ, Label: label, Exists: true}
		return s.gate.rules.decide(lookFacts(s.principal, s.action, pl, b, s.gate.opt.National, s.purpose)).allowed
	}
	t.person = s.principal.person()
	other := "?" // a chart that is not the principal's: no resource id holds a question mark
	for i, label := range labelKinds {
		loose := func(author string) bool {
			pl := Place{Tenant: s.tenant, Type: typ, Label: label, Author: author, Exists: true}
			return s.gate.rules.decide(lookFacts(s.principal, s.action, pl, bond{}, s.gate.opt.National, s.purpose)).allowed
		}
		t.nobody[i], t.unfiled[i], t.written[i] = loose(""), loose(s.principal.ID+"?"), loose(s.principal.ID)
		for j, b := range bondKinds {
			t.filed[i][j] = ask(other, label, b)
			if t.person != "" {
				t.own[i][j] = ask(t.person, label, b)
			}
		}
	}
	return t
}

// sql writes the table as a condition.
func (t seen) sql(s *scope, c Columns) clause {
	var nobody, unfiled, written [len(labelKinds)]bondSet
	var filed, own [len(labelKinds)]bondSet
	for i := range labelKinds {
		nobody[i], unfiled[i], written[i] = eitherWay(t.nobody[i]), eitherWay(t.unfiled[i]), eitherWay(t.written[i])
		filed[i], own[i] = setOf(t.filed[i]), setOf(t.own[i])
	}
	other := s.byLabel(c, filed)
	if t.person != "" {
		isOwn, notOwn := clause{c.Chart + " = ?", []any{t.person}}, clause{c.Chart + " <> ?", []any{t.person}}
		if n := len(s.selves); n > 1 {
			list, args := " IN (?"+strings.Repeat(", ?", n-1)+")", make([]any, n)
			for i, chart := range s.selves {
				args[i] = chart
			}
			isOwn, notOwn = clause{c.Chart + list, args}, clause{c.Chart + " NOT" + list, args}
		}
		other = anyOf(allOf(isOwn, s.byLabel(c, own)), allOf(notOwn, other))
	}
	return anyOf(
		allOf(clause{text: c.Chart + " = ''"}, anyOf(
			allOf(clause{text: c.Author + " = ''"}, s.byLabel(c, nobody)),
			allOf(clause{c.Author + " = ?", []any{s.principal.ID}}, s.byLabel(c, written)),
			allOf(clause{c.Author + " NOT IN ('', ?)", []any{s.principal.ID}}, s.byLabel(c, unfiled)))),
		allOf(clause{text: c.Chart + " <> ''"}, other))
}

// byLabel is the condition when which bonds suffice depends on what hides the row.
func (s *scope) byLabel(c Columns, sets [len(labelKinds)]bondSet) clause {
	plain, restricted, sealed, both := sets[0], sets[1], sets[2], sets[3]
	switch {
	case plain == restricted && plain == sealed && plain == both:
		return s.byBond(c, plain)
	case restricted == sealed && sealed == both && restricted&^plain == 0:
		return anyOf(s.byBond(c, restricted), allOf(s.byBond(c, plain), not(s.labelled(c, hidden))))
	}
	var parts []clause
	for i, label := range labelKinds {
		is := func(l Label) clause {
			if label&l != 0 {
				return s.labelled(c, l)
			}
			return not(s.labelled(c, l))
		}
		parts = append(parts, allOf(s.byBond(c, sets[i]), is(Restricted), is(Sealed)))
	}
	return anyOf(parts...)
}

// bondSet is a set of bondKinds, a bit each.
type bondSet uint8

const everyBond = bondSet(1<<len(bondKinds) - 1)

func eitherWay(holds bool) bondSet {
	if holds {
		return everyBond
	}
	return 0
}

func setOf(holds [len(bondKinds)]bool) bondSet {
	var set bondSet
	for i, h := range holds {
		if h {
			set |= 1 << i
		}
	}
	return set
}

// byBond is the condition that a row's bond is in set.
func (s *scope) byBond(c Columns, set bondSet) clause {
	switch set {
	case 0:
		return never
	case everyBond:
		return always
	case 0b11110:
		return s.bound(c)
	case 0b11100:
		return s.bound(c, strengthDirect, strengthBroken)
	}
	var parts []clause
	for i, b := range bondKinds {
		if set&(1<<i) == 0 {
			continue
		}
		if !b.related {
			parts = append(parts, not(s.bound(c)))
			continue
		}
		is := func(holds bool, strength int) clause {
			if holds {
				return s.bound(c, strength)
			}
			return not(s.bound(c, strength))
		}
		parts = append(parts, allOf(s.bound(c), is(b.direct, strengthDirect), is(b.broken, strengthBroken)))
	}
	return anyOf(parts...)
}

// bound is "the principal has a relationship with the chart, of one of these strengths if any are given".
func (s *scope) bound(c Columns, strengths ...int) clause {
	q := clause{"EXISTS (SELECT 1 FROM access_relation ar WHERE ar.lane = " + c.Lane + " AND ar.tenant = ? AND ar.chart = " + c.Chart +
		" AND ar.subject IN (?, ?) AND ar.until" + unindexed + " > ?", []any{s.tenant.String(), "user:" + s.principal.ID, "org:" + s.principal.Organisation.String(), s.now}}
	switch len(strengths) {
	case 1:
		q.text += " AND ar.strength = ?"
	case 2:
		q.text += " AND ar.strength IN (?, ?)"
	}
	for _, n := range strengths {
		q.args = append(q.args, n)
	}
	q.text += ")"
	return q
}

// labelled is "the row or its chart carries one of these labels".
func (s *scope) labelled(c Columns, l Label) clause {
	return clause{"(" + c.Label + " & ? <> 0 OR EXISTS (SELECT 1 FROM access_restriction ax WHERE ax.lane = " + c.Lane +
		" AND ax.tenant = ? AND ax.chart = " + c.Chart + " AND ax.label & ? <> 0))", []any{int64(l), s.tenant.String(), int64(l)}}
}

// clause is a piece of SQL and its arguments, in order.
type clause struct {
	text string
	args []any
}

var (
	always = clause{text: "1 = 1"}
	never  = clause{text: "1 = 0"}
)

func (c clause) is(other clause) bool { return c.text == other.text }

func not(c clause) clause {
	switch {
	case c.is(always):
		return never
	case c.is(never):
		return always
	}
	return clause{"NOT " + c.text, c.args}
}

func allOf(cs ...clause) clause { return join(cs, " AND ", always, never) }

func anyOf(cs ...clause) clause { return join(cs, " OR ", never, always) }

// join leaves out what changes nothing (neutral) and is decided by what decides (absorbing).
func join(cs []clause, word string, neutral, absorbing clause) clause {
	var texts []string
	var args []any
	for _, c := range cs {
		if c.is(absorbing) {
			return absorbing
		}
		if c.is(neutral) {
			continue
		}
		texts = append(texts, c.text)
		args = append(args, c.args...)
	}
	switch len(texts) {
	case 0:
		return neutral
	case 1:
		return clause{texts[0], args}
	}
	return clause{"(" + strings.Join(texts, word) + ")", args}
}
