package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/internal/catalogue"
)

// Listen opens the listeners that the configuration names, so that the addresses are known before anything is served.
func (n *Node) Listen() error {
	if err := n.cfg.checkOpen(); err != nil {
		return err
	}
	if err := n.cfg.checkFigures(); err != nil {
		return err
	}
	var err error
	if n.plain, err = net.Listen("tcp", n.cfg.Addr); err != nil {
		return n.cfg.listenFault(err, "addr", n.cfg.Addr)
	}
	if n.cfg.TLSAddr != "" {
		if n.tls, err = n.tlsConfig(); err != nil {
			return err
		}
		if n.secure, err = net.Listen("tcp", n.cfg.TLSAddr); err != nil {
			return n.cfg.listenFault(err, "tls-addr", n.cfg.TLSAddr)
		}
	}
	if n.cfg.MetricsAddr != "" {
		if n.figures, err = net.Listen("tcp", n.cfg.MetricsAddr); err != nil {
			return n.cfg.listenFault(err, "metrics-addr", n.cfg.MetricsAddr)
		}
	}
	if n.cfg.NetworkAddr != "" {
		if n.linked, err = net.Listen("tcp", n.cfg.NetworkAddr); err != nil {
			return n.cfg.listenFault(err, "network-addr", n.cfg.NetworkAddr)
		}
		n.kernel.Network.Listen(n.linked)
	}
	return n.listenForCommands()
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

// PlainURL is where the node listens without TLS, whatever its address is to others.
func (n *Node) PlainURL() string { return addressOf("http", n.plain) }

// SecureURL is where the node is reached over TLS; empty when it is not.
func (n *Node) SecureURL() string { return addressOf("https", n.secure) }

// FiguresURL is where metrics and profiles are; empty when they are not served.
func (n *Node) FiguresURL() string { return addressOf("http", n.figures) }

// LinkAddress is where other nodes dial this one; empty when none can.
func (n *Node) LinkAddress() string {
	if n.linked == nil {
		return ""
	}
	return n.linked.Addr().String()
}

func addressOf(scheme string, l net.Listener) string {
	if l == nil {
		return ""
	}
	return scheme + "://" + l.Addr().String()
}

// ServeAll serves a list of nodes until ctx ends or one of them fails, and calls ready once all of them serve.
func ServeAll(ctx context.Context, nodes []*Node, ready func()) error {
	group, ctx := errgroup.WithContext(ctx)
	up := make(chan struct{}, len(nodes))
	for _, n := range nodes {
		group.Go(func() error { return n.Serve(ctx, func() { up <- struct{}{} }) })
	}
	group.Go(func() error {
		for range nodes {
			select {
			case <-up:
			case <-ctx.Done():
				return nil
			}
		}
		if ready != nil {
			ready()
		}
		return nil
	})
	return group.Wait()
}

// Serve answers until ctx ends, then lets what was begun finish, seals the account and closes. It calls ready once it serves.
func (n *Node) Serve(ctx context.Context, ready func()) error {
	if n.plain == nil {
		if err := n.Listen(); err != nil {
			return errors.Join(err, n.Close())
		}
	}
	group, serving := errgroup.WithContext(ctx)
	servers := []*http.Server{n.server(group, n.plain, n, nil)}
	if n.secure != nil {
		servers = append(servers, n.server(group, n.secure, n, n.tls))
	}
	if n.figures != nil {
		servers = append(servers, n.server(group, n.figures, n.operations(), nil))
	}
	if n.asked != nil {
		s := n.server(group, n.asked, n.obey(), nil)
		s.ReadTimeout, s.WriteTimeout = 0, 0 // a long list takes its time, and comes from this machine
		servers = append(servers, s)
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
		return n.drain(context.WithoutCancel(ctx), servers)
	})
	err := group.Wait()
	stopBackground()
	<-finished
	return errors.Join(err, n.Close())
}

// server serves h at l as part of group. Slow and silent callers are cut off.
func (n *Node) server(group *errgroup.Group, l net.Listener, h http.Handler, secure *tls.Config) *http.Server {
	s := &http.Server{Handler: h, ReadHeaderTimeout: n.limits.Header, ReadTimeout: n.limits.Header + n.limits.Body, IdleTimeout: n.limits.Idle,
		WriteTimeout: n.limits.Header + n.limits.Body + 2*n.limits.Request, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)}
	group.Go(func() error {
		from := l
		if secure != nil {
			s.Protocols = new(http.Protocols)
			s.Protocols.SetHTTP1(true)
			s.Protocols.SetHTTP2(true)
			s.TLSConfig = secure
			if err := s.ServeTLS(from, "", ""); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving %s over TLS: %w", l.Addr(), err)
			}
			return nil
		}
		if err := s.Serve(from); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving %s: %w", l.Addr(), err)
		}
		return nil
	})
	return s
}

// drain takes no more requests, ends the streams, and lets what was begun finish for a while.
func (n *Node) drain(ctx context.Context, servers []*http.Server) error {
	n.ready.Store(false)
	n.stop()
	ctx, cancel := context.WithTimeout(ctx, n.limits.Drain)
	defer cancel()
	var wg errgroup.Group
	for _, s := range servers {
		wg.Go(func() error {
			err := s.Shutdown(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				n.log.Warn("some answers were cut short by the stop", "after", n.limits.Drain)
				return s.Close()
			}
			return err
		})
	}
	err := wg.Wait()
	if err := n.trace.stop(ctx); err != nil {
		n.log.Warn("some traces could not be sent", "cause", err)
	}
	return err
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
