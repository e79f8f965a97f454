package referral_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
)

// consultant is the hospital's doctor.
func consultant(w *simtest.World) referral.Caller {
	p := access.Principal{ID: "hospital", Name: "Dr Saoirse Quinlan", Role: access.Clinician, Organisation: west, AuthMethod: "session"}
	return referral.Caller{Principal: p, Ask: func(acts ...access.Act) ([]access.Grant, error) {
		return w.Node.Kernel().Gate.DecideAll(context.Background(), p, acts)
	}}
}

// asked is a question of the practice's doctor to the heart clinic.
func asked(t *testing.T, w *simtest.World, mayConvert bool) referral.Advice {
	t.Helper()
	a, err := referrals(w).AskAdvice(context.Background(), caller(w), referral.AdviceQuestion{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Service: "RZZ01-cardiology", MayConvert: mayConvert, Text: "Palpitations at night: is a monitor of use?"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestAConversation: the service asks back, the practice replies, the service answers, the practice closes; each in turn, by its own people, from the version that they read.
func TestAConversation(t *testing.T) {
	w := shared.Given(t)
	ctx, s, gp, doctor := context.Background(), referrals(w), caller(w), consultant(w)
	a := asked(t, w, true)
	u := a.UBRN
	if _, err := s.ReplyAdvice(ctx, gp, u, referral.AdviceReply{Seen: 1, Text: "And her sister?"}); !fault.Is(err, fault.Conflict) {
		t.Errorf("the practice spoke out of turn: %v", err)
	}
	if _, err := s.CloseAdvice(ctx, doctor, u, 1); !fault.Is(err, fault.Forbidden) {
		t.Errorf("the service closed the practice's question: %v", err)
	}
	a, err := s.AnswerAdvice(ctx, doctor, u, referral.Answer{Seen: 1, More: true, Text: "How often?", Priority: referral.Routine})
	if err != nil || a.State != referral.AdviceMore {
		t.Fatalf("%s, %v", a.State, err)
	}
	if _, err := s.ReplyAdvice(ctx, doctor, u, referral.AdviceReply{Seen: 2, Text: "Twice."}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("the service replied to itself: %v", err)
	}
	if _, err := s.ReplyAdvice(ctx, gp, u, referral.AdviceReply{Seen: 1, Text: "Twice."}); !fault.Is(err, fault.PreconditionFailed) {
		t.Errorf("a reply to what was not read: %v", err)
	}
	if _, err := s.ReplyAdvice(ctx, gp, u, referral.AdviceReply{Seen: 2, Text: strings.Repeat("é", referral.MostAdvice+1)}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a reply without an end: %v", err)
	}
	a, err = s.ReplyAdvice(ctx, gp, u, referral.AdviceReply{Seen: 2, Text: "Twice a week."})
	if err != nil || a.State != referral.AdviceAsked || len(a.Remarks) != 3 || a.Remarks[2].Provider {
		t.Fatalf("%+v, %v", a, err)
	}
	if a, err = s.AnswerAdvice(ctx, doctor, u, referral.Answer{Seen: 3, Recommendation: "OTHER", Text: "A monitor for a week.", Priority: referral.Routine}); err != nil {
		t.Fatal(err)
	}
	a, err = s.CloseAdvice(ctx, gp, u, a.Version)
	if err != nil || a.State != referral.AdviceClosed || !a.Ended() || a.Version != 5 {
		t.Fatalf("%+v, %v", a, err)
	}
	for name, again := range map[string]func() error{
		"reply": func() error {
			_, err := s.ReplyAdvice(ctx, gp, u, referral.AdviceReply{Seen: 5, Text: "More."})
			return err
		},
		"close": func() error { _, err := s.CloseAdvice(ctx, gp, u, 5); return err },
	} {
		if err := again(); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s, once it was over: %v", name, err)
		}
	}
	withdrawn := asked(t, w, false)
	if withdrawn, err = s.CloseAdvice(ctx, gp, withdrawn.UBRN, 1); err != nil || withdrawn.State != referral.AdviceCancelled {
		t.Errorf("withdrawn before anybody answered: %s, %v", withdrawn.State, err)
	}
}

// TestWhatANumberIsIsForThoseWhoMayKnow acts on a question's number as if it were a referral's: its practice is told what it is; a stranger hears the words for a number that is nobody's.
func TestWhatANumberIsIsForThoseWhoMayKnow(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	s, u := referrals(w), asked(t, w, false).UBRN
	defer func() { _, _ = s.CloseAdvice(t.Context(), caller(w), u, 1) }()
	act := referral.Work{Kind: referral.ActCancel, Reason: "NO_LONGER_NEEDED", Seen: 1}
	if _, err := s.Act(t.Context(), caller(w), u, act); !errors.Is(err, referral.ErrNotReferral) {
		t.Errorf("its practice: %v", err)
	}
	stranger := caller(w)
	stranger.Principal.Organisation, stranger.Principal.ID = ident.MustODSCode("Z99899"), "stranger"
	_, asked := s.Act(t.Context(), stranger, u, act)
	_, nobodys := s.Act(t.Context(), stranger, ident.MustUBRN("000000000019"), act)
	if asked == nil || nobodys == nil || fault.KindOf(asked) != fault.KindOf(nobodys) || fault.MessageOf(asked) != fault.MessageOf(nobodys) {
		t.Errorf("a stranger can tell a question's number from nobody's: %v, %v", asked, nobodys)
	}
}

// TestAQuestionBecomesAReferral: where the practice allowed it, the service makes a referral of a question, under the same number and with what was said; elsewhere it may not.
func TestAQuestionBecomesAReferral(t *testing.T) {
	w := shared.Given(t)
	ctx, s, gp, doctor := context.Background(), referrals(w), caller(w), consultant(w)
	no := asked(t, w, false)
	if _, _, err := s.ConvertAdvice(ctx, doctor, no.UBRN, referral.Conversion{Seen: 1, Text: "We will see them.", Priority: referral.Urgent}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("what the practice did not allow: %v", err)
	}
	a := asked(t, w, true)
	if _, _, err := s.ConvertAdvice(ctx, gp, a.UBRN, referral.Conversion{Seen: 1, Text: "See them.", Priority: referral.Urgent}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("the practice made it one: %v", err)
	}
	after, r, err := s.ConvertAdvice(ctx, doctor, a.UBRN, referral.Conversion{Seen: 1, Text: "We will see them.", Note: "Within four weeks.", Priority: referral.Urgent})
	if err != nil || after.State != referral.AdviceConverted || r.UBRN != a.UBRN || r.State != referral.TriagedToAct || r.Provider() != west || !r.FromAdvice || r.Priority != referral.Urgent || r.Comment != "Within four weeks." || r.Version != 2 {
		t.Fatalf("%+v, %+v, %v", after, r, err)
	}
	letter, err := s.Letter(ctx, gp, a.UBRN)
	if err != nil || !strings.Contains(letter, "is a monitor of use?") || !strings.Contains(letter, "We will see them.") {
		t.Errorf("its letter: %q, %v", letter, err)
	}
	if list, err := s.History(ctx, gp, a.UBRN); err != nil || len(list) != 2 || list[1].Act != referral.ActConvert || list[1].By.Party != referral.Provider {
		t.Errorf("its history: %+v, %v", list, err)
	}
	if _, _, err := s.ConvertAdvice(ctx, doctor, a.UBRN, referral.Conversion{Seen: 2, Text: "Again.", Priority: referral.Urgent}); !fault.Is(err, fault.Conflict) {
		t.Errorf("made one twice: %v", err)
	}
	if n := s.Sent(t, a.UBRN); n != 1 {
		t.Errorf("the hospital was told %d times", n)
	}
	if _, err := s.Advice(ctx, gp, a.UBRN, true); err != nil || errors.Is(err, referral.ErrNotAdvice) {
		t.Errorf("the conversation afterwards: %v", err)
	}
}

// TestAdviceByPage asks, is asked back, replies with a file, is answered and closes, all by page; a form that is sent twice asks once, and a clerk sees that it was asked and not what.
func TestAdviceByPage(t *testing.T) {
	w := shared.Given(t)
	at := "/refer/person/" + digits(w.Number(t, "correct"))
	gp, doctor := w.SignedIn(t, "gp"), w.SignedIn(t, "hospital")
	gp.Get(at).Sees(200, "Ask a service for advice instead")
	gp.Get(at+"/advice").Sees(200, "Cardiology outpatients").SeesNot("Gynaecology clinic", "Hip and knee clinic")
	gp.Get(at+"/advice/ask?service=RZZ02-orthopaedics").Sees(422, "gives no advice")
	gp.Get(at+"/advice/ask?service=RZZ01-cardiology").Sees(200, "Your question")
	form := gp.Form()
	form.Set("text", " ")
	gp.Post(at+"/advice/ask", form).Sees(422, "Write the message", "Choose whether the service may make a referral of it")
	form.Set("text", "Faints on standing: which test first?")
	form.Set("may", "yes")
	gp.Post(at+"/advice/ask", form).Sees(200, "The question is sent", "Waiting for the service", "which test first?")
	first := gp.At()
	gp.Post(at+"/advice/ask", form).Sees(200, "which test first?")
	if gp.At() != first {
		t.Errorf("the form was sent twice, and asked at %s and %s", first, gp.At())
	}
	page := strings.TrimSuffix(first, "?done=ask")
	gp.Get("/refer/advice?show=wait").Sees(200, "Waiting for the service").Link(page)
	gp.Get(page+"/do/reply").Sees(409, "waiting for the service")

	doctor.Get("/").Sees(200, "Advice asked of us: ")
	doctor.Get("/refer/advice/review").Link(page)
	doctor.Get(page).Sees(200, "which test first?", "Ask for more information", "Make a referral of it").SeesNot("Close the conversation")
	doctor.Get(page+"/do/answer").Send(page+"/do/answer", "text", "A tilt table.").Sees(422, "Choose what you recommend")
	doctor.Get(page+"/do/more").Send(page+"/do/more", "text", "What is the pressure, lying and standing?").Sees(200, "sent to the practice", "More information wanted")
	clerk := w.SignedIn(t, "clerk")
	clerk.Get("/refer/advice").Link(page)
	clerk.Get(page).Sees(200, "is for clinicians").SeesNot("which test first?")

	gp.Get(page+"/do/reply").Sees(200, "lying and standing?")
	reply := gp.Form()
	reply.Set("text", "140 lying, 100 standing.")
	gp.PostFile(page+"/do/reply", reply, "file", "pressures.pdf", []byte("MZ not a pdf")).Sees(422, "It was not kept")
	gp.PostFile(page+"/do/reply", reply, "file", "pressures.pdf", []byte("%PDF-1.4 pressures")).Sees(200, "Your reply is sent", "pressures.pdf")
	gp.Post(page+"/do/reply", reply).Sees(409)
	doctor.Get(page).Sees(200, "140 lying")
	doctor.Get(doctor.Link(page + "/files/[^\"]+"))
	if doctor.Status != 200 || doctor.Body != "%PDF-1.4 pressures" {
		t.Errorf("the file: %d %q", doctor.Status, doctor.Body)
	}
	doctor.Get(page+"/do/answer").Send(page+"/do/answer", "recommendation", "ADVICE_ONLY_NO_REFERRAL_RECOMMENDED", "text", "Stop the diuretic first.").Sees(200, "Your answer is sent")
	gp.Get("/").Sees(200, "Advice we asked for: ")
	gp.Get("/refer/advice").Sees(200, "Answered").Link(page)
	gp.Get(page+"/do/close").Send(page+"/do/close").Sees(200, "The conversation is closed", "Advice only: no referral", "This conversation is over")
	gp.Get("/refer/advice?show=over&format=csv").Sees(200, "Closed")
}

// TestAReferralOfAQuestionByPage: the hospital takes the patient, and both see the referral that the question became.
func TestAReferralOfAQuestionByPage(t *testing.T) {
	w := shared.Given(t)
	a := asked(t, w, true)
	page := "/refer/advice/" + a.UBRN.String()
	w.SignedIn(t, "hospital").Get(page+"/do/convert").Send(page+"/do/convert", "text", "We see them.", "note", "Within four weeks.", "priority", "URGENT").Sees(200, "It is a referral now", "Became a referral")
	gp := w.SignedIn(t, "gp")
	gp.Get(page).Sees(200, "See the referral that it became")
	gp.Get("/refer/case/"+a.UBRN.String()).Sees(200, "Triaged, hospital to act", "Urgent", "Within four weeks.", "is a monitor of use?", "Question for advice made a referral")
}
