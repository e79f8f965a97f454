package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/sim/seed/keeper"
)

// keeperFile is where the clinic that keeps its slots writes down who is booked.
const keeperFile = "keeper.json"

// keeping is the demonstration's clinic whose own system keeps its slots, and is asked (docs/decisions/0028).
type keeping struct {
	l net.Listener
	s *http.Server
}

// keep listens for it: at an address of its own where this machine has several of itself, so that the national node may call that one and no other.
func (c *demoCommand) keep(s *session) (*keeping, error) {
	time0 := s.clock
	if time0 == nil {
		time0 = clock.System()
	}
	clinic, err := keeper.Open(time0, filepath.Join(c.Data, keeperFile))
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, err
		}
	}
	return &keeping{l, &http.Server{Handler: clinic, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute}}, nil
}

// host is where it is, for the national node's list of what it may call.
func (k *keeping) host() string {
	host, _, err := net.SplitHostPort(k.l.Addr().String())
	if err != nil {
		return ""
	}
	return host
}

func (k *keeping) url() string { return "http://" + k.l.Addr().String() }

// serve answers until ctx ends.
func (k *keeping) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = k.s.Close() })
	defer stop()
	if err := k.s.Serve(k.l); !errors.Is(err, http.ErrServerClosed) {
		_ = k.s.Close() // the pages say that it is not reached
	}
}
