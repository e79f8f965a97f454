package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// caller is one client of a load: a connection that stays open, on which one request is written and its answer read, without
// the goroutines and the pool that http.Transport has for each, and without making a request and an answer of net/http's: the load program
// shares the processors with what it measures.
type caller struct {
	load  *load
	conn  net.Conn
	in    *bufio.Reader
	head  []byte    // of the request
	until time.Time // when the connection gives up
	body  []byte    // of an answer that is looked into
}

// patience is how long a caller waits for one answer.
const patience = time.Minute

// call makes one request and says what was wrong with its answer, if anything was.
func (c *caller) call(ctx context.Context, q request) string {
	resp, err := c.exchange(ctx, q)
	if err != nil {
		c.hangUp()
		return err.Error()
	}
	if resp == nil { // what was wanted, and it has been read
		return c.without(q)
	}
	defer resp.Body.Close()
	if !slices.Contains(q.want, resp.StatusCode) {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 400))
		c.hangUp()
		return fmt.Sprintf("%s %s: %s: %s", q.method, q.path, resp.Status, text)
	}
	if c.body, err = io.ReadAll(resp.Body); err != nil {
		c.hangUp()
		return err.Error()
	}
	if resp.Close {
		c.hangUp()
	}
	return c.without(q)
}

// without says that an answer is not about what was asked for, when it is not.
func (c *caller) without(q request) string {
	if q.holds != "" && !bytes.Contains(c.body, []byte(q.holds)) {
		return fmt.Sprintf("%s %s: the answer does not hold %s", q.method, q.path, q.holds)
	}
	return ""
}

// exchange writes a request and reads the head of its answer; nil when the answer is what was wanted, and has been read whole.
func (c *caller) exchange(ctx context.Context, q request) (*http.Response, error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return nil, err
		}
	}
	if now := time.Now(); c.until.Sub(now) < patience {
		c.until = now.Add(2 * patience)
		if err := c.conn.SetDeadline(c.until); err != nil {
			return nil, err
		}
	}
	if _, err := c.conn.Write(c.written(q)); err != nil {
		return nil, err
	}
	if c.expected(q) {
		return nil, nil //nolint:nilnil // there is nothing more to look at
	}
	return http.ReadResponse(c.in, &http.Request{Method: q.method})
}

// written is a request as it goes over the wire (RFC 9112 section 3).
func (c *caller) written(q request) []byte {
	b := append(append(append(append(c.head[:0], q.method...), ' '), c.load.base.EscapedPath()...), q.path...)
	field := func(name, value string) {
		if value != "" {
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
	}
	b = append(b, " HTTP/1.1\r\n"...)
	field("Host", c.load.base.Host)
	field("User-Agent", "openspine-bench")
	field("Accept", "application/fhir+json")
	field("Content-Type", q.contentType)
	field("X-Request-Id", q.requestID)
	if c.load.token != "" {
		b = append(b, "Authorization: Bearer "...)
		b = append(append(b, c.load.token...), "\r\n"...)
	}
	if len(q.body) > 0 {
		field("Content-Length", strconv.Itoa(len(q.body)))
	}
	c.head = append(append(b, "\r\n"...), q.body...)
	return c.head
}

// expected reads an answer whose status is wanted, whose length is given and after which the connection goes on, and reports whether it did.
// Of any other nothing has been read.
func (c *caller) expected(q request) bool {
	if _, err := c.in.Peek(1); err != nil {
		return false
	}
	text, _ := c.in.Peek(c.in.Buffered())
	head, _, whole := bytes.Cut(text, []byte("\r\n\r\n"))
	if !whole || len(head) < len("HTTP/1.1 200") || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) || bytes.Contains(head, []byte("\r\nConnection: close")) {
		return false
	}
	status, err := strconv.Atoi(string(head[len("HTTP/1.1 "):len("HTTP/1.1 200")]))
	if err != nil || !slices.Contains(q.want, status) {
		return false
	}
	_, length, given := bytes.Cut(head, []byte("\r\nContent-Length: "))
	if !given {
		return false
	}
	length, _, _ = bytes.Cut(length, []byte("\r\n"))
	n, err := strconv.Atoi(string(length))
	if err != nil {
		return false
	}
	if q.holds == "" {
		_, err = c.in.Discard(len(head) + len("\r\n\r\n") + n)
		return err == nil
	}
	if _, err = c.in.Discard(len(head) + len("\r\n\r\n")); err == nil {
		c.body = slices.Grow(c.body[:0], n)[:n]
		_, err = io.ReadFull(c.in, c.body)
	}
	return err == nil
}

func (c *caller) dial(ctx context.Context) (err error) {
	u := c.load.base
	if u.Scheme == "https" {
		d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}
		c.conn, err = d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "443")))
	} else {
		var d net.Dialer
		c.conn, err = d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")))
	}
	if err != nil {
		c.conn = nil
		return err
	}
	c.in, c.until = bufio.NewReader(c.conn), time.Time{}
	return nil
}

// hangUp closes the connection; the next call opens another.
func (c *caller) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing that was sent is still wanted
		c.conn = nil
	}
}
