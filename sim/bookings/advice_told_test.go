package bookings_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/bookings"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// TestALostQuestionIsToldBack, on SQLite and on PostgreSQL.
func TestALostQuestionIsToldBack(t *testing.T) {
	t.Parallel()
	for name, postgres := range map[string]bool{"sqlite": false, "postgres": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lostQuestionsAreToldBack(given(t, postgres))
		})
	}
}

// lostQuestionsAreToldBack: a restore of the spine has lost a question with its file, the answer to another, that a third was closed, and that a referral was made of a fourth. The hospital tells them back; what it says to the first while the spine is away is taken.
func lostQuestionsAreToldBack(c *country) {
	t, ctx := c.t, c.t.Context()
	var file referral.Attachment
	ask := func(text string, files ...referral.FileRef) ident.UBRN {
		t.Helper()
		a, err := c.refer.AskAdvice(ctx, c.gp(), referral.AdviceQuestion{Patient: bookings.Patient(bookings.People - 1), Priority: referral.Routine, Service: bookings.ServiceOf(rqx), Text: text, Files: files})
		if err != nil {
			t.Fatal(err)
		}
		return a.UBRN
	}
	read := func(u ident.UBRN) (a referral.Advice, err error) { return c.refer.Advice(ctx, c.gp(), u, true) }
	answer := func(u ident.UBRN, seen int64, text string) {
		t.Helper()
		simtest.Eventually(t, func() bool {
			if err := c.clinic.Register(ctx, rqx); err != nil {
				t.Fatal(err)
			}
			return c.clinic.Advise(ctx, c.staff(access.Clinician), rqx, u.String(), hospital.Saying{Kind: booking.AdviseAnswer, Seen: seen, Text: text, Recommendation: "OTHER"}) == nil
		})
	}
	// knows waits until the hospital knows a question at a version.
	knows := func(u ident.UBRN, version int64) {
		t.Helper()
		simtest.Eventually(t, func() (known bool) {
			err := c.hospital.Kernel().DB.Read(ctx, func(tx *store.Tx) error {
				return tx.QueryRow(`SELECT count(*) > 0 FROM hospital_advice WHERE ubrn = ? AND version >= ?`, u.String(), version).Scan(&known)
			})
			return err == nil && known
		})
	}
	answered, closed := ask("Is a monitor of use?"), ask("May she fly?")
	asked, err := c.refer.AskAdvice(ctx, c.gp(), referral.AdviceQuestion{Patient: bookings.Patient(bookings.People - 1), Priority: referral.Routine, Service: bookings.ServiceOf(rqx), Text: "Is this for you?", MayConvert: true})
	if err != nil {
		t.Fatal(err)
	}
	converted := asked.UBRN
	knows(answered, 1)
	knows(closed, 1)
	knows(converted, 1)
	var backup bytes.Buffer
	if err := c.k.DB.Backup(ctx, &backup); err != nil {
		t.Fatal(err)
	}

	answer(answered, 1, "For a week.")
	knows(answered, 2)
	if _, err := c.refer.CloseAdvice(ctx, c.gp(), closed, 1); err != nil {
		t.Fatal(err)
	}
	knows(closed, 2)
	simtest.Eventually(t, func() bool {
		if err := c.clinic.Register(ctx, rqx); err != nil {
			t.Fatal(err)
		}
		return c.clinic.Advise(ctx, c.staff(access.Clinician), rqx, converted.String(), hospital.Saying{Kind: booking.AdviseConvert, Seen: 1, Text: "We will see them.", Note: "Within four weeks.", Priority: "URGENT"}) == nil
	})
	simtest.Eventually(t, func() (known bool) {
		err := c.hospital.Kernel().DB.Read(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT count(*) > 0 FROM hospital_case WHERE ubrn = ?`, converted.String()).Scan(&known)
		})
		return err == nil && known
	})
	file, err = c.refer.Upload(ctx, c.gp(), referral.Upload{Name: "trace.pdf"}, strings.NewReader("%PDF-1.4 trace"))
	if err != nil {
		t.Fatal(err)
	}
	lost := ask("What of this trace?", referral.FileRef{ID: file.ID})
	knows(lost, 1)
	c.link("cut")
	answer(lost, 1, "It is normal.")
	c.restore(backup.Bytes())
	if _, err := read(lost); err == nil {
		t.Fatal("the restore has lost nothing")
	}
	if a, err := read(answered); err != nil || len(a.Remarks) != 1 {
		t.Fatalf("the restore has lost nothing: %+v (%v)", a, err)
	}
	c.link("heal")

	simtest.Eventually(t, func() bool { a, err := read(answered); return err == nil && a.State == referral.AdviceAnswered })
	if a, _ := read(answered); len(a.Remarks) != 2 || a.Remarks[1].Text != "For a week." || !a.Remarks[1].Provider || a.Remarks[1].Organisation != rqx || a.Remarks[1].Recommendation != "OTHER" || a.Version <= 2 {
		t.Errorf("the answer that was lost: %+v", a)
	}
	simtest.Eventually(t, func() bool { a, err := read(closed); return err == nil && a.State == referral.AdviceCancelled })
	simtest.Eventually(t, func() bool { a, err := read(converted); return err == nil && a.State == referral.AdviceConverted })
	simtest.Eventually(t, func() bool { _, err := c.refer.Get(ctx, c.gp(), converted); return err == nil }) // it comes with the hospital's answer, behind its question
	if r, err := c.refer.Get(ctx, c.gp(), converted); err != nil || r.Provider() != rqx || !r.FromAdvice || r.Priority != referral.Urgent {
		t.Errorf("the referral that was made of a question: %+v (%v)", r, err)
	}
	simtest.Eventually(t, func() bool { a, err := read(lost); return err == nil && a.State == referral.AdviceAnswered })
	a, err := read(lost)
	if err != nil || len(a.Remarks) != 2 || a.Remarks[0].Text != "What of this trace?" || a.Remarks[0].Organisation != bookings.Practice || a.Remarks[1].Text != "It is normal." || a.Practice != bookings.Practice {
		t.Fatalf("the question that was lost: %+v (%v)", a, err)
	}
	if f := a.Remarks[0].Files; len(f) != 1 || f[0].ID != file.ID || f[0].Kind != referral.WithQuestion {
		t.Errorf("its file: %+v", f)
	} else if o, err := c.refer.OpenFile(ctx, c.gp(), lost, file.ID); err != nil {
		t.Errorf("its file: %v", err)
	} else if text, err := io.ReadAll(o); err != nil || string(text) != "%PDF-1.4 trace" {
		t.Errorf("its file: %q (%v)", text, err)
	}
	// The conversation goes on on both sides.
	next, err := c.refer.ReplyAdvice(ctx, c.gp(), lost, referral.AdviceReply{Seen: a.Version, Text: "And this one?"})
	if err != nil {
		t.Fatal(err)
	}
	knows(lost, next.Version)
	answer(lost, next.Version, "Normal as well.")
	simtest.Eventually(t, func() bool {
		a, err := read(lost)
		return err == nil && len(a.Remarks) == 4 && a.State == referral.AdviceAnswered
	})
	c.even()
}

// restore puts a backup in the place of the spine's database. The hospital's line is to be cut before.
func (c *country) restore(backup []byte) {
	c.t.Helper()
	c.stop()
	at := node.DatabasePath(c.cfg.Data)
	if c.cfg.Database != "" {
		c.cfg.Database = storetest.PostgresURL(c.t)
		at = c.cfg.Database
	} else {
		for _, name := range []string{at, at + "-wal", at + "-shm"} {
			if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
				c.t.Fatal(err)
			}
		}
	}
	if err := store.Restore(c.t.Context(), bytes.NewReader(backup), at, store.Options{}); err != nil {
		c.t.Fatal(err)
	}
	n, stop := opened(c.t, c.cfg, node.Options{})
	c.spine.Store(n)
	c.stop, c.k = stop, n.Kernel()
	c.refer = referral.New(c.k, directory.New(c.k, true), referral.Options{})
}
