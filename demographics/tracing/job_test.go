package tracing_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/demographics/tracing"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store/storetest"
)

var spine = ident.MustODSCode("X26")

// desk is a node that works when a test says so, and a clerk.
type desk struct {
	t     *testing.T
	cfg   node.Config
	clock *clock.Fake
	n     *node.Node
	clerk access.Principal
	tracing.Office
}

func newDesk(t *testing.T, database string) *desk {
	d := &desk{t: t, clock: clock.NewFake(time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC)), clerk: access.Principal{ID: "dilys", Name: "Dilys", Role: access.Clerk, Organisation: spine, Assurance: "AAL3"},
		cfg: node.Config{Name: "test", Addr: "127.0.0.1:0", Data: t.TempDir(), Database: database, National: "X26", Demo: true, Tenants: []node.TenantConfig{{Code: "X26", Name: "National spine", Kind: "national"}}}}
	d.open()
	t.Cleanup(func() {
		if err := d.n.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := d.n.Kernel().Gate.PutUsers(t.Context(), []access.User{{Principal: d.clerk}}); err != nil {
		t.Fatal(err)
	}
	l := d.n.Loader("test", spine, nil)
	for i := range 20 {
		n, err := ident.TestRange.At(i)
		if err != nil {
			t.Fatal(err)
		}
		res, err := fhir.Parse([]byte(fmt.Sprintf(`{"resourceType":"Patient","id":%q,"identifier":[{"system":%q,"value":%q}],"name":[{"use":"usual","family":"Hartley%c","given":["Ann"]}],"birthDate":"1980-01-02"}`,
			n.String(), ident.SystemNHSNumber, n.String(), 'a'+i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Add(t.Context(), res); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) open() {
	n, err := node.Open(context.Background(), d.cfg, node.Options{Clock: d.clock})
	if err != nil {
		d.t.Fatal(err)
	}
	d.n, d.Office = n, tracing.NewOffice(n.Kernel())
}

func onEach(t *testing.T, test func(t *testing.T, d *desk)) {
	t.Run("SQLite", func(t *testing.T) { t.Parallel(); test(t, newDesk(t, "")) })
	t.Run("PostgreSQL", func(t *testing.T) { t.Parallel(); test(t, newDesk(t, storetest.PostgresURL(t))) })
}

// people is a file with so many lines.
func people(lines int) string {
	var b strings.Builder
	b.WriteString("UNIQUE_REFERENCE,FAMILY_NAME,GIVEN_NAME,DATE_OF_BIRTH\n")
	for i := range lines {
		fmt.Fprintf(&b, "%d,Hartley%c,Ann,19800102\n", i, 'a'+i%26)
	}
	return b.String()
}

// dying is a context that ends when it has been looked at so often.
type dying struct {
	context.Context
	left atomic.Int64
	end  func()
}

func (d *dying) Err() error {
	if d.left.Add(-1) == 0 {
		d.end()
	}
	return d.Context.Err()
}

// A file that is cut off again and again, between any two steps, comes to the answer that it would have had at once, with each line once.
func TestAFileGoesOnWhereItWasCutOff(t *testing.T) {
	onEach(t, func(t *testing.T, d *desk) {
		file := people(1100)
		var want bytes.Buffer
		if _, err := demographics.New(d.n.Kernel(), demographics.Options{}).Trace(t.Context(), d.clerk, strings.NewReader(file), &want, 0, nil); err != nil {
			t.Fatal(err)
		}
		id, err := d.Submit(t.Context(), d.clerk, file)
		if err != nil {
			t.Fatal(err)
		}
		cuts := 0
		for looks := int64(3); ; looks += 7 {
			inner, end := context.WithCancel(t.Context())
			ctx := &dying{Context: inner, end: end}
			ctx.left.Store(looks)
			err := d.Work(ctx)
			end()
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if cuts++; cuts%8 == 0 {
				if err := d.n.Close(); err != nil {
					t.Fatal(err)
				}
				d.open()
			}
		}
		if cuts == 0 {
			t.Error("it was never cut off")
		}
		state, traced, _, err := d.State(t.Context(), d.clerk, id)
		if err != nil || state != "done" || traced != 1100 {
			t.Errorf("%s after %d lines (%v)", state, traced, err)
		}
		if got, err := d.Answer(t.Context(), id); err != nil || got != want.String() {
			t.Errorf("another answer after %d cuts (%v)", cuts, err)
		}
	})
}

// A short file does not stand behind a long one; who may not trace any more finds it failed; files go when they have been kept long enough; they are bounded.
func TestFilesAreKeptFairlyAndNotForEver(t *testing.T) {
	onEach(t, func(t *testing.T, d *desk) {
		long, err := d.Submit(t.Context(), d.clerk, people(900))
		if err != nil {
			t.Fatal(err)
		}
		short, err := d.Submit(t.Context(), d.clerk, people(10))
		if err != nil {
			t.Fatal(err)
		}
		state := func(id, want string) {
			t.Helper()
			if got, _, _, err := d.State(t.Context(), d.clerk, id); err != nil || got != want {
				t.Errorf("the file is %q (%v), want %q", got, err, want)
			}
		}
		if err := d.Turn(t.Context()); err != nil {
			t.Fatal(err)
		}
		state(short, "done")
		state(long, "waiting")
		if err := d.Stop(t.Context(), d.clerk, long); err != nil {
			t.Fatal(err)
		}
		if err := d.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		state(long, "stopped")

		d.clock.Advance(8 * 24 * time.Hour)
		if err := d.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		state(short, "expired")
		if got, err := d.Answer(t.Context(), short); err != nil || got != demographics.BatchAnswerHeader() {
			t.Errorf("a week later it is still there: %q (%v)", got, err)
		}

		for range 5 {
			if _, err := d.Submit(t.Context(), d.clerk, people(1)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := d.Submit(t.Context(), d.clerk, people(1)); !fault.Is(err, fault.TooMany) {
			t.Errorf("a sixth file: %v", err)
		}
		other := access.Principal{ID: "femi", Name: "Femi", Role: access.Clerk, Organisation: spine, Assurance: "AAL3"}
		if _, err := d.Submit(t.Context(), other, people(200_001)); !fault.Is(err, fault.TooLarge) {
			t.Errorf("too many people: %v", err)
		}
		gone, err := d.Submit(t.Context(), other, people(1)) // the node knows no such user: their access has ended
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, _, problem, err := d.State(t.Context(), other, gone); err != nil || got != "failed" || problem == "" {
			t.Errorf("%q %q %v", got, problem, err)
		}
	})
}
