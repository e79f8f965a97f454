package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/signin/credential"
)

// softKey is a passkey that lives in the test: what a browser and a device make of a ceremony together (WebAuthn level 3, section 6.5).
func softKey(t testing.TB, c credential.Ceremony, origin string) string {
	t.Helper()
	var options struct {
		PublicKey struct {
			Challenge string `json:"challenge"`
			RP        struct {
				ID string `json:"id"`
			} `json:"rp"`
		} `json:"publicKey"`
	}
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	check(json.Unmarshal([]byte(c.Options), &options))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	point, err := key.PublicKey.Bytes()
	check(err)
	public, err := webauthncbor.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	check(err)
	id := make([]byte, 16)
	_, err = rand.Read(id)
	check(err)
	site := sha256.Sum256([]byte(options.PublicKey.RP.ID))
	data := append(site[:], 0x45, 0, 0, 0, 0) // present, verified, attested; counter 0
	data = append(data, make([]byte, 16)...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(id)))
	data = append(append(data, id...), public...)
	object, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
	check(err)
	client, err := json.Marshal(map[string]any{"type": "webauthn.create", "challenge": options.PublicKey.Challenge, "origin": origin, "crossOrigin": false})
	check(err)
	text := base64.RawURLEncoding.EncodeToString
	answer, err := json.Marshal(map[string]any{"id": text(id), "rawId": text(id), "type": "public-key",
		"response": map[string]any{"clientDataJSON": text(client), "attestationObject": text(object)}})
	check(err)
	return string(answer)
}

// TestALinkIsSpentWithThePasskey and not before: a passkey that does not hold leaves it good, and of a hundred at once one gets it.
func TestALinkIsSpentWithThePasskey(t *testing.T) {
	t.Parallel()
	h := open(t, nil, live)
	keep := h.node.Door().Credentials()
	u, err := h.node.Kernel().Gate.UserByID(t.Context(), "clinician")
	if err != nil {
		t.Fatal(err)
	}
	code, err := keep.NewLink(t.Context(), h.clerk(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	offer := func() credential.Offer {
		c, err := keep.BeginPasskey(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		return credential.Offer{Seal: c.Seal, Answer: softKey(t, c, h.named()), Name: "test"}
	}
	broken := offer()
	broken.Answer = strings.Replace(broken.Answer, `"clientDataJSON":"`, `"clientDataJSON":"e30`, 1)
	other := offer()
	other.Seal = offer().Seal
	for what, o := range map[string]credential.Offer{"an answer that cannot be read": broken, "the answer to another page": other, "no answer": {Seal: offer().Seal}} {
		if _, _, err := keep.Enrol(t.Context(), code, "192.0.2.1", o); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := keep.Link(t.Context(), code, "192.0.2.1"); err != nil {
			t.Errorf("after %s the link: %v", what, err)
		}
	}
	// by way of the page too
	got := h.call(browser(), "POST", "/sign-in/enrol", url.Values{"code": {code}, "seal": {broken.Seal}, "credential": {broken.Answer}})
	if got.status != 400 {
		t.Errorf("the page: %d", got.status)
	}
	const callers = 100
	offers := make([]credential.Offer, callers)
	for i := range offers {
		offers[i] = offer()
	}
	var wg sync.WaitGroup
	outcomes := make([]error, callers)
	for i := range callers {
		wg.Go(func() { _, _, outcomes[i] = keep.Enrol(t.Context(), code, "192.0.2.1", offers[i]) })
	}
	wg.Wait()
	succeeded := 0
	for _, err := range outcomes {
		if err == nil {
			succeeded++
		} else if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.TooMany) {
			t.Errorf("one who was too late: %v", err)
		}
	}
	keys, err := keep.Passkeys(t.Context(), u.ID)
	left, err2 := keep.RecoveryLeft(t.Context(), u.ID)
	if succeeded != 1 || len(keys) != 1 || left != credential.RecoveryCodes || err != nil || err2 != nil {
		t.Errorf("%d of %d got the link; %d passkeys, %d codes (%v %v)", succeeded, callers, len(keys), left, err, err2)
	}
	if _, err := keep.Link(t.Context(), code, "192.0.2.9"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the link afterwards: %v", err)
	}
}
