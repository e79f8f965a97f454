package links

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// certificatesView is who has which certificate until when.
type certificatesView struct {
	Own    []web.Row
	Alarms []string
	Office bool
	Where  string // who keeps the certificates, when not this node
	Chart  web.Chart
	Table  web.Table
	Shown  string // all, members or revoked
	Shows  []web.Option
}

func (d *desk) showCertificates(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "until", "node", "joined")
	if err != nil {
		return err
	}
	status, err := d.k.Network.Status(ctx)
	if err != nil {
		return err
	}
	if status.Self.IsZero() {
		return web.SeeOther(w, r, "/network")
	}
	v := certificatesView{Own: own(ctx, status), Alarms: status.Alarms, Where: status.Authority.String(), Shown: cmp.Or(state.Filter("show"), "members")}
	a, err := d.k.Network.Authority()
	if fault.Is(err, fault.NotFound) {
		return web.Render(w, r, http.StatusOK, certificatesPage(v))
	}
	if err != nil {
		return err
	}
	v.Office = true
	members, err := a.Members(ctx)
	if err != nil {
		return err
	}
	expiries, err := a.Expiries(ctx)
	if err != nil {
		return err
	}
	v.Chart = histogram(ctx, expiries)
	for _, s := range []string{"members", "revoked", "all"} {
		v.Shows = append(v.Shows, web.Option{Value: s, Text: web.Text(ctx, "links.show."+s)})
	}
	list := slices.DeleteFunc(members, func(m network.Member) bool {
		return v.Shown == "members" && !m.Revoked.IsZero() || v.Shown == "revoked" && m.Revoked.IsZero()
	})
	sortMembers(list, state)
	if state.Filter("format") == "csv" {
		return membersCSV(w, list)
	}
	after, err := offset(state.After() + state.Before())
	if err != nil {
		return err
	}
	v.Table = d.membersTable(ctx, state, list, after)
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), certificatesPage(v))
}

func own(ctx context.Context, s network.Status) []web.Row {
	var roots []string
	for _, r := range s.Roots {
		roots = append(roots, r.Fingerprint[:min(16, len(r.Fingerprint))]+" "+web.Text(ctx, "links.until", format.Date(r.Until)))
	}
	row := func(key, text string) web.Row { return web.Row{Key: web.Text(ctx, "links.own."+key), Text: text} }
	return []web.Row{row("node", s.Self.String()), row("until", format.Date(s.Until)), row("renewed", format.Date(s.RenewAt)), row("roots", strings.Join(roots, "; ")), row("revoked", strconv.Itoa(s.Revoked))}
}

// histogram says when certificates end: weeks without any are shown as well, so that a heap is seen for what it is.
func histogram(ctx context.Context, expiries []network.Expiry) web.Chart {
	c := web.Chart{ID: "expiries", Bars: true, XName: web.Text(ctx, "links.axis.week"), YName: web.Text(ctx, "links.axis.certificates"), Title: web.Text(ctx, "links.finding-no-expiries")}
	if len(expiries) == 0 {
		return c
	}
	total, worst := int64(0), expiries[0]
	count := map[time.Time]int64{}
	for _, e := range expiries {
		total += e.Count
		count[e.Week.UTC()] = e.Count
		if e.Count > worst.Count {
			worst = e
		}
	}
	s := web.Series{}
	last := expiries[len(expiries)-1].Week.UTC()
	for week := expiries[0].Week.UTC(); !week.After(last) && len(s.Points) < 60; week = week.AddDate(0, 0, 7) {
		s.Points = append(s.Points, web.Point{Label: format.Date(week), Y: float64(count[week]), Text: web.Count(ctx, "links.certificates", int(count[week]))})
	}
	c.Series = []web.Series{s}
	c.Title = web.Count(ctx, "links.finding-expiries", int(worst.Count), total, format.Date(worst.Week))
	return c
}

func sortMembers(list []network.Member, state web.TableState) {
	column, descending := state.Sort()
	slices.SortStableFunc(list, func(a, b network.Member) int {
		order := a.Until.Compare(b.Until)
		switch column {
		case "node":
			order = strings.Compare(a.Node.String(), b.Node.String())
		case "joined":
			order = a.Joined.Compare(b.Joined)
		}
		if order == 0 {
			order = strings.Compare(a.Node.String(), b.Node.String())
		}
		if descending {
			order = -order
		}
		return order
	})
}

func memberCodes(m network.Member) string {
	words := make([]string, len(m.Organisations))
	for i, c := range m.Organisations {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

func (d *desk) membersTable(ctx context.Context, state web.TableState, list []network.Member, after int) web.Table {
	t := web.Table{ID: "members", State: state, Caption: web.Text(ctx, "links.members"), Count: web.Count(ctx, "links.member-count", len(list)), CSVURL: state.With("format", "csv"), RowHeader: true,
		Empty: web.Empty{Text: web.Text(ctx, "links.members-none"), Help: web.Text(ctx, "links.members-help"), Link: web.Link{Text: web.Text(ctx, "links.token-title"), URL: "/network/tokens"}}}
	for i, k := range []string{"node", "organisations", "joined", "until", "act"} {
		c := web.Column{Text: web.Text(ctx, "links.member."+k), Whole: k == "joined", Share: []int{4, 4, 2, 4, 2}[i]}
		if k != "organisations" && k != "act" {
			c.Sort = k
		}
		t.Columns = append(t.Columns, c)
	}
	now := d.k.Clock.Now()
	for _, m := range turn(&t, list, after) {
		act := web.NoteCell("")
		if m.Revoked.IsZero() && !m.Authority {
			act = web.LinkCell(web.Text(ctx, "links.revoke", m.Node), "/network/members/"+m.Node.String()+"/revoke")
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.ShowCell(web.Lines(d.siteName(ctx, m.Node), m.Node.String())), web.Cell(memberCodes(m)), web.Cell(format.Date(m.Joined)),
			web.ShowCell(untilCell(m, now)), act}})
	}
	return t
}

func membersCSV(w http.ResponseWriter, list []network.Member) error {
	header := []string{"node", "organisations", "authority", "joined", "certificate_serial", "certificate_from", "certificate_until", "revoked", "reason"}
	return web.CSV(w, "members", header, func(yield func([]string, error) bool) {
		for _, m := range list {
			row := []string{m.Node.String(), memberCodes(m), strconv.FormatBool(m.Authority), stamp(m.Joined), m.Serial, stamp(m.Since), stamp(m.Until), stamp(m.Revoked), m.Reason}
			if !yield(row, nil) {
				return
			}
		}
	})
}

// revokeView is the page on which a membership is ended.
type revokeView struct {
	Page   web.Page
	Node   string
	Name   string
	Facts  []web.Row
	Reason string
	Errors web.FieldErrors
}

func (d *desk) revocation(r *http.Request) (*revokeView, *network.Authority, network.NodeID, error) {
	ctx := r.Context()
	id, err := nodeIn(r)
	if err != nil {
		return nil, nil, id, err
	}
	a, err := d.k.Network.Authority()
	if err != nil {
		return nil, nil, id, err
	}
	members, err := a.Members(ctx)
	if err != nil {
		return nil, nil, id, err
	}
	i := slices.IndexFunc(members, func(m network.Member) bool { return m.Node == id && m.Revoked.IsZero() && !m.Authority })
	if i < 0 {
		return nil, nil, id, fault.New(fault.NotFound, "%s", web.Text(ctx, "links.no-member"))
	}
	name := d.siteName(ctx, id)
	v := &revokeView{Node: id.String(), Name: name, Page: web.Page{Title: web.Text(ctx, "links.revoke-title", name), Back: web.Link{Text: web.Text(ctx, "links.certificates-title"), URL: "/network/certificates"}}}
	v.Facts = []web.Row{{Key: web.Text(ctx, "links.member.node"), Text: id.String()}, {Key: web.Text(ctx, "links.member.organisations"), Text: memberCodes(members[i])},
		{Key: web.Text(ctx, "links.member.joined"), Text: format.Date(members[i].Joined)}, {Key: web.Text(ctx, "links.member.until"), Text: format.Date(members[i].Until)}}
	if l, err := d.k.Network.Link(ctx, id); err == nil {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "links.fact.waiting"), Text: web.Count(ctx, "links.messages", int(l.Backlog.Messages))})
	}
	return v, a, id, nil
}

func (d *desk) askRevoke(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	v, _, _, err := d.revocation(r)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, revokePage(v))
}

// doRevoke ends a node's membership, with a typed reason.
func (d *desk) doRevoke(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, a, id, err := d.revocation(r)
	if err == nil {
		err = web.CheckForm(r, v.Node)
	}
	if err != nil {
		return err
	}
	ctx := r.Context()
	if v.Reason = reasonOf(ctx, r, &v.Errors); len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, revokePage(v))
	}
	if err := a.Revoke(ctx, p, id, v.Reason); err != nil {
		return err
	}
	return web.SeeOther(w, r, "/network/certificates?show=all")
}

// tokenView is the page on which a token is made, and shown once.
type tokenView struct {
	Page                         web.Page
	Node, Others, Lasts, Address string
	Reason                       string
	Lives                        []web.Option
	Errors                       web.FieldErrors
	Token                        string
	Made                         network.Token
}

// lives are for how long a token may be good.
func lives() []time.Duration {
	return []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}
}

func (d *desk) tokenForm(ctx context.Context) (tokenView, *network.Authority, network.Status, error) {
	v := tokenView{Lasts: "24", Page: web.Page{Title: web.Text(ctx, "links.token-title"), Back: web.Link{Text: web.Text(ctx, "links.certificates-title"), URL: "/network/certificates"}}}
	a, err := d.k.Network.Authority()
	if err != nil {
		return v, nil, network.Status{}, err
	}
	for _, l := range lives() {
		hours := int(l / time.Hour)
		v.Lives = append(v.Lives, web.Option{Value: strconv.Itoa(hours), Text: web.Count(ctx, "links.token-hours", hours)})
	}
	s, err := d.k.Network.Status(ctx)
	v.Address = strings.Join(s.Addresses, " ")
	return v, a, s, err
}

func (d *desk) askToken(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	v, _, _, err := d.tokenForm(r.Context())
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, tokenPage(v))
}

// makeToken makes a token and shows it, this once.
func (d *desk) makeToken(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	ctx := r.Context()
	v, a, s, err := d.tokenForm(ctx)
	if err != nil {
		return err
	}
	v.Node, v.Others, v.Lasts = strings.TrimSpace(r.PostForm.Get("node")), strings.TrimSpace(r.PostForm.Get("others")), r.PostForm.Get("lasts")
	id, err := network.ParseNodeID(v.Node)
	if err != nil {
		v.Errors.Add("node", web.Text(ctx, "links.token-node-wrong"))
	}
	var others []ident.ODSCode
	for _, word := range strings.FieldsFunc(v.Others, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' }) {
		code, err := ident.ParseODSCode(word)
		if err != nil {
			v.Errors.Add("others", web.Text(ctx, "links.token-others-wrong", word))
			break
		}
		others = append(others, code)
	}
	hours, err := strconv.Atoi(v.Lasts)
	lasts := time.Duration(hours) * time.Hour
	if err != nil || !slices.Contains(lives(), lasts) {
		v.Errors.Add("lasts", web.Text(ctx, "links.token-lasts-wrong"))
	}
	v.Reason = reasonOf(ctx, r, &v.Errors)
	if len(v.Errors) == 0 {
		v.Made, err = a.MakeToken(ctx, p, id, others, s.Addresses, lasts, v.Reason)
		if fault.Is(err, fault.Invalid) {
			v.Errors.Add("node", fault.MessageOf(err))
		} else if err != nil {
			return err
		}
	}
	if len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, tokenPage(v))
	}
	v.Token = v.Made.String()
	return web.Render(w, r, http.StatusOK, madePage(v))
}
