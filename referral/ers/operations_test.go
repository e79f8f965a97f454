package ers_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// operation is one of the published operations.
type operation struct{ id, method, path string }

// operations are all that are published (e-referrals-service-api.yaml); TestEachPublishedOperationHasARoute holds this list to what is published, and the node to this list.
func operations() []operation {
	const request, advice = "/STU3/ReferralRequest/", "/STU3/CommunicationRequest/"
	return []operation{
		{"a004", "GET", "/STU3/CodeSystem/{codeSystemType}"}, {"a005", "GET", request + "{ubrn}"}, {"a005", "GET", request + "{ubrn}/_history/{version}"}, {"a006", "GET", "/STU3/Binary/{attachmentLogicalID}"},
		{"a007", "POST", request + "{ubrn}/$ers.generateCRI"}, {"a008", "POST", request + "$ers.fetchworklist"}, {"a010", "POST", "/STU3/HealthcareService/$ers.searchHealthcareServicesForPatient"},
		{"a011", "POST", request + "$ers.createReferral"}, {"a012", "POST", request + "{ubrn}/$ers.maintainReferralLetter"}, {"a013", "POST", request + "{ubrn}/$ers.acceptReferral"},
		{"a014", "POST", request + "{ubrn}/$ers.rejectReferral"}, {"a015", "GET", "/STU3/Slot"}, {"a016", "POST", "/STU3/Appointment"}, {"a019", "POST", request + "{ubrn}/$ers.generatePatientLetter"},
		{"a020", "POST", "/STU3/Binary"}, {"a021", "POST", request + "$ers.createReferralAndSendForTriage"}, {"a022", "POST", request + "{ubrn}/$ers.cancelAppointmentActionLater"},
		{"a023", "POST", advice + "$ers.fetchworklist"}, {"a024", "GET", advice + "{ubrn}"}, {"a024", "GET", advice + "{ubrn}/_history/{version}"}, {"a025", "GET", "/STU3/Communication"},
		{"a026", "POST", advice + "{ubrn}/$ers.sendCommunicationToRequester"}, {"a027", "POST", request + "$ers.createFromCommunicationRequestActionLater"},
		{"a028", "POST", request + "{ubrn}/$ers.recordReviewOutcome"}, {"a029", "GET", "/STU3/Task"}, {"a030", "GET", "/R4/PractitionerRole"}, {"a031", "POST", request + "{ubrn}/$ers.changeShortlist"},
		{"a032", "POST", request + "{ubrn}/$ers.changeShortlistAndSendForTriage"}, {"a033", "GET", "/R4/HealthcareService/{id}"}, {"a034", "PUT", "/STU3/Appointment/{id}"},
		{"a035", "GET", "/R4/HealthcareService"}, {"a036", "POST", request + "{ubrn}/$ers.cancelReferral"}, {"a037", "HEAD", "/R4/HealthcareService/{id}"}, {"a038", "GET", "/STU3/Appointment/{id}"},
		{"a038", "GET", "/STU3/Appointment/{id}/_history/{version}"}, {"a040", "GET", "/R4/Practitioner"}, {"a041", "GET", "/R4/ServiceRequest"}, {"a042", "GET", "/R4/Binary/{id}"},
		{"a043", "POST", advice + "{ubrn}/$ers.generateCRI"}, {"a044", "POST", advice + "$ers.createAdviceAndGuidance"},
	}
}

// absent are the operations that have no route, with the reason.
func absent() map[string]string {
	return map[string]string{}
}

const specification = "../../../shared/spec/ers/specification/"

// TestEachPublishedOperationHasARoute: an operation that is published and not done here has a reason in absent, and one that is done has none.
func TestEachPublishedOperationHasARoute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	nobody := &caller{world: w}
	if a := nobody.do(http.MethodPost, "/STU3/ReferralRequest/$ers.nothing/x/y", ""); a.status == http.StatusUnauthorized {
		t.Fatal("what has no route asks who calls, so that this test finds nothing")
	}
	for _, o := range operations() {
		path := regexp.MustCompile(`\{[a-zA-Z]+\}`).ReplaceAllString(o.path, "000000070000")
		_, reason := absent()[o.id]
		if a := nobody.do(o.method, path, ""); (a.status == http.StatusUnauthorized) == reason {
			t.Errorf("%s %s %s: %d without a token, and a reason to be absent: %v", o.id, o.method, o.path, a.status, reason)
		}
	}
	file, err := os.ReadFile(filepath.FromSlash(specification + "e-referrals-service-api.yaml"))
	if err != nil {
		t.Logf("the list is not compared with what is published: %v", err)
		return
	}
	var published []operation
	var path, method string
	for line := range strings.Lines(string(file)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "  /") && strings.HasSuffix(line, ":"):
			path = strings.Trim(line, " :")
		case slices.Contains([]string{"    get:", "    post:", "    put:", "    head:"}, line):
			method = strings.ToUpper(strings.Trim(line, " :"))
		case strings.Contains(line, "/endpoints/a0"):
			_, rest, _ := strings.Cut(line, "/endpoints/")
			published = append(published, operation{rest[:4], method, path})
		}
	}
	for _, o := range published {
		if !slices.Contains(operations(), o) {
			t.Errorf("published and not listed: %v", o)
		}
	}
	if len(published) != len(operations()) {
		t.Errorf("%d are published, %d listed", len(published), len(operations()))
	}
}
