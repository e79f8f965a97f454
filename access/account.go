package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Act runs fn as what grants allow, in one commit with its account: the relationships that the grants rest on are looked
// at again, one entry per chart and action is written, and fn runs. When fn fails, all that is undone, the account says in a
// commit of its own that it failed and how, and Act returns fn's error.
// The lanes of the grants' charts are held beside lanes. fn may be run more than once (see store.DB.Write).
//
// Whoever registers a person (a grant to create a Patient) thereby gives their organisation, and themself, a
// relationship with that person; unless something was in the chart before, which only the keeping organisation's systems may open so.
func (g *Gate) Act(ctx context.Context, grants []Grant, lanes []store.Lane, fn func(tx *store.Tx) error) error {
	if len(grants) == 0 {
		return fault.New(fault.Internal, "an act needs a grant")
	}
	all := append([]store.Lane{}, lanes...)
	for _, gr := range grants {
		if !gr.Valid() {
			return fault.New(fault.Internal, "an act needs grants that a decision made")
		}
		all = append(all, g.accountLane(gr.p.principal, gr.p.place))
	}
	var failed error // what fn or the look at the relationships said, the last time it was run
	err := g.db.Write(ctx, all, func(tx *store.Tx) error {
		failed = g.act(tx, grants, fn)
		return failed
	})
	if err == nil || failed == nil {
		return err
	}
	outcome := audit.OutcomeFailed + " " + fault.KindOf(failed).String()
	if fault.Is(failed, errLapsed) {
		outcome = audit.OutcomeRefused
	}
	err = g.db.Write(context.WithoutCancel(ctx), all, func(tx *store.Tx) error { return g.append(tx, grants, outcome) })
	if err != nil {
		return err
	}
	return failed
}

func (g *Gate) act(tx *store.Tx, grants []Grant, fn func(tx *store.Tx) error) error {
	if err := g.recheck(tx, grants); err != nil {
		return err
	}
	if err := g.append(tx, grants, audit.OutcomeOK); err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return err
	}
	if err := g.revealed(tx, grants); err != nil {
		return err
	}
	return g.relateFounders(tx, grants)
}

// errLapsed is the kind with which recheck refuses; it is the only way in which an act is refused after its decision.
const errLapsed = fault.Forbidden

// recheck looks again, inside the commit, at each relationship that a grant rests on.
func (g *Gate) recheck(tx *store.Tx, grants []Grant) error {
	var last chartOf
	var b bond
	for _, gr := range grants {
		if !gr.p.needsBond {
			continue
		}
		pl := gr.p.place
		if k := (chartOf{pl.Tenant, pl.Chart}); k != last {
			var err error
			if b, err = g.bondIn(tx, gr.p.principal, pl.Tenant, pl.Chart); err != nil {
				return err
			}
			last = k
		}
		if !g.rules.decide(lookFacts(gr.p.principal, gr.p.action, pl, b, g.opt.National, gr.p.purpose)).allowed {
			return fault.New(errLapsed, "Your relationship with this person has ended.")
		}
	}
	return nil
}

// relateFounders gives those who registered a person a relationship with them.
func (g *Gate) relateFounders(tx *store.Tx, grants []Grant) error {
	for _, gr := range grants {
		p, pl := gr.p.principal, gr.p.place
		if !(gr.p.action == Create || gr.p.action == Amend && pl.Founding) || pl.Type != "Patient" || pl.Chart == "" || p.Role == Patient {
			continue
		}
		if home := p.Role == SystemClient && p.Organisation == pl.Tenant; !pl.Founding && !home {
			continue // there is something in the chart already, which registering does not open
		}
		r := Relationship{Tenant: pl.Tenant, Chart: pl.Chart, Kind: KindRegistered, Basis: "registered the person", By: p.ID}
		if !p.Organisation.IsZero() && p.Organisation != g.opt.National {
			r.Organisation = p.Organisation
			if err := g.Relate(tx, r); err != nil {
				return err
			}
		}
		if p.Role == Clinician || p.Role == Clerk {
			r.Organisation, r.User = ident.ODSCode{}, p.ID
			if err := g.Relate(tx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Account puts what was read on the account: one entry for each grant's chart and one for each chart that a scope
// disclosed, in one commit, which others may share. Call it before the answer is sent; if it fails, send nothing.
func (g *Gate) Account(ctx context.Context, grants []Grant, scopes []Scope) error {
	var lines []line
	for _, s := range scopes {
		lines = append(lines, s.lines()...)
	}
	lines = append(lines, linesOf(grants)...)
	if len(lines) == 0 {
		return nil
	}
	return g.audit.Record(ctx, g.placed(lines, audit.OutcomeOK)...)
}

// placed are the entries of lines, each in its lane.
func (g *Gate) placed(lines []line, outcome string) []audit.Placed {
	entries := make([]audit.Placed, len(lines))
	for i, ln := range lines {
		entries[i] = audit.Placed{Lane: g.accountLane(ln.principal, Place{Tenant: ln.tenant, Chart: ln.chart}), Entry: ln.entry(outcome)}
	}
	return entries
}

// accountLane is where an entry goes: with the chart, or with the actor when there is none.
func (g *Gate) accountLane(p Principal, pl Place) store.Lane {
	if pl.Chart == "" {
		return g.db.LaneOf(pl.Tenant.String(), "actor/"+p.ID)
	}
	return g.Lane(pl.Tenant, pl.Chart)
}

func (g *Gate) append(tx *store.Tx, grants []Grant, outcome string) error {
	lines := linesOf(grants)
	seqs, err := g.audit.AppendAll(tx, g.placed(lines, outcome))
	if err != nil {
		return err
	}
	for i, ln := range lines {
		for _, gr := range ln.grants {
			gr.p.entry = seqs[i]
		}
	}
	return nil
}

// Note puts on the account, as part of tx, what the holder of a grant did at a place in words of their own: action is what (skip, retry …),
// detail the reason that was typed. tx holds NoteLane. It is for acts that are more than what a grant's action says.
func (g *Gate) Note(tx *store.Tx, gr Grant, place Place, action, detail string) error {
	if !gr.Valid() {
		return fault.New(fault.Internal, "a note needs a grant that a decision made")
	}
	_, err := g.audit.Append(tx, g.accountLane(gr.p.principal, place), entryOf(gr.p.principal, action, place, gr.p.purpose, gr.p.basis, audit.OutcomeOK, detail, gr.p.request))
	return err
}

// NoteLane is the lane that Note writes to.
func (g *Gate) NoteLane(gr Grant, place Place) store.Lane {
	return g.accountLane(gr.get().principal, place)
}

// Entry is the sequence, in the lane of the chart, of this grant's entry on the account; only inside the function of Gate.Act.
func (g Grant) Entry() int64 { return g.get().entry }

// line is an entry in the making: one per tenant, chart, action and basis.
type line struct {
	lineKey
	principal Principal
	request   string
	what      tally
	grants    []Grant
}

type lineKey struct {
	tenant               ident.ODSCode
	chart                string
	action               Action
	user, purpose, basis string
}

func linesOf(grants []Grant) []line {
	lines := make([]line, 0, min(len(grants), 8))
	var at map[lineKey]int // where each is in lines, once there are several
	for _, gr := range grants {
		if !gr.Valid() {
			continue
		}
		k := lineKey{gr.p.place.Tenant, gr.p.place.Chart, gr.p.action, gr.p.principal.ID, gr.p.purpose, gr.p.basis}
		i, ok := at[k]
		if !ok {
			i = len(lines)
			if len(grants) > 1 {
				if at == nil {
					at = map[lineKey]int{}
				}
				at[k] = i
			}
			lines = append(lines, line{lineKey: k, principal: gr.p.principal, request: gr.p.request})
		}
		lines[i].what.add(gr.p.place)
		lines[i].grants = append(lines[i].grants, gr)
	}
	return lines
}

func (ln line) entry(outcome string) audit.Entry {
	return entryOf(ln.principal, string(ln.action), Place{Tenant: ln.tenant, Chart: ln.chart}, ln.purpose, ln.basis, outcome, ln.what.String(), ln.request)
}

func entryOf(p Principal, action string, pl Place, purpose, basis, outcome, detail, request string) audit.Entry {
	return audit.Entry{Tenant: pl.Tenant, Chart: pl.Chart, Actor: p.ID, ActorName: p.Name, Role: string(p.Role),
		Organisation: p.Organisation, Action: action, Purpose: purpose, Basis: basis, Outcome: outcome, Detail: detail, RequestID: request}
}

// tally says what was touched in a chart, in few words: "Observation/7", "Observation ×12, Condition". A person's own Patient
// resource is just "Patient".
type tally struct {
	order []string
	count []int // of each in order: a chart has few types
	one   string
}

func (t *tally) add(pl Place) {
	if i := slices.Index(t.order, pl.Type); i >= 0 {
		t.count[i]++
	} else {
		t.order, t.count = append(t.order, pl.Type), append(t.count, 1)
	}
	t.one = pl.Type
	if pl.ID != "" && pl.ID != pl.Chart {
		t.one += "/" + pl.ID
	}
}

func (t *tally) String() string {
	if len(t.order) == 1 && t.count[0] == 1 {
		return t.one
	}
	var parts []string
	for i, typ := range t.order {
		switch n := t.count[i]; {
		case i == 8:
			return strings.Join(parts, ", ") + fmt.Sprintf(" and %d more types", len(t.order)-i)
		case n == 1:
			parts = append(parts, typ)
		default:
			parts = append(parts, fmt.Sprintf("%s ×%d", typ, n))
		}
	}
	return strings.Join(parts, ", ")
}
