package web

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
)

// fieldBytes bounds the fields of a form that brings a file, together.
const fieldBytes = 1 << 20

// SentFile is a file that a form brought; the zero value is none.
type SentFile struct {
	Name string
	Body io.Reader // read as it comes
}

// ReadFileForm reads a form whose last field may be a file: the fields go where CheckForm and r.PostForm have them, the file is not read yet, and never held whole. The route is
// catalogue.Route.Uploaded. A form that was sent without files, plainly, is read as well.
func ReadFileForm(r *http.Request, field string) (f SentFile, err error) {
	if ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || ct != "multipart/form-data" {
		if err := r.ParseForm(); err != nil {
			return f, fault.Wrap(err, fault.Invalid, "the form could not be read")
		}
		return f, nil
	}
	parts, err := r.MultipartReader()
	if err != nil {
		return f, fault.Wrap(err, fault.Invalid, "the form could not be read")
	}
	r.PostForm = url.Values{}
	room := int64(fieldBytes)
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f, fault.Wrap(err, fault.Invalid, "the form could not be read")
		}
		if p.FormName() == field {
			if p.FileName() != "" {
				f = SentFile{p.FileName(), p}
			}
			break
		}
		text, err := io.ReadAll(io.LimitReader(p, room+1))
		if room -= int64(len(text)); err != nil || room < 0 {
			return f, fault.Wrap(err, fault.TooLarge, "the form is too long")
		}
		r.PostForm.Add(p.FormName(), string(text))
	}
	r.Form = r.PostForm
	return f, nil
}

// ServeFile hands out a file that somebody attached: to be kept, not shown, for what it holds is a stranger's. Hash is its SHA-256, hexadecimal. The route is catalogue.Route.Streamed, so that the
// file is never whole in memory.
func ServeFile(w http.ResponseWriter, r *http.Request, name, mimeType, hash string, body io.ReadSeeker) {
	h := w.Header()
	h.Set("Content-Type", mimeType)
	if strings.HasPrefix(mimeType, "text/") {
		h.Set("Content-Type", mimeType+"; charset=utf-8")
	}
	disposition := mime.FormatMediaType("attachment", map[string]string{"filename": name})
	if disposition == "" {
		disposition = "attachment"
	}
	h.Set("Content-Disposition", disposition)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("ETag", `"`+hash+`"`)
	http.ServeContent(w, r, "", time.Time{}, body)
}
