package access

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"github.com/openspine/openspine/fault"
)

//go:embed policies/*.cedar policies/schema.cedarschema
var national embed.FS

// facts is all that the rules may know. It is a small comparable value: the rules are a pure function of it, which
// lets a decision be remembered and a search be compiled by asking about each kind of row.
type facts struct {
	user, organisation, tenant, typ, purpose string
	role                                     Role
	action                                   Action
	flags                                    trait
}

type trait uint32

const (
	fHere trait = 1 << iota
	fHome
	fNational
	fOwn
	fRelated
	fDirect
	fBreakGlass
	fFounding
	fScoped
	fFiled
	fRestricted
	fSealed
	fUnfiled
	fAuthor
	fReveals
	fAssured
)

func (f facts) has(x trait) bool { return f.flags&x != 0 }

// verdict is what the rules say: who permits it, or who forbids it, or nobody.
type verdict struct {
	allowed bool
	basis   string // the id of the rule that decided; "nobody-permits" when none did; "rule-error" when one failed
}

// rules is the set of policies in force.
type rules struct {
	policies *cedar.PolicySet
	rank     map[cedar.PolicyID]int
	name     map[cedar.PolicyID]string

	known atomic.Pointer[sync.Map] // facts → verdict, and question → bool
	count atomic.Int64
}

// rememberedVerdicts bounds the memory of decided facts; when it is full it is begun anew.
const rememberedVerdicts = 50_000

// loadRules reads the national policies and then the local ones, which may only forbid. Each policy is checked against
// the schema: a name that the schema does not hold is refused, as is a policy about one named user or item.
func loadRules(local fs.FS) (*rules, error) {
	check, err := schemaValidator()
	if err != nil {
		return nil, err
	}
	r := &rules{policies: cedar.NewPolicySet(), rank: map[cedar.PolicyID]int{}, name: map[cedar.PolicyID]string{}}
	r.known.Store(&sync.Map{})
	own, err := fs.Sub(national, "policies")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "reading the national policies")
	}
	if err := r.addAll(own, check, false); err != nil {
		return nil, err
	}
	if local != nil {
		if err := r.addAll(local, check, true); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func schemaValidator() (*validate.Validator, error) {
	text, err := national.ReadFile("policies/schema.cedarschema")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "reading the policy schema")
	}
	var s schema.Schema
	s.SetFilename("schema.cedarschema")
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the policy schema cannot be read")
	}
	resolved, err := s.Resolve()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the policy schema does not hold together")
	}
	return validate.New(resolved), nil
}

func (r *rules) addAll(fsys fs.FS, check *validate.Validator, local bool) error {
	names, err := fs.Glob(fsys, "*.cedar")
	if err != nil {
		return fault.Wrap(err, fault.Internal, "listing policies")
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fault.Wrap(err, fault.Invalid, "the policy file %s cannot be read", name)
		}
		if err := r.addFile(path.Base(name), text, check, local); err != nil {
			return err
		}
	}
	return nil
}

func (r *rules) addFile(file string, text []byte, check *validate.Validator, local bool) error {
	list, err := cedar.NewPolicyListFromBytes(file, text)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the policy file %s cannot be understood: %v", file, err)
	}
	for i, p := range list {
		where := fmt.Sprintf("%s, policy %d", file, i+1)
		id, ok := p.Annotations()["id"]
		if !ok || id == "" {
			return fault.New(fault.Invalid, "%s has no @id: the account must be able to name the rule that decided", where)
		}
		if local && p.Effect() == cedar.Permit {
			return fault.New(fault.Invalid, "%s (%s) permits: local policies may only forbid more than the national ones do", where, id)
		}
		tree := p.AST()
		if err := onlyKnownNames(p); err != nil {
			return fault.New(fault.Invalid, "%s (%s): %s", where, id, fault.MessageOf(err))
		}
		if err := check.Policy(string(id), (*ast.Policy)(tree)); err != nil {
			return fault.New(fault.Invalid, "%s (%s) does not fit the schema: %v", where, id, err)
		}
		name := string(id)
		if local {
			name = "local:" + name
		}
		pid := cedar.PolicyID(fmt.Sprintf("%03d %s", len(r.rank), name))
		r.policies.Add(pid, p)
		r.rank[pid], r.name[pid] = len(r.rank), name
	}
	return nil
}

// decide asks the rules. A rule that fails to evaluate denies: Cedar would skip it, and a skipped forbid is a permit.
func (r *rules) decide(f facts) verdict {
	known := r.known.Load()
	if v, ok := known.Load(f); ok {
		return v.(verdict)
	}
	v := r.evaluate(f)
	r.remember(f, v)
	return v
}

func (r *rules) remember(key, answer any) {
	if r.count.Add(1) > rememberedVerdicts {
		r.count.Store(0)
		r.known.Store(&sync.Map{})
	}
	r.known.Load().Store(key, answer)
}

// question asks whether relationships matter to facts.
type question facts

// bondFlags are the ways in which the rules see a relationship with a chart, and none.
var bondFlags = [...]trait{0, fRelated, fRelated | fDirect, fRelated | fBreakGlass, fRelated | fDirect | fBreakGlass}

// askBonds reports whether what the rules say of f can depend on the principal's relationships with the chart, whether the chart
// is hidden or not. Where it cannot, nobody needs to look the relationships up.
func (r *rules) askBonds(f facts) bool {
	f.flags &^= fRelated | fDirect | fBreakGlass
	if known, ok := r.known.Load().Load(question(f)); ok {
		return known.(bool)
	}
	matters := false
	for _, hides := range [...]trait{0, fRestricted, fSealed, fRestricted | fSealed} {
		hidden := f
		hidden.flags |= hides
		alone := r.decide(hidden)
		for _, bond := range bondFlags {
			with := hidden
			with.flags |= bond
			matters = matters || r.decide(with) != alone
		}
	}
	r.remember(question(f), matters)
	return matters
}

func (r *rules) evaluate(f facts) verdict {
	user := types.NewEntityUID("User", types.String(f.user))
	item := types.NewEntityUID("Item", types.String(f.typ))
	world := world{
		user: types.Entity{UID: user, Parents: types.NewEntityUIDSet(types.NewEntityUID("Role", types.String(f.role))),
			Attributes: types.NewRecord(types.RecordMap{"id": types.String(f.user), "organisation": types.String(f.organisation)})},
		item: types.Entity{UID: item, Parents: types.NewEntityUIDSet(types.NewEntityUID("Class", types.String(ClassOf(f.typ)))),
			Attributes: types.NewRecord(types.RecordMap{
				"tenant": types.String(f.tenant), "type": types.String(f.typ), "filed": types.Boolean(f.has(fFiled)),
				"restricted": types.Boolean(f.has(fRestricted)), "sealed": types.Boolean(f.has(fSealed)), "unfiled": types.Boolean(f.has(fUnfiled))})},
	}
	context := types.NewRecord(types.RecordMap{
		"here": types.Boolean(f.has(fHere)), "home": types.Boolean(f.has(fHome)), "national": types.Boolean(f.has(fNational)),
		"own": types.Boolean(f.has(fOwn)), "related": types.Boolean(f.has(fRelated)), "direct": types.Boolean(f.has(fDirect)),
		"breakGlass": types.Boolean(f.has(fBreakGlass)), "founding": types.Boolean(f.has(fFounding)),
		"author": types.Boolean(f.has(fAuthor)), "reveals": types.Boolean(f.has(fReveals)), "scoped": types.Boolean(f.has(fScoped)), "assured": types.Boolean(f.has(fAssured)), "purpose": types.String(f.purpose),
	})
	decision, why := cedar.Authorize(r.policies, world, types.Request{
		Principal: user, Action: types.NewEntityUID("Action", types.String(f.action)), Resource: item, Context: context})
	if len(why.Errors) > 0 {
		return verdict{basis: "rule-error"}
	}
	v := verdict{allowed: decision == cedar.Allow, basis: "nobody-permits"}
	first := -1
	for _, reason := range why.Reasons {
		if n := r.rank[reason.PolicyID]; first < 0 || n < first {
			first, v.basis = n, r.name[reason.PolicyID]
		}
	}
	return v
}

// world answers Cedar's questions about the user, the item and the tree of actions.
type world struct{ user, item types.Entity }

// Get is the entity of that name.
func (w world) Get(uid types.EntityUID) (types.Entity, bool) {
	switch uid.Type {
	case "User":
		return w.user, uid == w.user.UID
	case "Item":
		return w.item, uid == w.item.UID
	case "Action":
		e, ok := actionTree[uid.ID]
		return e, ok
	}
	return types.Entity{}, false
}

var actionTree = func() map[types.String]types.Entity {
	tree := map[types.String]types.Entity{}
	for _, a := range Actions() {
		group := types.String(a.group())
		tree[types.String(a)] = types.Entity{UID: types.NewEntityUID("Action", types.String(a)), Parents: types.NewEntityUIDSet(types.NewEntityUID("Action", group))}
		tree[group] = types.Entity{UID: types.NewEntityUID("Action", group)}
	}
	return tree
}()

// group is the action's group, as the policies name it.
func (a Action) group() string {
	switch {
	case a == Trace || a == Amend:
		return "register"
	case a.Sees():
		return "see"
	case a == BreakGlass || a == Claim:
		return "reach"
	}
	return "change"
}

// onlyKnownNames refuses policies about one named user or item, and names of roles, classes and actions that do not exist.
func onlyKnownNames(p *cedar.Policy) error {
	text, err := p.MarshalJSON()
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "it cannot be written back")
	}
	named, err := namedEntities(text)
	if err != nil {
		return err
	}
	for _, uid := range named {
		known := false
		switch uid.Type {
		case "Role":
			known = Role(uid.ID).Known()
		case "Class":
			known = slices.Contains(classes(), string(uid.ID))
		case "Action":
			_, known = actionTree[uid.ID]
		case "User", "Item":
			return fault.New(fault.Invalid, "it is about one named %s: rules speak of roles, organisations and classes (use principal.id for one user)", strings.ToLower(string(uid.Type)))
		}
		if !known {
			return fault.New(fault.Invalid, "there is no %s called %q", strings.ToLower(string(uid.Type)), uid.ID)
		}
	}
	return nil
}

// namedEntities lists each entity that a policy in Cedar's JSON form names.
func namedEntities(policy []byte) ([]types.EntityUID, error) {
	var doc any
	if err := json.Unmarshal(policy, &doc); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "it cannot be read back")
	}
	var found []types.EntityUID
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			typ, isType := v["type"].(string)
			id, isID := v["id"].(string)
			if isType && isID && len(v) == 2 {
				found = append(found, types.NewEntityUID(types.EntityType(typ), types.String(id)))
				return
			}
			for _, inner := range v {
				walk(inner)
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		}
	}
	walk(doc)
	return found, nil
}
