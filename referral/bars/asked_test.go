package bars_test

import (
	"context"
	"errors"
	"html"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/bars"
)

// desk is a practice that books at a service whose slots a third party's system keeps.
type desk struct {
	*world
	*third
	refs *referral.Referrals
	who  referral.Caller
}

func newDesk(t testing.TB) *desk {
	w, x := newWorld(t), newThird(t)
	x.offered(w)
	k := w.node.Kernel()
	places := directory.New(k, true)
	p := access.Principal{ID: "program", Name: "A program", Role: access.SystemClient, Organisation: practice, Tenants: []ident.ODSCode{national}}
	return &desk{w, x, referral.New(k, places, referral.Options{Elsewhere: bars.NewClient(k, places)}), referral.Caller{Principal: p, Ask: func(acts ...access.Act) ([]access.Grant, error) {
		return k.Gate.DecideAll(context.Background(), p, acts)
	}}}
}

func (d *desk) refer() referral.Referral {
	d.t.Helper()
	n, err := ident.ParseNHSNumber(patient)
	if err != nil {
		d.t.Fatal(err)
	}
	made, err := d.refs.Create(d.t.Context(), d.who, referral.Draft{Patient: n, Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{own}})
	if err != nil {
		d.t.Fatal(err)
	}
	return made.Referral
}

func (d *desk) free() []referral.Slot {
	d.t.Helper()
	d.time.Advance(time.Minute)
	list, err := d.refs.FreeSlots(d.t.Context(), own, time.Time{}, time.Time{}, "", 10)
	if err != nil {
		d.t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b referral.Slot) int { return a.Start.Compare(b.Start) })
	return list
}

func (d *desk) get(u ident.UBRN) referral.Referral {
	d.t.Helper()
	r, err := d.refs.Get(d.t.Context(), d.who, u)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// known waits until the answer to what was asked is known: the node asks again by its clock.
func (d *desk) known(u ident.UBRN) referral.Referral {
	d.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if r := d.get(u); r.Asked == nil {
			return r
		}
		d.time.Advance(30 * time.Second)
	}
	d.t.Fatalf("no answer came: %+v", d.get(u))
	return referral.Referral{}
}

func (d *desk) act(u ident.UBRN, w referral.Work) (referral.Referral, error) {
	d.t.Helper()
	return d.refs.Act(d.t.Context(), d.who, u, w)
}

// available reports whether a referral was not deferred because there are free slots.
func available(err error) bool {
	_, ok := referral.SlotsAvailable(err)
	return ok
}

// TestASystemThatKeepsItsSlotsIsAsked books, moves and cancels at a third party's system whose answers are lost.
func TestASystemThatKeepsItsSlotsIsAsked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	free := d.free()
	if len(free) != 5 || free[0].Clinician != "Dr Sands" || free[0].Provider != hospital {
		t.Fatalf("free: %+v", free)
	}
	if all, err := d.refs.Frees(t.Context(), []string{own}); err != nil || all[own].Slots != 5 {
		t.Errorf("what the service has to offer: %+v %v", all, err)
	}
	r := d.refer()
	if _, err := d.act(r.UBRN, referral.Work{Kind: referral.ActDefer, Service: own}); !available(err) {
		t.Errorf("deferred while there are free times: %v", err)
	}

	d.troubled("after", "503")
	asked, err := d.act(r.UBRN, referral.Work{Kind: referral.ActBook, Seen: r.Version, Slot: free[0].SlotRef, Service: own})
	if err != nil || asked.State != referral.NotBooked || asked.Asked == nil || asked.Appointment != nil {
		t.Fatalf("booked on a guess, or lost: %+v %v", asked, err)
	}
	for name, w := range map[string]referral.Work{"book": {Kind: referral.ActBook, Slot: free[1].SlotRef, Service: own}, "cancel": {Kind: referral.ActCancel, Reason: "RAISED_IN_ERROR"}, "defer": {Kind: referral.ActDefer, Service: own}} {
		if _, err := d.act(r.UBRN, w); !fault.Is(err, fault.Conflict) && !available(err) {
			t.Errorf("%s while the answer is awaited: %v", name, err)
		}
	}
	if again, err := d.act(r.UBRN, referral.Work{Kind: referral.ActBook, Seen: r.Version, Slot: free[0].SlotRef, Service: own}); err != nil || again.State == referral.Booked && d.booked()[free[0].SlotRef.Slot] != 1 {
		t.Errorf("the form was sent twice: %+v %v", again, err)
	}
	got := d.known(r.UBRN)
	if got.State != referral.Booked || got.Appointment.SlotRef != free[0].SlotRef || got.Appointment.Remote == "" || d.booked()[free[0].SlotRef.Slot] != 1 {
		t.Fatalf("after the answer: %+v %v", got, d.booked())
	}

	d.troubled("before")
	if moved, err := d.act(r.UBRN, referral.Work{Kind: referral.ActMove, Seen: got.Version, Slot: free[2].SlotRef, Service: own}); err != nil || moved.Appointment.SlotRef != free[0].SlotRef || moved.Asked == nil {
		t.Fatalf("moved on a guess: %+v %v", moved, err)
	}
	got = d.known(r.UBRN)
	if got.Appointment == nil || got.Appointment.SlotRef != free[2].SlotRef || d.booked()[free[2].SlotRef.Slot] != 1 || len(d.booked()) != 1 {
		t.Fatalf("after the move: %+v %v", got, d.booked())
	}

	d.troubled("after")
	if left, err := d.act(r.UBRN, referral.Work{Kind: referral.ActCancelBy, Seen: got.Version, Reason: "PATIENT_ILL"}); err != nil || left.State != referral.Booked || left.Asked == nil {
		t.Fatalf("cancelled on a guess: %+v %v", left, err)
	}
	if got = d.known(r.UBRN); got.State != referral.CancelledByPatient || len(d.booked()) != 0 {
		t.Fatalf("after the cancellation: %+v %v", got, d.booked())
	}
	history, err := d.refs.History(t.Context(), d.who, r.UBRN)
	if err != nil || len(history) != 7 || history[2].By.ID != "program" || history[2].Act != referral.ActBook {
		t.Errorf("the history has %d versions: %v", len(history), err)
	}
}

// TestAPatientSeesThatTheHospitalHasNotAnswered: the page says that it waits, offers nothing else meanwhile, and shows the answer once it is there.
func TestAPatientSeesThatTheHospitalHasNotAnswered(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	n, err := ident.ParseNHSNumber(patient)
	if err != nil {
		t.Fatal(err)
	}
	made, err := d.refs.Create(t.Context(), d.who, referral.Draft{Patient: n, Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{own}})
	if err != nil {
		t.Fatal(err)
	}
	browser := &visitor{t, strings.TrimSuffix(d.url, bars.Base), nil, ""}
	browser.get("/appointments")
	browser.send("/appointments", "ubrn", made.UBRN.String(), "password", made.Password)
	if page := browser.get("/appointments/choose"); !strings.Contains(page, "Dermatology") {
		t.Fatalf("the patient is not let in: %s", page)
	}
	free := d.free()
	d.troubled("after", "503", "503", "503", "503", "503", "503", "503", "503", "503", "503", "503", "503", "503", "503", "503")
	if page := browser.get("/appointments/times?service=" + own); !strings.Contains(page, "09:00") {
		t.Fatalf("the times of the other system are not shown: %s", page)
	}
	browser.send("/appointments/times", "slot", "R68/ask-"+own+"/"+free[0].SlotRef.Slot, "service", own)
	page := browser.send("/appointments/check")
	if !strings.Contains(page, "not booked until the hospital says so") || strings.Contains(page, "Your appointment is booked") || strings.Contains(page, "See times") {
		t.Fatalf("while the answer is awaited: %s", page)
	}
	d.troubled()
	d.known(made.UBRN)
	if page := browser.get("/appointments/choose"); strings.Contains(page, "not booked until") || !strings.Contains(page, "Your appointment is booked") {
		t.Errorf("after the answer: %s", page)
	}
}

// visitor is a patient at a browser without a script.
type visitor struct {
	t       testing.TB
	at      string
	cookies []*http.Cookie
	shown   string // the page that was shown last
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// get opens a page.
func (v *visitor) get(path string) string { v.t.Helper(); return v.call(http.MethodGet, path, "") }

// send sends the form of a page, as it was last shown, with fields filled in.
func (v *visitor) send(path string, fields ...string) string {
	v.t.Helper()
	form := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(v.shown, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return v.call(http.MethodPost, path, form.Encode())
}

func (v *visitor) call(method, path, body string) string {
	v.t.Helper()
	for range 5 {
		req, err := http.NewRequestWithContext(v.t.Context(), method, v.at+path, strings.NewReader(body))
		if err != nil {
			v.t.Fatal(err)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for _, c := range v.cookies {
			req.AddCookie(c)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			v.t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			v.t.Fatal(err)
		}
		v.cookies = append(v.cookies, resp.Cookies()...)
		if resp.StatusCode != http.StatusSeeOther {
			v.shown = string(text)
			return v.shown
		}
		method, path, body = http.MethodGet, resp.Header.Get("Location"), ""
	}
	v.t.Fatal("sent round in circles")
	return ""
}

// TestANoIsANo: what the other system refuses is said at once, and the referral stays as it was.
func TestANoIsANo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	free := d.free()
	d.mu.Lock()
	d.visits["x"] = &thirdVisit{"x", free[0].SlotRef.Slot, "somebody", "booked"}
	d.mu.Unlock()
	r := d.refer()
	got, err := d.act(r.UBRN, referral.Work{Kind: referral.ActBook, Slot: free[0].SlotRef, Service: own})
	if _, no := referral.Taken(err); !no || !fault.Is(err, fault.Conflict) {
		t.Fatalf("%+v %v", got, err)
	}
	if got = d.get(r.UBRN); got.State != referral.NotBooked || got.Asked != nil || got.Refusal == "" {
		t.Errorf("after a no: %+v", got)
	}
	if got, err = d.act(r.UBRN, referral.Work{Kind: referral.ActBook, Slot: free[1].SlotRef, Service: own}); err != nil || got.State != referral.Booked || got.Refusal != "" {
		t.Errorf("another time: %+v %v", got, err)
	}
}

// TestASystemThatForgetsIsNotBelieved: its refusal of a question that it did, and forgot, is looked into.
func TestASystemThatForgetsIsNotBelieved(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.forgets = true
	free := d.free()
	r := d.refer()
	d.troubled("after")
	if got, err := d.act(r.UBRN, referral.Work{Kind: referral.ActBook, Slot: free[0].SlotRef, Service: own}); err != nil || got.Asked == nil {
		t.Fatalf("%+v %v", got, err)
	}
	if got := d.known(r.UBRN); got.State != referral.Booked || d.booked()[free[0].SlotRef.Slot] != 1 {
		t.Errorf("after the answer: %+v %v", got, d.booked())
	}
}

// TestBothSidesAgreeHoweverManyAnswersAreLost: after any sequence of bookings, moves and cancellations with lost requests and answers, both sides know the same, no slot is
// booked twice, and at no moment is somebody told "booked" who is not.
func TestBothSidesAgreeHoweverManyAnswersAreLost(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 7))
		r := d.refer()
		for range 6 {
			var trouble []string
			for range rng.IntN(4) {
				trouble = append(trouble, []string{"before", "after", "503", ""}[rng.IntN(4)])
			}
			d.troubled(trouble...)
			w := referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"}
			if free := d.free(); r.Appointment == nil || rng.IntN(2) == 0 {
				w = referral.Work{Kind: referral.ActBook, Slot: free[rng.IntN(len(free))].SlotRef, Service: own}
				if r.Appointment != nil {
					w.Kind = referral.ActMove
				}
			}
			got, err := d.act(r.UBRN, w)
			if err != nil {
				t.Fatalf("seed %d: %+v: %v", seed, w, err)
			}
			if got.Asked == nil {
				d.agree(seed, got)
			}
			r = d.known(r.UBRN)
			d.agree(seed, r)
		}
		if r.Appointment != nil {
			d.troubled()
			if _, err := d.act(r.UBRN, referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d questions were asked", d.asked)
}

func (d *desk) agree(seed uint64, r referral.Referral) {
	d.t.Helper()
	there := d.booked()
	switch {
	case r.Appointment == nil && len(there) != 0, r.Appointment != nil && (len(there) != 1 || there[r.Appointment.Slot] != 1):
		d.t.Fatalf("seed %d: the spine knows %+v, the other system %v", seed, r.Appointment, there)
	}
}
