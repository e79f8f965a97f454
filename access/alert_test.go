package access_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

func person(chart string, label access.Label) access.Place {
	return access.Place{Tenant: hospital, Chart: chart, Type: "Patient", ID: chart, Label: label, Exists: true}
}

func officer() access.Principal {
	return access.Principal{ID: "olu", Name: "Olu Okafor", Role: access.PrivacyOfficer, Organisation: hospital}
}

func (w world) restrict(t testing.TB, chart string) {
	t.Helper()
	err := w.db.Write(context.Background(), []store.Lane{w.gate.Lane(hospital, chart)}, func(tx *store.Tx) error {
		return w.gate.Restrict(tx, hospital, chart, access.Restricted, "at their wish", "olu")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBreakingTheGlassTellsThePrivacyOfficer(t *testing.T) {
	t.Parallel()
	c := clock.NewFake(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC))
	w := over(t, storetest.OpenWith(t, store.Options{Clock: c}, audit.Schema(), access.Schema()), func(o *access.Options) { o.Clock = c })
	ctx := context.Background()
	w.relate(t, access.Relationship{Tenant: hospital, Chart: "p1", Organisation: hospital})
	w.restrict(t, "p1")
	if _, err := w.gate.Decide(ctx, ann(), access.Read, observation("p1")); !fault.Is(err, fault.NotFound) {
		t.Fatalf("a restricted person was shown to the organisation: %v", err)
	}
	if _, err := w.gate.ClaimRelationship(ctx, ann(), person("p1", 0), "I look after this person"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a hidden person was claimed: %v", err)
	}
	for _, reason := range []string{"", "emergency", strings.Repeat(" ", 20), strings.Repeat("x", 501)} {
		if _, err := w.gate.BreakGlass(ctx, ann(), person("p1", 0), reason); !fault.Is(err, fault.Invalid) {
			t.Errorf("the reason %q: %v", reason, err)
		}
	}
	until, err := w.gate.BreakGlass(ctx, ann(), person("p1", 0), "Unconscious in resus, no history")
	if err != nil || until.Sub(c.Now()).Round(time.Second) != 30*time.Minute {
		t.Fatalf("until %v %v", until, err)
	}
	g, err := w.gate.Decide(ctx, ann(), access.Read, observation("p1"))
	if err != nil || g.Basis() != "clinician-relationship: break-glass" {
		t.Errorf("with the glass broken: %q %v", g.Basis(), err)
	}
	page, err := w.gate.Alerts(ctx, officer(), access.AlertQuery{Waiting: true})
	if err != nil || page.Waiting != 1 || len(page.Alerts) != 1 || page.Alerts[0].Kind != access.KindBreakGlass || page.Alerts[0].Actor != "ann" ||
		page.Alerts[0].Reason != "Unconscious in resus, no history" {
		t.Fatalf("alerts: %+v %v", page, err)
	}
	if err := w.gate.Acknowledge(ctx, officer(), page.Alerts[0].ID, access.Justified, "Seen on the ward list"); err != nil {
		t.Fatal(err)
	}
	if page, err = w.gate.Alerts(ctx, officer(), access.AlertQuery{Waiting: true}); err != nil || page.Waiting != 0 || len(page.Alerts) != 0 {
		t.Errorf("after the review: %+v %v", page, err)
	}
	c.Advance(31 * time.Minute)
	if _, err := w.gate.Decide(ctx, ann(), access.Read, observation("p1")); !fault.Is(err, fault.NotFound) {
		t.Errorf("after half an hour: %v", err)
	}
	entries, err := w.log.Search(ctx, audit.Query{Tenant: hospital, Chart: "p1", Action: "break-glass"})
	if err != nil || len(entries.Entries) != 1 || entries.Entries[0].Detail != "Unconscious in resus, no history" || entries.Entries[0].Purpose != "ETREAT" {
		t.Errorf("the account: %+v %v", entries, err)
	}
}

func TestAClaimedRelationshipOpensTheChartAndIsReviewed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		ctx := context.Background()
		if _, err := w.gate.ClaimRelationship(ctx, ann(), access.Place{Tenant: hospital, Chart: "p9", Type: "Patient", ID: "p9"}, "I look after this person"); !fault.Is(err, fault.NotFound) {
			t.Errorf("somebody who is not there: %v", err)
		}
		for _, chart := range []string{"p1", "p2", "p3"} {
			if _, err := w.gate.ClaimRelationship(ctx, ann(), person(chart, 0), "Referred to my clinic today"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.gate.Decide(ctx, ann(), access.Update, observation("p1")); err != nil {
			t.Errorf("after the claim: %v", err)
		}
		if _, err := w.gate.Decide(ctx, ann(), access.Read, access.Place{Tenant: hospital, Chart: "p1", Type: "Observation", ID: "8", Label: access.Sealed, Exists: true}); !fault.Is(err, fault.NotFound) {
			t.Errorf("a claim opened a sealed item: %v", err)
		}
		first, err := w.gate.Alerts(ctx, officer(), access.AlertQuery{Limit: 2})
		if err != nil || len(first.Alerts) != 2 || first.Next == "" || first.Waiting != 3 {
			t.Fatalf("first page: %+v %v", first, err)
		}
		second, err := w.gate.Alerts(ctx, officer(), access.AlertQuery{Limit: 2, After: first.Next})
		if err != nil || len(second.Alerts) != 1 || second.Next != "" || second.Alerts[0].Chart != "p1" {
			t.Fatalf("second page: %+v %v", second, err)
		}
		if _, err := w.gate.Alerts(ctx, ann(), access.AlertQuery{}); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a clinician read the alerts: %v", err)
		}
		elsewhere := officer()
		elsewhere.Organisation = pharmacy
		if err := w.gate.Acknowledge(ctx, elsewhere, first.Alerts[0].ID, access.Justified, ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("another organisation's officer reviewed it: %v", err)
		}
		if page, err := w.gate.Alerts(ctx, elsewhere, access.AlertQuery{}); err != nil || len(page.Alerts) != 0 {
			t.Errorf("another organisation's officer sees: %+v %v", page, err)
		}
		elsewhere.Tenants = []ident.ODSCode{ident.MustODSCode("A99"), hospital}
		if page, err := w.gate.Alerts(ctx, elsewhere, access.AlertQuery{}); err != nil || len(page.Alerts) != 3 || page.Waiting != 3 {
			t.Errorf("an officer for several organisations sees: %+v %v", page, err)
		}
		if err := w.gate.Acknowledge(ctx, elsewhere, first.Alerts[0].ID, access.Justified, "On the referral"); err != nil {
			t.Errorf("an officer for several organisations reviewed it: %v", err)
		}
		if err := w.gate.Acknowledge(ctx, officer(), "zzz", access.Justified, ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("no such alert: %v", err)
		}
	})
}
