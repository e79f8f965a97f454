package demographics

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strconv"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

const mimePatch = "application/json-patch+json"

var ifMatchPattern = regexp.MustCompile(`^W/"([0-9]{1,18})"$`)

// attempts is how often a change is prepared again because the record moved meanwhile.
const attempts = 8

// patch: update patient details (specification, paths/patient-patch). All of it is done, over the version that was read, or nothing.
func (s *register) patch(c *call) error {
	n, err := numberIn(c.r.PathValue("id"))
	if err != nil {
		return err
	}
	version, err := c.ifMatch()
	if err != nil {
		return err
	}
	if media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || media != mimePatch {
		return refuse(unsupportedService, "")
	}
	body, err := io.ReadAll(c.r.Body)
	if err != nil {
		return err
	}
	f, err := s.person(c, n, access.Trace)
	if err != nil {
		return err
	}
	request := s.once(c, body)
	if _, ver, done, err := s.done(c.r.Context(), request); err != nil || done {
		return s.again(c, f, ver, http.StatusOK, err)
	}
	if err := amendable(f, n.String()); err != nil {
		return err
	}
	edits, err := parseEdits(body)
	if err != nil {
		return err
	}
	out, err := s.amend(c, f, version, request, edits)
	if fault.Is(err, fault.PreconditionFailed) || fault.Is(err, fault.Conflict) { // perhaps by the same request, sent twice at once
		if _, ver, done, lost := s.done(c.r.Context(), request); lost != nil || done {
			return s.again(c, f, ver, http.StatusOK, lost)
		}
	}
	if err != nil {
		return err
	}
	f.version = out.Version
	return s.answer(c, http.StatusOK, f)
}

// ifMatch is the version that a change is over: published as 412 when it is missing or cannot be one.
func (c *call) ifMatch() (int64, error) {
	m := ifMatchPattern.FindStringSubmatch(c.r.Header.Get("If-Match"))
	if m == nil {
		return 0, refuse(preconditionFailed, "Invalid request with error - If-Match header must be supplied to update this resource")
	}
	ver, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || ver < 1 {
		return 0, refuse(versionMismatch, "")
	}
	return ver, nil
}

// amendable refuses changes to whom no caller of the published API may change.
func amendable(f found, asked string) error {
	switch {
	case f.number.String() != asked:
		return refuse(forbiddenUpdate, "Forbidden update with error - Update Failed - NHS No. supplied has been superseded in a merge")
	case f.restricted():
		return refuse(forbiddenUpdate, "Forbidden update with error - a sensitive patient cannot be updated")
	}
	return nil
}

// amend makes the edits in one commit with its account and the note of the request.
func (s *register) amend(c *call, f found, version int64, request once, edits []edit) (record.Outcome, error) {
	ctx, cancel := context.WithTimeout(c.r.Context(), c.syncWait())
	defer cancel()
	rules := rules{mode: c.mode, now: s.k.Clock.Now().UTC(), request: request.request}
	var before *fhir.Resource
	change := record.Change{Verb: record.Patch, Ref: f.version.Ref, IfMatch: version, Reason: c.reason(),
		Patch: func(current *fhir.Resource) (*fhir.Resource, error) {
			before = current
			return rules.apply(current, edits)
		},
		May: func(act access.Act) error { return s.mayAmend(c, act) }}
	var out record.Outcome
	err := record.Retry(attempts, func() error {
		draft, err := s.k.Records.Prepare(ctx, change)
		if err != nil {
			return err
		}
		if err := s.k.Sound(ctx, draft.Resource(), before); err != nil {
			return err
		}
		out, err = s.commit(ctx, c, draft, request)
		return err
	})
	return out, err
}

// mayAmend asks to amend what an act concerns.
func (s *register) mayAmend(c *call, act access.Act) error {
	act.Action = access.Amend
	_, err := c.ask.Grants(act)
	return c.wording(err)
}

// wording words a refusal to amend: a system has a code of its own, and so has a patient who means somebody else.
func (c *call) wording(err error) error {
	if err != nil && c.mode == restrictedMode {
		return refuseAs(invalidMethod, 403, "Cannot update resource with Application-Restricted access token",
			"Your app has insufficient permissions to use this method. Please contact support.")
	}
	if err != nil {
		return c.notTheirs(err)
	}
	return nil
}

// commit applies a draft under grants to amend, with the note of the request.
func (s *register) commit(ctx context.Context, c *call, draft *record.Draft, request once) (out record.Outcome, err error) {
	acts := draft.Acts()
	for i := range acts {
		acts[i].Action = access.Amend
	}
	grants, err := c.ask.Grants(acts...)
	if err != nil {
		return out, c.wording(err)
	}
	err = s.k.Gate.Act(ctx, grants, append(draft.Lanes(), request.lane), func(tx *store.Tx) error {
		if out, err = s.k.Records.Apply(tx, draft, grants...); err != nil {
			return err
		}
		if c.also != nil {
			if err := c.also(tx); err != nil {
				return err
			}
		}
		return request.note(tx, out.Version.Chart, out.Version.Ver)
	})
	return out, err
}

// again answers a request that was done before as it was answered then.
func (s *register) again(c *call, f found, ver int64, status int, err error) error {
	if err != nil {
		return err
	}
	grants, err := c.ask.Grants(access.Act{Action: access.Trace, Place: access.Place{Tenant: s.k.National, Chart: f.version.Chart, Type: "Patient", ID: f.version.ID, Label: f.label, Exists: true}})
	if err != nil {
		return c.notTheirs(err)
	}
	if f.version, err = s.k.Records.ReadVersion(c.r.Context(), grants[0], f.version.Ref, ver); err != nil {
		return err
	}
	return s.answer(c, status, f)
}

// answer sends a person whole, with the version.
func (s *register) answer(c *call, status int, f found) error {
	c.w.Header().Set("ETag", etag(f.version.Ver))
	return c.sendValue(status, whole(f))
}

// edit is one operation of a JSON Patch (schemas/JsonPatch.yaml).
type edit struct {
	op   string
	path []string
	text string // the path as it was written
	// value is what decodes from JSON; nil for none or null.
	value any
}

// mostEdits bounds a patch.
const mostEdits = 200

// parseEdits reads {"patches":[…]}.
func parseEdits(body []byte) ([]edit, error) {
	doc, err := decode(body)
	if err != nil {
		return nil, invalidPatch("the body is not JSON")
	}
	root, _ := doc.(object)
	patches, ok := root["patches"].([]any)
	if !ok || len(patches) == 0 {
		return nil, refuse(invalidUpdate, "Invalid update with error - No patches found")
	}
	if len(patches) > mostEdits {
		return nil, refuse(tooManyValues, "Too many values submitted - there may be at most 200 patches")
	}
	edits := make([]edit, len(patches))
	for i, p := range patches {
		if edits[i], err = parseEdit(strconv.Itoa(i), p); err != nil {
			return nil, err
		}
	}
	return edits, nil
}

func parseEdit(at string, p any) (edit, error) {
	o, ok := p.(object)
	if !ok {
		return edit{}, invalidIn(at, written(p))
	}
	e := edit{value: o["value"]}
	for name, to := range map[string]*string{"op": &e.op, "path": &e.text} {
		v, given := o[name]
		if !given {
			return e, missing(at + "/" + name)
		}
		if *to, ok = v.(string); !ok {
			return e, invalidIn(at+"/"+name, written(v))
		}
	}
	switch e.op {
	case "add", "replace", "test":
		if _, given := o["value"]; !given {
			return e, missing(at + "/value")
		}
	case "remove":
	default:
		return e, invalidIn(at+"/op", e.op)
	}
	if e.path, ok = pointer(e.text); !ok {
		return e, invalidIn(at+"/path", e.text)
	}
	return e, nil
}

func missing(field string) error {
	return in(field, refuse(missingValue, "%s", "Missing value - '"+shown(field)+"'"))
}

func invalidPatch(why string) error {
	return refuse(invalidUpdate, "%s", "Invalid update with error - Invalid patch - "+why)
}

// written is a value as JSON, for a diagnostics.
func written(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}
