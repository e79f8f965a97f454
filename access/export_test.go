package access

import "github.com/openspine/openspine/internal/clock"

// VerifierAlone is a verifier without a database, for which nothing was ever revoked. It knows that only while c stands still.
func VerifierAlone(c clock.Clock, audience string, trust ...Trust) (*Verifier, error) {
	for i := range trust {
		trust[i].Own = false // there is nowhere to ask how a user stands
	}
	v, err := (&Gate{opt: Options{Clock: c}}).NewVerifier(audience, trust...)
	if err != nil {
		return nil, err
	}
	v.gate.revoked.asOf, v.gate.revoked.all = c.Now(), c.Now()
	return v, nil
}
