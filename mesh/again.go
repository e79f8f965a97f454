package mesh

import (
	"context"
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// againPath is the page on which somebody has mail that came back placed or sent again.
func againPath(m *Mail) string {
	if m.Side == outbox {
		return "/mailboxes/" + m.Mailbox + "/outbox/" + m.ID
	}
	return "/mailboxes/" + m.Mailbox + "/inbox/" + m.ID
}

// sideOf is which of a mailbox's sides the address names.
func sideOf(r *http.Request) int64 {
	if strings.Contains(r.URL.Path, "/outbox/") {
		return outbox
	}
	return inbox
}

// again does what the address asks for, to the message that it names.
func (o *Office) again(r *http.Request, p access.Principal, mailbox, reason string) error {
	do := o.PutBack
	if sideOf(r) == outbox {
		do = o.SendAgain
	}
	return do(r.Context(), p, mailbox, strings.ToUpper(r.PathValue("message")), reason)
}

// didWhat is what was done to a mailbox, or to which of its messages.
func didWhat(ctx context.Context, c access.Change) string {
	did := web.Text(ctx, "mesh.did."+c.Act)
	if c.Act == "put-back" || c.Act == "sent-again" {
		did += " " + c.Detail
	}
	return did
}

// againForm asks for the reason, and says what will happen.
func (o *Office) againForm(r *http.Request) (v formView, err error) {
	ctx, what := r.Context(), "put-back"
	if sideOf(r) == outbox {
		what = "send-again"
	}
	b, err := o.Mailbox(ctx, r.PathValue("mailbox"))
	if err != nil {
		return v, err
	}
	var m *Mail
	if err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
		m, err = o.back(tx, b, b.ID, sideOf(r), strings.ToUpper(r.PathValue("message")))
		return err
	}); err != nil {
		return v, err
	}
	v = formView{Title: web.Text(ctx, "mesh.act."+what), Back: "/mailboxes/" + b.ID, Explain: web.Text(ctx, "mesh.will."+what, m.ID), Submit: web.Text(ctx, "mesh.act."+what), Subject: m.ID}
	if m.Side == outbox {
		v.Back += "?side=outbox"
	}
	for i, c := range o.mailCells(ctx, m) {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "mesh.column."+mailHeader()[i]), Text: c})
	}
	v.field(ctx, "reason", r.PostForm.Get("reason"), 3)
	return v, nil
}

func (o *Office) askAgain(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := o.may(r.Context(), p, access.Read); err != nil {
		return err
	}
	v, err := o.againForm(r)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, formPage(v))
}

func (o *Office) doAgain(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, strings.ToUpper(r.PathValue("message"))); err != nil {
		return err
	}
	if err := o.may(r.Context(), p, access.Update); err != nil {
		return err
	}
	v, err := o.againForm(r)
	if err != nil {
		return err
	}
	err = o.again(r, p, r.PathValue("mailbox"), r.PostForm.Get("reason"))
	if fault.Is(err, fault.Invalid) {
		v.Errors.Add("reason", fault.MessageOf(err))
		v.Fields[0].Error = fault.MessageOf(err)
		return web.Render(w, r, http.StatusUnprocessableEntity, formPage(v))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, v.Back)
}
