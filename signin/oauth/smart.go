package oauth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
)

// launchFor is how long a person has to start an app from a record.
const launchFor = 5 * time.Minute

// launchBytes bounds the context that an app gives back: a signed JWT with two addresses and three ids.
const launchBytes = 2000

type launchClaims struct {
	jwt.Claims
	Chart string `json:"launch_patient"`
}

// Launch is the context that a page about a person hands to an app (SMART App Launch 2 section 2.0.7, "launch from EHR"): it says who is
// looking, at whom, and for which client, and holds for five minutes.
func (s *Server) Launch(p access.Principal, c Client, chart string) (string, error) {
	now := s.now()
	return s.k.Issuer.Sign(access.TypeID, launchClaims{Claims: jwt.Claims{Issuer: s.issuer() + "/launch", Subject: p.ID, Audience: jwt.Audience{c.ID}, IssuedAt: jwt.NewNumericDate(now),
		Expiry: jwt.NewNumericDate(now.Add(launchFor))}, Chart: chart})
}

// context is the patient whom a request is about: their own chart for a patient, the one that the launching page names, or the one
// that was chosen, of which the page of choices makes a context as well: a program cannot choose in somebody's name. Whoever signed in must be able to see the person, as for any other page.
func (s *Server) context(ctx context.Context, r Request, p access.Principal) (string, error) {
	if p.Role == access.Patient {
		return p.Person, nil
	}
	chart := ""
	if r.Launch != "" {
		var l launchClaims
		err := s.k.Issuer.Open(access.TypeID, r.Launch, &l)
		if err != nil || l.Issuer != s.issuer()+"/launch" || len(l.Audience) != 1 || l.Audience[0] != r.Client.ID || l.Subject != p.ID || l.Expiry == nil || !s.now().Before(l.Expiry.Time()) {
			return "", s.fails(r.Redirect, r.State, invalidRequest, "launch is invalid - open the app from the record again")
		}
		chart = l.Chart
	}
	confined := slices.ContainsFunc(r.Scopes, func(scope string) bool { return strings.HasPrefix(scope, "patient/") })
	if chart == "" {
		if confined {
			return "", s.fails(r.Redirect, r.State, invalidRequest, "there is no patient in context - ask for launch/patient, or open the app from a record")
		}
		return "", nil
	}
	return chart, s.Sees(ctx, p, chart)
}

// Sees is a fault unless p may see a person of the national records; the look is on the account.
func (s *Server) Sees(ctx context.Context, p access.Principal, chart string) error {
	place, err := s.k.Records.Locate(ctx, record.Ref{Tenant: s.k.National, Type: "Patient", ID: chart})
	if err != nil {
		return err
	}
	g, err := s.k.Gate.Decide(ctx, p, access.Read, place)
	if err != nil {
		return err
	}
	if !place.Exists {
		return fault.New(fault.NotFound, "There is no such person.")
	}
	return s.k.Gate.Account(ctx, []access.Grant{g}, nil)
}
