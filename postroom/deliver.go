package postroom

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network/outward"
	"github.com/openspine/openspine/record"
)

// kindEndpoint is the kind of destination that is an Endpoint of the directory, named by its id.
const kindEndpoint = "endpoint"

// How an Endpoint is spoken to (HL7, endpoint-connection-type).
const (
	connectionREST    = "hl7-fhir-rest"
	connectionMessage = "hl7-fhir-msg"
)

// Access is how this node shows a third party who it is: by OAuth 2 client credentials, by a client certificate, by both, or not at all.
type Access struct {
	Endpoint string         // the id of the Endpoint in the directory
	Address  string         // where it is, a FHIR interface, by the word of whoever runs the node, on whichever network; empty where the directory says it
	OAuth    *outward.OAuth // nil for none
	Token    string         // shown as it is (Authorization: Bearer); empty for none
	// Certificate is shown to the third party, and to its identity service; nil for none.
	Certificate *tls.Certificate
	// Roots are the authorities that the third party's certificate must be of; nil for those of the system.
	Roots *x509.CertPool
}

// round carries post to Endpoints of the directory.
type round struct {
	k       catalogue.Kernel
	ways    map[string]*http.Client // by Endpoint, for those with an Access
	fixed   map[string]address      // by Endpoint, for those that the directory does not have
	plainly *http.Client
}

func newRound(k catalogue.Kernel, list []Access) (*round, error) {
	d := &round{k: k, ways: map[string]*http.Client{}, fixed: map[string]address{}, plainly: outward.Client(k.Outward)}
	for _, a := range list {
		o := k.Outward
		if a.Address != "" {
			o.Allow = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
			if u, err := url.Parse(a.Address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "" || u.RawQuery != "" {
				return nil, fault.New(fault.Invalid, "%q is not the address of a FHIR interface, such as http://127.0.0.1:9000/fhir", a.Address)
			}
			d.fixed[a.Endpoint] = address{strings.TrimSuffix(a.Address, "/"), connectionREST}
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: a.Roots}
		if a.Certificate != nil {
			o.TLS.Certificates = []tls.Certificate{*a.Certificate}
		}
		client := outward.Client(o)
		if a.Token != "" {
			client.Transport = bearer{client.Transport, a.Token}
		}
		if a.OAuth != nil {
			oauth := *a.OAuth
			oauth.Of, oauth.Clock = "Endpoint/"+a.Endpoint, k.Clock
			way, err := outward.Credentials(client.Transport, oauth)
			if err != nil {
				return nil, err
			}
			client.Transport = way
		}
		if a.Endpoint == "" || d.ways[a.Endpoint] != nil {
			return nil, fault.New(fault.Invalid, "each access names an Endpoint of its own: %q", a.Endpoint)
		}
		d.ways[a.Endpoint] = client
	}
	return d, nil
}

// bearer shows a token that does not change.
type bearer struct {
	next  http.RoundTripper
	token string
}

// RoundTrip carries a request with the token.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(out)
}

// address is where and how a third party takes post.
type address struct{ url, connection string }

// address reads an Endpoint of the directory, or of an organisation kept here. What is not in use now is fault.Gone.
func (d *round) address(ctx context.Context, id string) (a address, err error) {
	if a, ok := d.fixed[id]; ok {
		return a, nil
	}
	tenants := []ident.ODSCode{d.k.National}
	for _, t := range d.k.Tenants {
		if t.Code != d.k.National {
			tenants = append(tenants, t.Code)
		}
	}
	for _, tenant := range tenants {
		var g access.Grant
		if g, err = d.k.Gate.Decide(ctx, access.Service("postroom", tenant), access.Read, access.Place{Tenant: tenant, Type: "Endpoint", ID: id}); err != nil {
			return a, err
		}
		v, rerr := d.k.Records.Read(ctx, g, record.Ref{Tenant: tenant, Type: "Endpoint", ID: id})
		if err = rerr; err == nil {
			return addressOf(v.Resource)
		}
		if !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Gone) {
			return a, err
		}
	}
	return a, fault.Wrap(err, fault.NotFound, "There is no Endpoint %s in the directory.", id)
}

func addressOf(r *fhir.Resource) (address, error) {
	a := address{strings.TrimSuffix(r.Get("address").String(), "/"), r.Get("connectionType.code").String()}
	switch status := r.Get("status").String(); {
	case status != "active" && status != "test":
		return a, fault.New(fault.Gone, "The Endpoint is %s in the directory, not active.", status)
	case a.connection != connectionREST && a.connection != connectionMessage:
		return a, fault.New(fault.Invalid, "The Endpoint is of the connection type %s; post goes to %s and %s.", a.connection, connectionMessage, connectionREST)
	}
	return a, nil
}

// answerMost is how much of a third party's answer is read, in bytes.
const answerMost = messaging.MaxBody

// deliver takes a message to a third party, at least once: the third party knows it by its Idempotency-Key, which is the same each time.
// What it answers decides: 2xx is handled, and a response message is told to the sender; 4xx is a refusal, in the words of its OperationOutcome; 429, 5xx, and
// silence hold all back that is for it, and are tried again.
func (d *round) deliver(ctx context.Context, to messaging.Destination, m messaging.Message) ([]byte, error) {
	a, err := d.address(ctx, to.Name)
	if err != nil {
		if fault.Is(err, fault.Gone) || fault.Is(err, fault.NotFound) { // until the directory says otherwise, nobody is there
			return nil, fault.Wrap(err, fault.Unavailable, "%s", fault.MessageOf(err))
		}
		return nil, err
	}
	return d.carry(ctx, a, to, m)
}

// carry takes a message to an address.
func (d *round) carry(ctx context.Context, a address, to messaging.Destination, m messaging.Message) ([]byte, error) {
	where, err := target(a, m.Body)
	if err != nil {
		return nil, messaging.Refuse("%s", fault.MessageOf(err))
	}
	if err := d.k.Outward.Check(where); err != nil && d.fixed[to.Name] != a {
		return nil, fault.New(fault.Forbidden, "%s", fault.MessageOf(err))
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, where, bytes.NewReader(m.Body))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The address of the Endpoint cannot be called.")
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	r.Header.Set("Accept", "application/fhir+json")
	r.Header.Set("User-Agent", "OpenSpine")
	r.Header.Set("Idempotency-Key", m.ID)
	r.Header.Set("X-Request-ID", m.ID)
	client := d.ways[to.Name]
	if client == nil {
		client = d.plainly
	}
	resp, err := client.Do(r)
	if err != nil {
		return nil, unreached(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerMost+1))
	if resp.StatusCode < 300 && err == nil {
		return heard(resp.StatusCode, text)
	}
	return nil, said(resp.StatusCode, text)
}

// target is the address to which a body goes: a message to $process-message, and to a REST interface also a transaction or a resource of its own.
func target(a address, body []byte) (string, error) {
	doc, err := fhir.Parse(body)
	if err != nil {
		return "", fault.New(fault.Unprocessable, "What goes to an Endpoint is FHIR, as JSON: %s", fault.MessageOf(err))
	}
	kind := doc.Get("type").String()
	switch {
	case doc.Type() == "Bundle" && kind == "message":
		return strings.TrimSuffix(a.url, "/$process-message") + "/$process-message", nil
	case a.connection != connectionREST:
		return "", fault.New(fault.Unprocessable, "What goes to an Endpoint of the connection type %s is a Bundle of the type message.", a.connection)
	case doc.Type() == "Bundle" && (kind == "transaction" || kind == "batch"):
		return a.url, nil
	case doc.Type() == "Bundle" && kind != "document" && kind != "collection":
		return "", fault.New(fault.Unprocessable, "A Bundle of the type %s is sent to nobody.", kind)
	}
	return a.url + "/" + doc.Type(), nil
}

// unreached is a failure to reach the third party, or its identity service. A place that may not be called, and a certificate that is not to be
// trusted, wait for a person.
func unreached(err error) error {
	var refused *fault.Error
	if errors.As(err, &refused) && refused.Kind() != fault.Internal {
		return refused
	}
	var unknown *tls.CertificateVerificationError
	if errors.As(err, &unknown) {
		return fault.Wrap(err, fault.Forbidden, "The certificate of the address is not to be trusted: %s", clip(unknown.Err.Error()))
	}
	why := "it does not answer in time"
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		inner := err
		for next := errors.Unwrap(inner); next != nil; next = errors.Unwrap(inner) {
			inner = next
		}
		why = clip(inner.Error())
	}
	return fault.Wrap(err, fault.Unavailable, "The address is not reached: %s.", why)
}

// heard is a third party's yes. A response message that says no is a no; what is no response message is not told to anybody.
func heard(status int, text []byte) ([]byte, error) {
	doc, err := fhir.Parse(text)
	if err != nil || doc.Type() != "Bundle" || doc.Get("type").String() != "message" {
		return nil, nil //nolint:nilerr // the status has said yes
	}
	switch doc.Get("entry.0.resource.response.code").String() {
	case "fatal-error":
		return nil, messaging.Refuse("The third party refuses the message: %s", words(doc, status))
	case "transient-error":
		return nil, fault.New(fault.Unavailable, "The third party cannot take the message now: %s", words(doc, status))
	}
	return text, nil
}

// said is what a status that is no yes means.
func said(status int, text []byte) error {
	reason := fmt.Sprint(status)
	if doc, err := fhir.Parse(text); err == nil {
		reason = words(doc, status)
	}
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return fault.New(fault.Unavailable, "The address answers: %s", reason)
	case status == http.StatusUnauthorized: // the message is not at fault, and our credentials are for a person to look at
		return fault.New(fault.Forbidden, "The address does not know us: %s", reason)
	case status >= 400:
		return messaging.Refuse("The third party refuses the message: %s", reason)
	}
	return fault.New(fault.Invalid, "The address answers %d, which is neither yes nor no.", status)
}

// words are those of the first OperationOutcome in a document, with the status.
func words(doc *fhir.Resource, status int) string {
	issue := doc.Get("issue.0")
	for i := 0; doc.Type() == "Bundle" && !issue.Exists() && i < min(doc.Get("entry").Len(), 20); i++ {
		if r := doc.Get("entry").Index(i).Get("resource"); r.Get("resourceType").String() == "OperationOutcome" {
			issue = r.Get("issue.0")
		}
	}
	for _, path := range []string{"diagnostics", "details.text", "details.coding.0.display", "code"} {
		if text := strings.TrimSpace(issue.Get(path).String()); text != "" {
			return fmt.Sprintf("%d, %s", status, clip(text))
		}
	}
	return fmt.Sprint(status)
}

// clip keeps the beginning of what somebody else says.
func clip(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if r := []rune(s); len(r) > 200 {
		return string(r[:200])
	}
	return s
}
