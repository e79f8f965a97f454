package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
)

// Listen opens the listeners that the configuration names, so that the addresses are known before anything is served.
func (n *Node) Listen() error {
	if err := n.cfg.checkOpen(); err != nil {
		return err
	}
	var err error
	if n.plain, err = net.Listen("tcp", n.cfg.Addr); err != nil {
		return listenFault(err, "--addr", n.cfg.Addr)
	}
	if n.cfg.TLSAddr != "" {
		if n.secure, err = net.Listen("tcp", n.cfg.TLSAddr); err != nil {
			return listenFault(err, "--tls-addr", n.cfg.TLSAddr)
		}
	}
	if n.cfg.MetricsAddr != "" {
		if n.figures, err = net.Listen("tcp", n.cfg.MetricsAddr); err != nil {
			return listenFault(err, "--metrics-addr", n.cfg.MetricsAddr)
		}
		if ip, ok := n.figures.Addr().(*net.TCPAddr); ok && !ip.IP.IsLoopback() {
			return fault.New(fault.Invalid, "--metrics-addr %s is not on loopback: profiles can hold what memory holds", n.cfg.MetricsAddr)
		}
	}
	return nil
}

// URL is where the node is reached.
func (n *Node) URL() string {
	if n.cfg.BaseURL != "" {
		return n.cfg.BaseURL
	}
	if n.plain == nil {
		return "http://" + n.cfg.Addr
	}
	return "http://" + n.plain.Addr().String()
}

// Serve answers until ctx ends, then lets what was begun finish, seals the account and closes. It calls ready once it serves.
func (n *Node) Serve(ctx context.Context, ready func()) error {
	if n.plain == nil {
		if err := n.Listen(); err != nil {
			return err
		}
	}
	group, serving := errgroup.WithContext(ctx)
	var servers []*http.Server
	start := func(l net.Listener, h http.Handler, secure *tls.Config) {
		s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 2 * time.Minute, WriteTimeout: 5 * time.Minute, IdleTimeout: 2 * time.Minute,
			MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)}
		servers = append(servers, s)
		group.Go(func() error {
			if secure != nil {
				l = tls.NewListener(l, secure)
			}
			if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	start(n.plain, n, nil)
	if n.secure != nil {
		conf, err := n.tlsConfig()
		if err != nil {
			return err
		}
		start(n.secure, n, conf)
	}
	if n.figures != nil {
		start(n.figures, n.operations(), nil)
	}
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	finished := n.background(background)
	n.ready.Store(true)
	if ready != nil {
		ready()
	}
	group.Go(func() error {
		<-serving.Done()
		n.ready.Store(false)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		var first error
		for _, s := range servers {
			if err := s.Shutdown(drain); err != nil {
				s.Close()
				first = errors.Join(first, err)
			}
		}
		if errors.Is(first, context.DeadlineExceeded) {
			n.log.Warn("some answers were cut short by the stop", "after", drainTime)
			return nil
		}
		return first
	})
	err := group.Wait()
	stopBackground()
	<-finished
	return errors.Join(err, n.Close())
}

// background runs the feed, the sealing and every service's jobs; the channel closes when all have stopped.
func (n *Node) background(ctx context.Context) <-chan struct{} {
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range n.runners {
		group.Go(func() error {
			if err := run.work(ctx); err != nil && ctx.Err() == nil {
				n.log.Error("stopped working", "part", run.name, "cause", err)
			}
			return nil
		})
	}
	for _, s := range n.services {
		for _, job := range s.Jobs {
			group.Go(func() error {
				n.repeat(ctx, s.Name+"/"+job.Name, job)
				return nil
			})
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := group.Wait(); err != nil {
			n.log.Error("background", "cause", err)
		}
	}()
	return done
}

// repeat runs one job by the clock until ctx ends.
func (n *Node) repeat(ctx context.Context, name string, job catalogue.Job) {
	for {
		outcome := "done"
		if err := job.Run(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			outcome = "failed"
			n.log.Error("a job failed and will be tried again", "job", name, "cause", err)
		}
		n.metrics.jobs.WithLabelValues(name, outcome).Inc()
		select {
		case <-ctx.Done():
			return
		case <-n.clock.After(job.Every):
		}
	}
}
