package demographics

import (
	"net/http"
	"regexp"
	"strconv"

	"github.com/openspine/openspine/fhir"
)

const mimeFHIR = "application/fhir+json"

var rolePattern = regexp.MustCompile(`^[0-9]+$`)

// isRequestID reports whether id is a UUID as the specification's pattern has it: 8-4-4-4-12 hexadecimal digits of either case.
func isRequestID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F'):
			return false
		}
	}
	return true
}

// headers checks the headers that every operation has (specification, parameters RequestID and RoleId).
func (c *call) headers() error {
	id := c.r.Header.Get("X-Request-Id") // as net/http spells it, which saves spelling it anew
	switch {
	case id == "":
		return refuse(missingValue, "Invalid request with error - X-Request-ID header must be supplied to access this resource")
	case !isRequestID(id):
		return refuse(invalidValue, "Invalid value - '%s' in header 'X-Request-ID'", shown(id))
	}
	if role := c.r.Header.Get("NHSD-Session-URID"); c.mode == workerMode && role != "" && !rolePattern.MatchString(role) {
		return refuse(invalidValue, "Invalid value - '%s' in header 'NHSD-Session-URID'", shown(role))
	}
	return nil
}

// mirror gives the request's id back as it was written; the edge gives back the correlation id.
func mirror(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("X-Request-Id"); isRequestID(id) {
		w.Header().Set("X-Request-Id", id)
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
