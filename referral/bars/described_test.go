package bars_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// TestAPatientIsFoundByNameBirthAndPostcode when that is one person, and never by less.
func TestAPatientIsFoundByNameBirthAndPostcode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []string{"9990000042", "9990000050", "9990000069"} {
		family := "Marsh"
		if n == "9990000042" {
			family = "Fenn"
		}
		w.load(`{"resourceType":"Patient","id":"` + n + `","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + n + `"}],"name":[{"use":"usual","family":"` + family + `","given":["Ada"]}],"gender":"female","birthDate":"1959-05-04","address":[{"use":"home","postalCode":"PE30 1AA"}]}`)
	}
	w.time.Advance(2 * time.Second)
	p := w.program(practice)
	for _, c := range []struct {
		name, born, postcode string
		status               int
		code                 string
	}{
		{"Ada Fenn", "eq04/05/1959", "PE30 1AA", 200, ""},
		{"Ada Fenn", "1959-05-04", "PE30 1AA", 200, ""},
		{"Ada Fenn", "1959-05-05", "PE30 1AA", 404, "REC_NOT_FOUND not-found"},
		{"Ada Fenn", "1959-05-04", "PE30 1AB", 404, "REC_NOT_FOUND not-found"},
		{"Ada Carr", "1959-05-04", "PE30 1AA", 404, "REC_NOT_FOUND not-found"},
		{"Ada Marsh", "1959-05-04", "PE30 1AA", 404, "REC_NOT_FOUND multiple-matches"},
		{"Fenn", "1959-05-04", "PE30 1AA", 400, "SEND_BAD_REQUEST required"},
		{"Ada Fenn", "soon", "PE30 1AA", 400, "SEND_BAD_REQUEST required"},
		{"Ada Fenn", "1959-05-04", "", 400, "SEND_BAD_REQUEST required"},
	} {
		q := url.Values{"patient:name": {c.name}, "patient:birthdate": {c.born}, "patient:address-postalcode": {c.postcode}}
		for _, kind := range []string{"/Appointment?", "/ServiceRequest?"} {
			if a := p.get(kind + q.Encode()); a.status != c.status || c.status != http.StatusOK && a.code() != c.code {
				t.Errorf("%s%v: %d %s", kind, c, a.status, a.body)
			}
		}
	}
}
