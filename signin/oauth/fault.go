package oauth

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
)

// The error codes of RFC 6749 sections 4.1.2.1 and 5.2, RFC 6750 section 3.1, and one of NHS England's.
const (
	invalidRequest       = "invalid_request"
	invalidClient        = "invalid_client"
	invalidGrant         = "invalid_grant"
	invalidScope         = "invalid_scope"
	invalidToken         = "invalid_token"
	unauthorizedClient   = "unauthorized_client"
	accessDenied         = "access_denied"
	unsupportedGrant     = "unsupported_grant_type"
	unsupportedResponse  = "unsupported_response_type"
	serverError          = "server_error"
	temporarilyUnavail   = "temporarily_unavailable"
	loginRequired        = "login_required"
	consentRequired      = "consent_required"
	interactionRequired  = "interaction_required"
	publicKeyError       = "public_key error"
	errorDescriptionSafe = 300
)

// refusal is an error in OAuth's own words.
type refusal struct {
	status            int
	code, description string
	after             int // seconds after which to come again; 0 when it does not matter
}

// Error is the code and the description.
func (r *refusal) Error() string { return r.code + ": " + r.description }

// refuse is a failure that the endpoints word with code and description; status is 400, 401 or 403.
func refuse(status int, code, description string) error {
	kind := fault.Invalid
	switch status {
	case http.StatusUnauthorized:
		kind = fault.Unauthenticated
	case http.StatusForbidden:
		kind = fault.Forbidden
	}
	return fault.Wrap(&refusal{status: status, code: code, description: description}, kind, "%s", description)
}

func bad(description string) error { return refuse(http.StatusBadRequest, invalidRequest, description) }

// refusalOf is err in OAuth's words. What was not meant for a caller tells them nothing.
func refusalOf(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	kind := fault.KindOf(err)
	switch kind {
	case fault.Internal, fault.Full:
		return &refusal{status: kind.HTTPStatus(), code: serverError, description: "Something went wrong here; the message_id names it in our log"}
	case fault.Unavailable, fault.Timeout, fault.TooMany:
		return &refusal{kind.HTTPStatus(), temporarilyUnavail, ascii(fault.MessageOf(err)), 1}
	case fault.Unauthenticated:
		return &refusal{status: http.StatusUnauthorized, code: invalidToken, description: ascii(fault.MessageOf(err))}
	}
	return &refusal{status: kind.HTTPStatus(), code: invalidRequest, description: ascii(fault.MessageOf(err))}
}

// ascii keeps to what an error_description may hold (RFC 6749 section 5.2): no quote, no backslash, nothing beyond ASCII.
func ascii(s string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < 0x20 || r > 0x7e || r == '\\':
			return '?'
		}
		return r
	}, s)
	return clean[:min(len(clean), errorDescriptionSafe)]
}

// Face words failures as RFC 6749 section 5.2 does, with the message_id of NHS England's identity service.
type Face struct{}

// Refuse answers with {"error", "error_description", "message_id"}.
func (Face) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	failure := refusalOf(err)
	if failure.status == http.StatusUnauthorized {
		challenge := `Basic realm="openspine"`
		if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") || strings.HasSuffix(r.URL.Path, "/userinfo") {
			challenge = access.Challenge(err)
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if failure.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(failure.after))
	}
	body := struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		MessageID   string `json:"message_id"`
	}{failure.code, failure.description, access.RequestID(r.Context())}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(failure.status)
	_ = json.NewEncoder(w).Encode(body) // the answer is buffered: it does not fail
}

// answer sends JSON.
func answer(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "writing an answer")
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(b)
	return err
}
