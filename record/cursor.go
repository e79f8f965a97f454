package record

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

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

// sealCursor makes the text; bound names the question (tenant, type, query, who asks).
func (r *Records) sealCursor(c cursor, bound string) string {
	body, err := json.Marshal(c)
	if err != nil {
		return "" // a struct of numbers and strings always marshals
	}
	return base64.RawURLEncoding.EncodeToString(append(r.mac(body, bound), body...))
}

// openCursor reads the text back; "" is the first page. Errors: fault.Invalid for a cursor that this node did not make,
// or made for another question.
func (r *Records) openCursor(text, bound string) (cursor, error) {
	var c cursor
	if text == "" {
		return c, nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(sealed) < macLen || !hmac.Equal(sealed[:macLen], r.mac(sealed[macLen:], bound)) {
		return c, fault.New(fault.Invalid, "This is not a page of this search. Start the search again.")
	}
	if err := json.Unmarshal(sealed[macLen:], &c); err != nil {
		return c, fault.New(fault.Invalid, "This is not a page of this search. Start the search again.")
	}
	return c, nil
}

const macLen = 16

func (r *Records) mac(body []byte, bound string) []byte {
	h := hmac.New(sha256.New, r.key)
	_, _ = h.Write([]byte(bound)) // a hash never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(body)
	return h.Sum(nil)[:macLen]
}
