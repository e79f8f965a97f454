package web

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
)

// heartbeat is how often a quiet line is kept from being closed by what stands between.
const heartbeat = 15 * time.Second

// Events tells a LivePart of a page that it has changed, by server-sent events, until the reader leaves or changes is
// closed; it then returns nil and the browser asks again. It sends no facts: the page fetches what this reader may see.
// A line that cannot be kept open is fault.NotAcceptable.
func Events(w http.ResponseWriter, r *http.Request, c clock.Clock, changes <-chan struct{}) error {
	out := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	send := func(text string) error {
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
		return out.Flush()
	}
	if err := send("retry: 2000\n\n"); err != nil {
		return fault.Wrap(err, fault.NotAcceptable, "live updates cannot be sent over this connection")
	}
	for {
		message := ": quiet\n\n"
		select {
		case <-r.Context().Done():
			return nil
		case _, open := <-changes:
			if !open {
				return nil
			}
			message = "data: changed\n\n"
		case <-c.After(heartbeat):
		}
		if send(message) != nil {
			return nil //nolint:nilerr // the reader has gone, which is how every stream ends
		}
	}
}

// Changes tells the live parts of pages that something has changed, by topic. The zero value is ready; it is safe for use by many goroutines.
type Changes struct {
	mu      sync.Mutex
	begun   string // names this life of the process: what was counted in another says nothing
	count   map[string]int64
	watched map[string][]chan struct{}
}

// Tell says that something of a topic has changed: when it is durable (store.Tx.Then), so that whoever looks then sees it.
func (c *Changes) Tell(topic string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil {
		c.count = map[string]int64{}
	}
	c.count[topic]++
	for _, ch := range c.watched[topic] {
		select {
		case ch <- struct{}{}:
		default: // they have yet to look at what they were told before
		}
	}
}

// sinceParam is where the address of a page's events says what the page knows.
const sinceParam = "since"

// From is the address of a topic's events for a page that is about to be read: whatever changes from now on reaches it, also what does before its line is there or while that is lost.
func (c *Changes) From(address, topic string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return address + "?" + sinceParam + "=" + c.mark(topic)
}

// mark is how often a topic has changed in this life. c.mu is held.
func (c *Changes) mark(topic string) string {
	if c.begun == "" {
		c.begun = rand.Text()[:8]
	}
	return c.begun + strconv.FormatInt(c.count[topic], 10)
}

// watch is a channel that has something in it whenever something of a topic has changed since it was last read, and now if it has since a page's mark; stop ends it.
func (c *Changes) watch(topic, since string) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watched == nil {
		c.watched = map[string][]chan struct{}{}
	}
	if c.mark(topic) != since {
		ch <- struct{}{}
	}
	c.watched[topic] = append(c.watched[topic], ch)
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.watched[topic] = slices.DeleteFunc(c.watched[topic], func(o chan struct{}) bool { return o == ch })
		if len(c.watched[topic]) == 0 {
			delete(c.watched, topic)
		}
	}
}

// restBetween is how long a page rests between two looks, however much changes.
const restBetween = 2 * time.Second

// Events is Events for the changes of a topic, at an address that From gave.
func (c *Changes) Events(w http.ResponseWriter, r *http.Request, clk clock.Clock, topic string) error {
	ctx, changes := r.Context(), make(chan struct{})
	changed, stop := c.watch(topic, r.URL.Query().Get(sinceParam))
	go func() {
		defer close(changes)
		defer stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			select {
			case <-ctx.Done():
				return
			case changes <- struct{}{}:
			}
			select {
			case <-ctx.Done():
				return
			case <-clk.After(restBetween):
			}
		}
	}()
	return Events(w, r, clk, changes)
}

// lastUpdated is the time a live part was drawn.
func lastUpdated(t time.Time) string { return t.UTC().Format(time.RFC3339) }
