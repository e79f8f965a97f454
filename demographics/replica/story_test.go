package replica_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/replica"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/seed"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/webtest"
)

var shared = simtest.ShareWith("replica", func(c *node.Config) { c.Replicas = seed.Replicas() }, func(ctx context.Context, n *node.Node, k *sim.Country) error {
	return seed.Copies(ctx, []*node.Node{n}, k)
})

func TestMain(m *testing.M) { shared.Main(m) }

const west = "/o/RZZ01/replica"

// The demonstration's hospitals have a patient in each state, and pages show each.
func TestTheDemonstrationHasEachState(t *testing.T) {
	w := shared.Given(t)
	var counts [2]replica.Status
	w.SignedIn(t, "hospital-clerk").Get("/replica").Sees(200, "Copy of the national register", "Fenmarket General Hospital keeps its own copy", "PEMBERTON, Clive", "Somebody else", "Not found", "Invalid", "Superseded", "Says otherwise")
	for i, h := range w.Node.Replica().Tenants() {
		s, err := w.Node.Replica().Status(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		counts[i] = s
	}
	for _, state := range replica.States() {
		if counts[0].Counts[state]+counts[1].Counts[state] == 0 {
			t.Errorf("nobody is %s", state)
		}
	}
	east := w.SignedIn(t, "hospital-east")
	east.Get("/o/RZZ02/replica?state=stale").Sees(200, "The national register cannot be asked", "the line to the spine is being moved", "may be behind since", "Not traced")
	east.SeesNot("Stop asking", "Go on asking")
	w.SignedIn(t, "hospital").Get(west+"/00000003").Sees(200, "WHITLOCK, Dean").SeesNot("What is right?", "Ask the national register now")
	if counts[1].Paused.IsZero() {
		t.Error("the second hospital's line is open")
	}
	for _, user := range []string{"clerk", "patient", "hospital-east", "records", "admin"} {
		w.SignedIn(t, user).Get(west).Sees(403)
	}
}

// A clerk sees to each kind of question, with a reason, and the record says so.
func TestAClerkDecides(t *testing.T) {
	w := shared.Given(t)
	clerk := w.SignedIn(t, "hospital-clerk")

	clerk.Get(west+"/00000001").Sees(200, "PEMBERTON, Clive", "NÍ BHRIAIN, Una", "Says otherwise", "What is right?")
	clerk.Send(west+"/00000001", "act", "wrong", "reason", "no").Sees(422, "Enter a reason of 5 to 500 characters")
	clerk.Send(west+"/00000001", "act", "wrong", "reason", "The letter was for his neighbour").Sees(200, "The number was taken off the record", "No number", "Look for them in the national register")

	person, err := w.Country.Character("particle")
	if err != nil {
		t.Fatal(err)
	}
	chart := person.ChartAt(sim.HospitalWest)
	clerk.Get(west+"/"+chart).Sees(200, "Superseded", "Their number is "+person.NHSNumber.Display())
	clerk.Send(west+"/"+chart, "act", "survivor", "reason", "His new card was seen").Sees(200, "The record has its new number", "Traced")

	long, err := w.Country.Character("long-name")
	if err != nil {
		t.Fatal(err)
	}
	chart = long.ChartAt(sim.HospitalWest)
	clerk.Get(west+"/"+chart).Sees(200, "Flat 2, The Wharf", "Take what the national register says")
	clerk.Send(west+"/"+chart, "reason", "He moved there last week").Sees(422, "Choose which stands: Address")
	clerk.Send(west+"/"+chart, "address", "keep", "reason", "He moved there last week").Sees(200, "Saved", "Traced", "He moved there last week")
	clerk.Get("/o/RZZ01/patients/"+chart).Sees(200, "Flat 2, The Wharf")

	clerk.Get(west+"/00000002").Sees(200, "The national register has nobody under this number")
	clerk.Send(west+"/00000002", "act", "leave", "reason", "She is from abroad, it is asked for").Sees(200, "It is off the list", "has looked into it")
	clerk.Get(west).SeesNot("HALLORAN")
	clerk.Get(west+"?state=absent").Sees(200, "HALLORAN")
	clerk.Get(west + "?state=nonsense").Sees(400)
	clerk.Get(west+"?format=csv&state=unnumbered").Sees(200, "UNKNOWN")
}

// A clerk decides about many differences at once: one choice for everybody on the page, another for one of them; who is changed meanwhile stays as they are.
func TestAClerkDecidesAboutMany(t *testing.T) {
	w := shared.Given(t)
	k, ctx, r := w.Node.Kernel(), t.Context(), w.Node.Replica()
	by := access.Service("test", sim.HospitalWest)
	move := func(id, line string) { // as the hospital's own system writes it
		t.Helper()
		ref := record.Ref{Tenant: sim.HospitalWest, Type: "Patient", ID: id}
		place, err := k.Records.Locate(ctx, ref)
		if err != nil {
			t.Fatal(err)
		}
		g, err := k.Gate.Decide(ctx, by, access.Read, place)
		if err != nil {
			t.Fatal(err)
		}
		v, err := k.Records.Read(ctx, g, ref)
		if err != nil {
			t.Fatal(err)
		}
		res, err := v.Resource.Edit().Set(v.Resource.Root(), "address", fhir.Arr(fhir.Obj("use", "home", "line", fhir.Arr(line), "postalCode", "LS1 4AP"))).Done()
		if err != nil {
			t.Fatal(err)
		}
		d, err := k.Records.Prepare(ctx, record.Change{Verb: record.Put, Ref: ref, Resource: res, Reason: "they told the ward"})
		if err != nil {
			t.Fatal(err)
		}
		grants, err := k.Gate.DecideAll(ctx, by, d.Acts())
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Gate.Act(ctx, grants, d.Lanes(), func(tx *store.Tx) error { _, err := k.Records.Apply(tx, d, grants...); return err }); err != nil {
			t.Fatal(err)
		}
	}
	clerk := w.SignedIn(t, "hospital-clerk")
	clerk.Get(west + "?state=traced&format=csv")
	var charts []string
	for p := range w.Country.Everyone() {
		id := p.ChartAt(sim.HospitalWest)
		if id == "" || p.Restricted || p.Key != "" || p.Died != 0 || !strings.Contains(clerk.Body, p.NHSNumber.Display()) && !strings.Contains(clerk.Body, strings.ReplaceAll(p.NHSNumber.Display(), " ", "\u00a0")) {
			continue
		}
		if charts = append(charts, id); len(charts) == 4 {
			break
		}
	}
	if len(charts) < 4 {
		t.Fatalf("only %v are traced", charts)
	}
	for i, id := range charts {
		move(id, fmt.Sprintf("%d Moved Lane", 7+i))
	}
	if err := r.Again(ctx, sim.HospitalWest); err != nil {
		t.Fatal(err)
	}
	if err := r.Round(ctx, sim.HospitalWest); err != nil {
		t.Fatal(err)
	}

	const many = west + "/differences"
	clerk.Get(west).Sees(200, "Decide about many differences at once")
	clerk.Get(many).Sees(200, "7 Moved Lane", "10 Moved Lane", "For everybody on this page", "Take all that the national register says")
	clerk.Send(many, "reason", "Their letters came back").Sees(422, "Choose for everybody on this page")
	clerk.Send(many, "all", "take", "reason", "no").Sees(422, "Enter a reason of 5 to 500 characters")

	clerk.Get(many)
	move(charts[3], "99 Elsewhere") // after the page was shown
	clerk.Send(many, "all", "later", "choice-"+charts[0], "take", "choice-"+charts[1], "keep", "choice-"+charts[3], "take", "reason", "Their letters came back").
		Sees(200, "Saved for 2 patients.", "1 patient was left as they are")
	clerk.Get(many).Sees(200, "9 Moved Lane").SeesNot("7 Moved Lane", "8 Moved Lane")
	clerk.Get("/o/RZZ01/patients/" + charts[0]).Sees(200).SeesNot("7 Moved Lane")
	clerk.Get("/o/RZZ01/patients/"+charts[1]).Sees(200, "8 Moved Lane")
	clerk.Get(west+"/"+charts[1]).Sees(200, "Traced", "Their letters came back")
	clerk.Get(west+"/"+charts[2]).Sees(200, "Says otherwise")
	clerk.Get("/o/RZZ01/patients/"+charts[3]).Sees(200, "99 Elsewhere")
	for _, user := range []string{"hospital", "clerk", "hospital-east", "patient"} {
		w.SignedIn(t, user).Get(many).Sees(403)
	}
}

// The desk finds a patient here first, and nationally only while that is possible; somebody found there becomes a patient here once.
func TestTheDesk(t *testing.T) {
	w := shared.Given(t)
	clerk := w.SignedIn(t, "hospital-clerk")
	clerk.Get(west+"/find").Sees(200, "Find a patient here and nationally")
	clerk.Get(west+"/find?family=S").Sees(422, "Enter at least two letters", "day that exists")
	var somebody *sim.Person
	for p := range w.Country.Everyone() {
		if p.ChartAt(sim.HospitalWest) == "" && p.Key == "" && !p.Restricted && p.Died == 0 {
			somebody = p
			break
		}
	}
	number := somebody.NHSNumber.String()
	clerk.Get(west+"/find?number="+number).Sees(200, "Nobody like this is a patient", "Ask the national register")
	clerk.Get(west+"/find?national=yes&number="+number).Sees(200, strings.ToUpper(somebody.Usual().Family), "Make them a patient here")
	clerk.Send(west+"/find").Sees(200, strings.ToUpper(somebody.Usual().Family))
	clerk.Get(west+"/find?national=yes&number="+number).Sees(200, "is a patient here already").SeesNot("Make them a patient here")

	// the visitor without a number is found to be somebody
	clerk.Get(west+"/00000004").Sees(200, "No number", "Look for them in the national register")
	clerk.Get(clerk.Link(`/o/RZZ01/replica/find\?[^"]*for=00000004[^"]*`)).Sees(200, "Names must be as they are recorded")
	fada, err := w.Country.Character("fada")
	if err != nil {
		t.Fatal(err)
	}
	clerk.Get(west+"/find?national=yes&for=00000004&number="+fada.NHSNumber.String()).Sees(200, "It is the same person: give them this number")
	clerk.Send(west+"/00000004", "reason", "She said so when she woke").Sees(200, "The record has its number", "Somebody else")

	by := access.Service("test", sim.HospitalWest)
	if err := w.Node.Replica().Pause(t.Context(), by, sim.HospitalWest, "the line is being mended"); err != nil {
		t.Fatal(err)
	}
	clerk.Get(west+"/find?national=yes&number="+number).Sees(200, "The national register cannot be asked", strings.ToUpper(somebody.Usual().Family)).SeesNot("Make them a patient here")
	clerk.Get(west).Sees(200, "the line is being mended", "Everybody is found here as before")
	clerk.Get(west+"?state=stale").Sees(200, "may be behind since")
	clerk.Get(west).Send(west, "act", "resume").Sees(200, "The national register is being asked again")
	clerk.Send(west, "act", "pause", "reason", "x").Sees(422, "Enter a reason")
}

func TestThePagesAreHealthy(t *testing.T) {
	w := shared.Given(t)
	cookie := webtest.Cookie("openspine", w.SignedIn(t, "hospital-clerk").Cookie())
	b := webtest.NewBrowser(t)
	for width, options := range map[string][]webtest.Option{"desk": {cookie}, "phone": {cookie, webtest.Phone()}, "plain": {cookie, webtest.NoScript()}} {
		for i, path := range []string{west, west + "/00000003", west + "/differences", west + "/find?family=Smith&born-day=1&born-month=1&born-year=1970"} {
			p := b.Open(t, w.URL+path, options...)
			if os.Getenv("OPENSPINE_SCREENSHOTS") != "" {
				p.Screenshot("replica-" + width + "-" + string(rune('0'+i)) + ".png")
			}
			p.Healthy()
			if width == "desk" {
				p.Walk()
			}
		}
	}
}
