package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/seed"
)

type benchCommand struct {
	Name     string        `arg:"" enum:"create,read,search,transaction,import,start,all,messages,register,match,referrals" help:"What to measure: create, read, search, transaction, import, start, or all of these; messages: post within a node or between two; register (the national register of very many people through its published API); match (the nightly comparison of everybody with everybody); referrals (find a service, refer, book and accept)."`
	URL      string        `name:"url" help:"Another FHIR server's base, for a fair comparison, instead of a node of its own."`
	Token    string        `help:"A bearer token for --url."`
	Clients  int           `default:"64" help:"How many clients call at once."`
	Duration time.Duration `default:"10s" help:"How long to measure."`
	Warmup   time.Duration `default:"2s" help:"How long to run before measuring."`
	People   int           `default:"2000" help:"How many people the node under test holds."`
	Bare     bool          `help:"The people of the node under test have no clinical records, so that a large country is made sooner."`
	Data     string        `help:"Keep the node's data in this folder and use it again; otherwise a temporary one." type:"path"`
	Database string        `help:"A PostgreSQL URL for the node under test; SQLite otherwise."`
	Search   string        `enum:"all,identifier,family,subject,sorted" default:"all" help:"Which searches are measured: of a number, of a family name and years of birth, of somebody's results, of a name in the order of birth; or all by turns."`
	Rate     int           `help:"Of messages: how many to send a second, of referrals: how many journeys to begin; as many as go otherwise."`
	Between  bool          `help:"Of messages: between two nodes over TLS on loopback, each with a database of its own."`
	Backlog  int           `help:"Of messages: how many wait for a node that is not reached meanwhile."`
	File     int           `help:"Of messages: send one file of so many MB between two nodes instead."`
	Services int           `help:"Of referrals: how many services there are beside those of the hospital, with 200 free slots each."`
	Only     string        `help:"Of the register, only these kinds of call, with commas: read,ceiling (the least that a read could take),exact,fuzzy,fuzzy-year,wildcard,range,too-many,fhir-sorted,create,token; none for loading alone."`
	JSON     bool          `name:"json" help:"Print one JSON object per measurement."`
	Profile  string        `help:"Write a CPU profile of node and clients to this file." type:"path"`
}

// bench is one node, or another server, under measurement.
type bench struct {
	c      *benchCommand
	base   string // the FHIR base
	token  string
	charts []string
	dir    string
	fsync  float64
	note   string
	stop   func() error
	node   *node.Node // when it is one of its own
}

// Run measures and prints: operations a second, p50, p99, errors, clients, and what the disk can do.
func (c *benchCommand) Run(s *session) error {
	switch c.Name {
	case "messages":
		return c.messages(s)
	case "register":
		return c.register(s)
	case "match":
		return c.match(s)
	case "referrals":
		return c.referrals(s)
	}
	names := []string{c.Name}
	if c.Name == "all" {
		names = []string{"start", "import", "create", "read", "search", "transaction"}
	}
	b, err := c.target(s)
	if err != nil {
		return err
	}
	if err := c.profiled("", func() error { return b.all(s, names) }); err != nil {
		return errors.Join(err, b.stop())
	}
	return b.stop()
}

// profiled does something under a CPU profile, if one is asked for; what names it where there are several.
func (c *benchCommand) profiled(what string, do func() error) error {
	if c.Profile == "" {
		return do()
	}
	return profiled(c.Profile+what, do)
}

// profiled does something under a CPU profile that is written to a file, if one is named.
func profiled(name string, do func() error) error {
	if name == "" {
		return do()
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return do()
}

func (b *bench) all(s *session, names []string) error {
	for _, name := range names {
		r, err := b.measure(s.ctx, name)
		if err != nil {
			return err
		}
		r.Name, r.Target, r.FsyncPerSec, r.Note = name, b.base, b.fsync, strings.TrimSpace(b.note+" "+r.Note)
		if err := r.print(s.stdout, b.c.JSON); err != nil {
			return err
		}
	}
	return nil
}

func (r result) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprintf(w, "%-12s %9.0f/s  p50 %8.2f ms  p99 %8.2f ms  max %8.2f ms  %d errors  %d clients  processor %.0f µs each  disk %.0f fsync/s  %s\n",
		r.Name, r.PerSecond, r.P50, r.P99, r.Max, r.Errors, r.Clients, r.Processor, r.FsyncPerSec, r.Note)
	if err == nil && r.FirstError != "" {
		_, err = fmt.Fprintln(w, "  first error:", r.FirstError)
	}
	return err
}

// target is the server at --url, or a node of its own with a made-up country, on loopback, authorised and accounted.
func (c *benchCommand) target(s *session) (*bench, error) {
	b := &bench{c: c, base: strings.TrimSuffix(c.URL, "/"), token: c.Token, stop: func() error { return nil }}
	if c.URL != "" {
		return b, b.patients(s.ctx)
	}
	b.dir = c.Data
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "openspine-bench-*")
		if err != nil {
			return nil, err
		}
		b.dir = dir
	}
	var err error
	if b.fsync, err = c.disk(b.dir); err != nil {
		return nil, err
	}
	n, k, err := c.node(s, b.dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	served, ready := make(chan error, 1), make(chan struct{})
	go func() { served <- n.Serve(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-served:
		cancel()
		return nil, err
	}
	b.stop = func() error {
		cancel()
		err := <-served
		if c.Data == "" {
			err = errors.Join(err, os.RemoveAll(b.dir))
		}
		return err
	}
	b.node = n
	engine := n.Kernel().DB.Engine()
	b.base, b.note = n.URL()+"/FHIR/R4", fmt.Sprintf("%s, %d people, everything indexed", engine, c.People)
	if b.token, err = n.Kernel().Issuer.Mint(access.Principal{ID: "bench", Name: "Bench", Role: access.SystemClient, Organisation: sim.National,
		Tenants: []ident.ODSCode{sim.National}, Scopes: []string{"system/*.cruds"}}, time.Hour); err != nil {
		return nil, errors.Join(err, b.stop())
	}
	for p := range k.Everyone() {
		if !p.Restricted {
			b.charts = append(b.charts, p.NHSNumber.String())
		}
	}
	return b, nil
}

func (c *benchCommand) disk(dir string) (float64, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	return fsyncRate(dir)
}

func (c *benchCommand) node(s *session, dir string) (*node.Node, *sim.Country, error) {
	d := demoCommand{Addr: "127.0.0.1:0", Data: dir, People: c.People, Seed: 1, OneNode: true}
	now := clock.System()
	was, err := d.seeded(now.Now())
	if err != nil {
		return nil, nil, err
	}
	k, err := sim.New(sim.Config{Seed: was.Seed, People: was.People, Now: was.Day})
	if err != nil {
		return nil, nil, err
	}
	cfg := d.national(k, nil)
	cfg.Database = c.Database
	n, err := node.Open(s.ctx, cfg, node.Options{Clock: now, Logger: slog.New(slog.NewJSONHandler(s.stderr, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		return nil, nil, err
	}
	fill := func(wrote func(int) error) error {
		if c.Bare {
			return peopleAlone(s.ctx, n, k, wrote)
		}
		if err := seed.Country(s.ctx, n, k, wrote); err != nil {
			return err
		}
		return seed.Copies(s.ctx, []*node.Node{n}, k)
	}
	if err := d.seedBy(s, was, fill); err != nil {
		return nil, nil, errors.Join(err, n.Close())
	}
	return n, k, n.Listen()
}

// patients finds people to read on another server.
func (b *bench) patients(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.base+"/Patient?_count=500&_elements=id", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/fhir+json")
	if b.token != "" {
		req.Header.Set("Authorization", "Bearer "+b.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	set, err := fhir.Parse(text)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "%s does not answer a search with a Bundle: %s", b.base, resp.Status)
	}
	for e := range set.Get("entry").Items() {
		b.charts = append(b.charts, e.Get("resource.id").String())
	}
	if len(b.charts) == 0 {
		return fault.New(fault.NotFound, "%s holds no Patient to measure with", b.base)
	}
	return nil
}

func (b *bench) measure(ctx context.Context, name string) (result, error) {
	base, err := url.Parse(b.base)
	if err != nil {
		return result{}, fault.Wrap(err, fault.Invalid, "--url is the address of a FHIR server")
	}
	l := load{base: base, token: b.token, clients: b.c.Clients, duration: b.c.Duration, warmup: b.c.Warmup}
	json := "application/fhir+json"
	chart := func(client, i int) string { return b.charts[(client*7919+i*104729)%len(b.charts)] }
	switch name {
	case "create":
		l.next = func(client, i int) request {
			return request{method: http.MethodPost, path: "/Observation", contentType: json, body: observation(chart(client, i), i), want: []int{201}}
		}
	case "read":
		l.next = func(client, i int) request {
			return request{method: http.MethodGet, path: "/Patient/" + chart(client, i), want: []int{200}}
		}
	case "search":
		l.next = func(client, i int) request {
			return request{method: http.MethodGet, path: searchOf(b.c.Search, chart(client, i), client+i), want: []int{200}}
		}
	case "transaction":
		l.clients = min(l.clients, 4)
		l.next = func(client, i int) request {
			return request{method: http.MethodPost, contentType: json, body: transaction(chart(client, i), 100), want: []int{200}}
		}
	case "start":
		return b.start(ctx)
	case "import":
		return b.load(ctx)
	}
	return l.run(ctx), nil
}

// searchKinds are the kinds of search that a page or a client makes.
var searchKinds = [...]string{"identifier", "family", "subject", "sorted"}

// searchOf is a search of a kind; for all, each kind by turns.
func searchOf(kind, chart string, i int) string {
	family := []string{"Smith", "Jones", "Patel", "Okafor", "Evans", "Khan"}[i%6]
	if kind == "all" {
		kind = searchKinds[i%len(searchKinds)]
	}
	switch kind {
	case "identifier":
		return "/Patient?identifier=" + url.QueryEscape("https://fhir.nhs.uk/Id/nhs-number|"+chart)
	case "family":
		return "/Patient?family=" + family + "&birthdate=ge1950&_count=10"
	case "subject":
		return "/Observation?subject=Patient/" + chart + "&_count=20"
	default:
		return "/Patient?name=" + family + "&gender=female&_sort=birthdate&_count=10"
	}
}

// observation is a body weight, coded as the published examples code it.
func observation(chart string, i int) []byte {
	return fhir.Obj("resourceType", "Observation", "status", "final",
		"category", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/observation-category", "code", "vital-signs")))),
		"code", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://loinc.org", "code", "29463-7", "display", "Body weight"))),
		"subject", fhir.Obj("reference", "Patient/"+chart), "effectiveDateTime", "2026-06-05T14:05:00+01:00",
		"valueQuantity", fhir.Obj("value", 50+i%60, "unit", "kg", "system", "http://unitsofmeasure.org", "code", "kg")).JSON()
}

func transaction(chart string, entries int) []byte {
	var list []any
	for i := range entries {
		list = append(list, fhir.Obj("resource", fhir.RawValue(observation(chart, i)), "request", fhir.Obj("method", "POST", "url", "Observation")))
	}
	return fhir.Obj("resourceType", "Bundle", "type", "transaction", "entry", fhir.Arr(list...)).JSON()
}

// start measures how long a node needs from nothing to its first answer, with an empty folder.
func (b *bench) start(ctx context.Context) (result, error) {
	runs := []clientRun{{}}
	begun := time.Now()
	for range 5 {
		dir, err := os.MkdirTemp("", "openspine-start-*")
		if err != nil {
			return result{}, err
		}
		at := time.Now()
		cfg := node.Config{Name: "start", Addr: "127.0.0.1:0", Data: dir, National: "X26", Tenants: []node.TenantConfig{{Code: "X26", Name: "National spine", Kind: "national"}}}
		n, err := node.Open(ctx, cfg, node.Options{})
		if err != nil {
			return result{}, err
		}
		if err := n.Listen(); err != nil {
			return result{}, err
		}
		once, stop := context.WithCancel(ctx)
		err = n.Serve(once, func() {
			runs[0].took = append(runs[0].took, time.Since(at))
			stop()
		})
		stop()
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			return result{}, err
		}
	}
	r := sum(runs, time.Since(begun), 1)
	r.Note = "an empty database, from open to ready"
	return r, nil
}

// load measures a sorted import of new people in large commits, into a node of its own.
func (b *bench) load(ctx context.Context) (r result, err error) {
	dir, err := os.MkdirTemp("", "openspine-import-*")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	k, err := sim.New(sim.Config{Seed: 7, People: 20_000, Now: time.Now()})
	if err != nil {
		return r, err
	}
	database, drop, err := b.c.spare(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	cfg := node.Config{Name: "import", Addr: "127.0.0.1:0", Data: dir, Database: database, National: sim.National.String(), Tenants: []node.TenantConfig{{Code: sim.National.String(), Name: "National spine", Kind: "national"}}}
	n, err := node.Open(ctx, cfg, node.Options{})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	var all []*fhir.Resource
	for p := range k.Everyone() {
		res, err := fhir.Parse(k.Patient(p))
		if err != nil {
			return r, err
		}
		all = append(all, res)
	}
	begun, spent := time.Now(), processor()
	w := n.Loader("bench", sim.National, nil)
	w.Batch = node.LoadAlone
	for _, res := range all {
		if err := w.Add(ctx, res); err != nil {
			return r, err
		}
	}
	if err := w.Flush(ctx); err != nil {
		return r, err
	}
	took := time.Since(begun)
	return result{Operations: len(all), Seconds: took.Seconds(), PerSecond: float64(len(all)) / took.Seconds(), Clients: 1,
		Processor: perOperation(processor()-spent, len(all)), Note: "PDS-shaped Patients, sorted, into an empty database"}, nil
}

// spare makes a schema of its own in the database under test, so that an import begins with nothing; drop takes it away again. Without
// --database there is nothing to make: the node's data is in a folder of its own.
func (c *benchCommand) spare(ctx context.Context) (at string, drop func() error, err error) {
	if c.Database == "" {
		return "", func() error { return nil }, nil
	}
	u, err := url.Parse(c.Database)
	if err != nil {
		return "", nil, fault.Wrap(err, fault.Invalid, "--database is a PostgreSQL URL")
	}
	db, err := pgx.Connect(ctx, c.Database)
	if err != nil {
		return "", nil, fault.Wrap(err, fault.Unavailable, "the database cannot be reached")
	}
	name := "bench_import_" + strconv.FormatInt(time.Now().UnixNano(), 36)
	drop = func() error {
		_, err := db.Exec(context.WithoutCancel(ctx), "DROP SCHEMA IF EXISTS "+name+" CASCADE")
		return errors.Join(err, db.Close(context.WithoutCancel(ctx)))
	}
	if _, err := db.Exec(ctx, "CREATE SCHEMA "+name); err != nil {
		return "", nil, errors.Join(err, db.Close(ctx))
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), drop, nil
}

// peopleAlone writes the people of a country and nothing about them.
func peopleAlone(ctx context.Context, n *node.Node, k *sim.Country, wrote func(int) error) error {
	w := n.Loader("bench", sim.National, wrote)
	w.Batch, w.Later = node.LoadAlone, k.People() >= node.ManyLoaded
	for p := range k.Everyone() {
		res, err := fhir.Parse(k.Patient(p))
		if err != nil {
			return err
		}
		if err := w.Add(ctx, res); err != nil {
			return err
		}
	}
	return w.Flush(ctx)
}
