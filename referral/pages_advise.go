package referral

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
)

// adviceView is a question as those who work on it see it.
type adviceView struct {
	Page     web.Page
	A        Advice
	Clinical bool
	Done     string
	Acts     []string
	Referral string // the address of what it became
}

// openedAdvice is a question that staff look at, with its conversation for clinicians.
func (f *face) openedAdvice(r *http.Request, ask catalogue.Asker) (v *adviceView, err error) {
	ctx := r.Context()
	u, err := ubrnOf(r)
	if err != nil {
		return nil, err
	}
	v = &adviceView{Clinical: ask.Principal.Role == access.Clinician}
	if v.A, err = f.s.Advice(ctx, CallerOf(ask), u, v.Clinical); err != nil {
		return nil, err
	}
	person, err := f.s.person(ctx, CallerOf(ask), v.A.Patient)
	if err != nil {
		return nil, err
	}
	back := web.Link{URL: advicePath, Text: web.Text(ctx, "referral.nav.advice")}
	if side, err := v.A.side(ask.Principal.Organisation); err == nil && side == Provider {
		back = web.Link{URL: advisePath, Text: web.Text(ctx, "referral.nav.advise")}
	}
	v.Page = f.page(ctx, "referral.advice.title", person, back)
	v.Acts = canAdvise(v.A, ask.Principal)
	if v.A.State == AdviceConverted {
		v.Referral = casePath + u.String()
	}
	return v, nil
}

// showAdvice is a question with its conversation and what this reader may do.
func (f *face) showAdvice(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	v, err := f.openedAdvice(r, ask)
	if err != nil {
		return err
	}
	if done := r.URL.Query().Get("done"); web.HasText("referral.advice.did." + done) {
		v.Done = web.Text(ctx, "referral.advice.did."+done)
	}
	return web.Render(w, r, http.StatusOK, advicePage(v))
}

// adviseView is a page that adds a message, or ends the conversation.
type adviseView struct {
	*adviceView
	Act             string
	Text, Note      string
	Priority        string
	Priorities      []web.Option
	Recommendation  string
	Recommendations []web.Option
	Errors          web.FieldErrors
}

func (f *face) adviseView(r *http.Request, ask catalogue.Asker) (*adviseView, error) {
	ctx := r.Context()
	q, err := f.openedAdvice(r, ask)
	if err != nil {
		return nil, err
	}
	v := &adviseView{adviceView: q, Act: r.PathValue("act"), Priority: string(q.A.Priority)}
	if !web.HasText("referral.advice.act." + v.Act) {
		return nil, fault.New(fault.NotFound, "There is no such page.")
	}
	if !slices.Contains(q.Acts, v.Act) {
		return nil, fault.New(fault.Conflict, "This cannot be done with the question as it is: it is %s.", strings.ToLower(web.Text(ctx, "referral.advice.state."+string(q.A.State))))
	}
	v.Page.Title, v.Page.Back = web.Text(ctx, "referral.advice.act."+v.Act), web.Link{URL: advicePath + "/" + q.A.UBRN.String()}
	if v.Act == adviseAnswer || v.Act == adviseConvert || v.Act == adviseMore {
		v.Priorities = priorityOptions(ctx)
	}
	if v.Act == adviseAnswer {
		for _, x := range Recommendations() {
			v.Recommendations = append(v.Recommendations, web.Option{Value: x, Text: web.Text(ctx, "referral.advice.recommendation-of."+x)})
		}
	}
	return v, nil
}

func (f *face) askAdviceAct(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.adviseView(r, ask)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, advisePage(v))
}

// adviceAct adds a message, or ends the conversation. Sent twice it does so once: the second names a version that is no more.
func (f *face) adviceAct(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	sent, err := web.ReadFileForm(r, fileField)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, r.PathValue("ubrn")); err != nil {
		return err
	}
	v, err := f.adviseView(r, ask)
	if err != nil {
		return err
	}
	v.Text, v.Note, v.Recommendation = strings.TrimSpace(r.PostForm.Get("text")), strings.TrimSpace(r.PostForm.Get("note")), r.PostForm.Get("recommendation")
	if len(v.Priorities) > 0 {
		if v.Priority = r.PostForm.Get("priority"); !slices.Contains(Priorities(), Priority(v.Priority)) {
			v.Errors.Add("priority", web.Text(ctx, "referral.letter.priority-missing"))
		}
	}
	if len(v.Recommendations) > 0 && !slices.Contains(Recommendations(), v.Recommendation) {
		v.Errors.Add("recommendation", web.Text(ctx, "referral.advice.recommendation-missing"))
	}
	var files []FileRef
	if v.Act != adviseClose {
		checkMessage(ctx, v.Text, &v.Errors)
		if files, err = f.uploaded(ctx, ask, v.A.UBRN, sent, &v.Errors); err != nil {
			return err
		}
	}
	if len(v.Errors) == 0 {
		if err = wrongFile(f.advise(ctx, ask, v, seen(r), files), &v.Errors); err != nil {
			return err
		}
	}
	if len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, advisePage(v))
	}
	return web.SeeOther(w, r, advicePath+"/"+v.A.UBRN.String()+"?done="+v.Act)
}

// advise does what a form asks for.
func (f *face) advise(ctx context.Context, ask catalogue.Asker, v *adviseView, seen int64, files []FileRef) (err error) {
	c, u := CallerOf(ask), v.A.UBRN
	switch v.Act {
	case adviseReply:
		_, err = f.s.ReplyAdvice(ctx, c, u, AdviceReply{Seen: seen, Text: v.Text, Files: files})
	case adviseClose:
		_, err = f.s.CloseAdvice(ctx, c, u, seen)
	case adviseConvert:
		_, _, err = f.s.ConvertAdvice(ctx, c, u, Conversion{Seen: seen, Text: v.Text, Note: v.Note, Priority: Priority(v.Priority), Files: files})
	default:
		_, err = f.s.AnswerAdvice(ctx, c, u, Answer{Seen: seen, More: v.Act == adviseMore, Recommendation: v.Recommendation, Text: v.Text, Priority: Priority(v.Priority), Files: files})
	}
	return err
}
