package ident

import (
	"encoding/hex"
	"io"
	"math/big"
	"strings"

	"github.com/openspine/openspine/fault"
)

// UID is a DICOM unique identifier: numbers without leading zeros, joined by full stops, at most 64 characters
// (DICOM PS3.5 section 9).
type UID struct{ s string }

// ParseUID reads a UID; the null or space that DICOM adds for an even length must be gone.
func ParseUID(s string) (UID, error) {
	if s == "" || len(s) > 64 {
		return UID{}, invalid("a UID has 1 to 64 characters; what was given has %d", len(s))
	}
	for part := range strings.SplitSeq(s, ".") {
		if !allDigits(part) {
			return UID{}, invalid("a UID is numbers joined by single full stops")
		}
		if part[0] == '0' && part != "0" {
			return UID{}, invalid("a number within a UID does not begin with 0")
		}
	}
	return UID{s}, nil
}

// NewUID makes a UID under 2.25 from a random UUID (ISO/IEC 9834-8).
func NewUID(random io.Reader) (UID, error) {
	id, err := NewRequestID(random)
	if err != nil {
		return UID{}, err
	}
	return id.UID(), nil
}

// String is the UID.
func (u UID) String() string { return u.s }

// URN is the UID as a FHIR identifier's value: urn:oid:…
func (u UID) URN() string {
	if u.s == "" {
		return ""
	}
	return "urn:oid:" + u.s
}

// IsZero reports that there is no UID.
func (u UID) IsZero() bool { return u.s == "" }

// MarshalText is the UID.
func (u UID) MarshalText() ([]byte, error) { return []byte(u.s), nil }

// UnmarshalText is ParseUID; an empty text is none.
func (u *UID) UnmarshalText(b []byte) error { return unmarshal(u, b, ParseUID) }

// RequestID is the UUID that names one request, and its repetitions (RFC 9562; header X-Request-ID).
type RequestID struct{ s string }

// ParseRequestID reads a UUID in the form 8-4-4-4-12; capitals are read as small letters.
func ParseRequestID(s string) (RequestID, error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return RequestID{}, invalid("a request id is a UUID of the form 00000000-0000-0000-0000-000000000000")
	}
	for i := range len(s) {
		c := s[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash {
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return RequestID{}, invalid("a request id is a UUID; character %d is not hexadecimal", i+1)
		}
	}
	return RequestID{strings.ToLower(s)}, nil
}

// NewRequestID makes a random UUID (version 4) from sixteen bytes of random.
func NewRequestID(random io.Reader) (RequestID, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return RequestID{}, fault.Wrap(err, fault.Internal, "no randomness for an identifier")
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return RequestID{h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]}, nil
}

// UID is the DICOM UID under 2.25 that the UUID names.
func (r RequestID) UID() UID {
	if r.s == "" {
		return UID{}
	}
	n, ok := new(big.Int).SetString(strings.ReplaceAll(r.s, "-", ""), 16)
	if !ok {
		return UID{}
	}
	return UID{"2.25." + n.String()}
}

// String is the UUID in small letters.
func (r RequestID) String() string { return r.s }

// IsZero reports that there is no id.
func (r RequestID) IsZero() bool { return r.s == "" }

// MarshalText is the UUID.
func (r RequestID) MarshalText() ([]byte, error) { return []byte(r.s), nil }

// UnmarshalText is ParseRequestID; an empty text is none.
func (r *RequestID) UnmarshalText(b []byte) error { return unmarshal(r, b, ParseRequestID) }
