package catalogue

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/openspine/openspine/fault"
)

// mostJSON bounds what ReadJSON reads, in bytes.
const mostJSON = 64 << 10

// ReadJSON reads the body of a request into v: application/json, one value, with no member that v does not have. Errors: fault.UnsupportedMedia, fault.TooLarge, fault.Invalid.
func ReadJSON(r *http.Request, v any) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return fault.New(fault.UnsupportedMedia, "Send application/json.")
	}
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, mostJSON))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more follows")
		}
	}
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return fault.Wrap(err, fault.TooLarge, "What was sent is over %d KB.", mostJSON>>10)
	}
	return fault.Wrap(err, fault.Invalid, "What was sent is not the JSON that is wanted here: %v.", err)
}

// AnswerJSON answers with v as JSON.
func AnswerJSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "an answer cannot be written as JSON")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(text, '\n'))
	return err
}
