package referral_test

import (
	"context"
	"encoding/csv"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
)

// rowsOf are the numbers of the referrals that a list shows, in its order.
func rowsOf(r *simtest.Reader, base string) (list []string) {
	for _, m := range regexp.MustCompile(regexp.QuoteMeta(base)+`(\d{12})"`).FindAllStringSubmatch(r.Body, -1) {
		list = append(list, m[1])
	}
	return list
}

// TestWorklistsPageSortAndFilter turns the pages of a practice's list, forth and back, orders and narrows it, and reads it as a file; what is asked for stands in the address.
func TestWorklistsPageSortAndFilter(t *testing.T) {
	w := shared.Given(t)
	ctx, s := context.Background(), referrals(w)
	patient := ident.MustNHSNumber(digits(w.Number(t, "correct")))
	var made []string
	for i := range 55 {
		service, priority := "RZZ01-dermatology", referral.Routine
		if i%5 == 0 {
			service, priority = "RZZ01-cardiology", referral.Urgent
		}
		m, err := s.Create(ctx, caller(w), referral.Draft{Patient: patient, Priority: priority, Request: referral.ForAppointment, Services: []string{service}, Letter: "Please see."})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, m.UBRN.String())
		t.Cleanup(func() { // the country is that of other tests, too
			if _, err := s.Act(context.Background(), caller(w), m.UBRN, referral.Work{Kind: referral.ActCancel, Reason: "TREATMENT_NO_LONGER_REQUIRED", Comment: "Better."}); err != nil {
				t.Error(err)
			}
		})
	}
	const base = "/refer/case/"
	gp := w.SignedIn(t, "gp")
	ours := func() []string { // of the list, without what other tests have left there
		return slices.DeleteFunc(rowsOf(gp, base), func(u string) bool { return !slices.Contains(made, u) })
	}
	gp.Get("/refer").Sees(200)
	all := rowsOf(gp, base)
	if len(all) != 50 {
		t.Fatalf("a page has %d rows", len(all))
	}
	gp.Get(gp.Link(`/refer\?after=[^"]+`)).Sees(200)
	rest := rowsOf(gp, base)
	second := slices.Clone(rest)
	for more := gp; strings.Contains(more.Body, "/refer?after=") && len(second) == 50; {
		more.Get(more.Link(`/refer\?after=[^"]+`))
		second = rowsOf(more, base)
		rest = append(rest, second...)
	}
	gp.Get("/refer")
	gp.Get(gp.Link(`/refer\?after=[^"]+`))
	for _, u := range made {
		if slices.Contains(all, u) == slices.Contains(rest, u) {
			t.Errorf("%s is on both pages, or on none", u)
		}
	}
	if !strings.Contains(gp.Body, `after=`) || !strings.Contains(gp.Body, `before=`) {
		t.Error("a page that follows what changes forgets where it is, or leads nowhere back")
	}
	gp.Get(gp.Link(`/refer\?before=[^"]+`))
	if back := rowsOf(gp, base); !slices.Equal(back, all) {
		t.Errorf("back: %v", back)
	}

	gp.Get("/refer?priority=URGENT").Sees(200, "Urgent")
	if got := ours(); len(got) != 11 || slices.Contains(got, made[1]) {
		t.Errorf("urgent: %v", got)
	}
	gp.Get("/refer?q="+made[7]).Sees(200, "1 referral")
	if got := ours(); !slices.Equal(got, []string{made[7]}) {
		t.Errorf("by number: %v", got)
	}
	gp.Get("/refer?q=skin&sort=-waits")
	first := func() string { return ours()[0] }
	if first() != made[1] {
		t.Errorf("who has waited longest is %s, not %s", first(), made[1])
	}
	gp.Get("/refer?q=skin&sort=waits")
	if first() != made[54] {
		t.Errorf("the latest is %s, not %s", first(), made[54])
	}
	gp.Get("/refer?sort=priority")
	if got := ours(); slices.Index(got, made[50]) > slices.Index(got, made[1]) {
		t.Error("what is urgent does not come first")
	}
	gp.Get("/refer?sort=nonsense").Sees(400)
	gp.Get("/refer?q=nobody-of-this-name").Sees(200, "0 referrals", "No referrals here")

	gp.Get("/refer?priority=URGENT&format=csv")
	file, err := csv.NewReader(strings.NewReader(gp.Body)).ReadAll()
	if err != nil || len(file) < 12 || len(file) > 40 {
		t.Errorf("the file has %d lines: %v", len(file), err)
	}
}
