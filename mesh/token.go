package mesh

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
)

// scheme is the name of MESH's way of showing who one is; a space follows it.
const scheme = "NHSMESH"

// Bounds of an authorisation header. A nonce is a GUID; longer ones are taken.
const (
	mostToken = 512
	mostNonce = 128
	mostCount = 10
)

// skew is by how much the clock of a program may differ (published: two hours).
const skew = 2 * time.Hour

// token is an authorisation header taken apart (published: "MESH Authorization header").
type token struct {
	mailbox, nonce, count string
	stamp                 string // yyyyMMddHHmm, UTC
	at                    time.Time
	hash                  []byte
}

// parseToken reads "NHSMESH mailbox:nonce:count:yyyyMMddHHmm:hash". Errors: fault.Forbidden, which says what is wrong with it and nothing of what is kept.
func parseToken(header string) (t token, err error) {
	bad := func(why string) (token, error) {
		return token{}, fault.New(fault.Forbidden, "The Authorization header cannot be read: %s. It is NHSMESH mailbox:nonce:count:yyyyMMddHHmm:hash.", why)
	}
	if len(header) > mostToken {
		return bad("it is too long")
	}
	rest, ok := strings.CutPrefix(header, scheme+" ")
	if !ok {
		return bad("it does not begin with NHSMESH and a space")
	}
	parts := strings.Split(rest, ":")
	if len(parts) != 5 {
		return bad("it has not five parts")
	}
	t = token{mailbox: parts[0], nonce: parts[1], count: parts[2], stamp: parts[3]}
	switch {
	case !isMailboxID(t.mailbox):
		return bad("the mailbox is not one to sixteen capital letters and digits")
	case t.nonce == "" || len(t.nonce) > mostNonce || strings.ContainsFunc(t.nonce, unprintable):
		return bad("the nonce is empty, too long or not printable")
	case len(t.count) == 0 || len(t.count) > mostCount || strings.ContainsFunc(t.count, notDigit):
		return bad("the count is not a number")
	case len(t.stamp) != 12 || strings.ContainsFunc(t.stamp, notDigit):
		return bad("the time is not yyyyMMddHHmm")
	}
	if t.at, err = time.Parse("200601021504", t.stamp); err != nil {
		return bad("the time is not one of the calendar")
	}
	if t.hash, err = hex.DecodeString(parts[4]); err != nil || len(t.hash) != sha256.Size {
		return bad("the hash is not 64 hexadecimal digits")
	}
	return t, nil
}

func notDigit(r rune) bool    { return r < '0' || r > '9' }
func unprintable(r rune) bool { return r <= ' ' || r > '~' }

// timely refuses a token whose time is not within two hours of ours.
func (t token) timely(now time.Time) error {
	if d := now.Sub(t.at); d > skew || d < -skew {
		return fault.New(fault.Forbidden, "The time of the Authorization header, %s, is not within two hours of the time here, %s UTC: set the clock of your machine.", t.stamp, now.UTC().Format("200601021504"))
	}
	return nil
}

// signed reports whether the hash was made with the password and the shared key.
func (t token) signed(password, shared string) bool {
	mac := hmac.New(sha256.New, []byte(shared))
	_, _ = mac.Write([]byte(t.mailbox + ":" + t.nonce + ":" + t.count + ":" + password + ":" + t.stamp)) // a hash never fails
	return hmac.Equal(mac.Sum(nil), t.hash)
}

// name is what the token is remembered by once it was used.
func (t token) name() string {
	sum := sha256.Sum256([]byte(t.mailbox + ":" + t.nonce + ":" + t.count + ":" + t.stamp))
	return hex.EncodeToString(sum[:])
}

// until is when the token is no good in any case, by our clock.
func (t token) until() time.Time { return t.at.Add(skew + time.Minute) }

// isMailboxID reports whether s has the shape of a mailbox's id: 1 to 16 capital letters and digits.
func isMailboxID(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return notDigit(r) && (r < 'A' || r > 'Z') })
}

// Authorization is the header with which the program of a mailbox shows who it is, once: for clients and tests.
func Authorization(mailbox, password, shared, nonce, count string, at time.Time) string {
	t := token{mailbox: mailbox, nonce: nonce, count: count, stamp: at.UTC().Format("200601021504")}
	mac := hmac.New(sha256.New, []byte(shared))
	_, _ = mac.Write([]byte(t.mailbox + ":" + t.nonce + ":" + t.count + ":" + password + ":" + t.stamp)) // a hash never fails
	return scheme + " " + mailbox + ":" + nonce + ":" + count + ":" + t.stamp + ":" + hex.EncodeToString(mac.Sum(nil))
}
