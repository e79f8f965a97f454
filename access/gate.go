package access

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// Schema is what access keeps in the database.
func Schema() store.Schema { return store.Embedded("access", schemaFS, "schema") }

// Options say how the gate is kept. DB and Audit are required.
type Options struct {
	DB       *store.DB
	Audit    *audit.Log
	Clock    clock.Clock
	Logger   *slog.Logger
	National ident.ODSCode // the tenant in which all staff may find people; X26 when zero
	Policies fs.FS         // local policies (*.cedar), which may only forbid; nil for none
	// BreakGlassFor is how long the glass stays broken; 30 minutes by default.
	BreakGlassFor time.Duration
	// SelfClaimFor is how long a self-claimed relationship lasts; 24 hours by default.
	SelfClaimFor time.Duration
}

// Gate decides and accounts. It is safe for use by many goroutines.
type Gate struct {
	db    *store.DB
	audit *audit.Log
	opt   Options
	rules *rules
	flood flood

	revoked revocations
}

// Open makes the gate of a node. Errors: fault.Invalid when a local policy permits, names what the schema does not
// hold, or cannot be understood; the message names file, policy and fault.
func Open(o Options) (*Gate, error) {
	if o.DB == nil || o.Audit == nil {
		return nil, fault.New(fault.Internal, "a gate needs a database and an account")
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.National.IsZero() {
		o.National = ident.MustODSCode("X26")
	}
	if o.BreakGlassFor <= 0 {
		o.BreakGlassFor = 30 * time.Minute
	}
	if o.SelfClaimFor <= 0 {
		o.SelfClaimFor = 24 * time.Hour
	}
	r, err := loadRules(o.Policies)
	if err != nil {
		return nil, err
	}
	return &Gate{db: o.DB, audit: o.Audit, opt: o, rules: r}, nil
}

// Decide asks whether p may do a at place, which the locator filled in. A refusal is put on the account before Decide returns.
// Errors: fault.Forbidden, or fault.NotFound (as NotHere) where it is a secret that the place exists. Not for use inside a Write.
//
// A place that does not exist (and has no chart) is decided by its type alone; whoever may look there then finds nothing.
func (g *Gate) Decide(ctx context.Context, p Principal, a Action, place Place) (Grant, error) {
	var b bond
	if place.Chart != "" {
		asked := g.asksBonds(ctx, p, a, place)
		err := g.db.Read(ctx, func(tx *store.Tx) (err error) {
			b, err = g.bondFor(tx, p, chartOf{place.Tenant, place.Chart}, asked)
			return err
		})
		if err != nil {
			return Grant{}, err
		}
	}
	return g.decide(ctx, p, a, place, b)
}

// DecideIn is Decide for a part of the node that acts by itself, inside its transaction. What the rules refuse it is a fault of the program, and not on the account.
// Errors: those of Decide; fault.Internal for a principal who is a person or a system of somebody's.
func (g *Gate) DecideIn(tx *store.Tx, p Principal, a Action, place Place) (Grant, error) {
	if p.AuthMethod != "service" {
		return Grant{}, fault.New(fault.Internal, "inside a transaction only the node's own services are decided for")
	}
	ctx := tx.Context()
	b, err := g.bondFor(tx, p, chartOf{place.Tenant, place.Chart}, g.asksBonds(ctx, p, a, place))
	if err != nil {
		return Grant{}, err
	}
	if f := lookFacts(p, a, place, b, g.opt.National, purposeOf(ctx, p.Role)); !g.rules.decide(f).allowed {
		return Grant{}, fault.Wrap(g.rules.refusal(f), fault.Internal, "the rules refuse the node's own service")
	}
	return g.decide(ctx, p, a, place, b)
}

// Would reports whether p may do a at place, for whoever chooses between two ways of doing something that is then decided: nothing
// is granted, and nothing goes on the account.
func (g *Gate) Would(ctx context.Context, p Principal, a Action, place Place) (bool, error) {
	b, err := g.bondOf(ctx, p, place.Tenant, place.Chart)
	if err != nil {
		return false, err
	}
	return g.rules.decide(lookFacts(p, a, place, b, g.opt.National, purposeOf(ctx, p.Role))).allowed, nil
}

// asksBonds reports whether p's relationships can matter to what p may do at place.
func (g *Gate) asksBonds(ctx context.Context, p Principal, a Action, place Place) bool {
	return g.rules.askBonds(lookFacts(p, a, place, bond{}, g.opt.National, purposeOf(ctx, p.Role)))
}

// DecideAll decides several acts, for example of a transaction bundle, over one snapshot. It fails with the first refusal.
func (g *Gate) DecideAll(ctx context.Context, p Principal, acts []Act) ([]Grant, error) {
	if len(acts) == 1 {
		one, err := g.Decide(ctx, p, acts[0].Action, acts[0].Place)
		if err != nil {
			return nil, err
		}
		return []Grant{one}, nil
	}
	related := map[chartOf]bool{}
	for _, act := range acts {
		k := chartOf{act.Place.Tenant, act.Place.Chart}
		related[k] = related[k] || g.asksBonds(ctx, p, act.Action, act.Place)
	}
	bonds := make(map[chartOf]bond, len(related))
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		for k, asked := range related {
			b, err := g.bondFor(tx, p, k, asked)
			if err != nil {
				return err
			}
			bonds[k] = b
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	grants := make([]Grant, len(acts))
	for i, act := range acts {
		if grants[i], err = g.decide(ctx, p, act.Action, act.Place, bonds[chartOf{act.Place.Tenant, act.Place.Chart}]); err != nil {
			return nil, err
		}
	}
	return grants, nil
}

// Act is one thing to be decided.
type Act struct {
	Action Action
	Place  Place
}

type chartOf struct {
	tenant ident.ODSCode
	chart  string
}

func (g *Gate) decide(ctx context.Context, p Principal, a Action, place Place, b bond) (Grant, error) {
	purpose := purposeOf(ctx, p.Role)
	f := lookFacts(p, a, place, b, g.opt.National, purpose)
	v := g.rules.decide(f)
	if !v.allowed {
		return Grant{}, g.refuse(ctx, p, a, place, purpose, v.basis, g.rules.refusal(f))
	}
	place.Label |= b.label
	bare := f
	bare.flags &^= fRelated | fDirect | fBreakGlass
	needed := !g.rules.decide(bare).allowed
	basis := v.basis
	if needed && b.kind != "" {
		kind := b.kind
		if b.broken && place.Label.Hidden() && !b.direct {
			kind = KindBreakGlass
		}
		basis += ": " + kind
	}
	return Grant{&grant{principal: p, action: a, place: place, purpose: purpose, basis: basis,
		request: requestOf(ctx), made: g.opt.Clock.Now(), needsBond: needed || b.self}}, nil
}
