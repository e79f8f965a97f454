package demographics

import (
	"net/http"
	"regexp"
	"strconv"

	"github.com/openspine/openspine/fhir"
)

const mimeFHIR = "application/fhir+json"

var (
	requestIDPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	rolePattern      = regexp.MustCompile(`^[0-9]+$`)
)

// headers checks the headers that every operation has (specification, parameters RequestID and RoleId).
func (c *call) headers() error {
	id := c.r.Header.Get("X-Request-ID")
	switch {
	case id == "":
		return refuse(missingValue, "Invalid request with error - X-Request-ID header must be supplied to access this resource")
	case !requestIDPattern.MatchString(id):
		return refuse(invalidValue, "Invalid value - '%s' in header 'X-Request-ID'", shown(id))
	}
	if role := c.r.Header.Get("NHSD-Session-URID"); c.mode == workerMode && role != "" && !rolePattern.MatchString(role) {
		return refuse(invalidValue, "Invalid value - '%s' in header 'NHSD-Session-URID'", shown(role))
	}
	return nil
}

// mirror gives the request's id back as it was written; the edge gives back the correlation id.
func mirror(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("X-Request-ID"); requestIDPattern.MatchString(id) {
		w.Header().Set("X-Request-ID", id)
	}
}

// shownBytes is how much of a caller's own value a diagnostics repeats.
const shownBytes = 100

// shown is a caller's value as a diagnostics repeats it.
func shown(value string) string {
	if len(value) <= shownBytes {
		return value
	}
	cut := value[:shownBytes]
	for i := range cut { // not in the middle of a character
		if len(cut)-i < 4 {
			return cut[:i] + "…"
		}
	}
	return cut
}

// etag is a version as an entity tag.
func etag(ver int64) string { return `W/"` + strconv.FormatInt(ver, 10) + `"` }

// send answers with a document.
func (c *call) send(status int, body []byte) error {
	mirror(c.w, c.r)
	c.w.Header().Set("Content-Type", mimeFHIR)
	c.w.WriteHeader(status)
	_, err := c.w.Write(body)
	return err
}

// sendValue is send for a document made here.
func (c *call) sendValue(status int, v fhir.Value) error { return c.send(status, v.JSON()) }
