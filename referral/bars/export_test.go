package bars

import (
	"github.com/openspine/openspine/fhir"
)

// Unreached words why no answer came from a service elsewhere.
func Unreached(err error) error { return unreached(err) }

// Read is what a message says: its event, its reason, its words for whoever reads the referral, and its patient's number where it names one.
func Read(res *fhir.Resource) (event, reason, letter, patient string, err error) {
	m, err := readMessage(res)
	if err != nil {
		return "", "", "", "", err
	}
	if n, _, err := m.patient(); err == nil {
		patient = n.String()
	}
	m.ubrn(visitPrefix, m.focusURL, m.focus.Get("basedOn.0.reference").String())
	m.seen()
	return m.event, m.reason, m.letter(), patient, nil
}
