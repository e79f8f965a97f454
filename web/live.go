package web

import (
	"net/http"
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

// lastUpdated is the time a live part was drawn.
func lastUpdated(t time.Time) string { return t.UTC().Format(time.RFC3339) }
