package referral_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/web/webtest"
)

// TestEveryPageOfAdvice looks at the pages about advice at a desk, on a phone and without scripts, and walks them with the Tab key.
func TestEveryPageOfAdvice(t *testing.T) {
	w := shared.Given(t)
	b := webtest.NewBrowser(t)
	a := asked(t, w, true)
	_, err := referrals(w).AnswerAdvice(context.Background(), consultant(w), a.UBRN, referral.Answer{Seen: 1, More: true, Text: "How often, and for how long?\nDoes anything bring them on?", Priority: referral.Routine})
	if err != nil {
		t.Fatal(err)
	}
	at, page := "/refer/person/"+digits(w.Number(t, "correct"))+"/advice", "/refer/advice/"+a.UBRN.String()
	gp, doctor := w.SignedIn(t, "gp").Cookie(), w.SignedIn(t, "hospital").Cookie()
	visit := func(name, path, cookie string) webtest.Visit {
		return webtest.Visit{Name: "advice-" + name, Path: path, Cookie: cookie, Walk: true}
	}
	b.EveryPage(t, w.URL, []webtest.Visit{visit("choose", at, gp), visit("ask", at+"/ask?service=RZZ01-cardiology", gp), visit("asked", "/refer/advice", gp), visit("review", "/refer/advice/review?show=practice", doctor),
		visit("page", page, gp), visit("reply", page+"/do/reply", gp), visit("close", page+"/do/close", gp), visit("answer", page+"/do/answer", doctor), visit("convert", page+"/do/convert", doctor)})
}

// TestAdviceByTheKeyboard asks and answers with the keys alone.
func TestAdviceByTheKeyboard(t *testing.T) {
	w := shared.Given(t)
	b := webtest.NewBrowser(t)
	p := b.Open(t, w.URL+"/refer/person/"+digits(w.Number(t, "correct"))+"/advice/ask?service=RZZ01-dermatology", webtest.Cookie(webtest.SessionCookie, w.SignedIn(t, "gp").Cookie()))
	p.Type("#text", "A rash that comes and goes: steroid first?")
	p.Press(kb.Tab)
	p.Press(" ")
	p.Press(kb.Tab) // to the file
	p.Press(kb.Tab)
	p.PressThrough(kb.Enter)
	p.Sees("The question is sent", "steroid first?")
	p.Healthy()
}
