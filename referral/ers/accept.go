package ers

import (
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/booking/attach"
	"github.com/openspine/openspine/fault"
)

// formats are the media types by which a caller accepts what an operation answers: that of its failures always, which many name for files as well.
func formats(r *http.Request) []string {
	list := []string{mimeFHIR, "application/json"}
	switch path := strings.TrimPrefix(r.URL.Path, Base); {
	case strings.HasSuffix(path, "/$ers.generateCRI"), strings.HasSuffix(path, "/$ers.generatePatientLetter"):
		list = append(list, "application/pdf")
	case strings.HasPrefix(path, "/STU3/Binary/"), strings.HasPrefix(path, "/R4/Binary/"):
		list = append(list, "application/octet-stream")
		for _, t := range attach.Types() {
			list = append(list, t.MIME)
		}
	}
	return list
}

// acceptable refuses a request that accepts none of the forms in which it can be answered (RFC 9110 section 12.5.1). One that says nothing accepts any.
func acceptable(r *http.Request) error {
	list := formats(r)
	said := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(said) == "" {
		return nil
	}
	for part := range strings.SplitSeq(said, ",") {
		typ, parameters, err := mime.ParseMediaType(part)
		if q, wrong := strconv.ParseFloat(parameters["q"], 64); err != nil || wrong == nil && q == 0 {
			continue
		}
		if typ == "*/*" || typ == "*" || slices.ContainsFunc(list, func(f string) bool {
			kind, _, _ := strings.Cut(f, "/")
			return f == typ || typ == kind+"/*"
		}) {
			return nil
		}
	}
	return fault.New(fault.NotAcceptable, "This is answered as %s; name it in the header Accept.", list[0])
}
