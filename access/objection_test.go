package access_test

import (
	"context"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
)

// A person asks about a look at their own record, a privacy officer takes the question on and answers, and the person reads it.
func TestAPersonAsksAboutALookAndIsAnswered(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		w.relate(t, access.Relationship{Tenant: hospital, Chart: "p1", Organisation: hospital})
		g, err := w.gate.Decide(ctx, ann(), access.Read, observation("p1"))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.gate.Account(ctx, []access.Grant{g}, nil); err != nil {
			t.Fatal(err)
		}
		page, err := w.log.Search(ctx, audit.Query{Tenant: hospital, Chart: "p1"})
		if err != nil || len(page.Entries) != 1 {
			t.Fatal(page, err)
		}
		look := page.Entries[0]
		pat := access.Principal{ID: "pat", Name: "Pat Ash", Role: access.Patient, Person: "p1"}
		pat.Tenants = append(pat.Tenants, hospital)
		other := pat
		other.ID, other.Person = "una", "p2"
		if _, err := w.gate.Object(ctx, other, look, "Why was my record read?"); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody else's look was asked about: %v", err)
		}
		if _, err := w.gate.Object(ctx, pat, look, "Why?"); !fault.Is(err, fault.Invalid) {
			t.Errorf("hardly a question: %v", err)
		}
		id, err := w.gate.Object(ctx, pat, look, "Why was my record read?")
		if err != nil {
			t.Fatal(err)
		}
		if again, err := w.gate.Object(ctx, pat, look, "I ask once more, please"); err != nil || again != id {
			t.Errorf("asked twice: %q %q %v", id, again, err)
		}
		waiting, err := w.gate.Objections(ctx, officer(), access.AlertQuery{Waiting: true})
		if err != nil || waiting.Waiting != 1 || len(waiting.Objections) != 1 || waiting.Objections[0].Words != "Why was my record read?" || waiting.Objections[0].ActorName != look.ActorName {
			t.Fatalf("%+v %v", waiting, err)
		}
		far := officer()
		far.Organisation = pharmacy
		if _, err := w.gate.ObjectionByID(ctx, far, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("an officer of elsewhere: %v", err)
		}
		if _, err := w.gate.Objections(ctx, ann(), access.AlertQuery{}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a clinician reads questions: %v", err)
		}
		if err := w.gate.TakeObjection(ctx, officer(), id); err != nil {
			t.Fatal(err)
		}
		if err := w.gate.AnswerObjection(ctx, officer(), id, "fine", "She looked after you"); !fault.Is(err, fault.Invalid) {
			t.Errorf("an outcome that is none: %v", err)
		}
		if err := w.gate.AnswerObjection(ctx, officer(), id, access.InOrder, "She looked after you that night"); err != nil {
			t.Fatal(err)
		}
		own, err := w.gate.OwnObjections(ctx, pat, audit.Chart{Tenant: hospital, Chart: "p1"})
		if err != nil || len(own) != 1 || own[0].Outcome != access.InOrder || own[0].Answer != "She looked after you that night" || own[0].OwnerName != officer().Name || own[0].Answered.IsZero() {
			t.Errorf("%+v %v", own, err)
		}
		if _, err := w.gate.OwnObjections(ctx, other, audit.Chart{Tenant: hospital, Chart: "p1"}); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody else reads the answer: %v", err)
		}
	})
}

// Whoever pages through a worklist and back meets each page again.
func TestAWorklistPagesBothWays(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		for _, chart := range []string{"a", "b", "c", "d", "e"} {
			if _, err := w.gate.BreakGlass(ctx, ann(), person(chart, 0), "Unconscious in resus, no history"); err != nil {
				t.Fatal(err)
			}
		}
		charts := func(q access.AlertQuery) (string, access.AlertPage) {
			q.Limit = 2
			page, err := w.gate.Alerts(ctx, officer(), q)
			if err != nil {
				t.Fatal(err)
			}
			all := ""
			for _, al := range page.Alerts {
				all += al.Chart
			}
			return all, page
		}
		one, first := charts(access.AlertQuery{})
		two, second := charts(access.AlertQuery{After: first.Next})
		three, third := charts(access.AlertQuery{After: second.Next})
		back, again := charts(access.AlertQuery{Before: third.Previous})
		start, begin := charts(access.AlertQuery{Before: again.Previous})
		if one+two+three != "edcba" || back != two || start != one || third.Next != "" || first.Previous != "" || begin.Previous != "" || begin.Next == "" {
			t.Errorf("forward %q %q %q, back %q %q", one, two, three, back, start)
		}
		up, oldest := charts(access.AlertQuery{Oldest: true})
		further, middle := charts(access.AlertQuery{Oldest: true, After: oldest.Next})
		if down, begin := charts(access.AlertQuery{Oldest: true, Before: middle.Previous}); up != "ab" || further != "cd" || down != up || oldest.Previous != "" || begin.Previous != "" {
			t.Errorf("oldest first: %s, %s, and back %s", up, further, down)
		}
		if _, err := w.gate.Alerts(ctx, officer(), access.AlertQuery{After: first.Next, Before: first.Next}); !fault.Is(err, fault.Invalid) {
			t.Errorf("two cursors at once: %v", err)
		}
	})
}
