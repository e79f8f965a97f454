package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/store"
)

// ceiling answers a read by number with nothing but what cannot be left out, so that what a read by number takes can be compared with
// what it cannot take less than: net/http, one statement that finds the person's current body and carries it out of the database,
// its inflation, and one entry on the account that is durable before the answer leaves and sealed like any other. It asks for no token,
// decides nothing, follows no link to a surviving record, parses and shapes nothing, measures and logs nothing. It belongs to
// this measurement alone, on loopback and over people who were made up: no node serves it.
type ceiling struct {
	kernel catalogue.Kernel
	bodies *zstd.Decoder
	kind   int64
}

const currentBody = `SELECT v.dict, v.body, v.ver FROM record_resource r JOIN record_version v ON v.lane = r.lane AND v.seq = r.seq
	WHERE r.lane = ? AND r.kind = ? AND r.id = ?`

// newCeiling prepares what each answer needs.
func newCeiling(ctx context.Context, k catalogue.Kernel) (*ceiling, error) {
	c := &ceiling{kernel: k}
	var err error
	if c.bodies, err = zstd.NewReader(nil, zstd.WithDecoderDicts(record.Dictionary()), zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true)); err != nil {
		return nil, err
	}
	return c, k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT num FROM record_word WHERE word = ?`, sim.National.String()+"/Patient").Scan(&c.kind)
	})
}

// ServeHTTP answers GET …/Patient/{number}.
func (c *ceiling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ver, err := c.answer(r)
	if err != nil {
		w.WriteHeader(fault.KindOf(err).HTTPStatus())
		return
	}
	h := w.Header()
	h["X-Request-Id"] = r.Header["X-Request-Id"]
	h["X-Content-Type-Options"], h["Cache-Control"] = []string{"nosniff"}, []string{"no-store"}
	h["Content-Type"], h["Vary"] = []string{"application/fhir+json"}, []string{"Accept-Encoding"}
	h["Etag"] = []string{`W/"` + strconv.FormatInt(ver, 10) + `"`}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	_, _ = w.Write(body) // a caller who has gone is nobody's failure
}

func (c *ceiling) answer(r *http.Request) (body []byte, ver int64, err error) {
	number, db := path.Base(r.URL.Path), c.kernel.DB
	lane := db.LaneOf(sim.National.String(), number)
	var dict int64
	err = db.Read(r.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(currentBody, int64(lane), c.kind, number).Scan(&dict, &body, &ver)
	})
	if err == nil && dict != 0 {
		body, err = c.bodies.DecodeAll(body, make([]byte, 0, 4*len(body)))
	}
	if err == nil {
		err = c.kernel.Audit.Record(r.Context(), audit.Placed{Lane: lane, Entry: audit.Entry{Tenant: sim.National, Chart: number, Actor: "bench", ActorName: "Bench",
			Role: string(access.Clinician), Organisation: sim.Practice, Action: string(access.Trace), Purpose: "TREAT", Basis: "measured", Outcome: audit.OutcomeOK,
			Detail: "Patient", RequestID: r.Header.Get("X-Request-Id")}})
	}
	return body, ver, err
}

// serve answers on loopback as a node's own server would, until stop.
func (c *ceiling) serve(ctx context.Context) (base *url.URL, stop func() error, err error) {
	var any net.ListenConfig
	l, err := any.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	s := &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, func() error {
		err := s.Close()
		if gone := <-served; !errors.Is(gone, http.ErrServerClosed) {
			err = errors.Join(err, gone)
		}
		c.bodies.Close()
		return err
	}, nil
}

// ceiling measures the least that a read by number could take here.
func (b *registerBench) ceiling(ctx context.Context, l load) (result, error) {
	c, err := newCeiling(ctx, b.n.Kernel())
	if err != nil {
		return result{}, err
	}
	base, stop, err := c.serve(ctx)
	if err != nil {
		return result{}, err
	}
	l.base = base
	r := l.run(ctx)
	return r, stop()
}

// readByNumber is the call that both the register and its ceiling answer.
func readByNumber(p *sim.Person) string { return "/Patient/" + p.NHSNumber.String() }
