package node

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/openspine/openspine/fault"
)

// answer buffers a response until the account of what it shows is committed: nothing leaves before.
type answer struct {
	header http.Header
	status int
	body   *bytes.Buffer // from answers
	limit  int64
	weight *weight
}

// Header is the header that will be sent.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader keeps the first status.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write keeps the bytes, up to the limit of one answer and of all together.
func (a *answer) Write(p []byte) (int, error) {
	if int64(a.body.Len()+len(p)) > a.limit {
		return 0, fault.New(fault.TooCostly, "The answer would be over %d MB: narrow the search or ask for smaller pages with _count.", a.limit>>20)
	}
	if err := a.weight.add(int64(len(p))); err != nil {
		return 0, err
	}
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// release gives the buffer back, unless it is one that few answers need.
func (a *answer) release() {
	if a.body.Cap() <= keptAnswer {
		answers.Put(a.body)
	}
	a.body = nil
}

// keptAnswer is the largest buffer that is kept for another answer.
const keptAnswer = 64 << 10

// refusalBytes is room for the words of a failure, which can always be sent.
const refusalBytes = 4 << 20

// reset forgets what was written, for a failure that takes its place.
func (a *answer) reset() {
	clear(a.header)
	a.status = 0
	a.body.Reset()
	a.limit, a.weight = refusalBytes, (&scales{limit: refusalBytes}).weigh()
}

// send writes the answer out, compressed when the caller can take it.
func (a *answer) send(w http.ResponseWriter, r *http.Request) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	h := w.Header()
	for k, v := range a.header {
		h[k] = v
	}
	body := a.body.Bytes()
	if len(body) > 1024 && h.Get("Content-Encoding") == "" && compressible(h.Get("Content-Type")) {
		h.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			a.sendGzip(w, r, body)
			return
		}
	}
	if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

func (a *answer) sendGzip(w http.ResponseWriter, r *http.Request, body []byte) {
	zipped := answers.Get().(*bytes.Buffer)
	defer answers.Put(zipped)
	zipped.Reset()
	gz := zippers.Get().(*gzip.Writer)
	defer zippers.Put(gz)
	gz.Reset(zipped)
	if _, err := gz.Write(body); err != nil {
		return // a buffer does not fail
	}
	if err := gz.Close(); err != nil {
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Content-Length", strconv.Itoa(zipped.Len()))
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		w.Write(zipped.Bytes())
	}
}

var (
	answers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	zippers = sync.Pool{New: func() any {
		gz, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // BestSpeed is a level
		}
		return gz
	}}
)

func compressible(contentType string) bool {
	return strings.HasPrefix(contentType, "text/") || strings.Contains(contentType, "json") || strings.Contains(contentType, "xml") || strings.Contains(contentType, "javascript") || strings.Contains(contentType, "svg")
}

// acceptsGzip reads Accept-Encoding (RFC 9110 section 12.5.3), honouring q=0.
func acceptsGzip(r *http.Request) bool {
	for _, field := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(strings.TrimSpace(coding), ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				q, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
				if !found {
					return true
				}
				weight, err := strconv.ParseFloat(q, 64)
				return err == nil && weight > 0
			}
		}
	}
	return false
}
