package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/seed"
	"github.com/openspine/openspine/sim/seed/keeper"
	"github.com/openspine/openspine/sim/seed/published"
)

type demoCommand struct {
	Addr        string   `default:"127.0.0.1:8080" help:"Where pages and APIs are served."`
	TLSAddr     string   `name:"tls-addr" help:"Serve the same over TLS here as well, for example 127.0.0.1:8443."`
	MetricsAddr string   `name:"metrics-addr" help:"Serve Prometheus metrics and pprof here, on loopback, for example 127.0.0.1:9090."`
	Data        string   `default:"openspine-data" help:"The folder in which the demonstration keeps its data; seeded only when empty." type:"path"`
	Database    string   `env:"OPENSPINE_DATABASE" help:"A PostgreSQL URL (an empty database, or a schema by its search_path); SQLite in the data folder otherwise."`
	Open        bool     `help:"Let API calls without a token act as a demonstration clinician (loopback only), so that published client tests run unchanged."`
	People      int      `default:"2000" help:"How many people the country has, 64 to 900,000."`
	Seed        uint64   `default:"1" help:"Which country: the same seed gives the same people."`
	Package     []string `help:"A FHIR package (.tgz) or a folder of FHIR definitions, such as UK Core's, for $validate." type:"path"`
	OneNode     bool     `help:"Keep the hospitals on the national node, instead of on nodes of their own. It counts when the country is seeded."`
	Verbose     bool     `help:"Log every request, not only what went wrong."`

	asked string // where the clinic is that keeps its slots; empty for none
}

// country is what a demonstration's data folder was seeded with.
type country struct {
	Seed   uint64    `json:"seed"`
	People int       `json:"people"`
	Day    time.Time `json:"day"`
	Nodes  int       `json:"nodes,omitempty"` // how many it was seeded into; 0, as before there were several, is one
}

// Run seeds an empty data folder, serves, and says so in one line that starts with ready.
func (c *demoCommand) Run(s *session) error {
	folder, err := node.TakeFolder(c.Data) // whoever is seeding it says so better than what it holds half way
	if err != nil {
		return err
	}
	was, err := c.seeded(clock.System().Now())
	if err = errors.Join(err, folder.Release()); err != nil {
		return err
	}
	k, err := sim.New(sim.Config{Seed: was.Seed, People: was.People, Now: was.Day})
	if err != nil {
		return err
	}
	keeps, err := c.keep(s)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(s.ctx)
	defer stop()
	go keeps.serve(ctx)
	c.asked = keeps.host()
	nodes, err := c.open(s, k, was)
	if err != nil {
		return err
	}
	if err := keeper.Offer(s.ctx, nodes[0], keeps.url()); err != nil {
		for _, n := range nodes {
			err = errors.Join(err, n.Close())
		}
		return err
	}
	return node.ServeAll(s.ctx, nodes, func() {
		if err := link(s.ctx, nodes); err != nil {
			fmt.Fprintln(s.stderr, "the nodes are not linked:", explain(err))
		}
		if err := published.Book(s.ctx, nodes[0], s.moment); err != nil {
			fmt.Fprintln(s.stderr, "the published examples' bookings are not made:", explain(err))
		}
		tour(s.stdout, nodes[0].URL(), k)
		if url := nodes[0].SecureURL(); url != "" {
			fmt.Fprintf(s.stdout, "  Over TLS, with a certificate of its own: %s\n\n", url)
		}
		for _, n := range nodes[1:] {
			fmt.Fprintf(s.stdout, "node %s %s\n", n.Name(), n.URL())
		}
		fmt.Fprintf(s.stdout, "ready %s\n", nodes[0].URL())
	})
}

const countryFile = "country.json"

// seeded is the country that the data folder holds, or the one to seed it with. Another seed or size on existing data is
// an error: the people would not be those whom the tour names.
func (c *demoCommand) seeded(now time.Time) (country, error) {
	want := country{Seed: c.Seed, People: c.People, Day: now, Nodes: 1 + len(seed.Apart())}
	if c.OneNode {
		want.Nodes = 1
	}
	text, err := os.ReadFile(filepath.Join(c.Data, countryFile))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(node.DatabasePath(c.Data)); err == nil {
			return want, fault.New(fault.Conflict, "%s holds a country whose seeding did not finish; remove the folder, or name another with --data", c.Data)
		}
		return want, nil
	}
	if err != nil {
		return want, err
	}
	var was country
	if err := json.Unmarshal(text, &was); err != nil {
		return was, fault.Wrap(err, fault.Invalid, "%s in %s cannot be read; remove the folder, or name another with --data", countryFile, c.Data)
	}
	if was.Seed != want.Seed || was.People != want.People {
		return was, fault.New(fault.Conflict, "%s holds the country of --seed %d --people %d; use those, remove the folder, or name another with --data", c.Data, was.Seed, was.People)
	}
	return was, nil
}

// seed writes a country into its nodes, once.
func (c *demoCommand) seed(s *session, nodes []*node.Node, k *sim.Country, was country) error {
	return c.seedBy(s, was, func(wrote func(int) error) error {
		if err := seed.Nodes(s.ctx, nodes, k, wrote); err != nil {
			return err
		}
		if err := seed.Copies(s.ctx, nodes, k); err != nil {
			return err
		}
		if err := published.Load(s.ctx, nodes[0]); err != nil {
			return err
		}
		return published.Refer(s.ctx, nodes[0])
	})
}

// moment waits a little, unless the command is to end.
func (s *session) moment() error {
	select {
	case <-s.ctx.Done():
		return s.ctx.Err()
	case <-time.After(50 * time.Millisecond):
		return nil
	}
}

// seedBy has fill write a country, once.
func (c *demoCommand) seedBy(s *session, was country, fill func(wrote func(int) error) error) error {
	path := filepath.Join(c.Data, countryFile)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	progress := bar(s.stderr, -1, "seeding")
	if err := fill(progress.Add); err != nil {
		return err
	}
	if err := progress.Finish(); err != nil {
		return err
	}
	text, err := json.Marshal(was)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

// tour says who to be, whom to find and what to try, in some minutes.
func tour(w io.Writer, url string, k *sim.Country) {
	stops, err := k.Tour()
	if err != nil {
		fmt.Fprintln(w, "the tour is not to be had:", err)
		return
	}
	fmt.Fprintf(w, "\nOpenSpine: a made-up country. Open %s/sign-in and be anybody with one click.\n\n", url)
	for i, stop := range stops {
		fmt.Fprintf(w, "  %d. %s\n", i+1, describe(stop))
	}
	fmt.Fprintf(w, "\n  FHIR R4: %s/FHIR/R4 (developers: %s/developer)\n\n", url, url)
}

func describe(stop sim.Stop) string {
	who, whom := stop.User.Name, stop.Person.Display()+" (NHS number "+stop.Person.NHSNumber.Display()+")"
	switch stop.Do {
	case "find":
		return "Sign in as " + who + ", find " + whom + " and open the record."
	case "correct":
		return fmt.Sprintf("Correct the record: the given name is %q and should be %q. Its history shows who, when and why; undo it there.", stop.Is, stop.Should)
	case "namesakes":
		return "Find the family name " + stop.Person.Names[0].Family + ": " + stop.Person.Display() + " has a neighbour of the same name, and the list says so."
	case "break-glass":
		return "Find " + whom + ": nobody, for the record is restricted. Look in the records of the spine, and break the glass with a reason."
	case "stranger":
		return "Sign in as " + who + ", who looks after nobody here, and find " + whom + ": the record stays shut until they say why they look after the person."
	case "double":
		return "Sign in as " + who + " of the records office, open Duplicates, and compare " + whom + " with the other number that looks like the same person: merge them, and part them again."
	case "self":
		return "Sign in as " + who + ", a patient, and see who looked at your record, and why."
	case "look":
		return "Sign in as " + who + ", the privacy officer: review the alert, and see who looked at " + whom + "."
	case "refer":
		return "As " + who + " again, open the record of " + whom + " and choose Refer: take a service of Fenmarket General Hospital, and write a line. The page shows a booking reference and a password, once. In another browser, open /appointments and sign in with both: choose a time, and book it."
	case "clinic":
		return "Sign in as " + who + " at Fenmarket General Hospital, and open Clinics: the booking is in the diary of its day; check people in there, and find another time for whoever needs one. Its doctor, Dr Saoirse Quinlan, accepts the referral, and says how a visit ended."
	}
	return stop.Do
}
