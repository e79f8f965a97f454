package web

import "testing"

// TestNoChangeIsMissed: what changes between the reading of a page and its line, or in another life of the process, is told as soon as the line is there; what the page knows is not.
func TestNoChangeIsMissed(t *testing.T) {
	t.Parallel()
	const address = "/events?" + sinceParam + "="
	var c Changes
	told := func(c *Changes, from string) bool {
		changed, stop := c.watch("west", from[len(address):])
		defer stop()
		return len(changed) > 0
	}
	page := c.From("/events", "west")
	c.Tell("east")
	if told(&c, page) {
		t.Error("a page is told of what it knows")
	}
	c.Tell("west")
	if !told(&c, page) {
		t.Error("what changed before the line was there is missed")
	}
	if page = c.From("/events", "west"); told(&c, page) {
		t.Error("a page that was read after the change is told of it")
	}
	var next Changes
	next.Tell("west")
	if !told(&next, page) {
		t.Error("what changed before another life is missed")
	}
	changed, stop := c.watch("west", page[len(address):])
	for range 3 {
		c.Tell("west")
	}
	if len(changed) != 1 {
		t.Errorf("told %d times at once", len(changed))
	}
	stop()
	if len(c.watched) != 0 {
		t.Error("a page that has gone is still told")
	}
}
