package access

import (
	"slices"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// bond is what a principal is to a chart now, as the database says.
type bond struct {
	related, direct, broken bool
	kind                    string // of the strongest relationship
	label                   Label  // what hides the whole chart
	self                    bool   // it is another chart of the person whom the principal's patient/ scopes are about (see kin.go)
}

// lookFacts puts together what the rules may know about one place.
func lookFacts(p Principal, a Action, pl Place, b bond, nation ident.ODSCode, purpose string) facts {
	f := facts{user: p.ID, organisation: p.Organisation.String(), tenant: pl.Tenant.String(), typ: pl.Type,
		purpose: purpose, role: p.Role, action: a}
	home := !p.Organisation.IsZero() && pl.Tenant == p.Organisation ||
		p.Role == PrivacyOfficer && slices.Contains(p.Tenants, pl.Tenant) // one officer may be that of several organisations
	here := pl.Tenant.IsZero() || home || slices.Contains(p.Tenants, pl.Tenant) ||
		(pl.Tenant == nation && p.Role != SystemClient)
	self := pl.Chart != "" && p.person() != "" && (pl.Chart == p.person() || b.self)
	label := pl.Label | b.label
	secret := pl.Secret && p.AuthMethod != "open" // a demonstration for programs on this machine, in which made-up people may be written about early
	if secret {
		label |= Restricted
	}
	for _, x := range []struct {
		holds bool
		flag  trait
	}{
		{here, fHere}, {home, fHome}, {pl.Tenant == nation, fNational},
		{p.Role == Patient && self, fOwn},
		{b.related, fRelated}, {b.direct, fDirect}, {b.broken, fBreakGlass},
		{pl.Founding, fFounding}, {scoped(p, a, pl, self), fScoped}, {p.assured(), fAssured},
		{pl.Reveals != "", fReveals}, {pl.unfiled(), fUnfiled}, {pl.unfiled() && pl.Author == p.ID, fAuthor},
		{pl.Chart != "" || secret, fFiled}, {label&Restricted != 0, fRestricted}, {label&Sealed != 0, fSealed},
	} {
		if x.holds {
			f.flags |= x.flag
		}
	}
	return f
}

// assured reports whether it is as sure who p is as the national demographics service asks: AAL2 or AAL3 of professionals, P9 of patients (Personal
// Demographics Service FHIR API, "Access modes"). A system shows itself by its keys; the open principal is a demonstration's.
func (p Principal) assured() bool {
	switch {
	case p.Role == SystemClient || p.AuthMethod == "open" || p.AuthMethod == "service":
		return true
	case p.Role == Patient:
		return p.Assurance == "P9"
	}
	return p.Assurance == "AAL2" || p.Assurance == "AAL3"
}

// unfiled reports whether the place holds what speaks of a person whose chart nobody could tell.
func (pl Place) unfiled() bool { return pl.Chart == "" && pl.Author != "" }

// withEveryReason is f as if the place were in a chart and the principal had every relationship that one can have: what is
// refused even so is refused whoever the chart belongs to, and saying so tells nothing about anyone.
func (f facts) withEveryReason() facts {
	f.flags |= fRelated | fDirect | fBreakGlass | fFiled
	f.flags &^= fUnfiled
	if f.role == Patient {
		f.flags |= fOwn
	}
	return f
}

// ofNobody is f as if the place were in nobody's chart and spoke of nobody.
func (f facts) ofNobody() facts {
	f.flags &^= fFiled | fRestricted | fSealed | fUnfiled
	return f
}

// refusal words a denial. Where the principal may know that the place exists, or would be refused for anybody's chart,
// it is Forbidden; otherwise it is NotFound in the same words as for what is not there. What is not there is decided as if
// it were in no chart, so it comes to the same.
func (r *rules) refusal(f facts) error {
	look := f
	look.action = Read
	if !f.action.Sees() && r.decide(look).allowed {
		return fault.New(fault.Forbidden, "You may see this record but not do this to it.")
	}
	if !f.has(fHere) {
		return fault.New(fault.Forbidden, "You may not act in the records of that organisation.")
	}
	if (f.has(fFiled) || f.action != Create) && r.decide(f.withEveryReason()).allowed {
		return NotHere()
	}
	if f.action.Sees() && ClassOf(f.typ) != classShared && r.decide(f.ofNobody()).allowed {
		return NotHere() // as they are told who ask for one that is not there, and may see those that are in nobody's chart
	}
	if sure := f; !f.has(fAssured) {
		sure.flags |= fAssured
		if r.decide(sure).allowed || r.decide(sure.withEveryReason()).allowed {
			return fault.New(fault.Forbidden, "You did not sign in surely enough for this. It takes level AAL2 or AAL3, for patients a verified identity (P9): sign in another way.")
		}
	}
	if !f.has(fScoped) {
		return fault.New(fault.Forbidden, "Your token was not granted this.")
	}
	return fault.New(fault.Forbidden, "As %s you may not do this.", article(f.role))
}

// NotHere is what a caller is told about a record that is not there, and about one whose existence is a secret from them:
// the same words, so that neither can be told from the other. Locators and readers use it for what they do not find.
func NotHere() error {
	return fault.New(fault.NotFound, "There is no such record, or it is not one that you may know of.")
}

func article(r Role) string {
	switch r {
	case Auditor, Administrator:
		return "an " + string(r)
	case PrivacyOfficer:
		return "a privacy officer"
	case SystemClient:
		return "a system client"
	case Patient:
		return "a patient"
	}
	return "a " + string(r)
}
