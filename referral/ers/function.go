package ers

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// Function is a business function of the e-Referral Service: the part that somebody plays when they act (header NHSD-eRS-Business-Function).
type Function string

// The functions that act through this API. Others are known, and may do nothing here.
const (
	ReferringClinician      Function = "REFERRING_CLINICIAN"
	ReferringClinicianAdmin Function = "REFERRING_CLINICIAN_ADMIN"
	ReferringAdmin          Function = "REFERRING_ADMIN"
	ProviderClinician       Function = "SERVICE_PROVIDER_CLINICIAN"
	ProviderClinicianAdmin  Function = "SERVICE_PROVIDER_CLINICIAN_ADMIN"
	ProviderAdmin           Function = "SERVICE_PROVIDER_ADMIN"
	ServiceDefiner          Function = "SERVICE_DEFINER"
	// ProviderApplication is a program of a provider that acts for nobody in particular (application-restricted access).
	ProviderApplication Function = "PROVIDER_AUTHORISED_APPLICATION"
)

// functionsKnown are the values that the header may have.
func functionsKnown() []Function {
	return []Function{ReferringClinician, ReferringClinicianAdmin, ReferringAdmin, "COMMISSIONER", ProviderClinicianAdmin, ProviderClinician, ProviderAdmin,
		"INFORMATION_ANALYST", "BOOKING_MANAGER", "ADDITIONAL_REQUIREMENTS_MANAGER"}
}

// anyClinical are the functions that may read what is about referrals, and programs.
func anyClinical() []Function {
	return []Function{ReferringClinician, ReferringClinicianAdmin, ProviderClinician, ProviderClinicianAdmin, ProviderApplication}
}

// party is the side of a referral on which a function acts.
func (f Function) party() referral.Party {
	if f == ReferringClinician || f == ReferringClinicianAdmin {
		return referral.Referrer
	}
	return referral.Provider
}

// functionsAt are the functions in which somebody of a role may act at an organisation, which refers, or provides what others refer to, or both.
func (a *API) functionsAt(ctx context.Context, role access.Role, at ident.ODSCode) (list []Function, err error) {
	provides, err := a.dir.Provides(ctx, at)
	if err != nil {
		return nil, err
	}
	refers := !provides
	if provides {
		if refers, err = a.dir.Refers(ctx, at); err != nil {
			return nil, err
		}
	}
	clinician, clerk := role == access.Clinician, role == access.Clerk
	for _, x := range []struct {
		may  bool
		list []Function
	}{
		{clinician && provides, []Function{ServiceDefiner, ProviderClinician, ProviderAdmin}}, {clerk && provides, []Function{ProviderClinicianAdmin, ProviderAdmin}},
		{clinician && refers, []Function{ReferringClinician}}, {clerk && refers, []Function{ReferringClinicianAdmin, ReferringAdmin}},
	} {
		if x.may {
			list = append(list, x.list...)
		}
	}
	return list, nil
}

// caller is who calls, and the part that they play.
type caller struct {
	access.Principal
	Function     Function
	Organisation ident.ODSCode
	OnBehalf     string // of whom a ProviderClinicianAdmin acts, as their user id; "" otherwise
}

// caller reads the headers that say as what somebody acts, and on whose behalf, and holds them to what they may. No functions means that the operation takes none.
func (a *API) caller(r *http.Request, p access.Principal, functions []Function) (caller, error) {
	c, err := a.acting(r, p, functions)
	if err != nil || c.Function == "" || c.Function == ProviderApplication {
		return c, err
	}
	return c, a.onBehalf(r, &c)
}

// acting is caller, before it is known on whose behalf they act.
func (a *API) acting(r *http.Request, p access.Principal, functions []Function) (c caller, err error) {
	c = caller{Principal: p, Organisation: p.Organisation}
	if p.Role == access.SystemClient {
		return a.program(r, c, functions)
	}
	if len(functions) == 0 {
		return c, nil
	}
	if c.Function, err = oneHeader[Function](r, "NHSD-eRS-Business-Function"); err != nil {
		return c, err
	}
	organisation, err := oneHeader[string](r, "NHSD-End-User-Organisation-ODS")
	if err != nil {
		return c, err
	}
	may, err := a.functionsAt(r.Context(), p.Role, p.Organisation)
	if err != nil {
		return c, err
	}
	switch code, err := ident.ParseODSCode(organisation); {
	case !slices.Contains(functionsKnown(), c.Function):
		return c, refuse(forbidden, "'%s' is not an e-RS business function.", shown(string(c.Function)))
	case err != nil || code != p.Organisation:
		return c, refuse(forbidden, "The access token does not act for organisation '%s'; sign in in the role that you have there.", shown(organisation))
	case !slices.Contains(may, c.Function):
		return c, refuse(forbidden, "You may not act as %s at %s.", c.Function, code)
	case !slices.Contains(functions, c.Function):
		return c, refuse(forbidden, "%s may not use this endpoint; %s may.", c.Function, listed(functions))
	}
	return c, nil
}

// program is a caller that acts for nobody in particular: it names neither function nor organisation.
func (a *API) program(r *http.Request, c caller, functions []Function) (caller, error) {
	for _, h := range []string{"NHSD-eRS-Business-Function", "NHSD-End-User-Organisation-ODS", "NHSD-eRS-On-Behalf-Of-User-ID"} {
		if r.Header.Get(h) != "" {
			return c, refuse(forbidden, "%s is not allowed with application-restricted access.", h)
		}
	}
	if !slices.Contains(functions, ProviderApplication) {
		return c, refuse(forbidden, "This endpoint is for signed-in users; a program may not use it by itself.")
	}
	c.Function = ProviderApplication
	return c, nil
}

// onBehalf reads for which clinician an administrator acts.
func (a *API) onBehalf(r *http.Request, c *caller) error {
	c.OnBehalf = r.Header.Get("NHSD-eRS-On-Behalf-Of-User-ID")
	switch {
	case c.Function != ProviderClinicianAdmin && c.OnBehalf != "":
		return refuse(forbidden, "Only %s acts on behalf of somebody.", ProviderClinicianAdmin)
	case c.Function != ProviderClinicianAdmin:
		return nil
	case c.OnBehalf == "":
		return refuse(forbidden, "%s names the clinician on whose behalf they act: NHSD-eRS-On-Behalf-Of-User-ID.", ProviderClinicianAdmin)
	}
	return a.isClinicianAt(r.Context(), c.OnBehalf, c.Organisation)
}

// isClinicianAt refuses whoever is no clinician of a provider.
func (a *API) isClinicianAt(ctx context.Context, user string, at ident.ODSCode) error {
	_, profiles, err := a.k.Gate.Profiles(ctx, user)
	if fault.Is(err, fault.NotFound) {
		return refuse(forbidden, "There is no active user with the id given in NHSD-eRS-On-Behalf-Of-User-ID.")
	}
	for _, p := range profiles {
		if p.Role == access.Clinician && p.Organisation == at {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return refuse(forbidden, "The user on whose behalf you act is no clinician at %s.", at)
}

// isReferrerAt refuses whoever is no clinician of a practice, on whose behalf an administrator refers; it answers with their name.
func (a *API) isReferrerAt(ctx context.Context, user string, at ident.ODSCode) (name string, err error) {
	u, profiles, err := a.profiles(ctx, user)
	if err != nil {
		return "", err
	}
	there, refers := false, false
	for _, p := range profiles {
		if p.Role == access.Clinician && p.Organisation == at {
			return u.Name, nil
		}
		may, err := a.functionsAt(ctx, p.Role, p.Organisation)
		if err != nil {
			return "", err
		}
		there, refers = there || p.Organisation == at, refers || slices.Contains(may, ReferringClinician)
	}
	switch {
	case !refers:
		return "", refuse(notReferrer, "The user is no referring clinician.")
	case !there:
		return "", refuse(notInOrganisation, "The user does not work at %s.", at)
	}
	return "", refuse(notReferrerThere, "The user is no referring clinician at %s.", at)
}

// providesCare refuses whoever is no clinician of any provider.
func (a *API) providesCare(ctx context.Context, user string) error {
	_, profiles, err := a.profiles(ctx, user)
	if err != nil {
		return err
	}
	for _, p := range profiles {
		provides, err := a.dir.Provides(ctx, p.Organisation)
		if err != nil {
			return err
		}
		if p.Role == access.Clinician && provides {
			return nil
		}
	}
	return refuse(notProvider, "The user '%s' is no clinician of a provider.", shown(user))
}

// profiles are somebody's, with the refusals of whoever is nobody or may no longer sign in.
func (a *API) profiles(ctx context.Context, user string) (access.User, []access.Profile, error) {
	u, profiles, err := a.k.Gate.Profiles(ctx, user)
	if !fault.Is(err, fault.NotFound) {
		return u, profiles, err
	}
	if _, err := a.k.Gate.Member(ctx, user); err == nil {
		return u, nil, refuse(notActive, "The user '%s' is not active.", shown(user))
	}
	return u, nil, refuse(referenceNotFound, "There is no active user '%s'.", shown(user))
}

// oneHeader is a header that must be there once.
func oneHeader[T ~string](r *http.Request, name string) (T, error) {
	switch values := r.Header.Values(name); {
	case len(values) == 0 || strings.TrimSpace(values[0]) == "":
		if r.URL.Path == Base+"/STU3/Slot" { // A015 alone has a code for it
			return "", badQuery(missingHeader, "The header %s is missing.", name)
		}
		return "", refuse(forbidden, "The header %s is missing.", name)
	case len(values) > 1:
		return "", &badRequest{fault.New(fault.Invalid, "The header %s is there more than once.", name)}
	default:
		return T(values[0]), nil
	}
}

func listed(functions []Function) string {
	words := make([]string, len(functions))
	for i, f := range functions {
		words[i] = string(f)
	}
	return strings.Join(words, ", ")
}
