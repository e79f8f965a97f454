package access

import "github.com/openspine/openspine/internal/clock"

// VerifierAlone is a verifier without a database, for which nothing was ever revoked. It knows that only while c stands still.
func VerifierAlone(c clock.Clock, audience string, trust ...Trust) (*Verifier, error) {
	v, err := (&Gate{opt: Options{Clock: c}}).NewVerifier(audience, trust...)
	if err != nil {
		return nil, err
	}
	v.asOf = c.Now()
	return v, nil
}
