package admin

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/signin/provider"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// accountTableFor lists a user's accounts at providers, with the removal of each for whoever may.
func (d *desk) accountTableFor(by access.Principal) func(context.Context, access.Member) (web.Table, error) {
	return func(ctx context.Context, m access.Member) (web.Table, error) { return d.accountTable(ctx, by, m) }
}

func (d *desk) accountTable(ctx context.Context, by access.Principal, m access.Member) (web.Table, error) {
	empty := "admin.elsewhere.empty"
	if len(d.elsewhere.All(m.Role.Realm())) == 0 {
		empty = "admin.elsewhere.none"
	}
	t := web.Table{ID: "elsewhere", RowHeader: true, Caption: web.Text(ctx, "admin.elsewhere.caption"), Columns: columns(ctx, "provider", "expected-as", "linked", "how", "act"),
		Empty: web.Empty{Text: web.Text(ctx, empty), Help: web.Text(ctx, empty+"-help")}}
	list, err := d.elsewhere.AccountsOf(ctx, m.ID)
	if err != nil {
		return t, err
	}
	may, err := d.k.Gate.WouldAdminister(ctx, by, m)
	if err != nil {
		return t, err
	}
	for _, a := range list {
		act, expected, linked, how := web.NoteCell(""), web.NoteCell(web.Text(ctx, "admin.elsewhere.not-expected")), web.NoteCell(web.Text(ctx, "admin.elsewhere.not-yet")), ""
		if may {
			act = web.ShowCell(actLink(web.Text(ctx, "admin.elsewhere.remove"), a.Title, userPath(m.ID)+"/do/unlink?"+url.Values{"role": {a.Issuer}}.Encode()))
		}
		if len(a.Identifiers) > 0 {
			expected = web.ShowCell(web.Lines(strings.Join(a.Identifiers, ", "), web.Text(ctx, "admin.elsewhere.since", format.DateTime(a.Expected))))
		}
		if !a.Since.IsZero() {
			linked, how = web.Cell(format.DateTime(a.Since)), wayOf(ctx, a.How)
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(a.Title), expected, linked, web.NoteCell(how), act}})
	}
	return t, nil
}

// wayOf is in words how an account came to stand for a user.
func wayOf(ctx context.Context, how string) string {
	if key := "admin.way." + strings.ReplaceAll(how, " ", "-"); web.HasText(key) {
		return web.Text(ctx, key)
	}
	return how
}

// aboutAccount says in a form which account it removes, and what ends with it. Errors: fault.NotFound when the user has none there.
func (d *desk) aboutAccount(r *http.Request, m access.Member, v *formView) error {
	ctx, issuer := r.Context(), r.FormValue("role")
	list, err := d.elsewhere.AccountsOf(ctx, m.ID)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.Issuer != issuer {
			continue
		}
		n, err := d.elsewhere.SessionsOf(ctx, m.ID, issuer)
		if err != nil {
			return err
		}
		v.About += " – " + a.Title
		v.Explain = []string{web.Text(ctx, "admin.will.unlink"), web.Count(ctx, "admin.elsewhere.ends", n), web.Text(ctx, "admin.undo.unlink")}
		return nil
	}
	return fault.New(fault.NotFound, "The user has no account there.")
}

// expectForm asks what a provider calls a user. Errors: fault.NotFound when the node trusts no provider of professionals.
func (d *desk) expectForm(ctx context.Context, m access.Member) (formView, error) {
	all := d.elsewhere.All(access.Professionals)
	if len(all) == 0 || m.Role == access.Patient {
		return formView{}, fault.New(fault.NotFound, "There is nothing at this address.")
	}
	var options []web.Option
	for _, p := range all {
		options = append(options, web.Option{Value: p.ID, Text: p.Title})
	}
	return formView{Title: web.Text(ctx, "admin.expect.title"), About: m.Name, Back: userPath(m.ID), Submit: web.Text(ctx, "admin.expect.submit"), Subject: m.ID,
		Explain: []string{web.Text(ctx, "admin.expect.explain"), web.Text(ctx, "admin.expect.replaces")},
		Fields:  []field{choice(ctx, "provider", all[0].ID, options), text(ctx, "identifier", "", 20), reasonField(ctx, "")}}, nil
}

func (d *desk) askExpect(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	m, err := d.found(r, p)
	if err != nil {
		return err
	}
	v, err := d.expectForm(r.Context(), m)
	if err != nil {
		return err
	}
	return d.show(w, r, v)
}

// expect has a user known by what a provider calls them.
func (d *desk) expect(w http.ResponseWriter, r *http.Request, by access.Principal) error {
	m, err := d.found(r, by)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, m.ID); err != nil {
		return err
	}
	v, err := d.expectForm(r.Context(), m)
	if err != nil {
		return err
	}
	v.take(r)
	ctx, f := r.Context(), r.PostForm
	p, err := d.elsewhere.ByID(f.Get("provider"))
	if err != nil || p.Realm != access.Professionals {
		v.Errors.Add("provider", web.Text(ctx, "admin.expect.no-provider"))
	}
	identifier := strings.TrimSpace(f.Get("identifier"))
	if identifier == "" || len(identifier) > provider.IdentifierBytes {
		v.Errors.Add("identifier", web.Text(ctx, "admin.expect.no-identifier"))
	}
	if strings.TrimSpace(f.Get("reason")) == "" {
		v.Errors.Add("reason", web.Text(ctx, "admin.say-why"))
	}
	if len(v.Errors) > 0 {
		return d.show(w, r, v)
	}
	err = d.elsewhere.Expect(ctx, by, p, identifier, m.ID, f.Get("reason"))
	if at := provider.InTheWay(err); at != "" {
		v.Errors.Add(at, fault.MessageOf(err))
		return d.show(w, r, v)
	}
	if err != nil {
		return d.refused(w, r, v, err)
	}
	return web.SeeOther(w, r, userPath(m.ID)+"?done=expected")
}
