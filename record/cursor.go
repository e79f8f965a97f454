package record

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// A page has 20 entries unless asked, and never more than 1,000.
const (
	defaultCount = 20
	maxCount     = 1000
)

// cursor says where the next page begins. Callers hold it as an opaque text that is good only for the question
// that it came from.
type cursor struct {
	Ver     int64      `json:"v,omitempty"`
	At      int64      `json:"t,omitempty"` // history: of the last version shown
	Lane    store.Lane `json:"l,omitempty"`
	Seq     int64      `json:"s,omitempty"`
	Rid     int64      `json:"r,omitempty"` // search: of the last resource shown
	Bound   int64      `json:"b,omitempty"` // search: the instant of the first page; what came later is not shown
	Drive   int        `json:"d,omitempty"` // search: how it is found
	Key     string     `json:"e,omitempty"` // search: under which key it stands there
	Keys    []string   `json:"k,omitempty"` // search: sort keys of the last resource shown
	More    bool       `json:"-"`
	Missing bool       `json:"m,omitempty"` // search: among those that lack the sort key
	Listed  bool       `json:"i,omitempty"` // search: and these are gone through as a list
	Type    string     `json:"y,omitempty"` // search over several types: the one reached
	Total   *int64     `json:"n,omitempty"`
}

// sealCursor makes the text; bound names the question (tenant, type, query, who asks). It is enciphered, and of a length that tells
// nothing: where in a lane something stands says how much is before it that the caller may not know of.
func (r *Records) sealCursor(c cursor, bound string) string {
	body, err := json.Marshal(c)
	if err != nil {
		return "" // a struct of numbers and strings always marshals
	}
	for len(body)%cursorStep != 0 {
		body = append(body, ' ')
	}
	nonce := make([]byte, r.cursors.NonceSize(), r.cursors.NonceSize()+len(body)+r.cursors.Overhead())
	if _, err := io.ReadFull(rand.Reader, nonce); err != nil {
		return "" // crypto/rand does not fail: it would end the program
	}
	return base64.RawURLEncoding.EncodeToString(r.cursors.Seal(nonce, nonce, body, []byte(bound)))
}

// openCursor reads the text back; "" is the first page. Errors: fault.Invalid for a cursor that this node did not make,
// or made for another question.
func (r *Records) openCursor(text, bound string) (cursor, error) {
	var c cursor
	if text == "" {
		return c, nil
	}
	none := fault.New(fault.Invalid, "This is not a page of this search. Start the search again.")
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	size := r.cursors.NonceSize()
	if err != nil || len(sealed) < size {
		return c, none
	}
	body, err := r.cursors.Open(nil, sealed[:size], sealed[size:], []byte(bound))
	if err != nil || json.Unmarshal(body, &c) != nil {
		return cursor{}, none
	}
	return c, nil
}

// cursorStep is what the length of a cursor is rounded up to, in bytes.
const cursorStep = 256

// cipherOf is what cursors are sealed with: AES-256 in GCM, under a key that follows from the node's own secret.
func cipherOf(secret []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "openspine cursor", 32)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the key of cursors cannot be made")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the key of cursors cannot be used")
	}
	sealing, err := cipher.NewGCM(block)
	return sealing, fault.Wrap(err, fault.Internal, "the cipher of cursors cannot be used")
}
