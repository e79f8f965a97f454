package oauth

import (
	"net/http"

	"github.com/openspine/openspine/fault"
)

// discovery tells programs where everything is (OpenID Connect Discovery 1.0 section 3; RFC 8414 section 2).
func (s *Server) discovery(w http.ResponseWriter, _ *http.Request) error {
	base := s.k.BaseURL()
	w.Header().Set("Cache-Control", "public, max-age=300")
	return answer(w, map[string]any{
		"issuer":                                           s.issuer(),
		"authorization_endpoint":                           base + PathAuthorize,
		"token_endpoint":                                   base + PathToken,
		"userinfo_endpoint":                                base + PathUserinfo,
		"jwks_uri":                                         base + PathKeys,
		"revocation_endpoint":                              base + PathRevoke,
		"introspection_endpoint":                           base + PathIntrospect,
		"end_session_endpoint":                             base + PathLogout,
		"scopes_supported":                                 append(plainScopes(), "patient/*.rs", "user/*.cruds", "system/*.cruds"),
		"response_types_supported":                         []string{"code"},
		"response_modes_supported":                         []string{"query"},
		"grant_types_supported":                            []string{byCode, byRefresh, byAssertion, byExchange},
		"code_challenge_methods_supported":                 []string{"S256"},
		"subject_types_supported":                          []string{"public"},
		"id_token_signing_alg_values_supported":            []string{"ES256"},
		"token_endpoint_auth_methods_supported":            []string{"client_secret_post", "client_secret_basic", "private_key_jwt", "none"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS512"},
		"revocation_endpoint_auth_methods_supported":       []string{"client_secret_post", "client_secret_basic", "private_key_jwt", "none"},
		"introspection_endpoint_auth_methods_supported":    []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		"acr_values_supported":                             []string{"AAL2", "AAL3", "P5", "P9"},
		"claims_supported":                                 []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "id_assurance_level", "authentication_assurance_level", "name", "fhirUser", "nhsid_useruid", "nhsid_nrbac_roles", "selected_roleid", "nhs_number", "identity_proofing_level", "vot"},
		"authorization_response_iss_parameter_supported":   true,
		"request_parameter_supported":                      false,
		"request_uri_parameter_supported":                  false,
		"backchannel_logout_supported":                     true,
		"backchannel_logout_session_supported":             true,
		"prompt_values_supported":                          []string{"none", "login", "consent", "select_account"},
		"ui_locales_supported":                             []string{"en-GB"},
	})
}

// smartConfiguration is for apps that are started from a record or look for one (SMART App Launch 2 section 4). The issuer and keys are
// named, for people sign in to apps with OpenID Connect.
func (s *Server) smartConfiguration(w http.ResponseWriter, _ *http.Request) error {
	base := s.k.BaseURL()
	w.Header().Set("Cache-Control", "public, max-age=300")
	return answer(w, map[string]any{
		"issuer":                                           s.issuer(),
		"jwks_uri":                                         base + PathKeys,
		"authorization_endpoint":                           base + PathAuthorize,
		"token_endpoint":                                   base + PathToken,
		"introspection_endpoint":                           base + PathIntrospect,
		"revocation_endpoint":                              base + PathRevoke,
		"management_endpoint":                              base + PathManage,
		"grant_types_supported":                            []string{byCode, byRefresh, byAssertion},
		"response_types_supported":                         []string{"code"},
		"code_challenge_methods_supported":                 []string{"S256"},
		"token_endpoint_auth_methods_supported":            []string{"client_secret_post", "client_secret_basic", "private_key_jwt"},
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS512"},
		"scopes_supported":                                 append(plainScopes(), "patient/*.rs", "user/*.cruds", "system/*.cruds"),
		"capabilities": []string{"launch-ehr", "launch-standalone", "authorize-post", "client-public", "client-confidential-symmetric",
			"sso-openid-connect", "context-banner", "context-ehr-patient", "context-standalone-patient", "permission-patient", "permission-user", "permission-offline", "permission-online",
			"permission-v1", "permission-v2"},
	})
}

// jwks is the keys that tokens are signed with (RFC 7517 section 5).
func (s *Server) jwks(w http.ResponseWriter, _ *http.Request) error {
	keys, err := s.k.Issuer.JWKS()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=60")
	_, err = w.Write(keys)
	return fault.Wrap(err, fault.Internal, "writing the key set")
}
