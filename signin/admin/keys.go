package admin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
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

// keys lists the keys that tokens are signed with.
func (d *desk) keys(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	if _, err := d.k.Gate.Decide(ctx, p, access.Search, access.Place{Type: access.TypeKey}); err != nil {
		return err
	}
	list, err := access.Keys(d.k.Issuer.Folder())
	if err != nil {
		return err
	}
	now := d.k.Clock.Now()
	v := keysView{Acts: []web.Link{link(ctx, "/admin/keys/", "rotate"), link(ctx, "/admin/keys/", "rotate-now")}}
	if done := r.URL.Query().Get("done"); web.HasText("admin.done." + done) {
		v.Done = web.Text(ctx, "admin.done."+done)
	}
	v.Keys = web.Table{ID: "keys", RowHeader: true, Caption: web.Text(ctx, "admin.keys.caption"), Columns: columns(ctx, "key", "state", "signs-from", "known-until", "act"),
		Empty: web.Empty{Text: web.Text(ctx, "admin.keys.title")}}
	for i, k := range list {
		state, from, until := "waits", web.Text(ctx, "admin.keys.beginning"), ""
		switch {
		case !k.To.IsZero() && !k.To.After(now):
			state = "over"
		case k.Signs(now) && k.To.IsZero():
			state = "signs"
		case k.Signs(now):
			state = "known"
		}
		if !k.From.IsZero() {
			from = format.DateTime(k.From)
			if k.From.Before(now) {
				from += " (" + web.Ago(ctx, now, k.From) + ")"
			}
		}
		if !k.To.IsZero() {
			until = format.DateTime(k.To)
		}
		act := web.NoteCell("")
		if others := slices.Delete(slices.Clone(list), i, i+1); slices.ContainsFunc(others, func(o access.SigningKey) bool { return o.Signs(now) }) {
			act = web.ShowCell(actLink(web.Text(ctx, "admin.act.retire"), k.ID, "/admin/keys/retire?key="+url.QueryEscape(k.ID)))
		} // the only key that signs cannot be retired before another one does
		v.Keys.Rows = append(v.Keys.Rows, web.TableRow{Cells: []web.TableCell{web.ShowCell(keyID(k.ID)), web.ShowCell(keyTag(state)), web.Cell(from), web.NoteCell(until), act}})
	}
	if v.History, err = d.history(ctx, access.KeySubject); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, keysPage(v))
}

// keysView is the page of keys.
type keysView struct {
	Done          string
	Acts          []web.Link
	Keys, History web.Table
}

func (d *desk) keyForm(r *http.Request) (formView, error) {
	ctx, act := r.Context(), r.PathValue("act")
	if err := known(act, "rotate", "rotate-now", "retire"); err != nil {
		return formView{}, err
	}
	id := text(ctx, "key", r.FormValue("key"), 0)
	id.kind = "hidden"
	return formView{Title: web.Text(ctx, "admin.act."+act), About: r.FormValue("key"), Back: "/admin/keys", Submit: web.Text(ctx, "admin.act."+act), Subject: "keys", Danger: act != "rotate",
		Explain: []string{web.Text(ctx, "admin.will."+act), web.Text(ctx, "admin.undo."+act)}, Fields: []field{id, reasonField(ctx, "")}}, nil
}

func (d *desk) askKeyAct(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	v, err := d.keyForm(r)
	if err != nil {
		return err
	}
	return d.show(w, r, v)
}

func (d *desk) doKeyAct(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, "keys"); err != nil {
		return err
	}
	v, err := d.keyForm(r)
	if err != nil {
		return err
	}
	v.take(r)
	act, reason := r.PathValue("act"), strings.TrimSpace(r.PostForm.Get("reason"))
	if act == "retire" {
		err = RetireKey(r.Context(), d.k, p, r.PostForm.Get("key"), reason)
	} else {
		_, err = RotateKey(r.Context(), d.k, p, reason, act == "rotate-now")
	}
	if err != nil {
		return d.refused(w, r, v, err)
	}
	return web.SeeOther(w, r, "/admin/keys?done="+act)
}
