package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// person is what a client is told of whoever signed in, by the scopes that it was granted: the claims of NHS CIS2 for
// professionals, those of NHS login for patients.
func (s *Server) person(ctx context.Context, g Grant, p access.Principal) (map[string]any, error) {
	m := map[string]any{"sub": p.ID}
	if slices.Contains(g.Scopes, "profile") {
		m["name"] = p.Name
	}
	if slices.Contains(g.Scopes, "fhirUser") {
		m["fhirUser"] = s.fhirUser(p)
	}
	if p.Role == access.Patient {
		m["nhs_number"], m["identity_proofing_level"] = p.Person, g.Assurance
		if g.Assurance != "" {
			m["vot"], m["vtm"] = g.Assurance+".Cp.Cd", s.issuer()+"/trustmark"
		}
		return m, nil
	}
	m["uid"], m["nhsid_useruid"] = p.ID, p.ID
	if level, ok := strings.CutPrefix(g.Assurance, "AAL"); ok {
		m["authentication_assurance_level"] = level
	}
	if level, ok := strings.CutPrefix(g.Proofing, "IAL"); ok {
		m["id_assurance_level"] = level
	}
	if slices.Contains(g.Scopes, "selectedrole") || slices.Contains(g.Scopes, "nationalrbacaccess") {
		m["selected_roleid"] = p.Profile
	}
	if !slices.Contains(g.Scopes, "nationalrbacaccess") {
		return m, nil
	}
	_, profiles, err := s.k.Gate.Profiles(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	var roles []map[string]any
	for _, pr := range profiles {
		roles = append(roles, map[string]any{"person_orgid": p.ID, "person_roleid": pr.ID, "org_code": pr.Organisation.String(), "role_code": pr.Job, "role_name": string(pr.Role)})
	}
	m["nhsid_nrbac_roles"] = roles
	return m, nil
}

// fhirUser is the resource that stands for somebody (SMART App Launch 2 section 2.0.10.4).
func (s *Server) fhirUser(p access.Principal) string {
	if p.Role == access.Patient {
		return s.k.BaseURL() + "/FHIR/R4/Patient/" + p.Person
	}
	return s.k.BaseURL() + "/FHIR/R4/Practitioner/" + p.ID
}

// dress adds to an answer what goes with the scopes: an ID token (OpenID Connect Core section 3.1.3.3), the patient in context.
func (s *Server) dress(ctx context.Context, t tokens, c Client, g Grant, p access.Principal, scopes []string) (tokens, error) {
	if g.Chart != "" {
		t.Patient = g.Chart
		banner := true
		t.NeedBanner = &banner
	}
	if slices.Contains(scopes, "fhirUser") {
		t.FHIRUser = s.fhirUser(p)
	}
	if !slices.Contains(scopes, "openid") {
		return t, nil
	}
	claims, err := s.person(ctx, g, p)
	if err != nil {
		return t, err
	}
	now := s.now()
	half := sha256.Sum256([]byte(t.AccessToken)) // for ES256 the hash is SHA-256, of which the left half is given
	for name, v := range map[string]any{"iss": s.issuer(), "aud": c.ID, "azp": c.ID, "iat": now.Unix(), "exp": now.Add(idTokenFor).Unix(), "auth_time": g.SignedIn.Unix(),
		"sid": g.ID, "amr": []string{g.Method}, "at_hash": base64.RawURLEncoding.EncodeToString(half[:16]), "realm": p.Role.Realm()} {
		claims[name] = v
	}
	if g.Assurance != "" {
		claims["acr"] = g.Assurance
	}
	if g.Nonce != "" {
		claims["nonce"] = g.Nonce
	}
	t.IDToken, err = s.k.Issuer.Sign(access.TypeID, claims)
	return t, err
}

// bearerOf is the access token of a request, in its header alone: not in the address, where logs keep it (RFC 9700 section 4.3.2).
func bearerOf(r *http.Request) (string, error) {
	if len(r.Header.Values("Authorization")) > 1 {
		return "", access.InvalidRequest("there is more than one")
	}
	token, presented, err := access.BearerToken(r.Header.Get("Authorization"))
	if err == nil && !presented {
		err = refuse(http.StatusUnauthorized, invalidToken, "an access token is needed")
	}
	return token, err
}

// userinfo says who signed in (OpenID Connect Core section 5.3).
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) error {
	token, err := bearerOf(r)
	if err != nil {
		return err
	}
	p, err := s.k.Verifier.Verify(r.Context(), token)
	if err != nil {
		return err
	}
	if p.Role == access.SystemClient {
		return bad("The Userinfo endpoint tells of people who have signed in; this token is a system's")
	}
	var g Grant
	err = s.k.DB.Read(r.Context(), func(tx *store.Tx) (err error) {
		g, err = s.readGrant(tx, p.SessionID)
		return err
	})
	if fault.Is(err, fault.NotFound) || err == nil && (g.Client != p.Client || !slices.Contains(g.Scopes, "openid")) { // or it was exchanged for one
		return refuse(http.StatusForbidden, "insufficient_scope", "the token was not granted openid")
	}
	if err != nil {
		return err
	}
	m, err := s.person(r.Context(), g, p)
	if err != nil {
		return err
	}
	return answer(w, m)
}

// introspect tells a client about a token of its own (RFC 7662): of any other it says only that it does not hold.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	c, token, err := s.about(r)
	if err != nil {
		return err
	}
	inactive := map[string]any{"active": false}
	if c.Kind == Public {
		return refuse(http.StatusUnauthorized, invalidClient, "a public client may not ask")
	}
	found, err := s.k.Verifier.Inspect(r.Context(), token)
	if fault.Is(err, fault.Unauthenticated) {
		return answer(w, inactive)
	}
	if err != nil {
		return err
	}
	if found.Principal.Client != c.ID {
		return answer(w, inactive)
	}
	p := found.Principal
	m := map[string]any{"active": true, "client_id": c.ID, "sub": p.ID, "token_type": bearer, "exp": found.Expires.Unix(), "iat": found.Issued.Unix(), "iss": found.Issuer,
		"aud": s.k.Issuer.Audience(), "jti": found.ID, "scope": strings.Join(p.Scopes, " "), "realm": p.Role.Realm()}
	if p.Assurance != "" {
		m["acr"] = p.Assurance
	}
	return answer(w, m)
}

// about reads a request about a token: which client asks, and the token.
func (s *Server) about(r *http.Request) (Client, string, error) {
	form, err := readForm(r)
	if err != nil {
		return Client{}, "", err
	}
	base := "/oauth2"
	if strings.HasPrefix(r.URL.Path, Mock+"/") {
		base = Mock
	}
	c, err := s.client(r, form, base)
	if err == nil && form.Get("token") == "" {
		err = bad("token is missing")
	}
	return c, form.Get("token"), err
}

// revoke ends a token of the client's own (RFC 7009): a refresh token with all that came of the same sign-in. A token that holds no
// more is no error.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	c, token, err := s.about(r)
	if err != nil {
		return err
	}
	g, isRefresh, err := s.refreshGrant(r.Context(), token)
	if err != nil {
		return err
	}
	if isRefresh {
		if g.Client != c.ID {
			return refuse(http.StatusBadRequest, unauthorizedClient, "the token is another client's")
		}
		return s.End(r.Context(), s.clientPrincipal(c), g.ID, "the client revoked it")
	}
	p, err := s.k.Verifier.Verify(r.Context(), token)
	if fault.Is(err, fault.Unauthenticated) {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err != nil {
		return err
	}
	if p.Client != c.ID {
		return refuse(http.StatusBadRequest, unauthorizedClient, "the token is another client's")
	}
	return s.k.Verifier.Revoke(r.Context(), s.clientPrincipal(c), token)
}

// refreshGrant is the grant of a refresh token; false when it is none that is known.
func (s *Server) refreshGrant(ctx context.Context, token string) (g Grant, ok bool, err error) {
	id := grantOf(token)
	lane := s.grantLane(id)
	err = s.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		var n int64
		if err := tx.QueryRow(`SELECT n FROM oauth_refresh WHERE lane = ? AND hash = ? AND grant_id = ?`, int64(lane), hashOf("refresh", token), id).Scan(&n); err != nil {
			return err
		}
		g, err = s.readGrant(tx, id)
		return err
	})
	if fault.Is(err, fault.NotFound) {
		return g, false, nil
	}
	return g, err == nil, err
}
