package codes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/spectest"
)

func day(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestCodesAreAsPublished holds each system to its published example, but for the codes that are beside them and come after.
func TestCodesAreAsPublished(t *testing.T) {
	dir := spectest.Dir(t, "ers", "sandbox", "src", "mocks", "stu3", "getCodeSystem", "responses")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != len(Systems()) {
		t.Fatalf("%d files of %d, %v", len(files), len(Systems()), err)
	}
	for _, f := range files {
		body, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]any
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatal(err)
		}
		id := want["id"].(string)
		ours, err := Resource(id, "_baseUrl_")
		if err != nil {
			t.Fatal(err)
		}
		got := through(t, ours)
		known := len(want["concept"].([]any))
		got["concept"] = got["concept"].([]any)[:known]
		// The examples write the place of the server in two ways.
		want["url"] = URL(id, "_baseUrl_")
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s differs from what is published", id)
			for i, c := range want["concept"].([]any) {
				if g := got["concept"].([]any)[i]; !reflect.DeepEqual(g, c) {
					t.Fatalf("got %v\nwant %v", g, c)
				}
			}
		}
	}
}

// through is a resource as a program reads it.
func through(t *testing.T, m map[string]any) (out map[string]any) {
	t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEachCodeIsThereOnceAndStandsWhereItSays(t *testing.T) {
	for _, id := range Systems() {
		s := load()[id]
		if s == nil || len(s.codes) != len(s.Concepts) {
			t.Fatalf("%s is missing, or has a code twice", id)
		}
		for code, c := range s.codes {
			if c.Display == "" || c.From.IsZero() || !c.Until.IsZero() && c.Until.Before(c.From) {
				t.Errorf("%s %s: %+v", id, code, c)
			}
			if id == ClinicType {
				if _, err := Find(Specialty, c.Specialty); err != nil && c.InForce(day(t, "2026-11-23")) {
					t.Errorf("clinic type %s: %v", code, err)
				}
			}
		}
	}
}

func TestReasonsHaveTheirRules(t *testing.T) {
	now := day(t, "2026-11-23")
	if _, err := Reason(CancelledRequest, "BOOKED_CLINICAL_NEED", " ", now); !fault.Is(err, fault.Invalid) {
		t.Errorf("a reason that needs a comment went without: %v", err)
	}
	c, err := Reason(CancelledRequest, "BOOKED_CLINICAL_NEED", "seen today", now)
	if err != nil || c.Type != "PROVIDER_TRIAGE" || c.GivenBy("REFERRING_CLINICIAN") || !c.GivenBy("SERVICE_PROVIDER_CLINICIAN") {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := Reason(CancelledVisit, "ADDITIONAL_REQ_NOT_AVAILABLE", "", now); !fault.Is(err, fault.Invalid) {
		t.Errorf("a reason out of force was taken: %v", err)
	}
	if _, err := Reason(CancelledVisit, "ADDITIONAL_REQ_NOT_AVAILABLE", "", day(t, "2006-01-01")); err != nil {
		t.Errorf("in its time it was in force: %v", err)
	}
	if _, err := Reason(Missed, "NEVER", "", now); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown reason was taken: %v", err)
	}
	if _, err := Resource("COLOURS", ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("there is no such system: %v", err)
	}
	if c, _ := Find(Priority, "TWO_WEEK_WAIT"); c.ContactDays != 5 || c.TriageDays != 2 {
		t.Errorf("%+v", c)
	}
	if got := BySnomed("394579002"); got != "CARDIOLOGY" {
		t.Errorf("cardiology is %q", got)
	}
	for _, c := range List(CancelledVisit, now, "PROVIDER_REJECT") {
		if c.Type != "PROVIDER_REJECT" || !c.InForce(now) {
			t.Errorf("%+v is listed", c)
		}
	}
	if len(List(CancelledVisit, now, "PROVIDER_REJECT")) == 0 {
		t.Error("no reason to reject")
	}
}
