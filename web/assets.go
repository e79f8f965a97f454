package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/openspine/openspine/fault"
)

// dist is npm's part, made by `make web`; with only its README in it, pages are plain.
//
//go:embed all:dist
var dist embed.FS

// own is this project's part, always there.
//
//go:embed assets
var own embed.FS

// AssetPath is where assets are served.
const AssetPath = "/assets/"

// asset is one file as it is sent. Compressed forms are empty where they would not be smaller.
type asset struct {
	name, kind, tag string
	body, gz, br    []byte
}

// assets are the files that pages name, by the name with its hash and by the plain name.
type assets struct {
	dressed bool
	byName  map[string]*asset // nhsuk.css
	byURL   map[string]*asset // nhsuk.0123456789ab.css
}

func loadAssets(plain bool) (*assets, error) {
	a := &assets{byName: map[string]*asset{}, byURL: map[string]*asset{}}
	if err := a.load(own, "assets"); err != nil {
		return nil, err
	}
	if plain {
		return a, nil
	}
	if err := a.load(dist, "dist"); err != nil {
		return nil, err
	}
	a.dressed = a.byName["nhsuk.css"] != nil
	return a, nil
}

func (a *assets) load(files fs.FS, dir string) error {
	list, err := fs.ReadDir(files, dir)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the assets cannot be listed")
	}
	for _, f := range list {
		ext := path.Ext(f.Name())
		if f.IsDir() || ext == ".gz" || ext == ".br" || ext == "" {
			continue
		}
		body, err := fs.ReadFile(files, dir+"/"+f.Name())
		if err != nil {
			return fault.Wrap(err, fault.Internal, "an asset cannot be read")
		}
		sum := sha256.Sum256(body)
		one := &asset{name: f.Name(), kind: kindOf(ext), tag: hex.EncodeToString(sum[:])[:12], body: body}
		one.gz, one.br = compressed(files, dir+"/"+f.Name(), body)
		a.byName[one.name] = one
		a.byURL[strings.TrimSuffix(one.name, ext)+"."+one.tag+ext] = one
	}
	return nil
}

func kindOf(ext string) string {
	switch ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	if k := mime.TypeByExtension(ext); k != "" {
		return k
	}
	return "application/octet-stream"
}

// compressed takes what the build left beside the file; for the few small files of our own it compresses now.
func compressed(files fs.FS, name string, body []byte) (gz, br []byte) {
	gz, errGz := fs.ReadFile(files, name+".gz")
	br, errBr := fs.ReadFile(files, name+".br")
	if errGz == nil && errBr == nil {
		return gz, br
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(body); err != nil || z.Close() != nil || b.Len() >= len(body) {
		return nil, nil
	}
	return b.Bytes(), nil
}

// url is where a page finds an asset: the name holds the content's hash, so that it may be kept for ever.
func (a *assets) url(name string) string {
	one := a.byName[name]
	if one == nil {
		return ""
	}
	ext := path.Ext(name)
	return AssetPath + strings.TrimSuffix(name, ext) + "." + one.tag + ext
}

// Assets serves AssetPath. A name with a hash is kept for ever by caches; a plain name is asked for again each time.
func (s *Site) Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, Text(r.Context(), "web.problem.method-not-allowed.title"), http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, AssetPath)
		h := w.Header()
		one := s.assets.byURL[name]
		if one != nil {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		} else if one = s.assets.byName[name]; one != nil {
			h.Set("Cache-Control", "public, no-cache")
		} else {
			http.Error(w, Text(r.Context(), "web.problem.not-found.title"), http.StatusNotFound)
			return
		}
		one.serve(w, r)
	})
}

func (one *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	body, tag := one.body, one.tag
	switch accept := r.Header.Get("Accept-Encoding"); {
	case len(one.br) > 0 && accepts(accept, "br"):
		body, tag = one.br, tag+"-br"
		h.Set("Content-Encoding", "br")
	case len(one.gz) > 0 && accepts(accept, "gzip"):
		body, tag = one.gz, tag+"-gz"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", one.kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("ETag", `"`+tag+`"`)
	if r.Header.Get("If-None-Match") == `"`+tag+`"` {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Length"] = []string{itoa(len(body))}
	if r.Method == http.MethodHead {
		return
	}
	w.Write(body) // a failure means that the reader has gone: nobody is left to tell
}

// accepts reports whether an Accept-Encoding header allows a coding (RFC 9110, section 12.5.3).
func accepts(header, coding string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), coding) {
			continue
		}
		q := strings.ReplaceAll(strings.ToLower(params), " ", "")
		return !strings.HasPrefix(q, "q=0") || strings.Trim(strings.TrimPrefix(q, "q=0"), ".0") != ""
	}
	return false
}
