package bars

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// identifier is a value of a naming system.
type identifier struct {
	System string `json:"system"`
	Value  string `json:"value"`
}

// head is what the headers of a request say.
type head struct {
	target       identifier // zero when there is none
	organisation ident.ODSCode
	practitioner string // the role profile id of whom the program acts for; "" when it is not said
	software     string // the program's name and version, for what is kept
}

// mostHeader bounds a header that holds a resource, in bytes before it is decoded.
const mostHeader = 8 << 10

// readHead reads the headers that each operation has. Only a request for this API's own capabilities names no target. Errors: 400 with the published codes; 406 for a
// version of BaRS that is not spoken; 403 for an organisation that is not the program's.
func readHead(r *http.Request, p access.Principal, untargeted bool) (h head, err error) {
	if err := version(r); err != nil {
		return h, err
	}
	if err := readIDs(r); err != nil {
		return h, err
	}
	if err := h.readOrganisation(r, p); err != nil {
		return h, err
	}
	if err := h.readWho(r); err != nil {
		return h, err
	}
	text := r.Header.Get("NHSD-Target-Identifier")
	if text == "" {
		if untargeted {
			return h, nil
		}
		return h, refuse(http.StatusBadRequest, sender, "invalid", "The header NHSD-Target-Identifier is missing.")
	}
	return h, h.readTarget(text)
}

// readIDs holds a request to the two ids that each has.
func readIDs(r *http.Request) error {
	for _, name := range []string{"X-Request-Id", "X-Correlation-Id"} {
		text := r.Header.Get(name)
		if text == "" {
			return refuse(http.StatusBadRequest, sender, "invalid", "The header %s is missing.", name)
		}
		if uuid.Validate(text) != nil || len(text) != 36 {
			return refuse(http.StatusBadRequest, sender, "value", "The header %s is a UUID; this is not one.", name)
		}
	}
	return nil
}

// readCatalogueHead reads the headers of a request to the catalogue of services, which is for no service and names no program.
func readCatalogueHead(r *http.Request, p access.Principal) (h head, err error) {
	if err := version(r); err != nil {
		return h, err
	}
	if err := readIDs(r); err != nil {
		return h, err
	}
	return h, h.readOrganisation(r, p)
}

// readPointerHead is readCatalogueHead for pointers: as published, only their search names the organisation; elsewhere it is the program's.
func readPointerHead(r *http.Request, p access.Principal) (h head, err error) {
	if r.Header.Get("NHSD-End-User-Organisation") != "" || r.Method == http.MethodGet && r.PathValue("id") == "" {
		return readCatalogueHead(r, p)
	}
	if err := version(r); err != nil {
		return h, err
	}
	h.organisation = p.Organisation
	return h, readIDs(r)
}

// version refuses an Accept header that asks for another edition of BaRS than 1.x. A media type without a version asks for any.
func version(r *http.Request) error {
	for _, field := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(field, ",") {
			_, params, err := mime.ParseMediaType(strings.TrimSpace(part))
			if v := params["version"]; err != nil || v == "" || v == "1" || strings.HasPrefix(v, "1.") {
				return nil
			}
		}
	}
	if r.Header.Get("Accept") == "" {
		return refuse(http.StatusNotAcceptable, sender, "processing", "The header Accept is missing; it names the content and the version of BaRS: application/fhir+json; version=1.4.0.")
	}
	return refuse(http.StatusNotAcceptable, sender, "processing", "Spoken here is version 1.4.0 of BaRS, and what came before it since 1.0.0.")
}

// decoded is the JSON object in a header, in base64.
func decoded(r *http.Request, name string, into any) error {
	text := r.Header.Get(name)
	if len(text) > mostHeader {
		return refuse(http.StatusBadRequest, sender, "too-long", "The header %s is longer than %d bytes.", name, mostHeader)
	}
	body, err := unbase64(text)
	if err != nil {
		return refuse(http.StatusBadRequest, sender, "structure", "The header %s is not base64.", name)
	}
	if json.Unmarshal(body, into) != nil {
		return refuse(http.StatusBadRequest, sender, "structure", "The header %s does not hold the resource that it should, as JSON in base64.", name)
	}
	return nil
}

// unbase64 reads both alphabets, padded or not.
func unbase64(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(strings.TrimSpace(text), "="))
	return base64.RawStdEncoding.DecodeString(text)
}

func (h *head) readOrganisation(r *http.Request, p access.Principal) error {
	const name = "NHSD-End-User-Organisation"
	if r.Header.Get(name) == "" {
		return refuse(http.StatusBadRequest, sender, "required", "The header %s is missing.", name)
	}
	var o struct {
		ResourceType string       `json:"resourceType"`
		Identifier   []identifier `json:"identifier"`
	}
	if err := decoded(r, name, &o); err != nil {
		return err
	}
	if o.ResourceType != "Organization" {
		return refuse(http.StatusBadRequest, sender, "structure", "The header %s holds an Organization.", name)
	}
	for _, i := range o.Identifier {
		if !strings.EqualFold(i.System, ident.SystemODSCode) {
			continue
		}
		code, err := ident.ParseODSCode(i.Value)
		if err != nil {
			return refuse(http.StatusBadRequest, sender, "value", "The header %s: %q is no ODS code.", name, shown(i.Value))
		}
		if code != p.Organisation {
			return refuse(http.StatusForbidden, sender, "forbidden", "The access token does not act for organisation %s.", code)
		}
		h.organisation = code
		return nil
	}
	return refuse(http.StatusBadRequest, sender, "required", "The header %s names the organisation by its ODS code (%s).", name, ident.SystemODSCode)
}

// readWho reads which program asks, and for whom.
func (h *head) readWho(r *http.Request) error {
	const program, person = "NHSD-Requesting-Software", "NHSD-Requesting-Practitioner"
	if r.Header.Get(program) == "" {
		return refuse(http.StatusBadRequest, sender, "required", "The header %s is missing.", program)
	}
	var d struct {
		ResourceType string          `json:"resourceType"`
		DeviceName   json.RawMessage `json:"deviceName"` // an object in the published example, a list in FHIR
		Version      json.RawMessage `json:"version"`
	}
	if err := decoded(r, program, &d); err != nil {
		return err
	}
	if d.ResourceType != "Device" {
		return refuse(http.StatusBadRequest, sender, "structure", "The header %s holds a Device.", program)
	}
	h.software = strings.TrimSpace(oneOf[struct{ Name string }](d.DeviceName).Name + " " + oneOf[struct{ Value string }](d.Version).Value)
	if r.Header.Get(person) == "" {
		return nil
	}
	var who struct {
		ResourceType string       `json:"resourceType"`
		Identifier   []identifier `json:"identifier"`
	}
	if err := decoded(r, person, &who); err != nil {
		return err
	}
	if who.ResourceType != "PractitionerRole" {
		return refuse(http.StatusBadRequest, sender, "structure", "The header %s holds a PractitionerRole.", person)
	}
	if len(who.Identifier) > 0 {
		h.practitioner = who.Identifier[0].Value
	}
	return nil
}

// oneOf reads a value that may stand by itself or in a list; the zero value when it is neither.
func oneOf[T any](raw json.RawMessage) (one T) {
	var list []T
	if json.Unmarshal(raw, &list) == nil && len(list) > 0 {
		return list[0]
	}
	var alone T
	if json.Unmarshal(raw, &alone) == nil {
		return alone
	}
	return one
}

func (h *head) readTarget(text string) error {
	if len(text) > mostHeader {
		return refuse(http.StatusBadRequest, between, "too-long", "The header NHSD-Target-Identifier is longer than %d bytes.", mostHeader)
	}
	body, err := unbase64(text)
	if err != nil {
		return refuse(http.StatusBadRequest, between, "structure", "The header NHSD-Target-Identifier is not base64.")
	}
	var members map[string]string
	if err := json.Unmarshal(body, &members); err != nil || len(members) != 2 || members["system"] == "" || members["value"] == "" {
		return refuse(http.StatusBadRequest, between, "structure", "The header NHSD-Target-Identifier holds an object with a system and a value, both texts.")
	}
	h.target = identifier{members["system"], members["value"]}
	return nil
}

// find is the service that a request is for.
func (a *API) find(ctx context.Context, i identifier) (t directory.Target, err error) {
	if !strings.EqualFold(strings.TrimPrefix(strings.TrimPrefix(i.System, "https"), "http"), "://fhir.nhs.uk/Id/dos-service-id") {
		return t, refuse(http.StatusNotFound, between, "not-found", "Services are named by their id in the directory of services (https://fhir.nhs.uk/Id/dos-service-id); %q is another system.", shown(i.System))
	}
	t, err = a.places.Target(ctx, i.Value)
	switch fault.KindOf(err) {
	case fault.NotFound:
		return t, refuse(http.StatusNotFound, between, "not-found", "The target is not in the directory.")
	case fault.Conflict:
		return t, refuse(http.StatusNotFound, between, "multiple-matches", "The target names more than one endpoint in the directory.")
	}
	if err != nil {
		return t, fault.Wrap(err, fault.Unavailable, "The directory is being written anew; try again.")
	}
	return t, nil
}
