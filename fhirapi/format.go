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
		// A plus in an address is a space once it has been read.
		if found, _, ok := acceptable(strings.ReplaceAll(strings.TrimSpace(f), " ", "+")); ok {
			return found, nil
		}
		return formatJSON, fault.New(fault.NotAcceptable, "The _format that was asked for is not offered; use json or xml.")
	}
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return formatJSON, nil
	}
	best, weight := formatJSON, 0.0
	for _, field := range accept {
		for part := range strings.SplitSeq(field, ",") {
			if f, q, ok := acceptable(part); ok && q > weight {
				best, weight = f, q
			}
		}
	}
	if weight > 0 {
		return best, nil
	}
	return formatJSON, fault.New(fault.NotAcceptable, "Nothing in Accept is offered here; there are %s and %s, of FHIR 4.0.", mimeJSON, mimeXML)
}

// acceptable is the representation, and its weight, that one part of an Accept header asks for.
func acceptable(part string) (format, float64, bool) {
	media, params, err := mime.ParseMediaType(strings.TrimSpace(part))
	if err != nil {
		return formatJSON, 0, false
	}
	q := 1.0
	if text, ok := params["q"]; ok {
		if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) {
			return formatJSON, 0, false
		}
	}
	if !thisRelease(params) {
		return formatJSON, 0, false
	}
	if media == "*/*" || media == "application/*" || media == "text/html" {
		return formatJSON, q * 0.999, true
	}
	f, ok := formats[media]
	return f, q, ok
}

// thisRelease reports whether a media type's fhirVersion, if it has one, is R4's (https://hl7.org/fhir/R4/http.html#version-parameter).
func thisRelease(params map[string]string) bool {
	v := params["fhirversion"]
	return v == "" || v == "4.0"
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
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, fault.New(fault.UnsupportedMedia, "What is sent here is not compressed: leave out Content-Encoding.")
	}
	buf := scratch.Get().(*bytes.Buffer)
	defer scratch.Put(buf)
	buf.Reset()
	if _, err := io.Copy(buf, r.Body); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, fault.Wrap(err, fault.TooLarge, "What was sent is over %d MB.", tooLarge.Limit>>20)
		}
		return nil, fault.Wrap(err, fault.Invalid, "The body ended before it was complete; nothing was changed.")
	}
	return bytes.Clone(buf.Bytes()), nil
}

// readResource reads and parses a resource in JSON or XML, by Content-Type (JSON when nothing is said).
func (a *api) readResource(r *http.Request) (*fhir.Resource, error) {
	f, err := sentFormat(r)
	if err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, fault.New(fault.Invalid, "There is no resource in the body of the request.")
	}
	return a.parseAs(f, body)
}

// sentFormat is the representation that Content-Type names.
func sentFormat(r *http.Request) (format, error) {
	ct := r.Header.Get("Content-Type")
	if ct == "" {
		return formatJSON, nil
	}
	media, params, err := mime.ParseMediaType(ct)
	f, known := formats[media]
	if err != nil || !known || !thisRelease(params) {
		return f, fault.New(fault.UnsupportedMedia, "This Content-Type is not read here; send %s or %s, of FHIR 4.0.", mimeJSON, mimeXML)
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return f, fault.New(fault.UnsupportedMedia, "This charset is not read here; FHIR is always UTF-8.")
	}
	return f, nil
}

// parseAs reads a document that was sent, as deep as the node lets it be.
func (a *api) parseAs(f format, body []byte) (*fhir.Resource, error) {
	limits := fhir.Limits{Depth: a.k.Limits.Depth}
	if f == formatXML {
		res, err := fhirxml.Decode(body, a.defs)
		if err != nil || limits.Depth == 0 {
			return res, err
		}
		body = res.JSON()
		limits.Bytes = len(body)
	}
	return fhir.ParseLimited(body, limits)
}

// send answers with a resource in the format that was asked for.
func (a *api) send(w http.ResponseWriter, r *http.Request, status int, v fhir.Value) error {
	return a.sendJSON(w, r, status, v.JSON())
}

func (a *api) sendJSON(w http.ResponseWriter, r *http.Request, status int, body []byte) error {
	f, err := wanted(r)
	if err != nil {
		return err
	}
	return writeAs(w, r, f, a.defs, status, body)
}

// writeAs writes a resource, given as JSON, in the format f. What cannot be written is a fault of ours or too long an answer;
// the edge then answers with that instead.
func writeAs(w http.ResponseWriter, r *http.Request, f format, defs *definition.Set, status int, body []byte) error {
	media := mimeJSON
	if f == formatXML {
		res, err := fhir.ParseLimited(body, fhir.Limits{Bytes: len(body), Depth: 1000})
		if err != nil {
			return fault.Wrap(err, fault.Internal, "an answer cannot be read back")
		}
		if body, err = fhirxml.Encode(res, defs); err != nil {
			return fault.Wrap(err, fault.NotAcceptable, "This cannot be written as XML: it has a character or a form that XML does not have. Ask for JSON.")
		}
		media = mimeXML
	} else if queryValue(r, "_pretty") == "true" {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, body, "", "  "); err != nil {
			return fault.Wrap(err, fault.Internal, "an answer cannot be indented")
		}
		body = append(pretty.Bytes(), '\n')
	}
	w.Header().Set("Content-Type", media+"; charset=utf-8")
	w.Header().Add("Vary", "Accept")
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
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
