package replica

import (
	"net/http"

	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/network/outward"
)

// Client is a hospital's system as the authority's identity service knows it.
type Client struct {
	TokenURL, ID, KeyID string
	Key                 []byte // an RSA private key as PEM
	Clock               clock.Clock
}

// Credentials shows who asks by OAuth 2 client credentials with a signed JWT (outward.Credentials), and carries requests by next.
// Error: fault.Invalid for a key that is none.
func Credentials(next http.RoundTripper, c Client) (http.RoundTripper, error) {
	return outward.Credentials(next, outward.OAuth{TokenURL: c.TokenURL, ID: c.ID, KeyID: c.KeyID, Key: c.Key, Of: "the national register", Clock: c.Clock})
}
