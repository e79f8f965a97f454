package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/sim"
)

// registerBench is a national register with a crowd in it, under measurement through its published API.
type registerBench struct {
	c      *benchCommand
	w      *crowd
	n      *node.Node
	base   *url.URL
	token  string
	sample []*sim.Person // whom the calls are about
	tokens []string      // signed assertions, each good once
}

// sampled is how many different people the calls are about.
const sampled = 4000

// register loads a crowd if it is not there, serves it, and measures each kind of call of the published API.
func (c *benchCommand) register(s *session) (err error) {
	dir, done, err := c.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	fsync, err := fsyncRate(dir)
	if err != nil {
		return err
	}
	b := &registerBench{c: c}
	if b.w, err = crowdIn(dir, c.People, time.Now().UTC().Truncate(time.Second)); err != nil {
		return err
	}
	begun := time.Now()
	if err := c.profiled("load", func() error {
		b.n, err = b.w.open(s, dir, hourAfter{time.Now(), noon})
		return err
	}); err != nil {
		return err
	}
	opened := time.Since(begun)
	stop, err := b.serve(s.ctx)
	if err != nil {
		return errors.Join(err, b.n.Close())
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := b.prepare(s.ctx); err != nil {
		return err
	}
	if err := b.settle(s); err != nil {
		return err
	}
	debug.FreeOSMemory()
	size, err := folderSize(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.stdout, "%d people; %.2f GB in the data folder, %.0f bytes a person; open after %.2f s; resident %d MB; disk %.0f fsync/s; %d processors\n",
		c.People, float64(size)/1e9, float64(size)/float64(c.People), opened.Seconds(), resident(), fsync, runtime.GOMAXPROCS(0))
	for _, k := range b.kinds() {
		if c.Only != "" && !strings.Contains(","+c.Only+",", ","+k.name+",") {
			continue
		}
		if err := c.profiled(k.name, func() error { return b.measure(s, k) }); err != nil {
			return err
		}
	}
	return b.checks(s)
}

// folder is where the data lies, and what is done with it in the end.
func (c *benchCommand) folder() (dir string, done func() error, err error) {
	if c.Data != "" {
		return c.Data, func() error { return nil }, os.MkdirAll(c.Data, 0o700)
	}
	dir, err = os.MkdirTemp("", "openspine-bench-*")
	return dir, func() error { return os.RemoveAll(dir) }, err
}

func (b *registerBench) serve(ctx context.Context) (stop func() error, err error) {
	if err := b.n.Listen(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	served, ready := make(chan error, 1), make(chan struct{})
	go func() { served <- b.n.Serve(ctx, func() { close(ready) }) }()
	stop = func() error {
		cancel()
		return <-served
	}
	select {
	case <-ready:
	case err := <-served:
		cancel()
		return nil, err
	}
	b.base, err = url.Parse(b.n.URL())
	return stop, err
}

// settle waits until what the load put on the account is sealed, which a node in use has long done.
func (b *registerBench) settle(s *session) error {
	begun, told := time.Now(), time.Now()
	for {
		left, err := b.n.Kernel().Audit.Unsealed(s.ctx)
		if err != nil {
			return err
		}
		if left < settled {
			if waited := time.Since(begun); waited > time.Second {
				fmt.Fprintf(s.stdout, "the load's account was sealed after another %.0f s\n", waited.Seconds())
			}
			return nil
		}
		if time.Since(told) > 30*time.Second {
			told = time.Now()
			fmt.Fprintf(s.stderr, "%s entries of the account to be sealed %d\n", told.Format(time.TimeOnly), left)
		}
		select {
		case <-time.After(time.Second):
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
}

// settled is how few entries are sealed within a second.
const settled = 10_000

// prepare picks people to call about, and gives the caller a token.
func (b *registerBench) prepare(ctx context.Context) (err error) {
	for i := range sampled {
		p, err := b.w.country.Person(int(int64(i) * 7919 * 104729 % int64(b.c.People)))
		if err != nil {
			return err
		}
		if !p.Restricted && len(p.Addresses) > 0 && len(p.Names) > 0 {
			b.sample = append(b.sample, p)
		}
	}
	b.token, err = b.n.Kernel().Issuer.Mint(access.Principal{ID: "bench", Name: "Bench", Role: access.Clinician, Organisation: sim.Practice, Assurance: "AAL3"}, 12*time.Hour)
	return err
}

// kindOfCall is one kind of call with the goal that it has.
type kindOfCall struct {
	name, goal string
	clients    int
	next       func(client, i int) request
}

func (b *registerBench) kinds() []kindOfCall {
	about := func(path func(p *sim.Person) string) func(client, i int) request {
		return func(client, i int) request {
			p := b.sample[(client*7919+i*31)%len(b.sample)]
			return request{method: http.MethodGet, path: demographics.Base + path(p), want: []int{200}, requestID: uuid.NewString()}
		}
	}
	query := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return "/Patient?" + v.Encode()
	}
	return append(b.searches(about, query), kindOfCall{"create", "1,000/s", b.c.Clients, func(client, i int) request {
		return request{method: http.MethodPost, path: demographics.Base + "/Patient", contentType: "application/json", body: newcomer(client, i), want: []int{201}, requestID: uuid.NewString()}
	}}, kindOfCall{"token", "1,000/s", 32, nil})
}

// searches are the read by number and each kind of search.
func (b *registerBench) searches(about func(func(p *sim.Person) string) func(client, i int) request, query func(pairs ...string) string) []kindOfCall {
	byNumber := about(readByNumber)
	read := func(client, i int) request { // each answer is looked into: it must be about the person that was asked for
		q := byNumber(client, i)
		q.holds = `"id":"` + path.Base(q.path) + `"`
		return q
	}
	family := func(p *sim.Person) string { return p.Names[0].Family }
	given := func(p *sim.Person) string { return p.Names[0].Given[0] }
	year := func(p *sim.Person) string { return p.Born.String()[:4] }
	begins := func(name string) string { return string([]rune(name + "aa")[:2]) }
	return []kindOfCall{
		{"read", "8,000/s", b.c.Clients, read},
		{"ceiling", "the least that a read could take", b.c.Clients, read},
		{"exact", "p99 < 20 ms", 2, about(func(p *sim.Person) string {
			return query("family", family(p), "given", given(p), "birthdate", "eq"+p.Born.String(), "gender", p.Gender)
		})},
		{"fuzzy", "p99 < 100 ms", 2, about(func(p *sim.Person) string {
			return query("_fuzzy-match", "true", "family", family(p)+"e", "given", given(p), "birthdate", "eq"+p.Born.String())
		})},
		{"fuzzy-year", "p99 < 100 ms", 2, about(func(p *sim.Person) string {
			return query("_fuzzy-match", "true", "family", family(p), "given", given(p), "birthdate", "ge"+year(p)+"-01-01", "birthdate", "le"+year(p)+"-12-31")
		})},
		{"wildcard", "p99 < 100 ms", 2, about(func(p *sim.Person) string {
			return query("family", begins(family(p))+"*", "birthdate", "eq"+p.Born.String(), "address-postalcode", p.Addresses[0].Postcode[:2]+"*")
		})},
		{"range", "p99 < 100 ms", 2, about(func(p *sim.Person) string {
			return query("family", family(p), "given", given(p), "birthdate", "ge"+year(p)+"-01-01", "birthdate", "le"+year(p)+"-12-31", "address-postalcode", p.Addresses[0].Postcode)
		})},
		{"too-many", "p99 < 100 ms", 2, about(func(p *sim.Person) string {
			return query("family", begins(family(p))+"*", "given", begins(given(p))+"*", "birthdate", "ge1930-01-01")
		})},
		{"fhir-sorted", "p99 < 20 ms", 2, func(client, i int) request {
			p := b.sample[(client*7919+i*31)%len(b.sample)]
			return request{method: http.MethodGet, path: "/FHIR/R4/Patient?gender=female&_sort=birthdate&_count=10&name=" + url.QueryEscape(family(p)), want: []int{200}}
		}},
	}
}

func (b *registerBench) measure(s *session, k kindOfCall) error {
	l := load{base: b.base, token: b.token, clients: k.clients, duration: b.c.Duration, warmup: b.c.Warmup, next: k.next}
	switch k.name {
	case "token":
		if err := b.assertions(s.ctx); err != nil {
			return err
		}
		var mu sync.Mutex
		l.token, l.warmup = "", 0
		l.next = func(int, int) request {
			mu.Lock()
			defer mu.Unlock()
			if len(b.tokens) == 0 {
				return request{}
			}
			one := b.tokens[0]
			b.tokens = b.tokens[1:]
			return request{method: http.MethodPost, path: oauth.PathToken, contentType: "application/x-www-form-urlencoded", body: []byte(one), want: []int{200}}
		}
	case "fhir-sorted":
		var err error
		if l.token, err = b.n.Kernel().Issuer.Mint(access.Principal{ID: "bench-system", Name: "Bench", Role: access.SystemClient, Organisation: sim.National,
			Tenants: []ident.ODSCode{sim.National}, Scopes: []string{"system/*.cruds"}}, time.Hour); err != nil {
			return err
		}
	}
	r, err := b.run(s.ctx, k.name, l)
	if err != nil {
		return err
	}
	r.Name, r.Target, r.Note = k.name, b.base.String(), fmt.Sprintf("goal %s; resident %d MB", k.goal, resident())
	return r.print(s.stdout, b.c.JSON)
}

// run drives the load against the register, or against its ceiling.
func (b *registerBench) run(ctx context.Context, kind string, l load) (result, error) {
	if kind == "ceiling" {
		return b.ceiling(ctx, l)
	}
	return l.run(ctx), nil
}

// assertions signs what a client asks for tokens with: it is the client's work, and not measured.
func (b *registerBench) assertions(ctx context.Context) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	client := oauth.Client{ID: "bench-" + uuid.NewString()[:8], Name: "Bench", Kind: oauth.System, Realm: access.Systems, Organisation: sim.Practice, Tenants: []ident.ODSCode{sim.National},
		Keys:   &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "bench-1", Algorithm: "RS512", Use: "sig"}}},
		Scopes: []string{"system/*.rs"}, Default: []string{"system/*.rs"}}
	if err := b.n.Door().Tokens().PutClient(ctx, access.Service("bench", sim.National), client, "measured"); err != nil {
		return err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS512, Key: key}, &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": "bench-1", "typ": "JWT"}})
	if err != nil {
		return err
	}
	until := b.n.Kernel().Clock.Now().Add(4*time.Minute + 30*time.Second).Unix()
	b.tokens = make([]string, int(2500*b.c.Duration.Seconds()))
	one := func(i int) error {
		claims, err := json.Marshal(map[string]any{"iss": client.ID, "sub": client.ID, "aud": b.base.String() + oauth.PathToken, "jti": uuid.NewString(), "exp": until})
		if err != nil {
			return err
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			return err
		}
		text, err := signed.CompactSerialize()
		b.tokens[i] = url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {text}}.Encode()
		return err
	}
	for i := range b.tokens {
		if err := one(i); err != nil {
			return err
		}
	}
	return nil
}

// checks measures what each request pays for the token that it brings.
func (b *registerBench) checks(s *session) error {
	const times = 200_000
	begun := time.Now()
	for range times {
		if _, err := b.n.Kernel().Verifier.Verify(s.ctx, b.token); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(s.stdout, "%-12s %9.2f µs each (goal 30 µs), of %d, one after another\n", "token-check", float64(time.Since(begun).Microseconds())/times, times)
	return err
}

// newcomer is a request to register somebody who is not there: the family name is of random letters, the rest is as frequent as it gets.
func newcomer(client, i int) []byte {
	letters := [10]byte{}
	n, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) // crypto/rand does not fail
	for j, v := 0, n.Int64(); j < len(letters); j, v = j+1, v/26 {
		letters[j] = byte('A' + v%26)
	}
	born := time.Date(1930, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, int(n.Int64()%32000))
	given := []string{"Olivia", "Noah", "Amelia", "George", "Isla", "Muhammad", "Ava", "Arthur"}[i%8]
	return fmt.Appendf(nil, `{"resourceType":"Patient","name":[{"use":"usual","given":["%s"],"family":"%s","period":{"start":"2024-05-02"}}],"address":[{"use":"home","line":["%d Road","Leeds"],"postalCode":"LS%d %d%c%c","period":{"start":"2024-05-02"}}],"gender":"female","birthDate":"%s",`+
		`"extension":[{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-RegisteringAuthority","extension":[{"url":"registeringAuthorityType","valueCodeableConcept":{"coding":[{"system":"https://fhir.nhs.uk/CodeSystem/UKCore-RegisteringAuthorityType","code":"x"}]}},{"url":"organisationIdentifier","valueString":"RGS"}]}]}`,
		given, "B"+strings.ToLower(string(letters[:])), client, 1+n.Int64()%28, n.Int64()/28%10, letters[2], letters[3], born.Format(time.DateOnly))
}

// resident is the process's memory in megabytes.
func resident() int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kb := 0
	_, _ = fmt.Sscan(rest, &kb) // 0 where there is no such file
	return kb >> 10
}

// folderSize is how many bytes the files of a folder hold.
func folderSize(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// match measures the comparison of everybody with everybody, as the register's office does it at night.
func (c *benchCommand) match(s *session) (err error) {
	dir, done, err := c.folder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	w, err := crowdIn(dir, c.People, time.Now().UTC().Truncate(time.Second))
	if err != nil {
		return err
	}
	n, err := w.open(s, dir, hourAfter{time.Now(), atNight})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	for _, service := range n.Services() {
		for _, j := range service.Jobs {
			if j.Name != "duplicates" {
				continue
			}
			begun, spent := time.Now(), processor()
			if err := c.profiled("match", func() error { return j.Run(s.ctx) }); err != nil {
				return err
			}
			_, err := fmt.Fprintf(s.stdout, "%d people compared with one another in %.0f s (goal 600 s for a million), %.0f s of processor, resident %d MB\n",
				c.People, time.Since(begun).Seconds(), (processor() - spent).Seconds(), resident())
			return err
		}
	}
	return fault.New(fault.Internal, "no service compares people")
}

// hourAfter is a clock that begins at an hour of the day after begun: at night people are compared, which by day would be measured along with the rest.
type hourAfter struct {
	begun time.Time
	hour  int
}

const (
	noon    = 12
	atNight = 3
)

// Now is clock.Clock's.
func (h hourAfter) Now() time.Time {
	const day = 24 * time.Hour
	return h.begun.UTC().Truncate(day).Add(day + time.Duration(h.hour)*time.Hour + time.Since(h.begun))
}

// After is clock.Clock's.
func (h hourAfter) After(d time.Duration) <-chan time.Time { return time.After(d) }
