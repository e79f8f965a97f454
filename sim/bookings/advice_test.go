package bookings_test

import (
	"io"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/bookings"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

// TestAdviceOverTwoNodes, on SQLite and on PostgreSQL.
func TestAdviceOverTwoNodes(t *testing.T) {
	t.Parallel()
	for name, postgres := range map[string]bool{"sqlite": false, "postgres": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			adviceOverTwoNodes(given(t, postgres))
		})
	}
}

// adviceOverTwoNodes: a practice asks at the national node, the hospital's doctor answers on the hospital's, also while the line is cut; files go both ways; what somebody has overtaken is refused with its reason; closed,
// nothing more can be said; a question becomes a referral that both know.
func adviceOverTwoNodes(c *country) {
	t, ctx := c.t, c.t.Context()
	w := &simtest.World{URL: c.hospital.URL(), Node: c.hospital}
	for id, role := range map[string]access.Role{"advice-doctor": access.Clinician, "advice-clerk": access.Clerk} {
		if err := c.hospital.Kernel().Gate.PutUsers(ctx, []access.User{{Demo: true, Principal: access.Principal{ID: id, Name: "Dr Saoirse Quinlan", Role: role, Organisation: rqx}}}); err != nil {
			t.Fatal(err)
		}
	}
	file, err := c.refer.Upload(ctx, c.gp(), referral.Upload{Name: "trace.pdf"}, strings.NewReader("%PDF-1.4 trace"))
	if err != nil {
		t.Fatal(err)
	}
	patient := bookings.Patient(bookings.People - 1)
	ask := func(may bool, files ...referral.FileRef) referral.Advice {
		t.Helper()
		a, err := c.refer.AskAdvice(ctx, c.gp(), referral.AdviceQuestion{Patient: patient, Priority: referral.Routine, Service: bookings.ServiceOf(rqx), MayConvert: may, Text: "Palpitations at night: monitor?", Files: files})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := ask(false, referral.FileRef{ID: file.ID})
	page := "/o/RQX/clinics/advice/" + a.UBRN.String()
	doctor, clerk := w.SignedIn(t, "advice-doctor"), w.SignedIn(t, "advice-clerk")
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get("/clinics/advice").Body, page) })
	doctor.Get(page).Sees(200, "Palpitations at night", "trace.pdf", "Dr Amara Whitfield").SeesNot("Make a referral of it")
	doctor.Get(doctor.Link(page + "/files/[^\"]+"))
	if doctor.Status != 200 || doctor.Body != "%PDF-1.4 trace" {
		t.Errorf("the file: %d %q", doctor.Status, doctor.Body)
	}
	clerk.Get(page).Sees(200, "is for clinicians").SeesNot("Palpitations")
	clerk.Get(page + "/do/answer").Sees(403)
	doctor.Get(page + "/do/convert").Sees(409)
	doctor.Get(page + "/do/nothing").Sees(404)

	c.link("cut")
	doctor.Get(page+"/do/answer").Send(page+"/do/answer", "text", "A monitor.").Sees(422, "Choose what you recommend")
	form := doctor.Get(page + "/do/answer").Form()
	form.Set("text", "A monitor for a week.")
	form.Set("recommendation", "OTHER")
	doctor.PostFile(page+"/do/answer", form, "file", "leaflet.pdf", []byte("MZ not a pdf")).Sees(422)
	doctor.PostFile(page+"/do/answer", form, "file", "leaflet.pdf", []byte("%PDF-1.4 leaflet")).Sees(200, "It is written down", "Not confirmed yet", "leaflet.pdf", "A monitor for a week.")
	doctor.Post(page+"/do/answer", form).Sees(200, "It is written down") // a double click says it once
	doctor.Get(page+"/do/more").Sees(409, "has yet to take")
	if now, err := c.refer.Advice(ctx, c.gp(), a.UBRN, true); err != nil || len(now.Remarks) != 1 {
		t.Fatalf("the answer crossed a line that is cut: %+v (%v)", now, err)
	}
	c.link("heal")
	var now referral.Advice
	simtest.Eventually(t, func() bool {
		now, err = c.refer.Advice(ctx, c.gp(), a.UBRN, true)
		return err == nil && now.State == referral.AdviceAnswered
	})
	if m := now.Remarks[len(now.Remarks)-1]; len(now.Remarks) != 2 || !m.Provider || m.Text != "A monitor for a week." || m.Recommendation != "OTHER" || m.For.Name != "Dr Saoirse Quinlan" || len(m.Files) != 1 {
		t.Fatalf("the answer: %+v", now.Remarks)
	}
	if o, err := c.refer.OpenFile(ctx, c.gp(), a.UBRN, now.Remarks[1].Files[0].ID); err != nil {
		t.Errorf("the answer's file: %v", err)
	} else if text, err := io.ReadAll(o); err != nil || string(text) != "%PDF-1.4 leaflet" {
		t.Errorf("the answer's file: %q (%v)", text, err)
	}
	simtest.Eventually(t, func() bool {
		text := doctor.Get(page).Text() // that it is taken may be here before what it has made of the question
		return strings.Contains(text, "Answered") && !strings.Contains(text, "Not confirmed") && strings.Contains(text, "Ask for more information")
	})

	// While the line is cut the doctor adds something, and the practice closes: the practice is right.
	c.link("cut")
	more := doctor.Get(page + "/do/more").Form()
	more.Set("text", "How often?")
	doctor.Post(page+"/do/more", more).Sees(200, "Not confirmed yet")
	if now, err = c.refer.CloseAdvice(ctx, c.gp(), a.UBRN, now.Version); err != nil || now.State != referral.AdviceClosed {
		t.Fatalf("%s (%v)", now.State, err)
	}
	c.link("heal")
	simtest.Eventually(t, func() bool { return doctor.Get(page).Status != 200 }) // closed, the hospital knows the person no more
	taken := ask(true)                                                           // asked about them again, it does
	simtest.Eventually(t, func() bool {
		return strings.Contains(doctor.Get(page).Text(), "Closed") && !strings.Contains(doctor.Text(), "Not confirmed yet")
	})
	doctor.Sees(200, "This conversation is over", "The spine did not take this: This conversation is over").SeesNot("Ask for more information")
	doctor.Get(page + "/do/answer").Sees(409)
	doctor.Get("/clinics/advice").SeesNot(page)
	if now, err = c.refer.Advice(ctx, c.gp(), a.UBRN, true); err != nil || len(now.Remarks) != 2 || now.State != referral.AdviceClosed {
		t.Errorf("what came after it was closed: %+v (%v)", now, err)
	}

	by := c.staff(access.Clinician)
	convert := hospital.Saying{Kind: booking.AdviseConvert, Seen: taken.Version, Text: "We will see them.", Note: "Within four weeks.", Priority: "URGENT"}
	simtest.Eventually(t, func() bool { err = c.clinic.Advise(ctx, by, rqx, taken.UBRN.String(), convert); return err == nil })
	simtest.Eventually(t, func() bool {
		now, err = c.refer.Advice(ctx, c.gp(), taken.UBRN, true)
		return err == nil && now.State == referral.AdviceConverted
	})
	if r := c.get(taken.UBRN); r.State != referral.TriagedToAct || r.Provider() != rqx || r.Comment != "Within four weeks." {
		t.Errorf("the referral: %+v", r)
	}
	c.known(taken.UBRN)
	if err := c.clinic.Advise(ctx, by, rqx, taken.UBRN.String(), convert); !fault.Is(err, fault.Conflict) {
		t.Errorf("made a referral of twice: %v", err)
	}
	c.retoldAdvice(doctor, ask(false).UBRN, func() ident.UBRN { return ask(true).UBRN })
}

// retoldAdvice: a question that a restore of the hospital has lost is told again by a comparison.
func (c *country) retoldAdvice(doctor *simtest.Reader, u ident.UBRN, later func() ident.UBRN) {
	t, page := c.t, "/o/RQX/clinics/advice/"+u.String()
	simtest.Eventually(t, func() bool { return doctor.Get(page).Status == 200 })
	err := c.hospital.Kernel().DB.Write(t.Context(), nil, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM hospital_advice WHERE ubrn = ?`, u.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	doctor.Get(page).Sees(404)
	next := "/o/RQX/clinics/advice/" + later().String() // so what the hospital has heard is later than the question
	simtest.Eventually(t, func() bool { return doctor.Get(next).Status == 200 })
	simtest.Eventually(t, func() bool {
		if err := c.clinic.Tally(t.Context(), rqx); err != nil {
			t.Fatal(err)
		}
		return doctor.Get(page).Status == 200
	})
}

// link cuts or heals the line between the two.
func (c *country) link(act string) {
	c.t.Helper()
	n, by := c.hospital.Kernel().Network, access.Service("test", rqx)
	do := n.CutLink
	if act == "heal" {
		do = n.HealLink
	}
	if err := do(c.t.Context(), by, network.MustNodeID("X26"), "the line is "+act); err != nil {
		c.t.Fatal(err)
	}
}
