package node

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
)

// stream lets an answer leave as it is written, once what it shows is on the account.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	account func() error
	within  time.Duration // for each write to be taken
	begun   bool
	failed  error
}

// Header is the header that will be sent.
func (s *stream) Header() http.Header { return s.w.Header() }

// WriteHeader accounts, then sends the header.
func (s *stream) WriteHeader(status int) {
	if s.begun || !s.accounted() {
		return
	}
	s.begun = true
	s.w.WriteHeader(status)
}

// Write accounts for what was disclosed since the last write, then sends.
func (s *stream) Write(p []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	if !s.accounted() {
		return 0, s.failed
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(s.within)); err != nil {
		return 0, err
	}
	return s.w.Write(p)
}

// FlushError sends what was written.
func (s *stream) FlushError() error {
	s.WriteHeader(http.StatusOK)
	if s.failed != nil {
		return s.failed
	}
	return s.control.Flush()
}

func (s *stream) accounted() bool {
	if s.failed == nil {
		s.failed = s.account()
	}
	return s.failed == nil
}

// streamed runs a route whose answer leaves as it is written.
func (e *edge) streamed(rt catalogue.Route, f face, w http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	ctx, cancel := context.WithTimeout(r.Context(), e.node.limits.Stream)
	defer cancel()
	defer context.AfterFunc(e.node.stopping, cancel)()
	r = r.WithContext(ctx)
	v.streams = true
	out := &stream{w: w, control: http.NewResponseController(w), within: e.node.limits.Request}
	out.account = func() error { return e.account(r.WithContext(context.WithoutCancel(ctx))) }
	// A caller that is silent while it listens is not slow: the read deadline of requests would end the stream.
	if err := out.control.SetReadDeadline(time.Time{}); err != nil {
		v.err = fault.Wrap(err, fault.NotAcceptable, "this answer cannot be sent over this connection")
		f.Refuse(w, r, v.err)
		return
	}
	v.err = e.run(rt, out, r)
	if v.err == nil && !out.begun {
		v.err = e.account(r)
	}
	switch {
	case v.err != nil && !out.begun:
		v.err = worded(v.err)
		f.Refuse(w, r, v.err)
	case v.err != nil:
		v.cut = true // half an answer must not pass for a whole one
	}
}

// upload is a body that is taken as it comes: each piece has a time of its own to come, and all of it the time of a stream.
type upload struct {
	io.ReadCloser
	control *http.ResponseController
	within  time.Duration
	until   time.Time
}

// Read is io.Reader's.
func (u *upload) Read(p []byte) (int, error) {
	by := time.Now().Add(u.within)
	if by.After(u.until) {
		by = u.until
	}
	if err := u.control.SetReadDeadline(by); err != nil {
		return 0, err
	}
	return u.ReadCloser.Read(p)
}

// uploaded is the body of a request to a route that takes it as it comes.
func (e *edge) uploaded(rt catalogue.Route, w http.ResponseWriter, r *http.Request) io.ReadCloser {
	l := e.node.limits
	return &upload{http.MaxBytesReader(w, visitOf(r).body, rt.Uploads()), http.NewResponseController(w), l.Body, time.Now().Add(l.Stream)}
}
