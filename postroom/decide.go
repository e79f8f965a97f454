package postroom

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// What a person may decide about a message; the words of addresses and texts.
const (
	actRetry    = "retry"
	actTake     = "take"
	actRedirect = "redirect"
	actAbandon  = "abandon"
)

// decisionView asks for a decision: what will happen, to what, and how it is undone.
type decisionView struct {
	Page   web.Page
	Act    string
	Item   messaging.Item
	Facts  []web.Row
	Form   web.Form
	Reason string
	Owner  string
	To     string
	Errors web.FieldErrors
}

func queryText(s string) string { return url.QueryEscape(s) }

func (d *desk) decision(r *http.Request, p access.Principal) (*decisionView, error) {
	ctx := r.Context()
	it, err := d.find(r, p)
	if err != nil {
		return nil, err
	}
	act := r.PathValue("act")
	if !slices.Contains([]string{actRetry, actTake, actRedirect, actAbandon}, act) {
		return nil, fault.New(fault.NotFound, "%s", web.Text(ctx, "postroom.no-act"))
	}
	if !mayDecide(p, it) {
		why := fault.New(fault.Forbidden, "%s", web.Text(ctx, "postroom.not-yours", d.k.Organisation(ctx, decider(it))))
		return nil, d.k.Gate.Refuse(ctx, p, access.Update, access.Place{Tenant: p.Organisation, Type: "message"}, why)
	}
	if !slices.Contains(d.acts(p, it), act) {
		return nil, fault.New(fault.Conflict, "%s", web.Text(ctx, "postroom.too-late", web.Text(ctx, "postroom.state."+it.State.String())))
	}
	v := &decisionView{Act: act, Item: it, Page: web.Page{Title: web.Text(ctx, "postroom.ask."+act), Back: web.Link{Text: web.Text(ctx, "postroom.message.title"), URL: messagePath(it.Ref)}}}
	v.Facts = []web.Row{
		{Key: web.Text(ctx, "postroom.column.id"), Text: it.ID}, {Key: web.Text(ctx, "postroom.column.workflow"), Text: it.Workflow},
		{Key: web.Text(ctx, "postroom.column.from"), Text: d.k.Organisation(ctx, it.From)}, {Key: web.Text(ctx, "postroom.column.to"), Text: d.k.Organisation(ctx, it.Message.To)},
		{Key: web.Text(ctx, "postroom.column.sent"), Text: format.Seconds(it.At)},
	}
	if it.Held != nil {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "postroom.column.reason"), Text: it.Held.Reason}, web.Row{Key: web.Text(ctx, "postroom.column.owner"), Text: it.Held.Owner})
	}
	v.Form = web.Form{Person: it.Ref.String(), Submit: web.Text(ctx, "postroom.do."+act), Danger: act == actAbandon || act == actRedirect, Cancel: web.Link{URL: messagePath(it.Ref)}}
	return v, nil
}

// decider is the organisation whose people decide about a message.
func decider(it messaging.Item) ident.ODSCode {
	if it.To.Kind == "here" {
		return it.Message.To
	}
	return it.From
}

func (d *desk) ask(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, err := d.decision(r, p)
	if err != nil {
		return err
	}
	v.Owner, v.To = r.URL.Query().Get("owner"), r.URL.Query().Get("to")
	if v.Owner == "" {
		v.Owner = p.Name
	}
	return web.Render(w, r, http.StatusOK, decisionPage(v))
}

func (d *desk) decide(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, r.PathValue("message")); err != nil {
		return err
	}
	ctx := r.Context()
	v, err := d.decision(r, p)
	if err != nil {
		return err
	}
	var to ident.ODSCode
	switch v.Act {
	case actTake:
		if v.Owner = strings.TrimSpace(r.PostForm.Get("owner")); v.Owner == "" || len(v.Owner) > 100 {
			v.Errors.Add("owner", web.Text(ctx, "postroom.wrong.owner"))
		}
	case actRedirect:
		v.To = strings.TrimSpace(r.PostForm.Get("to"))
		to, err = ident.ParseODSCode(strings.ToUpper(v.To))
		if err != nil || to == v.Item.Message.To {
			v.Errors.Add("to", web.Text(ctx, "postroom.wrong.to"))
		}
	}
	v.Reason = readReason(r, &v.Errors)
	if len(v.Errors) > 0 {
		return refuseForm(w, r, v)
	}
	at, err := d.act(ctx, p, v, to)
	if v.Act == actRedirect && fault.Is(err, fault.NotFound) { // nobody keeps that organisation's post
		v.Errors.Add("to", fault.MessageOf(err))
		return refuseForm(w, r, v)
	}
	if err != nil {
		return err
	}
	was := ""
	switch {
	case v.Act == actTake && v.Item.Held != nil:
		was = v.Item.Held.Owner
	case v.Act == actRedirect:
		was = v.Item.Message.To.String()
	}
	return web.SeeOther(w, r, messagePath(at)+"?done="+v.Act+"&was="+queryText(was))
}

func refuseForm(w http.ResponseWriter, r *http.Request, v *decisionView) error {
	v.Page.Failed = true
	return web.Render(w, r, http.StatusUnprocessableEntity, decisionPage(v))
}

// act does what was decided, and returns where the message is then. The post enters it on the account, in the commit that does it.
func (d *desk) act(ctx context.Context, p access.Principal, v *decisionView, to ident.ODSCode) (messaging.Ref, error) {
	post, at := d.k.Post(), v.Item.Ref
	by := messaging.By{Principal: p, Reason: v.Reason, RequestID: access.RequestID(ctx)}
	err := d.k.DB.Write(ctx, post.LanesFor(v.Item, to), func(tx *store.Tx) (err error) {
		switch v.Act {
		case actRetry:
			return post.Retry(tx, v.Item.Ref, by)
		case actTake:
			return post.Take(tx, v.Item.Ref, v.Owner, by)
		case actRedirect:
			at, err = post.Redirect(tx, v.Item.Ref, to, by)
			return err
		}
		return post.Abandon(tx, v.Item.Ref, by)
	})
	return at, err
}
