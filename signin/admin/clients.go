package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

func dateless() time.Time { return time.Time{} }

func nothing(*store.Tx, access.Member) (string, error) { return "", nil }

func clientPath(id string) string { return "/admin/clients/" + url.PathEscape(id) }

func stateOfClient(c oauth.Client) string {
	switch {
	case c.Suspended:
		return "suspended"
	case !c.Ended.IsZero():
		return "ended"
	}
	return "active"
}

// clientsOnPage is how many clients a page lists.
const clientsOnPage = 50

// clients lists the programs that may ask for tokens.
func (d *desk) clients(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "name", "id", "since")
	if err != nil {
		return err
	}
	if _, err := d.k.Gate.Decide(ctx, p, access.Search, access.Place{Type: access.TypeClient}); err != nil {
		return err
	}
	show, q := state.Filter("show"), strings.ToLower(state.Filter("q"))
	all, err := d.tokens.Clients(ctx, true)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(c oauth.Client) bool {
		return !strings.Contains(strings.ToLower(c.Name+" "+c.ID), q) || show != "all" && stateOfClient(c) != nonEmpty(show, "active")
	})
	column, down := state.Sort()
	slices.SortStableFunc(all, func(a, b oauth.Client) int {
		order := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
		switch column {
		case "id":
			order = strings.Compare(a.ID, b.ID)
		case "since":
			order = a.Made.Compare(b.Made)
		}
		if down {
			order = -order
		}
		return order
	})
	v := listView{Title: web.Text(ctx, "admin.clients.title"), Lede: web.Text(ctx, "admin.clients.lede"), Actions: []web.Link{{Text: web.Text(ctx, "admin.clients.new"), URL: "/admin/clients/new"}}}
	v.Filters = []field{text(ctx, "q", state.Filter("q"), 20), choice(ctx, "show", show, option(ctx, "admin.show-clients.", "active", "suspended", "ended", "all"))}
	v.Table = web.Table{ID: "clients", State: state, RowHeader: true, Caption: web.Text(ctx, "admin.clients.caption"), Count: web.Count(ctx, "admin.clients.count", len(all)), CSVURL: state.With("format", "csv"),
		Empty: web.Empty{Text: web.Text(ctx, "admin.clients.empty"), Help: web.Text(ctx, "admin.clients.empty-help")}}
	if state.Filter("format") == "csv" {
		return web.CSV(w, "clients", []string{"id", "name", "kind", "realm", "since", "state"}, func(yield func([]string, error) bool) {
			for _, c := range all {
				if !yield([]string{c.ID, c.Name, string(c.Kind), c.Realm, c.Made.Format(time.DateOnly), stateOfClient(c)}, nil) {
					return
				}
			}
		})
	}
	for _, c := range [][2]string{{"name", "name"}, {"id", "id"}, {"kind", ""}, {"realm", ""}, {"since", "since"}, {"state", ""}} {
		v.Table.Columns = append(v.Table.Columns, web.Column{Text: web.Text(ctx, "admin.column."+c[0]), Sort: c[1], Whole: c[0] == "since"})
	}
	all = pageOf(all, state, &v.Table)
	for _, c := range all {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(c.Name, clientPath(c.ID)), web.Cell(c.ID), web.Cell(web.Text(ctx, "admin.kind."+string(c.Kind))),
			web.Cell(web.Text(ctx, "admin.realm."+c.Realm)), web.Cell(format.Date(c.Made)), web.ShowCell(stateTag(stateOfClient(c)))}})
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), listPage(v))
}

func nonEmpty(s, usual string) string {
	if s == "" {
		return usual
	}
	return s
}

// pageOf is the page of a list that the state asks for; a cursor is the id of the client at its edge.
func pageOf(all []oauth.Client, state web.TableState, t *web.Table) []oauth.Client {
	at := func(id string) int { return slices.IndexFunc(all, func(c oauth.Client) bool { return c.ID == id }) }
	from := 0
	if state.After() != "" {
		from = at(state.After()) + 1
	}
	if state.Before() != "" {
		from = max(0, at(state.Before())-clientsOnPage)
	}
	to := min(len(all), from+clientsOnPage)
	if from > 0 {
		t.PreviousCursor = all[from].ID
	}
	if to < len(all) {
		t.NextCursor = all[to-1].ID
	}
	return all[from:to]
}

// clientView is everything about one program.
type clientView struct {
	Client oauth.Client
	Done   string
	Facts  []web.Row
	Acts   []web.Link
	Table  web.Table
}

func (d *desk) client(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	if _, err := d.k.Gate.Decide(ctx, p, access.Read, access.Place{Type: access.TypeClient, ID: r.PathValue("client"), Exists: true}); err != nil {
		return err
	}
	c, err := d.tokens.Registered(ctx, r.PathValue("client"))
	if err != nil {
		return err
	}
	v := clientView{Client: c}
	if done := r.URL.Query().Get("done"); web.HasText("admin.done." + done) {
		v.Done = web.Text(ctx, "admin.done."+done)
	}
	fact := func(key, value string) {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "admin.field."+key), Text: value})
	}
	fact("client-id", c.ID)
	v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "admin.column.state"), Value: stateTag(stateOfClient(c))})
	fact("kind", web.Text(ctx, "admin.kind."+string(c.Kind)))
	fact("realm", web.Text(ctx, "admin.realm."+c.Realm))
	if !c.Organisation.IsZero() {
		fact("organisation", d.k.Organisation(ctx, c.Organisation)+" ("+c.Organisation.String()+")")
	}
	fact("redirects", strings.Join(c.Redirects, "  "))
	fact("scopes", strings.Join(c.Scopes, " "))
	fact("default", strings.Join(c.Default, " "))
	fact("proof", proofOf(ctx, c))
	fact("logout-url", c.LogoutURL)
	fact("since", format.DateTime(c.Made))
	path := clientPath(c.ID)
	if c.Ended.IsZero() {
		v.Acts = []web.Link{{Text: web.Text(ctx, "admin.act.change-client"), URL: path + "/change"}}
		if c.Kind == oauth.Confidential && c.Keys == nil && c.KeysURL == "" {
			v.Acts = append(v.Acts, link(ctx, path+"/do/", "secret"))
		}
		v.Acts = append(v.Acts, link(ctx, path+"/do/", "suspend-client"), link(ctx, path+"/do/", "end-client"))
	} else {
		v.Acts = []web.Link{link(ctx, path+"/do/", "restore-client")}
	}
	if v.Table, err = d.history(ctx, access.ClientSubject(c.ID)); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, clientPage(v))
}

// proofOf says how a client shows that it is itself.
func proofOf(ctx context.Context, c oauth.Client) string {
	switch {
	case c.KeysURL != "":
		return c.KeysURL
	case c.Keys != nil:
		var kids []string
		for _, k := range c.Keys.Keys {
			kids = append(kids, k.KeyID)
		}
		return web.Text(ctx, "admin.proof.keys", strings.Join(kids, ", "))
	case len(c.SecretHash) > 0:
		return web.Text(ctx, "admin.proof.secret")
	}
	return web.Text(ctx, "admin.proof.none")
}

func (d *desk) clientForm(ctx context.Context, c oauth.Client, fresh bool) formView {
	v := formView{Title: web.Text(ctx, "admin.client.title"), Back: "/admin/clients", Submit: web.Text(ctx, "admin.client.submit"), Explain: []string{web.Text(ctx, "admin.client.explain")}}
	if fresh {
		v.Fields = append(v.Fields, text(ctx, "client-id", c.ID, 20))
	} else {
		v.Title, v.About, v.Back, v.Submit, v.Subject = web.Text(ctx, "admin.act.change-client"), c.Name, clientPath(c.ID), web.Text(ctx, "admin.change.submit"), c.ID
	}
	area := func(name, value string) field {
		f := text(ctx, name, value, 0)
		f.kind, f.Rows = "area", 3
		return f
	}
	keys := ""
	if c.Keys != nil {
		if b, err := json.MarshalIndent(c.Keys, "", " "); err == nil {
			keys = string(b)
		}
	}
	trusted := text(ctx, "trusted", "", 0)
	trusted.kind, trusted.options = "check", []web.Option{{Value: "yes", Text: web.Text(ctx, "admin.client.trusted")}}
	if c.Trusted {
		trusted.values = []string{"yes"}
	}
	v.Fields = append(v.Fields, text(ctx, "client-name", c.Name, 30), choice(ctx, "kind", string(c.Kind), option(ctx, "admin.kind.", "public", "confidential", "system")),
		choice(ctx, "realm", c.Realm, option(ctx, "admin.realm.", access.Professionals, access.Patients, access.Systems)), text(ctx, "organisation", c.Organisation.String(), 10),
		area("redirects", strings.Join(c.Redirects, "\n")), area("scopes", strings.Join(c.Scopes, " ")), area("default", strings.Join(c.Default, " ")), text(ctx, "keys-url", c.KeysURL, 0), area("keys", keys),
		text(ctx, "logout-url", c.LogoutURL, 0), trusted, reasonField(ctx, ""))
	return v
}

// asked is the client that a form is about; fresh when it is to be registered.
func (d *desk) asked(r *http.Request) (c oauth.Client, fresh bool, err error) {
	if r.PathValue("client") == "" {
		return oauth.Client{Kind: oauth.Confidential, Realm: access.Professionals}, true, nil
	}
	c, err = d.tokens.Registered(r.Context(), r.PathValue("client"))
	return c, false, err
}

func (d *desk) askClient(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	c, fresh, err := d.asked(r)
	if err != nil {
		return err
	}
	return d.show(w, r, d.clientForm(r.Context(), c, fresh))
}

func (d *desk) putClient(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	c, fresh, err := d.asked(r)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, c.ID); err != nil {
		return err
	}
	v, f := d.clientForm(ctx, c, fresh), r.PostForm
	v.take(r)
	if fresh {
		if c.ID = strings.TrimSpace(f.Get("client-id")); c.ID == "" {
			c.ID = oauth.NewClientID()
		}
		if _, err := d.tokens.Registered(ctx, c.ID); err == nil {
			v.Errors.Add("client-id", web.Text(ctx, "admin.client.taken"))
		}
	}
	c.Name, c.Kind, c.Realm = strings.TrimSpace(f.Get("client-name")), oauth.Kind(f.Get("kind")), f.Get("realm")
	if c.Organisation, err = organisation(p, strings.TrimSpace(f.Get("organisation"))); err != nil {
		v.Errors.Add("organisation", fault.MessageOf(err))
	}
	c.Redirects, c.Scopes, c.Default = strings.Fields(f.Get("redirects")), strings.Fields(f.Get("scopes")), strings.Fields(f.Get("default"))
	c.KeysURL, c.LogoutURL, c.Trusted, c.Keys = strings.TrimSpace(f.Get("keys-url")), strings.TrimSpace(f.Get("logout-url")), f.Get("trusted") == "yes", nil
	if keys := strings.TrimSpace(f.Get("keys")); keys != "" {
		c.Keys = &jose.JSONWebKeySet{}
		if err := json.Unmarshal([]byte(keys), c.Keys); err != nil || len(c.Keys.Keys) == 0 {
			v.Errors.Add("keys", web.Text(ctx, "admin.client.no-keys"))
		}
	}
	secret := ""
	if c.Keys != nil || c.KeysURL != "" || c.Kind != oauth.Confidential {
		c.SecretHash = nil
	} else if len(c.SecretHash) == 0 {
		if secret, err = c.NewSecret(); err != nil {
			return err
		}
	}
	if strings.TrimSpace(f.Get("reason")) == "" {
		v.Errors.Add("reason", web.Text(ctx, "admin.say-why"))
	}
	if len(v.Errors) > 0 {
		return d.show(w, r, v)
	}
	if err := d.tokens.PutClient(ctx, p, c, strings.TrimSpace(f.Get("reason"))); err != nil {
		return d.refused(w, r, v, err)
	}
	if secret != "" {
		return d.secret(w, r, c, secret)
	}
	return web.SeeOther(w, r, clientPath(c.ID)+"?done=client-kept")
}

func (d *desk) secret(w http.ResponseWriter, r *http.Request, c oauth.Client, secret string) error {
	ctx := r.Context()
	return web.Render(w, r, http.StatusOK, secretPage(secretView{Title: web.Text(ctx, "admin.secret.title", c.Name), Explain: web.Text(ctx, "admin.secret.explain"), Secret: secret, Back: clientPath(c.ID)}))
}

func (d *desk) clientAct(r *http.Request) (oauth.Client, formView, error) {
	ctx, act := r.Context(), r.PathValue("act")
	if err := known(act, "secret", "suspend-client", "restore-client", "end-client"); err != nil {
		return oauth.Client{}, formView{}, err
	}
	c, err := d.tokens.Registered(ctx, r.PathValue("client"))
	v := formView{Title: web.Text(ctx, "admin.act."+act), About: c.Name, Back: clientPath(c.ID), Submit: web.Text(ctx, "admin.act."+act), Subject: c.ID, Danger: act != "restore-client",
		Explain: []string{web.Text(ctx, "admin.will."+act), web.Text(ctx, "admin.undo."+act)}, Fields: []field{reasonField(ctx, "")}}
	return c, v, err
}

func (d *desk) askClientAct(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	_, v, err := d.clientAct(r)
	if err != nil {
		return err
	}
	return d.show(w, r, v)
}

func (d *desk) doClientAct(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	c, v, err := d.clientAct(r)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, c.ID); err != nil {
		return err
	}
	v.take(r)
	ctx, act, reason, secret := r.Context(), r.PathValue("act"), strings.TrimSpace(r.PostForm.Get("reason")), ""
	switch act {
	case "secret":
		secret, err = d.tokens.RotateSecret(ctx, p, c.ID, reason)
	case "restore-client":
		err = d.tokens.RestoreClient(ctx, p, c.ID, reason)
	default:
		err = d.tokens.EndClient(ctx, p, c.ID, reason, act == "suspend-client")
	}
	if err != nil {
		return d.refused(w, r, v, err)
	}
	if secret != "" {
		return d.secret(w, r, c, secret)
	}
	return web.SeeOther(w, r, clientPath(c.ID)+"?done="+act)
}
