package admin

import (
	"context"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
)

// RotateKey begins a new signing key, after access.KeyLead or at once, and notes who did it and why. Errors: fault.Forbidden, on the
// account; those of access.RotateKeys.
func RotateKey(ctx context.Context, k catalogue.Kernel, by access.Principal, reason string, now bool) (access.SigningKey, error) {
	if err := mayKeepKeys(ctx, k, by, reason); err != nil {
		return access.SigningKey{}, err
	}
	lead := access.KeyLead
	if now {
		lead = 0
	}
	key, err := access.RotateKeys(k.Issuer.Folder(), k.Clock.Now(), lead)
	if err != nil {
		return key, err
	}
	return key, noteKey(ctx, k, by, "key-begun", key.ID+" signs from "+key.From.UTC().Format(time.RFC3339), reason)
}

// RetireKey removes a signing key at once: every token that it signed ends within seconds. Errors: fault.Forbidden, on the account; those
// of access.RetireKey.
func RetireKey(ctx context.Context, k catalogue.Kernel, by access.Principal, id, reason string) error {
	if err := mayKeepKeys(ctx, k, by, reason); err != nil {
		return err
	}
	if err := access.RetireKey(k.Issuer.Folder(), k.Clock.Now(), id); err != nil {
		return err
	}
	return noteKey(ctx, k, by, "key-retired", id, reason)
}

func mayKeepKeys(ctx context.Context, k catalogue.Kernel, by access.Principal, reason string) error {
	if by.AuthMethod == "service" {
		return nil // whoever holds the data folder
	}
	if reason == "" {
		return fault.New(fault.Invalid, "Say why: it is kept with what you do.")
	}
	_, err := k.Gate.Decide(ctx, by, access.Update, access.Place{Type: access.TypeKey, Exists: true})
	return err
}

func noteKey(ctx context.Context, k catalogue.Kernel, by access.Principal, act, detail, reason string) error {
	return k.DB.Write(ctx, k.Gate.ChangeLanes(by, access.KeySubject), func(tx *store.Tx) error {
		return k.Gate.NoteChange(ctx, tx, by, access.Change{Subject: access.KeySubject, Act: act, Detail: detail, Reason: reason})
	})
}
