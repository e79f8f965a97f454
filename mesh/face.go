package mesh

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/openspine/openspine/fault"
)

// refusal is a failure as the published interface says it: a status, and an event, a code and words.
type refusal struct {
	status                        int
	message, event, code, wording string
}

func (r refusal) Error() string { return r.code + " " + r.wording }

// The error codes (published: "Error codes"). 15 is for files of Child Protection - Information Sharing alone, which has no workflow here.
const (
	codeNoData       = "02"
	codeHeaders      = "06"
	codeFrom         = "07"
	codeNoTo         = "08"
	codeType         = "11"
	codeUnregistered = "12"
	codeUndelivered  = "14"
	codeMayNotSend   = "16"
	codeWorkflow     = "17"
)

// describe is a code's typical description, as published.
func describe(code string) string {
	switch code {
	case codeNoData:
		return "Data file is missing or inaccessible"
	case codeHeaders:
		return "Malformed headers"
	case codeFrom:
		return "Invalid From Address, the mailbox does not match the authorization header"
	case codeNoTo:
		return "Missing Mex-To header"
	case codeType:
		return "Invalid Message Type for the transfer, should be DATA"
	case codeUnregistered:
		return "Unregistered to address"
	case codeUndelivered:
		return "Undelivered message"
	case codeMayNotSend:
		return "Sender is not allowed to send messages of this type"
	case codeWorkflow:
		return "Workflow ID not registered for mailbox"
	}
	return ""
}

// refuseSend is 417: what was to be sent is not taken. why says what to do about it.
func refuseSend(message, code, why string) error {
	text := describe(code)
	if why != "" {
		text += ": " + why
	}
	r := refusal{http.StatusExpectationFailed, message, "SEND", code, text}
	return fault.Wrap(r, fault.Unprocessable, "%s", text)
}

// locked is 423: a message whose chunks are all here takes no more.
func locked(message string) error {
	r := refusal{http.StatusLocked, message, "SEND", "", "This message has been finalised: no more chunks can be uploaded."}
	return fault.Wrap(r, fault.Conflict, "%s", r.wording)
}

// invalid is one thing wrong with a request's parts (published: HTTPValidationError).
type invalid struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

func (i invalid) Error() string { return i.Msg }

// invalidAt is 400: a header, a query parameter or a part of the address is missing or not what it must be.
func invalidAt(where, name, msg, kind string) error {
	return fault.Wrap(invalid{[]string{where, name}, msg, kind}, fault.Invalid, "%s %s: %s", where, name, msg)
}

// face words failures as the published interface does.
type face struct{}

// Refuse writes err: MeshError in the version that the caller reads, HTTPValidationError for what is wrong with a request's parts.
func (face) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	var bad invalid
	var no refusal
	var body any
	status, contentType := fault.KindOf(err).HTTPStatus(), "application/json"
	version, wrong := versionOf(r)
	if wrong != nil {
		version = 1
	}
	switch {
	case errors.As(err, &bad):
		body = map[string]any{"detail": []invalid{bad}}
	case errors.As(err, &no):
		status = no.status
	case fault.Is(err, fault.Unauthenticated):
		status = http.StatusForbidden // the interface has no 401
		no.wording = fault.MessageOf(err)
	default:
		no.wording = fault.MessageOf(err)
	}
	if body == nil {
		body = no.body(version)
		if version == 2 {
			contentType = mediaType(2)
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		text = []byte("{}") // texts always marshal
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(text) // whoever does not read the words sees the status
}

// body is MeshError, in one of its versions.
func (r refusal) body(version int) any {
	if version == 2 {
		type detail struct {
			Event string `json:"event"`
			Code  string `json:"code"`
			Msg   string `json:"msg"`
		}
		return struct {
			MessageID  string   `json:"message_id,omitempty"`
			InternalID string   `json:"internal_id,omitempty"`
			Detail     []detail `json:"detail"`
		}{r.message, r.message, []detail{{r.event, r.code, r.wording}}}
	}
	return struct {
		MessageID        string `json:"messageID,omitempty"`
		ErrorEvent       string `json:"errorEvent"`
		ErrorCode        string `json:"errorCode"`
		ErrorDescription string `json:"errorDescription"`
	}{r.message, r.event, r.code, r.wording}
}

func mediaType(version int) string {
	if version == 2 {
		return "application/vnd.mesh.v2+json"
	}
	return "application/json"
}

// answer writes an answer in the caller's version.
func answer(w http.ResponseWriter, status, version int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "an answer cannot be written")
	}
	w.Header().Set("Content-Type", mediaType(version))
	w.WriteHeader(status)
	_, err = w.Write(text)
	return err
}
