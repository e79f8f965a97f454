package mesh

import (
	"context"
	"net/http"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// caller is the program of a mailbox, once it has shown who it is, and how it wants to be answered.
type caller struct {
	Mailbox
	version int // of the answers: 1 or 2
	token   token
}

// wrongToken is what every caller is told whose password, key or mailbox does not hold: not which of them.
const wrongToken = "The mailbox, its password or the shared key is wrong, or the mailbox may not be used. Check all three, and that the hash is HMAC-SHA256 over mailbox:nonce:count:password:timestamp."

// admit lets in the program of the mailbox that the address names: over the right kind of connection, with a token that was never used before.
// Errors: fault.Forbidden; fault.Invalid for an Accept header that cannot be answered.
func (o *Office) admit(r *http.Request) (caller, error) {
	if err := o.connection(r); err != nil {
		return caller{}, err
	}
	version, err := versionOf(r)
	if err != nil {
		return caller{}, err
	}
	t, err := parseToken(r.Header.Get("Authorization"))
	if err != nil {
		return caller{}, err
	}
	if t.mailbox != strings.ToUpper(r.PathValue("mailbox")) {
		return caller{}, fault.New(fault.Forbidden, "The Authorization header is for another mailbox than the address.")
	}
	now := o.k.Clock.Now()
	if err := t.timely(now); err != nil {
		return caller{}, err
	}
	from := origin(t.mailbox, r)
	if err := o.tries.open(from, now); err != nil {
		return caller{}, err
	}
	b, err := o.verify(r.Context(), t)
	if fault.Is(err, fault.Forbidden) {
		o.tries.wrong(from, now)
	}
	if err != nil {
		return caller{}, err
	}
	if err := o.o.Certificates.owned(r, b, now); err != nil {
		return caller{}, err
	}
	return caller{Mailbox: *b, version: version, token: t}, o.spend(r.Context(), b, t)
}

// connection refuses what did not come as it must: over TLS, or on this machine where that was allowed.
func (o *Office) connection(r *http.Request) error {
	if r.TLS == nil && !o.o.Plain {
		return fault.New(fault.Forbidden, "MESH is spoken over TLS: use the https address of this node (tls-addr), or start a demonstration with --open.")
	}
	return o.o.Certificates.trusted(r, o.k.Clock.Now())
}

// verify checks a token against what is kept.
func (o *Office) verify(ctx context.Context, t token) (b *Mailbox, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		shared, err := o.shared(tx)
		if err != nil {
			return err
		}
		password := NewPassword() // of a mailbox that is not here: as much work as for one that is
		if b, err = readMailbox(tx, t.mailbox); err == nil {
			if password, err = o.s.open(b.secret, subject(b.ID)); err != nil && !b.Elsewhere {
				return err
			}
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
		if !t.signed(password, shared) || b == nil || b.Elsewhere || b.State != Open {
			return fault.New(fault.Forbidden, wrongToken)
		}
		return nil
	})
	return b, err
}

// spend uses a token up, durably: it is good for one request.
func (o *Office) spend(ctx context.Context, b *Mailbox, t token) error {
	lanes := []store.Lane{o.k.Gate.UseLane("mesh", t.name()), o.lane(b.ID)}
	err := o.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		if err := o.k.Gate.UseIn(tx, "mesh", t.name(), t.until()); err != nil {
			return err
		}
		return tx.Queue(`INSERT INTO mesh_seen (lane, mailbox, at, shook, program, machine) VALUES (?, ?, ?, 0, '', '') ON CONFLICT (lane, mailbox) DO UPDATE SET at = excluded.at`, o.lane(b.ID), b.ID, tx.At())
	})
	if fault.Is(err, fault.Conflict) {
		return fault.New(fault.Forbidden, "This Authorization header was used before: make another for each request, with another nonce or nonce count.")
	}
	return err
}

// anybody lets in whoever has the right kind of connection: looking up addresses needs no mailbox.
func (o *Office) anybody(r *http.Request) (caller, error) {
	if err := o.connection(r); err != nil {
		return caller{}, err
	}
	version, err := versionOf(r)
	return caller{version: version}, err
}

// versionOf is the version of answers that an Accept header asks for (published: "API Versioning"); the lowest when it does not say.
func versionOf(r *http.Request) (int, error) {
	version := 1
	for _, field := range r.Header.Values("Accept") {
		for part := range strings.FieldsFuncSeq(field, func(c rune) bool { return c == ',' || c == ';' }) {
			v, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(part)), "application/vnd.mesh.v")
			if !ok {
				continue
			}
			switch v {
			case "1+json":
			case "2+json":
				version = 2
			default:
				return 0, invalidAt("header", "accept", "there is no such version: application/vnd.mesh.v1+json and application/vnd.mesh.v2+json are answered", "value_error")
			}
		}
	}
	return version, nil
}
