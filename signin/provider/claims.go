package provider

import (
	"context"
	"strconv"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// said is what a provider says of somebody.
type said map[string]any

// text is a claim as text: providers write levels as numbers and as text.
func (c said) text(name string) string {
	switch v := c[name].(type) {
	case string:
		if len(v) <= 500 {
			return v
		}
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// claimsOf is what the ID token says and, when it leaves out who they are, what the userinfo endpoint adds (OpenID Connect Core section 5.3): about
// the same subject alone, and never against the ID token.
func (p *Provider) claimsOf(ctx context.Context, n *known, id *oidc.IDToken, token *oauth2.Token) (said, error) {
	c := said{}
	if err := id.Claims(&c); err != nil {
		return nil, refuse(Untrue, "the claims cannot be read")
	}
	wanted := p.Identifier
	if p.Realm == access.Patients {
		wanted = "nhs_number"
	}
	if c.text(wanted) != "" || n.Userinfo == "" || token.AccessToken == "" {
		return c, nil
	}
	info, err := n.oidc.UserInfo(oidc.ClientContext(ctx, p.fetch), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token.AccessToken}))
	if err != nil {
		return nil, refuse(Down, "its userinfo endpoint does not answer")
	}
	if info.Subject != id.Subject {
		return nil, refuse(Untrue, "userinfo is about somebody else (sub)")
	}
	more := said{}
	if err := info.Claims(&more); err != nil {
		return nil, refuse(Untrue, "userinfo cannot be read")
	}
	for name, value := range more {
		if _, there := c[name]; !there {
			c[name] = value
		}
	}
	return c, nil
}

// assure reads how sure the provider is, and of whom. Errors: Weak when that is less than the configuration asks.
func (p *Provider) assure(a *Arrival, c said) error {
	if p.Realm == access.Patients {
		a.Assurance = patientLevel(c)
		if !reaches(patientLevels(), a.Assurance, p.Least) {
			return refuse(Weak, "it says "+a.Assurance+" and we ask for "+p.Least)
		}
		if number, err := ident.ParseNHSNumber(c.text("nhs_number")); err == nil && a.Assurance == "P9" {
			a.NHSNumber = number.String()
		} else if c.text("nhs_number") != "" && err != nil {
			return refuse(Untrue, fault.MessageOf(err))
		}
		return nil
	}
	a.Assurance, a.Proofing, a.Identifier = professionalLevel(c), proofingLevel(c), c.text(p.Identifier)
	if !reaches(professionalLevels(), a.Assurance, p.Least) {
		return refuse(Weak, "it says "+a.Assurance+" and we ask for "+p.Least)
	}
	if p.LeastProofing != "" && !reaches(proofingLevels(), a.Proofing, p.LeastProofing) {
		return refuse(Weak, "it says "+a.Proofing+" and we ask for "+p.LeastProofing)
	}
	return nil
}

// professionalLevel is authentication_assurance_level, a figure, or else what acr begins with (NHS CIS2: AAL3_ANY, AAL2_OR_AAL3_ANY): the
// least that it can mean.
func professionalLevel(c said) string {
	if level := c.text("authentication_assurance_level"); level != "" {
		return oneOf(professionalLevels(), "AAL"+strings.TrimPrefix(level, "AAL"))
	}
	first, _, _ := strings.Cut(c.text("acr"), "_")
	return oneOf(professionalLevels(), first)
}

func proofingLevel(c said) string {
	return oneOf(proofingLevels(), "IAL"+strings.TrimPrefix(c.text("id_assurance_level"), "IAL"))
}

// patientLevel is identity_proofing_level, or else the part of vot that begins with P (RFC 8485; NHS login: P9.Cp.Cd).
func patientLevel(c said) string {
	if level := c.text("identity_proofing_level"); level != "" {
		return oneOf(patientLevels(), level)
	}
	for _, part := range strings.Split(c.text("vot"), ".") {
		if level := oneOf(patientLevels(), part); level != "" {
			return level
		}
	}
	return ""
}

// oneOf is level when it is among levels, and "" otherwise.
func oneOf(levels []string, level string) string {
	for _, l := range levels {
		if l == level {
			return l
		}
	}
	return ""
}
