package node

import (
	"net/http"
	"strings"
)

// Browsers send a host's cookies to every port of it (RFC 6265 section 8.5). So that one can be signed in at several nodes of one machine, each
// adds a word of its own to the names of its cookies, and sees no others.

// apart hands on a request with this node's cookies alone, under their usual names, and names those in the answer apart.
func apart(w http.ResponseWriter, r *http.Request, suffix string) (http.ResponseWriter, *http.Request) {
	var own []string
	for _, c := range r.Cookies() {
		if name, ok := strings.CutSuffix(c.Name, suffix); ok {
			own = append(own, name+"="+c.Value)
		}
	}
	clone := r.WithContext(r.Context())
	clone.Header = r.Header.Clone()
	clone.Header.Del("Cookie")
	if len(own) > 0 {
		clone.Header.Set("Cookie", strings.Join(own, "; "))
	}
	return &namedApart{ResponseWriter: w, suffix: suffix}, clone
}

// namedApart adds the suffix to the names of the cookies that an answer sets, once, before it leaves.
type namedApart struct {
	http.ResponseWriter
	suffix string
	named  bool
}

func (n *namedApart) name() {
	if n.named {
		return
	}
	n.named = true
	for i, c := range n.Header()["Set-Cookie"] {
		if name, rest, ok := strings.Cut(c, "="); ok {
			n.Header()["Set-Cookie"][i] = name + n.suffix + "=" + rest
		}
	}
}

// WriteHeader begins the answer.
func (n *namedApart) WriteHeader(status int) {
	n.name()
	n.ResponseWriter.WriteHeader(status)
}

// Write begins it, or goes on.
func (n *namedApart) Write(p []byte) (int, error) {
	n.name()
	return n.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (n *namedApart) Unwrap() http.ResponseWriter { return n.ResponseWriter }
