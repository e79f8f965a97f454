package referral_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/booking/attach"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
)

// TestFilesGoWithAReferral attaches by page: what is sound is there for practice and hospital, what is not is refused in words beside its field.
func TestFilesGoWithAReferral(t *testing.T) {
	w := shared.Given(t)
	gp := w.SignedIn(t, "gp")
	number := digits(w.Number(t, "correct"))
	at := "/refer/person/" + number
	gp.Get(at + "/letter?service=RZZ01-cardiology")
	form := gp.Form()
	form.Set("letter", "Please see.")
	form.Set("priority", "ROUTINE")
	form.Set("request", "APPOINTMENT_REQUEST")
	gp.PostFile(at+"/letter", form, "file", "letter.pdf", []byte("MZ\x90\x00\x03")).Sees(422, "is a program", "Please see.")
	gp.PostFile(at+"/letter", form, "file", `C:\scans\ECG "March".pdf`, []byte("%PDF-1.4 trace")).Sees(200, "Referral made")
	ubrn := digits(fact(t, gp.Body, "Booking reference"))
	page := "/refer/case/" + ubrn
	gp.Get(page).Sees(200, "ECG _March_.pdf", "14 B")
	file := gp.Link(page + "/files/[0-9a-f-]{36}")
	gp.Get(file)
	if gp.Status != 200 || gp.Body != "%PDF-1.4 trace" {
		t.Errorf("the file: %d %q", gp.Status, gp.Body)
	}
	send := func(name, holds string, status int, says string) {
		t.Helper()
		gp.Get(page+"/files").Sees(200, "At most 5 MB")
		gp.PostFile(page+"/files", gp.Form(), "file", name, []byte(holds)).Sees(status, says)
	}
	send("ECG _March_.pdf", "%PDF-1.5", 422, "There is a file called")
	send("setup.exe", "MZ", 422, "cannot be attached")
	send("mole.png", "", 422, "The file is empty")
	send("long.txt", strings.Repeat("a", attach.MostBytes+1), 422, "at most 5 MB")
	send("mole.png", "\x89PNG\r\n\x1a\n", 200, "The file is added")
	w.SignedIn(t, "clerk").Get(file).Sees(403)
	gp.Get(page + "/files/3f2b8c1e-0000-4000-8000-000000000000").Sees(404)
}

// TestAFileThatCannotBeRead goes with a referral that was brought from elsewhere: it is named, with the reason, and nobody reads it, here or at the hospital.
func TestAFileThatCannotBeRead(t *testing.T) {
	w := shared.Given(t)
	ctx, s, c := context.Background(), referrals(w), caller(w)
	for _, wrong := range []referral.Availability{referral.Available, "", "LOST"} {
		if _, err := s.Bring(ctx, c, referral.Upload{Name: "a.pdf"}, 6, wrong); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, err := s.Bring(ctx, c, referral.Upload{Name: "a.exe"}, 6, referral.Pending); !errors.Is(err, attach.ErrType) {
		t.Errorf("a program: %v", err)
	}
	a, err := s.Bring(ctx, c, referral.Upload{Name: "trace.pdf"}, 6, referral.ThreatsFound)
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.Create(ctx, c, referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}, Letter: "Please see.",
		Files: []referral.FileRef{{ID: a.ID, Description: "A trace"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := made.Attachments; len(got) != 1 || got[0].Availability() != referral.ThreatsFound || got[0].Size != 6 {
		t.Errorf("with the referral: %+v", got)
	}
	if o, err := s.OpenFile(ctx, c, made.UBRN, a.ID); !fault.Is(err, fault.Unprocessable) || o.ReadSeeker != nil || o.Availability() != referral.ThreatsFound {
		t.Errorf("opened: %v", err)
	}
	if _, got, err := s.Ticket(ctx, c, a.ID); !fault.Is(err, fault.Unprocessable) || got.Availability() != referral.ThreatsFound {
		t.Errorf("a ticket: %v", err)
	}
	gp := w.SignedIn(t, "gp")
	page := "/refer/case/" + made.UBRN.String()
	gp.Get(page).Sees(200, "trace.pdf", "A trace")
	if strings.Contains(gp.Body, page+"/files/"+a.ID) {
		t.Error("the page leads to a file that cannot be read")
	}
	if gp.Get(page + "/files/" + a.ID); gp.Status == 200 {
		t.Errorf("the page hands it out: %d", gp.Status)
	}
}

// TestAnUploadIsAttachedToWhatItWasMeantFor tries what must not be possible with the files of others.
func TestAnUploadIsAttachedToWhatItWasMeantFor(t *testing.T) {
	w := shared.Given(t)
	ctx, s, c := context.Background(), referrals(w), caller(w)
	draft := referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}, Letter: "Please see."}
	one, err := s.Create(ctx, c, draft)
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.Create(ctx, c, draft)
	if err != nil {
		t.Fatal(err)
	}
	upload := func(name string, of ident.UBRN) referral.Attachment {
		t.Helper()
		a, err := s.Upload(ctx, c, referral.Upload{Name: name, For: of}, bytes.NewReader([]byte("words of "+name)))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	letter := func(u ident.UBRN, replace bool, ids ...string) (referral.Referral, error) {
		work := referral.Work{Kind: referral.ActLetter, Replace: replace}
		for _, id := range ids {
			work.Files = append(work.Files, referral.FileRef{ID: id, Description: " a result "})
		}
		return s.Act(ctx, c, u, work)
	}
	a, b, loose := upload("a.txt", one.UBRN), upload("b.txt", one.UBRN), upload("loose.txt", ident.UBRN{})
	if _, err := s.OpenFile(ctx, c, ident.UBRN{}, a.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a file that is attached to nothing was read: %v", err)
	}
	if _, err := letter(two.UBRN, false, a.ID); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("a file of another referral: %v", err)
	}
	if _, err := letter(one.UBRN, false, loose.ID); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("a file for no referral: %v", err)
	}
	if _, err := letter(one.UBRN, false, "no such"); !errors.Is(err, referral.ErrNoFile) {
		t.Errorf("a file that is none: %v", err)
	}
	r, err := letter(one.UBRN, false, a.ID, b.ID)
	if err != nil || len(r.Attachments) != 2 || r.Attachments[0].Description != "a result" || r.Attachments[0].Kind != referral.FromReferrer {
		t.Fatalf("%+v, %v", r.Attachments, err)
	}
	if _, err := letter(one.UBRN, true, b.ID, a.ID); !errors.Is(err, referral.ErrNoChange) {
		t.Errorf("the same files: %v", err)
	}
	if r, err = letter(one.UBRN, true, b.ID); err != nil || len(r.Attachments) != 1 || r.Attachments[0].ID != b.ID {
		t.Fatalf("%+v, %v", r.Attachments, err)
	}
	if _, err := s.OpenFile(ctx, c, ident.UBRN{}, a.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("a file that was taken off: %v", err)
	}
	secret, _, err := s.Ticket(ctx, c, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.OpenTicket(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(o); err != nil || string(text) != "words of b.txt" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := s.OpenTicket(ctx, secret+"0"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a ticket that is none: %v", err)
	}
	history, err := s.History(ctx, c, one.UBRN)
	if err != nil || len(history) != 3 || len(history[1].Attachments) != 2 {
		t.Errorf("the history lost what was taken off: %v", err)
	}
}

// TestAPatientReadsTheFilesThatAreForThem: what the practice marked is on the patient's page and theirs to read, which is on their account; what it did not mark is not there for them.
func TestAPatientReadsTheFilesThatAreForThem(t *testing.T) {
	w := shared.Given(t)
	gp, patient := w.SignedIn(t, "gp"), w.Visitor(t)
	at := "/refer/person/" + digits(w.Number(t, "correct"))
	gp.Get(at + "/letter?service=RZZ01-cardiology")
	form := gp.Form()
	form.Set("letter", "Please see.")
	form.Set("for-patient", "yes")
	gp.PostFile(at+"/letter", form, "file", "how to get there.pdf", []byte("%PDF-1.4 by bus")).Sees(200, "Referral made")
	ubrn, password := digits(fact(t, gp.Body, "Booking reference")), fact(t, gp.Body, "Password")
	page := "/refer/case/" + ubrn
	gp.Get(page + "/files")
	form = gp.Form()
	form.Del("for-patient")
	gp.PostFile(page+"/files", form, "file", "what the wife says.txt", []byte("in confidence")).Sees(200, "The file is added", "The patient may read it")
	m, err := referrals(w).Get(t.Context(), caller(w), ident.MustUBRN(ubrn))
	if err != nil || len(m.Attachments) != 2 {
		t.Fatal(len(m.Attachments), err)
	}
	open, shut := "/appointments/files/"+m.Attachments[0].ID, "/appointments/files/"+m.Attachments[1].ID

	patient.Get(open).Sees(200, "Sign in").SeesNot("by bus")
	patient.Get("/appointments").Send("/appointments", "ubrn", ubrn, "password", password).Sees(200, "Files for you", "how to get there.pdf").SeesNot("what the wife says")
	before := fileReads(t, w, m.Chart)
	if patient.Get(open); patient.Status != 200 || patient.Body != "%PDF-1.4 by bus" {
		t.Errorf("the patient's file: %d %q", patient.Status, patient.Body)
	}
	if after := fileReads(t, w, m.Chart); after <= before {
		t.Errorf("the patient's account has %d entries of reading the referral, and had %d before the file was read", after, before)
	}
	patient.Get(shut).Sees(404)
	other, secret := refer(t, gp, w.Number(t, "accents"), "RZZ01-cardiology")
	stranger := w.Visitor(t)
	stranger.Get("/appointments").Send("/appointments", "ubrn", other, "password", secret).Sees(200, "You have not booked yet")
	stranger.Get(open).Sees(404)
}

// fileReads is how often a letter of somebody's was read, with its files, as their account says.
func fileReads(t *testing.T, w *simtest.World, chart string) (n int) {
	t.Helper()
	list, err := w.Node.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: w.Node.Kernel().National, Chart: chart, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Entries {
		if e.Action == string(access.Read) && e.Role == string(access.Patient) && e.Outcome == audit.OutcomeOK && strings.HasPrefix(e.Detail, access.TypeReferral+"/") {
			n++
		}
	}
	return n
}
