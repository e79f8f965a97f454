package network_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// onLoopback is a national node and a hospital's that are linked over TCP and TLS on this machine.
func onLoopback(b *testing.B) (nation, hospital *network.Network) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	open := func() *network.Network {
		dir := b.TempDir()
		db, err := store.Open(ctx, filepath.Join(dir, "bench.db"), store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Migrate(ctx, audit.Schema(), access.Schema(), network.Schema()); err != nil {
			b.Fatal(err)
		}
		log, err := audit.Open(db, filepath.Join(dir, "account"), audit.Options{})
		if err != nil {
			b.Fatal(err)
		}
		gate, err := access.Open(access.Options{DB: db, Audit: log})
		if err != nil {
			b.Fatal(err)
		}
		n, err := network.Open(ctx, network.Options{DB: db, Gate: gate, Folder: filepath.Join(dir, "network")})
		if err != nil {
			b.Fatal(err)
		}
		n.Handle("/echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
		n.Handle("/take", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
		b.Cleanup(func() {
			if err := log.Close(); err != nil {
				b.Error(err)
			}
			if err := db.Close(); err != nil {
				b.Error(err)
			}
		})
		return n
	}
	run := func(n *network.Network) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := n.Run(ctx); err != nil {
				b.Error(err)
			}
		}()
		b.Cleanup(func() { cancel(); <-done })
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	nation, hospital = open(), open()
	if err := nation.Found(ctx, admin, national, nil, []string{l.Addr().String()}); err != nil {
		b.Fatal(err)
	}
	a, err := nation.Authority()
	if err != nil {
		b.Fatal(err)
	}
	token, err := a.MakeToken(ctx, admin, network.MustNodeID("RQX"), nil, []string{l.Addr().String()}, 0, "")
	if err != nil {
		b.Fatal(err)
	}
	nation.Listen(l)
	up := make(chan struct{})
	hospital.Up(func(network.NodeID) { close(up) })
	run(nation)
	if err := hospital.Join(ctx, token); err != nil {
		b.Fatal(err)
	}
	run(hospital)
	select {
	case <-up:
	case <-time.After(30 * time.Second):
		b.Fatal("no link")
	}
	return nation, hospital
}

func exchange(b *testing.B, from *network.Network, to network.NodeID, path string, body io.Reader) {
	r, err := http.NewRequest(http.MethodPost, path, body)
	if err != nil {
		b.Error(err)
		return
	}
	resp, err := from.Do(context.Background(), to, r)
	if err != nil {
		b.Error(err)
		return
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		b.Error(err)
	}
	if err := resp.Body.Close(); err != nil {
		b.Error(err)
	}
}

// BenchmarkRequest is 4 KB there and back over one link, by one caller and by many at once.
func BenchmarkRequest(b *testing.B) {
	_, hospital := onLoopback(b)
	text := bytes.Repeat([]byte("x"), 4<<10)
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			exchange(b, hospital, national, "/echo", bytes.NewReader(text))
		}
	})
	b.Run("many", func(b *testing.B) {
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				exchange(b, hospital, national, "/echo", bytes.NewReader(text))
			}
		})
	})
}

// BenchmarkStream is 100 MB over one link, in each direction in which a node asks.
func BenchmarkStream(b *testing.B) {
	nation, hospital := onLoopback(b)
	const size = 100 << 20
	b.Run("up", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			exchange(b, hospital, national, "/take", io.LimitReader(endless{}, size))
		}
	})
	b.Run("down", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			exchange(b, nation, network.MustNodeID("RQX"), "/take", io.LimitReader(endless{}, size))
		}
	})
}
