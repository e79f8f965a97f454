package access

import (
	"context"
	"slices"
	"sync"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Scope says which rows of one tenant a principal's search may see. It compiles to SQL, which belongs at every hop of a
// search (chains, _has, includes, sorts, totals), so that nothing is found first and hidden after.
type Scope struct{ p *scope }

type scope struct {
	gate      *Gate
	principal Principal
	action    Action
	tenant    ident.ODSCode
	purpose   string
	request   string
	types     []string
	everyone  bond     // what the principal is to everybody in the tenant
	selves    []string // the charts of the person whom the principal is, or whom their patient/ scopes are about
	now       int64

	mu     sync.Mutex
	shown  map[string]*tally // chart → what of it
	order  []string
	counts int // rows shown that are in nobody's chart
}

// DecideSet asks what of a tenant p may search or export. With types given, each of them must be one of which p may see
// anything at all; without, the scope is for whatever p may see. Errors: fault.Forbidden; the refusal is on the account.
func (g *Gate) DecideSet(ctx context.Context, p Principal, a Action, tenant ident.ODSCode, types []string) (Scope, error) {
	if !a.Sees() {
		return Scope{}, fault.New(fault.Internal, "a scope is for looking; each thing that is changed has a grant of its own")
	}
	s := &scope{gate: g, principal: p, action: a, tenant: tenant, purpose: purposeOf(ctx, p.Role), request: requestOf(ctx),
		types: slices.Clone(types), now: g.opt.Clock.Now().UnixMicro(), shown: map[string]*tally{}}
	var err error
	if s.everyone, err = g.bondOf(ctx, p, tenant, Everyone); err != nil {
		return Scope{}, err
	}
	if p.person() != "" {
		if s.selves, err = g.Selves(ctx, p, tenant); err != nil {
			return Scope{}, err
		}
	}
	for _, typ := range types {
		if s.table(typ).empty() {
			place := Place{Tenant: tenant, Type: typ}
			f := lookFacts(p, a, place, bond{}, g.opt.National, s.purpose)
			return Scope{}, g.refuse(ctx, p, a, place, s.purpose, g.rules.decide(f).basis, g.rules.refusal(f))
		}
	}
	return Scope{s}, nil
}

// Valid reports whether s was made by a decision.
func (s Scope) Valid() bool { return s.p != nil }

// Tenant is whose records are searched.
func (s Scope) Tenant() ident.ODSCode {
	if s.p == nil {
		return ident.ODSCode{}
	}
	return s.p.tenant
}

// Principal is who searches.
func (s Scope) Principal() Principal {
	if s.p == nil {
		return Principal{}
	}
	return s.p.principal
}

// Allows reports whether anything of a type may be seen at all.
func (s Scope) Allows(typ string) bool { return s.p != nil && !s.p.table(typ).empty() }

// Columns are the SQL expressions with which a query names what a scope looks at: the lane, the chart (text, "" for
// none), the label (integer) and the author (text, see Place.Author) of a row. The tenant is the scope's; the query must say so itself.
type Columns struct{ Lane, Chart, Label, Author string }

// SQL is the condition, with its arguments, under which a row of record_resource, known in the query as alias and holding a
// resource of type typ in the scope's tenant, may be seen. It includes the tenant. A scope that nobody decided sees nothing.
func (s Scope) SQL(alias, typ string) (cond string, args []any) {
	cond, args = s.Where(Columns{Lane: alias + ".lane", Chart: alias + ".chart", Label: alias + ".label", Author: alias + ".author"}, typ)
	return alias + ".tenant = ? AND (" + cond + ")", append([]any{s.Tenant().String()}, args...)
}

// Where is SQL without the tenant, for tables with columns of other names.
func (s Scope) Where(c Columns, typ string) (cond string, args []any) {
	if s.p == nil {
		return "1 = 0", nil
	}
	q := s.p.table(typ).sql(s.p, c)
	return q.text, q.args
}

// Plain reports whether every row of a type that carries no label, stands in no restricted chart and is not unfiled may be seen.
// Whoever counts then needs to ask only about the others: the labelled ones, those in the charts that Restricted lists, and those
// that have an author and no chart.
func (s Scope) Plain(typ string) bool {
	if s.p == nil {
		return false
	}
	t := s.p.table(typ)
	for _, ok := range t.filed[0] {
		if !ok {
			return false
		}
	}
	return t.nobody[0] && t.person == ""
}

// Restricted is a query for the lane and chart of every chart in the tenant that has been restricted.
func (s Scope) Restricted() (query string, args []any) {
	return `SELECT lane, chart FROM access_restriction WHERE tenant = ?`, []any{s.Tenant().String()}
}

// Disclose marks a row as shown; Gate.Account then writes one entry per chart.
func (s Scope) Disclose(place Place) {
	if s.p == nil {
		return
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if place.Chart == "" {
		s.p.counts++
		return
	}
	t := s.p.shown[place.Chart]
	if t == nil {
		t = &tally{}
		s.p.shown[place.Chart] = t
		s.p.order = append(s.p.order, place.Chart)
	}
	t.add(place)
}

// Permits is nil when the rules, asked row by row, agree that each place may be seen: the assertion behind the compiled SQL.
// tx is the Read in which the rows were found. Its error is fault.Internal: it means that SQL and rules disagree.
func (s Scope) Permits(tx *store.Tx, places ...Place) error {
	if s.p == nil {
		return fault.New(fault.Internal, "there is no scope")
	}
	bonds := map[string]bond{}
	for _, pl := range places {
		if pl.Tenant != s.p.tenant {
			return fault.New(fault.Internal, "a search reached into another tenant")
		}
		b, ok := bonds[pl.Chart]
		if !ok {
			var err error
			if b, err = s.p.gate.bondIn(tx, s.p.principal, pl.Tenant, pl.Chart); err != nil {
				return err
			}
			b.self = slices.Contains(s.p.selves, pl.Chart) // as of when the scope was given
			bonds[pl.Chart] = b
		}
		if !s.p.gate.rules.decide(lookFacts(s.p.principal, s.p.action, pl, b, s.p.gate.opt.National, s.p.purpose)).allowed {
			return fault.New(fault.Internal, "a search found a %s that the rules do not show", pl.Type)
		}
	}
	return nil
}

// lines are the entries for what was shown; a search that showed nobody is one line too.
func (s Scope) lines() []line {
	if s.p == nil {
		return nil
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	base := line{lineKey: lineKey{tenant: s.p.tenant, action: s.p.action, user: s.p.principal.ID, purpose: s.p.purpose, basis: "scope"},
		principal: s.p.principal, request: s.p.request}
	if len(s.p.order) == 0 {
		for _, typ := range s.p.types {
			base.what.add(Place{Type: typ})
		}
		return []line{base}
	}
	lines := make([]line, 0, len(s.p.order))
	for _, chart := range s.p.order {
		ln := base
		ln.chart, ln.what = chart, *s.p.shown[chart]
		lines = append(lines, ln)
	}
	return lines
}
