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
	"net/url"
	"slices"
	"time"
)

// caller is one client of a load: a connection that stays open, on which one request is written and its answer read, without
// the goroutines and the pool that http.Transport has for each.
type caller struct {
	load *load
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
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
	defer resp.Body.Close()
	if !slices.Contains(q.want, resp.StatusCode) {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 400))
		c.hangUp()
		return fmt.Sprintf("%s %s: %s: %s", q.method, q.path, resp.Status, text)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		c.hangUp()
		return err.Error()
	}
	if resp.Close {
		c.hangUp()
	}
	return ""
}

// exchange writes a request and reads the head of its answer.
func (c *caller) exchange(ctx context.Context, q request) (*http.Response, error) {
	if c.conn == nil {
		if err := c.dial(ctx); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(c.load.base.String() + q.path)
	if err != nil {
		return nil, err
	}
	req := &http.Request{Method: q.method, URL: u, Host: u.Host, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{
		"Accept": {"application/fhir+json"}, "User-Agent": {"openspine-bench"}},
		ContentLength: int64(len(q.body)), Body: io.NopCloser(bytes.NewReader(q.body))}
	if q.contentType != "" {
		req.Header["Content-Type"] = []string{q.contentType}
	}
	if c.load.token != "" {
		req.Header["Authorization"] = []string{"Bearer " + c.load.token}
	}
	if q.requestID != "" {
		req.Header["X-Request-Id"] = []string{q.requestID}
	}
	if len(q.body) == 0 {
		req.Body = http.NoBody
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if err := req.Write(c.out); err != nil {
		return nil, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.in, req)
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
	c.in, c.out = bufio.NewReader(c.conn), bufio.NewWriter(c.conn)
	return nil
}

// hangUp closes the connection; the next call opens another.
func (c *caller) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing that was sent is still wanted
		c.conn = nil
	}
}
