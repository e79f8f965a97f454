package node

import (
	"crypto/sha256"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
)

// Limits bound what requests may take of the node, so that neither many callers nor one can use it up. The zero value of
// each field means its default.
type Limits struct {
	// Header is how long a caller may take to send a request's header; 10 s.
	Header time.Duration
	// Body is how long a caller may take to send a whole request; 60 s.
	Body time.Duration
	// Request is how long a route may work on its answer; 30 s.
	Request time.Duration
	// Idle is how long a connection may wait between requests; 2 min.
	Idle time.Duration
	// Stream is how long one stream lasts before its caller asks again; 15 min.
	Stream time.Duration
	// Drain is how long a stopping node lets answers finish; 4 s, so that SIGTERM to exit stays within 10.
	Drain time.Duration
	// BodyBytes bounds one request's body: 16 MB, which is what a FHIR document may hold.
	BodyBytes int64
	// AnswerBytes bounds one buffered answer: 64 MB.
	AnswerBytes int64
	// HeldBytes bounds all bodies and answers that are held at once: 512 MB.
	HeldBytes int64
	// AtOnce is how many requests may be worked on at once, and CallerAtOnce how many of one caller: 1,024 and 512.
	AtOnce, CallerAtOnce int
	// CallerRate is how many requests a minute one caller is answered, with as many at once: 600,000.
	CallerRate int
	// Streams is how many streams may be open at once, and CallerStreams how many of one caller: 2,000 and 30.
	Streams, CallerStreams int
	// Depth is how many objects and arrays (in XML, elements) of a sent document may stand inside one another: 64, which is also the most.
	Depth int
	// SearchRows is how many resources a search may look into beside those it returns, SearchHop how many one hop of a chain or _has may
	// hold, SearchIncluded how many _include and _revinclude may add to a page, SearchTime how long a search may take: see record.Limits.
	SearchRows, SearchHop, SearchIncluded int
	SearchTime                            time.Duration
	// UserTries and AddressTries are how many failures to sign in within a quarter of an hour lock a user or an address, and Locked for how long:
	// 5, 50 and 15 min.
	UserTries, AddressTries int
	Locked                  time.Duration
	// TokenClient is how many requests a minute the token endpoint answers to one client that shows who it is, and TokenAddress to an app
	// that cannot, from one address: 60,000 and 6,000.
	TokenClient, TokenAddress int
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		at    *time.Duration
		usual time.Duration
	}{{&l.Header, 10 * time.Second}, {&l.Body, time.Minute}, {&l.Request, 30 * time.Second}, {&l.Idle, 2 * time.Minute},
		{&l.Stream, 15 * time.Minute}, {&l.Drain, 4 * time.Second}} {
		if *d.at <= 0 {
			*d.at = d.usual
		}
	}
	for _, n := range []struct {
		at    *int64
		usual int64
	}{{&l.BodyBytes, 16 << 20}, {&l.AnswerBytes, 64 << 20}, {&l.HeldBytes, 512 << 20}} {
		if *n.at <= 0 {
			*n.at = n.usual
		}
	}
	for _, n := range []struct {
		at    *int
		usual int
	}{{&l.AtOnce, 1024}, {&l.CallerAtOnce, 512}, {&l.CallerRate, 600_000}, {&l.Streams, 2000}, {&l.CallerStreams, 30}} {
		if *n.at <= 0 {
			*n.at = n.usual
		}
	}
	return l
}

// turnstile counts who is in: so many at once, and so many of one caller.
type turnstile struct {
	all, each int
	mu        sync.Mutex
	in        int
	by        map[string]int
}

func newTurnstile(all, each int) *turnstile {
	return &turnstile{all: all, each: each, by: map[string]int{}}
}

// enter lets a caller in, or says why not: fault.TooMany when it is this caller's doing, fault.Unavailable when it is not.
func (t *turnstile) enter(caller string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by[caller] >= t.each {
		return fault.New(fault.TooMany, "You have %d requests open at once, which is as many as one caller may; wait for an answer before you send another.", t.each)
	}
	if t.in >= t.all {
		return fault.New(fault.Unavailable, "This node is working on as many requests as it can; try again in a moment.")
	}
	t.in++
	t.by[caller]++
	return nil
}

func (t *turnstile) leave(caller string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.in--
	if t.by[caller]--; t.by[caller] == 0 {
		delete(t.by, caller)
	}
}

// now is how many are in.
func (t *turnstile) now() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.in
}

// turn takes one of a caller's turns, or says when to come again.
func (e *edge) turn(w http.ResponseWriter, caller string) error {
	wait := e.rate.Turn(caller)
	if wait == 0 {
		return nil
	}
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	w.Header().Set("Retry-After", strconv.Itoa(seconds)) // RFC 6585 section 4
	return fault.New(fault.TooMany, "You send more than %d requests a minute; come again in %d seconds.", e.node.limits.CallerRate, seconds)
}

// callerOf tells callers apart before it is known who they are: by what they present, or else by where they are. It is 16 bytes of a hash:
// what callers send is not kept, and takes no more room the longer it is.
func callerOf(r *http.Request) string {
	if token := r.Header.Get("Authorization"); token != "" && !strings.HasPrefix(token, "NHSMESH ") { // which is another one each time
		return hashed("token ", token)
	}
	if secret := access.SecretOf(r); secret != "" {
		return hashed("session ", secret)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return hashed("address ", host)
}

func hashed(kind, name string) string {
	var room [1024]byte
	sum := sha256.Sum256(append(append(room[:0], kind...), name...))
	return string(sum[:16])
}

// scales weigh what all requests hold in memory together.
type scales struct {
	limit int64
	held  atomic.Int64
}

// freeWeight is what each request may hold without being weighed: most hold less.
const freeWeight = 64 << 10

// weight is what one request holds.
type weight struct {
	on          *scales
	free, taken int64
}

func (s *scales) weigh() *weight { return &weight{on: s, free: freeWeight} }

// add takes n bytes more; fault.Unavailable when all requests together hold too much.
func (w *weight) add(n int64) error {
	if w.free >= n {
		w.free -= n
		return nil
	}
	n, w.free = n-w.free, 0
	if w.on.held.Add(n) > w.on.limit {
		w.on.held.Add(-n)
		return fault.New(fault.Unavailable, "Too much is being sent and asked for at once; try again in a moment.")
	}
	w.taken += n
	return nil
}

// release gives everything back.
func (w *weight) release() {
	w.on.held.Add(-w.taken)
	w.taken = 0
}

// weighed is a body that is weighed as it is read.
type weighed struct {
	io.ReadCloser
	weight *weight
}

func (b weighed) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		if err := b.weight.add(int64(n)); err != nil {
			return n, err
		}
	}
	return n, err
}
