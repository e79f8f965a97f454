package fhirapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirxml"
)

// format is a representation that FHIR R4 names (https://hl7.org/fhir/R4/http.html#mime-type).
type format int

const (
	formatJSON format = iota
	formatXML
)

const (
	mimeJSON  = "application/fhir+json"
	mimeXML   = "application/fhir+xml"
	mimePatch = "application/json-patch+json"
	mimeForm  = "application/x-www-form-urlencoded"
)

// formats are the media types that each representation goes by.
var formats = map[string]format{
	mimeJSON: formatJSON, "application/json": formatJSON, "text/json": formatJSON, "json": formatJSON, "application/json+fhir": formatJSON,
	mimeXML: formatXML, "application/xml": formatXML, "text/xml": formatXML, "xml": formatXML, "application/xml+fhir": formatXML,
}

// wanted is the representation to answer in: _format first, then Accept by weight; JSON when nothing is said.
func wanted(r *http.Request) (format, error) {
	if f := queryValue(r, "_format"); f != "" {
		media, _, _ := strings.Cut(strings.ReplaceAll(f, " ", "+"), ";")
		if found, ok := formats[strings.ToLower(strings.TrimSpace(media))]; ok {
			return found, nil
		}
		return formatJSON, fault.New(fault.NotAcceptable, "_format=%s is not offered; use json or xml", f)
	}
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return formatJSON, nil
	}
	best, weight, any := formatJSON, -1.0, false
	for _, field := range accept {
		for part := range strings.SplitSeq(field, ",") {
			f, q, ok := acceptable(part)
			if ok {
				any = true
				if q > weight && q > 0 {
					best, weight = f, q
				}
			}
		}
	}
	if weight > 0 {
		return best, nil
	}
	if any {
		return formatJSON, fault.New(fault.NotAcceptable, "every format offered here is refused by Accept (q=0); offered: %s, %s", mimeJSON, mimeXML)
	}
	return formatJSON, fault.New(fault.NotAcceptable, "none of the formats in Accept is offered; offered: %s, %s", mimeJSON, mimeXML)
}

func acceptable(part string) (format, float64, bool) {
	media, params, err := mime.ParseMediaType(strings.TrimSpace(part))
	if err != nil {
		return formatJSON, 0, false
	}
	q := 1.0
	if text, ok := params["q"]; ok {
		if q, err = strconv.ParseFloat(text, 64); err != nil {
			return formatJSON, 0, false
		}
	}
	if v := params["fhirversion"]; v != "" && v != "4.0" {
		return formatJSON, 0, false
	}
	if media == "*/*" || media == "application/*" || media == "text/html" {
		return formatJSON, q * 0.999, true
	}
	f, ok := formats[media]
	return f, q, ok
}

// queryValue is one parameter of the address itself; the body of a POSTed search has its own.
func queryValue(r *http.Request, name string) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return r.URL.Query().Get(name)
}

// scratch keeps buffers that hold one request's body while it is read.
var scratch = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// readBody reads what was sent, once, whole. The edge bounds its size.
func readBody(r *http.Request) ([]byte, error) {
	buf := scratch.Get().(*bytes.Buffer)
	defer scratch.Put(buf)
	buf.Reset()
	if _, err := io.Copy(buf, r.Body); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, fault.Wrap(err, fault.TooLarge, "what was sent is over %d MB", tooLarge.Limit>>20)
		}
		return nil, fault.Wrap(err, fault.Invalid, "the body ended before it was complete; nothing was changed")
	}
	return bytes.Clone(buf.Bytes()), nil
}

// readResource reads and parses a resource in JSON or XML, by Content-Type (JSON when nothing is said).
func readResource(r *http.Request, defs *definition.Set) (*fhir.Resource, error) {
	f := formatJSON
	if ct := r.Header.Get("Content-Type"); ct != "" {
		media, params, err := mime.ParseMediaType(ct)
		known := false
		if err == nil {
			f, known = formats[media]
		}
		if !known {
			return nil, fault.New(fault.UnsupportedMedia, "Content-Type %s is not read here; send %s or %s", ct, mimeJSON, mimeXML)
		}
		if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
			return nil, fault.New(fault.UnsupportedMedia, "charset %s is not read here; FHIR is always UTF-8", cs)
		}
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, fault.New(fault.Invalid, "there is no resource in the body of the request")
	}
	if f == formatXML {
		return fhirxml.Decode(body, defs)
	}
	return fhir.Parse(body)
}

// send answers with a resource in the format that was asked for; a format that is not offered is answered in JSON.
func send(w http.ResponseWriter, r *http.Request, status int, v fhir.Value) {
	sendJSON(w, r, status, v.JSON())
}

func sendJSON(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	f, err := wanted(r)
	if err != nil {
		f = formatJSON
	}
	if f == formatXML {
		if res, err := fhir.Parse(body); err == nil {
			if text, err := fhirxml.Encode(res, definition.R4()); err == nil {
				w.Header().Set("Content-Type", mimeXML+"; charset=utf-8")
				w.WriteHeader(status)
				w.Write(text)
				return
			}
		}
	}
	w.Header().Set("Content-Type", mimeJSON+"; charset=utf-8")
	if queryValue(r, "_pretty") == "true" {
		var pretty bytes.Buffer
		if json.Indent(&pretty, body, "", "  ") == nil {
			body = append(pretty.Bytes(), '\n')
		}
	}
	w.WriteHeader(status)
	w.Write(body)
}

// prefer reads the Prefer header (RFC 7240; https://hl7.org/fhir/R4/http.html#ops and #async).
type prefer struct {
	// Return is minimal, representation or OperationOutcome; empty when nothing is said.
	Return  string
	Lenient bool
	Strict  bool
}

func preferences(r *http.Request) prefer {
	var p prefer
	for _, field := range r.Header.Values("Prefer") {
		for part := range strings.FieldsFuncSeq(field, func(c rune) bool { return c == ',' || c == ';' }) {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			value = strings.Trim(strings.TrimSpace(value), `"`)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "return":
				p.Return = value
			case "handling":
				p.Lenient, p.Strict = value == "lenient", value == "strict"
			}
		}
	}
	return p
}
