package keeper_test

import (
	"context"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/seed/keeper"
	"github.com/openspine/openspine/sim/simtest"
)

// The world's clinic that keeps its slots, which answers where the world was told.
var (
	clinic *keeper.Clinic
	file   string
	system *httptest.Server
	shared = simtest.ShareWith("keeper", func(c *node.Config) { c.Outward, file = []string{"127.0.0.1"}, filepath.Join(c.Data, "keeper.json") }, func(ctx context.Context, n *node.Node, _ *sim.Country) (err error) {
		if clinic, err = keeper.Open(clock.System(), file); err != nil {
			return err
		}
		system = httptest.NewServer(clinic)
		return keeper.Offer(ctx, n, system.URL)
	})
)

func TestMain(m *testing.M) { shared.Main(m) }

var (
	fact  = regexp.MustCompile(`Booking reference ([\d\s]{14}) Password ([a-z0-9-]+)`)
	time0 = regexp.MustCompile(`name="slot" type="radio" value="([^"]*)"`)
)

// refer refers somebody to the clinic, and lets them in.
func refer(t *testing.T, w *simtest.World, key string) *simtest.Reader {
	t.Helper()
	gp, at := w.SignedIn(t, "gp"), "/refer/person/"+strings.ReplaceAll(w.Number(t, key), " ", "")
	gp.Get(at+"?q=cataract").Sees(200, "Saltmarsh Eye Centre", "25+")
	gp.Get(at+"/letter?service="+keeper.Service).Send(at+"/letter", "service", keeper.Service, "priority", "ROUTINE", "request", "APPOINTMENT_REQUEST", "letter", "Cloudy sight.").Sees(200, "Referral made")
	said := fact.FindStringSubmatch(gp.Text())
	if said == nil {
		t.Fatalf("no reference and password: %s", gp.Text())
	}
	p := w.Visitor(t)
	p.Get("/appointments").Send("/appointments", "ubrn", strings.ReplaceAll(said[1], " ", ""), "password", said[2]).Sees(200, "You have not booked yet", "Cataract clinic")
	return p
}

// times are the free times that a patient is shown.
func times(t *testing.T, p *simtest.Reader) (list []string) {
	t.Helper()
	p.Get("/appointments/times?service="+keeper.Service).Sees(200, "Cataract clinic")
	for _, m := range time0.FindAllStringSubmatch(p.Body, -1) {
		list = append(list, m[1])
	}
	if len(list) < 3 {
		t.Fatalf("%d times are offered", len(list))
	}
	return list
}

func choose(p *simtest.Reader, slot string) *simtest.Reader {
	return p.Send("/appointments/times", "slot", slot, "service", keeper.Service).Sees(200, "Check before you book", "we ask the hospital").SeesNot("We keep this time").Send("/appointments/check")
}

// TestAPatientBooksWhereTheSystemIsAsked books, moves and cancels by page; a time that another patient has meanwhile taken is refused, in the system's own words.
func TestAPatientBooksWhereTheSystemIsAsked(t *testing.T) {
	w := shared.Given(t)
	one, other := refer(t, w, "correct"), refer(t, w, "accents")
	first := times(t, one)
	times(t, other)
	choose(one, first[0]).Sees(200, "Your appointment is booked", "Dr Nerys Ashdown", "The hospital has said that the time is yours")
	other.Send("/appointments/times", "slot", first[0], "service", keeper.Service)
	if other.Status == 200 && strings.Contains(other.Body, "Check before you book") { // it was remembered as free
		other.Send("/appointments/check")
	}
	other.SeesNot("Your appointment is booked")
	moved := times(t, one)
	choose(one, moved[2]).Sees(200, "Your appointment is booked")
	one.Get("/appointments/cancel")
	reason := regexp.MustCompile(`name="reason" type="radio" value="([^"]*)"`).FindAllStringSubmatch(one.Body, -1)
	one.Send("/appointments/cancel", "reason", reason[1][1]).Sees(200, "is cancelled: you")
}

// TestWhoIsBookedStaysInTheFile: a system that is started again knows who is booked; one whose file is damaged says so.
func TestWhoIsBookedStaysInTheFile(t *testing.T) {
	w := shared.Given(t)
	p := refer(t, w, "particle")
	slot := times(t, p)[1]
	choose(p, slot).Sees(200, "Your appointment is booked")
	again, err := keeper.Open(clock.System(), file)
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	again.ServeHTTP(rec, httptest.NewRequest("GET", "/Slot", nil))
	id := slot[strings.LastIndex(slot, "/")+1:]
	if !strings.Contains(rec.Body.String(), `"Slot"`) || strings.Contains(rec.Body.String(), id) {
		t.Errorf("%s is free again, or nothing is: %.300s", id, rec.Body)
	}
	rec = httptest.NewRecorder()
	again.ServeHTTP(rec, httptest.NewRequest("POST", "/$process-message", strings.NewReader("{")))
	if rec.Code != 400 {
		t.Errorf("half a message is answered %d", rec.Code)
	}
}
