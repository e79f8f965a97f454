package oauth

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
)

// formBytes bounds what is sent to an endpoint: the largest lawful request holds two tokens.
const formBytes = 32 << 10

// readForm reads what was posted to an endpoint. Parameters come in the body, as a form, each once (RFC 6749 section 3.2);
// in the address they would be written into logs.
func readForm(r *http.Request) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, bad("Content-Type must be application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return nil, bad("parameters belong in the body, not in the address")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, formBytes+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the body could not be read")
	}
	if len(body) > formBytes {
		return nil, bad("the request is too long")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, bad("the body is not a form")
	}
	return form, once(form)
}

// once refuses a parameter that is there twice: two readers could each believe another one (RFC 6749 section 3.1). A resource may
// be named several times (RFC 8707).
func once(v url.Values) error {
	for name, values := range v {
		if len(values) > 1 && name != "resource" {
			return bad("the parameter " + ascii(name) + " is there more than once")
		}
		for _, value := range values {
			if !utf8.ValidString(value) || !utf8.ValidString(name) {
				return bad("the parameter " + ascii(name) + " is not text")
			}
		}
	}
	return nil
}

// LogoutToken is the logout token that a provider posts (OpenID Connect Back-Channel Logout 1.0 section 2.5). Errors: fault.Invalid.
func LogoutToken(r *http.Request) (string, error) {
	form, err := readForm(r)
	if err == nil && form.Get("logout_token") == "" {
		err = bad("logout_token is missing")
	}
	return form.Get("logout_token"), err
}
