package referral

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// A patient without an account comes in by the UBRN and the password that the referrer printed, and sees that one referral. After some wrong passwords the
// number is locked for a while for whoever tried, by their address, whether there is such a number or not: nobody learns which of the two was wrong, and a stranger who knows a number locks
// out nobody but themselves. Only after very many, from many addresses, is it locked for everybody; a new password from the practice opens it again.

// Limits of the patients' door.
const (
	doorTries  = 5   // from one address
	doorMost   = 100 // from all of them
	doorLocked = 15 * time.Minute
	visitLasts = 30 * time.Minute
)

// A password is four syllables and two digits, as people read them from paper: made at random, some 38 bits. It need not be stretched long, for it can be
// tried a hundred times in a quarter of an hour; whoever steals the database has the referrals beside it.
const (
	consonants = "bdfghjkmnprstvwz"
	vowels     = "aeiou"
	rounds     = 1000
)

// newPassword makes a password, with the salt and hash that are kept of it.
func newPassword() (password string, salt, hash []byte, err error) {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand, Go 1.24
	var p strings.Builder
	for i := range 4 {
		if i == 2 {
			p.WriteByte('-')
		}
		p.WriteByte(consonants[b[3*i]%16])
		p.WriteByte(vowels[int(b[3*i+1])%5])
		p.WriteByte(consonants[b[3*i+2]%16])
	}
	p.WriteByte('-')
	p.WriteByte('2' + b[12]%8)
	p.WriteByte('2' + b[13]%8)
	salt = make([]byte, 16)
	rand.Read(salt)
	hash, err = hashPassword(p.String(), salt)
	return p.String(), salt, hash, err
}

// hashPassword is what is kept of a password; spaces, hyphens and capitals in it do not count.
func hashPassword(password string, salt []byte) ([]byte, error) {
	plain := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, strings.ToLower(password))
	return pbkdf2.Key(sha256.New, plain, salt, rounds, sha256.Size)
}

// wrongDoor is what everybody is told who does not get in.
func wrongDoor() error {
	return fault.New(fault.Unauthenticated, "The reference number and the password do not go together. Check both on your letter. After five tries you must wait a quarter of an hour.")
}

// Visit is a patient who has come in by their UBRN.
type Visit struct {
	UBRN   ident.UBRN
	Secret string // of the cookie
	chart  string
}

// Principal is the patient, for whom the rules are those of any patient's own record.
func (v Visit) Principal() access.Principal {
	return access.Principal{ID: "ubrn/" + v.UBRN.String(), Name: "Patient, by reference number", Role: access.Patient, Person: v.chart, AuthMethod: "ubrn", SessionID: v.Secret}
}

// Enter lets a patient in by UBRN and password. From is where they call from (addressOf). Errors: fault.Unauthenticated in the same words for whatever is wrong, and
// while the number is locked.
func (s *Referrals) Enter(ctx context.Context, from, number, password string) (v Visit, err error) {
	u, err := ident.ParseUBRN(number)
	if err != nil {
		return v, wrongDoor()
	}
	lane := s.ubrnLane(u)
	ok := false
	err = s.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		ok = false
		own := u.String() + " " + hashOf("from " + from)[:16]
		tried, err := s.tries(tx, lane, own)
		if err != nil {
			return err
		}
		all, err := s.tries(tx, lane, u.String())
		if err != nil || tried >= doorTries || all >= doorMost {
			return err
		}
		if v.chart, ok, err = s.matches(tx, u, password); err != nil {
			return err
		}
		if ok {
			_, err = tx.Exec(`DELETE FROM referral_try WHERE lane = ? AND ubrn = ?`, int64(lane), own)
			return err
		}
		for key, count := range map[string]int64{own: tried + 1, u.String(): all + 1} {
			if _, err := tx.Exec(`INSERT INTO referral_try (lane, ubrn, tries, last) VALUES (?, ?, ?, ?) ON CONFLICT (lane, ubrn) DO UPDATE SET tries = excluded.tries, last = excluded.last`,
				int64(lane), key, count, tx.At().UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	if !ok {
		return Visit{}, wrongDoor()
	}
	return s.visit(ctx, u, v.chart)
}

// addressOf is where a request comes from: an IPv4 address, or the 64 bits of an IPv6 one that a household is given (RFC 6177 section 2).
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// tries is how many wrong passwords count against a key: a number, or a number and an address.
func (s *Referrals) tries(tx *store.Tx, lane store.Lane, key string) (tries int64, err error) {
	var last int64
	err = tx.QueryRow(`SELECT tries, last FROM referral_try WHERE lane = ? AND ubrn = ?`, int64(lane), key).Scan(&tries, &last)
	if fault.Is(err, fault.NotFound) || err == nil && tx.At().Sub(fromMicros(last)) >= doorLocked {
		return 0, nil
	}
	return tries, err
}

// matches reports whether a password is that of a number. It takes as long for a number that is nobody's.
func (s *Referrals) matches(tx *store.Tx, u ident.UBRN, password string) (chart string, ok bool, err error) {
	salt, want := make([]byte, 16), make([]byte, sha256.Size)
	err = tx.QueryRow(`SELECT chart, salt, password FROM referral_number WHERE lane = ? AND ubrn = ?`, int64(s.ubrnLane(u)), u.String()).Scan(&chart, &salt, &want)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", false, err
	}
	got, err := hashPassword(password, salt)
	return chart, chart != "" && subtle.ConstantTimeCompare(got, want) == 1, err
}

// visit begins a visit.
func (s *Referrals) visit(ctx context.Context, u ident.UBRN, chart string) (Visit, error) {
	var b [24]byte
	rand.Read(b[:])
	v := Visit{UBRN: u, Secret: hex.EncodeToString(b[:]), chart: chart}
	lane, key := s.visitLane(v.Secret)
	return v, s.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO referral_visit (lane, secret, ubrn, chart, until) VALUES (?, ?, ?, ?, ?)`, int64(lane), key, u.String(), chart, tx.At().Add(visitLasts).UnixMicro())
		return err
	})
}

func (s *Referrals) visitLane(secret string) (store.Lane, string) {
	key := hashOf(secret)
	return s.k.DB.LaneOf("", "visit/"+key), key
}

// Visiting is the visit of a cookie's secret. Error: fault.Unauthenticated when there is none, or it is over.
func (s *Referrals) Visiting(ctx context.Context, secret string) (Visit, error) {
	lane, key := s.visitLane(secret)
	v := Visit{Secret: secret}
	var number string
	var until int64
	err := s.read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT ubrn, chart, until FROM referral_visit WHERE lane = ? AND secret = ?`, int64(lane), key).Scan(&number, &v.chart, &until)
	})
	if fault.Is(err, fault.NotFound) || err == nil && !s.k.Clock.Now().Before(fromMicros(until)) {
		return Visit{}, fault.New(fault.Unauthenticated, "Sign in again with the reference number and the password on your letter.")
	}
	if err != nil {
		return Visit{}, err
	}
	v.UBRN, err = ident.ParseUBRN(number)
	return v, err
}

// Leave ends a visit.
func (s *Referrals) Leave(ctx context.Context, v Visit) error {
	lane, key := s.visitLane(v.Secret)
	return s.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM referral_visit WHERE lane = ? AND secret = ?`, int64(lane), key)
		return err
	})
}

// forgetVisits drops visits that are over, and tries that no longer count.
func (s *Referrals) forgetVisits(ctx context.Context) error {
	for lane := range s.k.DB.Lanes() {
		err := s.k.DB.Write(ctx, []store.Lane{store.Lane(lane)}, func(tx *store.Tx) error {
			if _, err := tx.Exec(`DELETE FROM referral_visit WHERE lane = ? AND until < ?`, lane, tx.At().UnixMicro()); err != nil {
				return err
			}
			_, err := tx.Exec(`DELETE FROM referral_try WHERE lane = ? AND last < ?`, lane, tx.At().Add(-doorLocked).UnixMicro())
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// NewPassword gives a referral's patient a new password, and ends the old one. It is shown this once. Errors: those of Act.
func (s *Referrals) NewPassword(ctx context.Context, c Caller, u ident.UBRN) (string, error) {
	chart, err := s.ownerOf(ctx, u)
	if err != nil {
		return "", err
	}
	grants, err := s.k.Gate.DecideAll(ctx, c.Principal, []access.Act{{Action: access.Update, Place: s.place(chart, u, false)}})
	if err != nil {
		return "", err
	}
	password, salt, hash, err := newPassword()
	if err != nil {
		return "", err
	}
	return password, s.k.Gate.Act(ctx, grants, []store.Lane{s.ubrnLane(u)}, func(tx *store.Tx) error {
		r, err := s.load(tx, chart, u)
		if err != nil {
			return err
		}
		if party, err := partyOf(c.Principal, r); err != nil || party != Referrer {
			return fault.New(fault.Forbidden, "The practice that referred gives the password.")
		}
		if _, err = tx.Exec(`UPDATE referral_number SET salt = ?, password = ? WHERE lane = ? AND ubrn = ?`, salt, hash, int64(s.ubrnLane(u)), u.String()); err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM referral_try WHERE lane = ? AND (ubrn = ? OR ubrn LIKE ?)`, int64(s.ubrnLane(u)), u.String(), u.String()+" %") // what was tried of the old one
		return err
	})
}
