package trace

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

const (
	ownCorrectionsPath = "/me/corrections"
	ownAskPath         = ownCorrectionsPath + "/new"
)

// ownCorrectionsView is what a person asked to have put right, and what became of it.
type ownCorrectionsView struct {
	*visit
	Page web.Page
	List []correction
	Sent *correction // just now
	Gone *correction // withdrawn just now
}

// askCorrectionView is the form with which a person asks, and its check.
type askCorrectionView struct {
	*visit
	Page   web.Page
	Form   url.Values
	Errors web.FieldErrors
	Check  bool
}

// correctionGrant asks to do an act with the corrections of a person.
func (f *face) correctionGrant(ask catalogue.Asker, a access.Action, v *visit) (access.Grant, error) {
	place, err := ask.Locate("Patient", v.id())
	if err != nil {
		return access.Grant{}, err
	}
	grants, err := ask.Grants(access.Act{Action: a, Place: f.correctionPlace(place)})
	if err != nil {
		return access.Grant{}, err
	}
	return grants[0], nil
}

func (f *face) showOwnCorrections(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.visits(r, ask)
	if err != nil {
		return err
	}
	if _, err := f.correctionGrant(ask, access.Search, v); err != nil {
		return err
	}
	ctx := r.Context()
	own := &ownCorrectionsView{visit: v, Page: v.page(ctx, web.Text(ctx, "mine.correction.title"), false)}
	if own.List, err = f.ownCorrections(ctx, ask.Principal); err != nil {
		return err
	}
	own.Sent = one(own.List, r.URL.Query().Get("sent"))
	if c := one(own.List, r.URL.Query().Get("withdrawn")); c != nil && c.State == stateGone {
		own.Gone = c
	}
	return web.Render(w, r, http.StatusOK, ownCorrectionsPage(own))
}

// one is the request with a number; nil for none.
func one(list []correction, id string) *correction {
	if i := slices.IndexFunc(list, func(c correction) bool { return strconv.FormatInt(c.ID, 10) == id }); i >= 0 {
		return &list[i]
	}
	return nil
}

// withdraw takes back what a person asked themself. Somebody else's request is as if it were not there.
func (f *face) withdraw(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, ask.Principal.Person); err != nil {
		return err
	}
	ctx := r.Context()
	list, err := f.ownCorrections(ctx, ask.Principal)
	if err != nil {
		return err
	}
	c := one(list, r.PathValue("request"))
	if c == nil {
		return access.NotHere()
	}
	place, err := ask.Locate("Patient", c.Person)
	if err != nil {
		return err
	}
	grants, err := ask.Grants(access.Act{Action: access.Delete, Place: f.correctionPlace(place)})
	if err != nil {
		return err
	}
	if err := f.withdrawCorrection(ctx, grants[0], *c, ask.Principal); err != nil {
		return err
	}
	return web.SeeOther(w, r, ownCorrectionsPath+"?withdrawn="+strconv.FormatInt(c.ID, 10))
}

func (f *face) askingCorrection(r *http.Request, ask catalogue.Asker) (*askCorrectionView, error) {
	v, err := f.visits(r, ask)
	if err != nil {
		return nil, err
	}
	p := v.page(r.Context(), web.Text(r.Context(), "mine.correction.ask"), false)
	p.Back = web.Link{Text: web.Text(r.Context(), "mine.correction.title"), URL: ownCorrectionsPath}
	return &askCorrectionView{visit: v, Page: p, Form: r.URL.Query()}, nil
}

func (f *face) askCorrection(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.askingCorrection(r, ask)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, askCorrectionPage(v))
}

// sendCorrection takes a request from the form to its check, and from there to the worklist.
func (f *face) sendCorrection(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, ask.Principal.Person); err != nil {
		return err
	}
	v, err := f.askingCorrection(r, ask)
	if err != nil {
		return err
	}
	ctx := r.Context()
	v.Form = r.PostForm
	if r.PostForm.Get("step") == "edit" {
		return web.Render(w, r, http.StatusOK, askCorrectionPage(v))
	}
	v.check(ctx)
	if len(v.Errors) > 0 {
		return f.askAgain(w, r, v)
	}
	if v.Check = r.PostForm.Get("step") != "save"; v.Check {
		return web.Render(w, r, http.StatusOK, askCorrectionPage(v))
	}
	g, err := f.correctionGrant(ask, access.Create, v.visit)
	if err != nil {
		return err
	}
	id, err := f.ask(ctx, g, v.visit, v.Form.Get("part"), v.words())
	if fault.Is(err, fault.Conflict) {
		v.Errors.Add("part", web.Text(ctx, "mine.correction.asked-already"))
		return f.askAgain(w, r, v)
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, ownCorrectionsPath+"?sent="+strconv.FormatInt(id, 10))
}

func (f *face) askAgain(w http.ResponseWriter, r *http.Request, v *askCorrectionView) error {
	v.Page.Failed = true
	return web.Render(w, r, http.StatusUnprocessableEntity, askCorrectionPage(v))
}

func (v *askCorrectionView) words() string { return strings.TrimSpace(v.Form.Get("words")) }

func (v *askCorrectionView) check(ctx context.Context) {
	if !slices.Contains(wrongs(), v.Form.Get("part")) {
		v.Errors.Add("part", web.Text(ctx, "mine.correction.part-missing"))
	}
	if n := utf8.RuneCountInString(v.words()); n < wordsMin || n > wordsMax {
		v.Errors.Add("words", web.Text(ctx, "mine.correction.words-wrong", wordsMin, wordsMax))
	}
}

// correctionParts are the answers to what is wrong.
func correctionParts(ctx context.Context) []web.Option {
	var list []web.Option
	for _, w := range wrongs() {
		list = append(list, web.Option{Value: w, Text: web.Text(ctx, "trace.correction.part-"+w)})
	}
	return list
}

// ownRows are a request and its answer, in a patient's words.
func (f *ownCorrectionsView) ownRows(ctx context.Context, c correction) []web.Row {
	rows := []web.Row{{Key: web.Text(ctx, "mine.correction.words"), Text: c.Words}, {Key: web.Text(ctx, "mine.correction.when"), Text: format.DateTime(c.At)},
		{Key: web.Text(ctx, "mine.correction.reference"), Text: c.reference()}}
	switch {
	case c.State == stateGone:
		return append(rows, web.Row{Key: web.Text(ctx, "mine.correction.withdrawn-on"), Text: format.DateTime(c.Answered)})
	case !c.waits():
		return append(rows, web.Row{Key: web.Text(ctx, "mine.correction.answer"), Value: web.Lines(c.Answer, c.AnsweredBy+", "+format.DateTime(c.Answered))})
	case c.Owner != "":
		return append(rows, web.Row{Key: web.Text(ctx, "mine.correction.answer"), Text: web.Text(ctx, "mine.correction.owned", c.OwnerName)})
	}
	return append(rows, web.Row{Key: web.Text(ctx, "mine.correction.answer"), Text: web.Text(ctx, "mine.correction.waits")})
}
