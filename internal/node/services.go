package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/demographics/office"
	"github.com/openspine/openspine/demographics/replica"
	"github.com/openspine/openspine/demographics/trace"
	"github.com/openspine/openspine/demographics/tracing"
	"github.com/openspine/openspine/developer"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/events"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/fhirapi/messages"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/links"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/patients"
	"github.com/openspine/openspine/postroom"
	"github.com/openspine/openspine/privacy"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/bars"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/signin"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/upkeep"
	"github.com/openspine/openspine/web"
)

// Schemas are the tables of the kernel; each service brings its own.
func Schemas() []store.Schema {
	return []store.Schema{audit.Schema(), access.Schema(), network.Schema(), messaging.Schema(), record.Schema()}
}

// list is every service that a node can run, in the order in which they are shown. Adding one is one line here.
func (n *Node) list() []catalogue.Service {
	n.replica = replica.New(n.kernel, n.sources...)
	n.clinics = hospital.New(n.kernel)
	register, organisations, told := n.national()
	return slices.Concat(n.door.Services(), []catalogue.Service{
		web.Service(n.cfg.Demo),
		patients.Service(n.kernel),
		privacy.Service(n.kernel),
	}, organisations, []catalogue.Service{
		n.door.Administration(),
		upkeep.Service(n.kernel),
		links.Service(n.kernel),
		told,
		n.postroom,
		developer.Service(n.kernel),
		fhirapi.Service(n.kernel),
		messages.Service(n.kernel),
	}, register, []catalogue.Service{
		n.replica.Service(),
		n.mail.Service(),
		n.clinics.Service(),
		n.health(),
	})
}

// national is the register and the directory, which the national node alone runs, and who is told of what happens: on other nodes, of the record alone.
func (n *Node) national() (register, organisations []catalogue.Service, told catalogue.Service) {
	if !n.hosts(n.kernel.National) {
		return nil, nil, events.Service(n.kernel, nil, nil)
	}
	people := demographics.New(n.kernel, demographics.Options{Data: n.cfg.Data, Demo: n.cfg.Demo, Restored: n.restored})
	places := directory.New(n.kernel, n.cfg.Demo)
	refer := referral.New(n.kernel, places, referral.Options{Elsewhere: bars.NewClient(n.kernel, places), Heard: n.kernel.Network.HeardOf})
	n.referrals = refer
	standard := bars.New(n.kernel, places, refer)
	return []catalogue.Service{
		people.Service(),
		trace.Service(n.kernel, people, pharmacies{places}),
		office.Service(n.kernel),
		tracing.Service(n.kernel, people),
		ers.New(n.kernel, places, refer).Service(),
		standard.Service(),
	}, []catalogue.Service{places.Service(), refer.Service()}, events.Service(n.kernel, places, standard)
}

// assemble makes the site, the services and the edge.
func (n *Node) assemble(ctx context.Context) error {
	environment := web.Live
	if n.cfg.Demo {
		environment = web.Demonstration
	}
	var err error
	if n.site, err = web.New(web.Options{Clock: n.clock, Environment: environment, OpenAPI: n.cfg.Open, Place: n.cfg.Place}); err != nil {
		return err
	}
	issuer, err := access.OpenIssuer(n.cfg.Data, n.cfg.Name, n.audience(), n.clock)
	if err != nil {
		return err
	}
	issuer.At(n.URL)
	verifier, err := n.kernel.Gate.NewVerifier(n.audience(), issuer.Trust())
	if err != nil {
		return err
	}
	n.kernel.Issuer, n.kernel.Verifier = issuer, verifier
	n.apiFace, n.pageFace = fhirapi.Face{}, pages{}
	n.door = signin.New(n.kernel, n.cfg.Demo)
	if err := n.door.Trust(n.cfg.Providers); err != nil {
		return err
	}
	n.kernel.Services = func() []catalogue.Service { return n.services }
	if n.restored, err = n.kernel.DB.Restored(ctx); err != nil {
		return err
	}
	if n.sources, err = n.replicaSources(); err != nil {
		return err
	}
	if err := n.openMail(); err != nil {
		return err
	}
	outgoing, err := n.deliveries()
	if err != nil {
		return err
	}
	if n.postroom, err = postroom.Service(n.kernel, outgoing...); err != nil {
		return err
	}
	n.services = n.list()
	if n.more != nil {
		n.services = append(n.services, n.more(n.kernel)...)
	}
	if _, err := messages.Declared(n.services); err != nil {
		return err
	}
	if err := n.prepareServices(ctx); err != nil {
		return err
	}
	if err := n.openPost(ctx); err != nil {
		return err
	}
	if err := n.door.Prepare(ctx); err != nil {
		return err
	}
	if n.trace, err = newTracer(ctx, n.cfg.OTLP, n.cfg.Name, n.log); err != nil {
		return err
	}
	if n.edge, err = newEdge(n, n.services); err != nil {
		return err
	}
	n.metrics = n.newMetrics()
	n.lookAtSpace()
	return nil
}

// prepareServices makes each service's tables and puts its watches on the feed of the record.
func (n *Node) prepareServices(ctx context.Context) error {
	var watches []record.Watch
	var schemas []store.Schema
	for _, s := range n.services {
		watches = append(watches, s.Watches...)
		n.kernel.Records.Keep(s.Keeps...)
		if s.Schema.FS != nil {
			schemas = append(schemas, s.Schema)
		}
	}
	if err := n.kernel.DB.Migrate(ctx, schemas...); err != nil {
		return err
	}
	if err := n.kernel.Records.Behind(ctx); err != nil {
		return err
	}
	if err := n.findLater(ctx); err != nil {
		return err
	}
	n.runners = append(n.runners, runner{"keepers", n.rekeep})
	indexed, err := n.kernel.Records.Indexed(ctx)
	if err != nil {
		return err
	}
	if !indexed {
		n.runners = append(n.runners, runner{"index", n.reindex})
	}
	if len(watches) == 0 {
		return nil
	}
	feed, err := n.kernel.Records.Feed(record.FeedOptions{Logger: n.log}, watches...)
	if err != nil {
		return err
	}
	n.feed = feed
	n.runners = append(n.runners, runner{"feed", feed.Run})
	return nil
}

// findLater ends a load that was cut off: before anybody asks, what it wrote can be found.
func (n *Node) findLater(ctx context.Context) error {
	if n.loading || !n.kernel.Records.Due() {
		return nil
	}
	told := n.clock.Now()
	n.log.Warn("a load was cut off; what it wrote is made to be found before this node starts, which can take minutes")
	return n.kernel.Records.FindLater(ctx, n.cfg.Data, func(p record.Progress) {
		if now := n.clock.Now(); now.Sub(told) >= anewTold {
			told = now
			n.log.Warn("what was loaded is made to be found", "read", p.Done, "of", p.Total, "rows written", p.Wrote)
		}
	})
}

// rekeep brings the services' tables up to date with what was written before they were there, or in an older edition. The services'
// searches say so until it is done.
func (n *Node) rekeep(ctx context.Context) error {
	if len(n.kernel.Records.Late().Names) == 0 {
		return nil
	}
	return n.anew(ctx, n.log.With("keepers", n.kernel.Records.Late().Names), n.kernel.Records.Rekeep)
}

// reindex writes anew what FHIR searches find by, after an upgrade that finds by something else. Searches use what stands meanwhile.
func (n *Node) reindex(ctx context.Context) error {
	return n.anew(ctx, n.log.With("of", "search index"), n.kernel.Records.Reindex)
}

// anew does long work over all records, says in the log how far it is, and tries again what failed.
func (n *Node) anew(ctx context.Context, log *slog.Logger, work func(context.Context, func(record.Progress)) error) error {
	told := n.clock.Now()
	log.Info("writing anew what is searched")
	for {
		err := work(ctx, func(p record.Progress) {
			if now := n.clock.Now(); now.Sub(told) >= anewTold {
				told = now
				log.Info("writing anew what is searched", "done", p.Done, "records", p.Total)
			}
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			log.Info("what is searched is whole")
			return nil
		}
		log.Error("what is searched could not be written anew; it will be tried again", "cause", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.clock.After(anewAgain):
		}
	}
}

// How often the log says how far it is, and when what failed is tried again.
const anewTold, anewAgain = 10 * time.Second, 30 * time.Second

// audience is what a token must be for to be taken here: one per node.
func (n *Node) audience() string { return "openspine:" + n.cfg.Name }

// SetOpen lets API calls without a token act as p (--open).
func (n *Node) SetOpen(p access.Principal) {
	p.AuthMethod = "open"
	n.open = &p
}

// health are the addresses that whoever runs the node watches.
func (n *Node) health() catalogue.Service {
	text := func(w http.ResponseWriter, s string) error {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, err := w.Write([]byte(s + "\n"))
		return err
	}
	return catalogue.Service{Name: "node", Summary: "Whether the node is up and ready.", Jobs: []catalogue.Job{{Name: "prune-post", Every: time.Hour, Run: n.prunePost}}, API: []catalogue.Route{
		catalogue.Public("GET /healthz", func(w http.ResponseWriter, _ *http.Request) error { return text(w, "up") }),
		catalogue.Public("GET /readyz", func(w http.ResponseWriter, r *http.Request) error {
			if !n.ready.Load() {
				return fault.New(fault.Unavailable, "not ready: starting or stopping")
			}
			if err := n.kernel.DB.Read(r.Context(), func(tx *store.Tx) error {
				var one int64
				return tx.QueryRow(`SELECT 1`).Scan(&one)
			}); err != nil {
				return fault.Wrap(err, fault.Unavailable, "not ready: the database does not answer")
			}
			if late := n.kernel.Records.Late(); len(late.Names) > 0 {
				return text(w, fmt.Sprintf("ready\nwriting anew what is searched by %s: %d of %d", strings.Join(late.Names, ", "), late.Done, late.Total))
			}
			return text(w, "ready")
		}),
		catalogue.Public("GET /jwks", func(w http.ResponseWriter, _ *http.Request) error {
			keys, err := n.kernel.Issuer.JWKS()
			if err != nil {
				return err
			}
			w.Header().Set("Content-Type", "application/json")
			_, err = w.Write(keys)
			return err
		}),
	}}
}

// urlQuery is the address as the caller asked for it, the organisation in front included, for a link back.
func urlQuery(r *http.Request) string { return url.QueryEscape(r.RequestURI) }

// Door is the sign-in of the node.
func (n *Node) Door() *signin.Door { return n.door }

// FirstAdministrator is a link that lets whoever opens it first become the administrator, while nobody can sign in; empty
// once somebody can.
func (n *Node) FirstAdministrator(ctx context.Context) (string, error) {
	return n.door.FirstLink(ctx)
}
