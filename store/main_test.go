package store_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// victim is the environment variable that makes this test binary a process to be killed, writing to the database it names.
const victim = "OPENSPINE_STORE_VICTIM"

func TestMain(m *testing.M) {
	if url := os.Getenv(victim); url != "" {
		if err := writeForEver(url); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// writeForEver writes transactions from eight callers and says each number once it is acknowledged.
func writeForEver(url string) error {
	db, err := store.Open(context.Background(), url, store.Options{CheckpointPages: 100})
	if err != nil {
		return err
	}
	var first int
	err = db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.QueryRow("SELECT coalesce(max(id), -1) FROM note").Scan(&first)
	})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	next := first/10 + 1
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				mu.Lock()
				id := next
				next++
				mu.Unlock()
				if err := writeGroup(db, id, 1+id%4, id%3000); err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println("ack", id)
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// TestKill9 kills a writing process and looks for what it had acknowledged, again and again on the same database.
// OPENSPINE_STORE_KILLS=30 makes thirty rounds.
func TestKill9(t *testing.T) {
	rounds := times(t, "OPENSPINE_STORE_KILLS", 3)
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return t.TempDir() + "/kill.db" },
		"postgres": func(t *testing.T) string { return storetest.PostgresURL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			u, acked := url(t), map[int]int{}
			for round := range rounds {
				inspect(t, u, acked)
				killWhileWriting(t, u, acked, 100+37*round)
			}
			inspect(t, u, acked)
			t.Logf("%d kills, %d acknowledged transactions", rounds, len(acked))
		})
	}
}

func inspect(t *testing.T, url string, acked map[int]int) {
	t.Helper()
	db, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatalf("opening after a kill: %v", err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context(), notes()); err != nil {
		t.Fatal(err)
	}
	checkSurvivors(t, db, acked)
}

// killWhileWriting lets a process acknowledge n transactions, kills it, and notes every one that it acknowledged.
func killWhileWriting(t *testing.T, url string, acked map[int]int, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), victim+"="+url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); seen++ {
		num, ok := strings.CutPrefix(lines.Text(), "ack ")
		if !ok {
			t.Errorf("the process said %q", lines.Text())
			break
		}
		id, err := strconv.Atoi(num)
		if err != nil {
			break // the last line, cut short
		}
		acked[id] = 1 + id%4
		if seen == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
}
