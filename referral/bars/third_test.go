package bars_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
)

// own is a service whose slots a third party's system keeps.
const own = "3000011147"

// third is the third party's system: it speaks BaRS, and answers as badly as it is told to.
type third struct {
	srv *httptest.Server

	mu       sync.Mutex
	slots    map[string]time.Time
	visits   map[string]*thirdVisit // by their ids
	messages map[string]bool
	forgets  bool     // it knows no message again
	trouble  []string // for the next messages: "before" it is done, "after" it is done, or a status to answer with
	asked    int
	last     *http.Request
	says     map[string]thirdSays // what else it answers, by the address
}

type thirdSays struct {
	status     int
	kind, body string
}

type thirdVisit struct{ id, slot, patient, status string }

func newThird(t testing.TB) *third {
	x := &third{slots: map[string]time.Time{}, visits: map[string]*thirdVisit{}, messages: map[string]bool{}}
	for i := range 5 {
		x.slots[fmt.Sprintf("deb4c4b3-870b-4599-84df-5e54cef7af0%d", i)] = time.Date(2026, 1, 20, 9, 20*i, 0, 0, time.UTC)
	}
	x.srv = httptest.NewServer(x)
	t.Cleanup(x.srv.Close)
	return x
}

// offered makes the third party's service one of the directory's.
func (x *third) offered(w *world) {
	w.load(`{"resourceType":"Endpoint","id":"e1","status":"active","connectionType":{"system":"http://terminology.hl7.org/CodeSystem/endpoint-connection-type","code":"hl7-fhir-msg"},"payloadType":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/endpoint-payload-type","code":"bars"}]}],
		"managingOrganization":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"address":"`+x.srv.URL+`/base/"}`,
		`{"resourceType":"HealthcareService","id":"`+own+`","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"Dermatology","endpoint":[{"reference":"Endpoint/e1"}]}`)
}

func (x *third) troubled(list ...string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.trouble = list
}

// booked are the slots that are booked, by their number of bookings.
func (x *third) booked() map[string]int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := map[string]int{}
	for _, v := range x.visits {
		if v.status == "booked" {
			n[v.slot]++
		}
	}
	return n
}

func (x *third) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last = r.Clone(r.Context())
	if s, ok := x.says[r.URL.Path]; ok {
		w.Header().Set("Content-Type", s.kind)
		w.WriteHeader(s.status)
		_, _ = w.Write([]byte(s.body))
		return
	}
	switch r.URL.Path {
	case "/base/Slot":
		x.sendSlots(w)
	case "/base/Appointment":
		_, number, _ := strings.Cut(r.URL.Query().Get("patient:identifier"), "|")
		var list []any
		for _, v := range x.visits {
			if v.patient == number {
				list = append(list, fhir.Obj("resource", x.draw(v)))
			}
		}
		x.send(w, 200, fhir.Obj("resourceType", "Bundle", "type", "searchset", "entry", fhir.Arr(list...)))
	case "/base/$process-message":
		x.message(w, r)
	case "/base/Appointment/broken":
		panic(http.ErrAbortHandler)
	default:
		x.refuse(w, 404, "REC_NOT_FOUND", "not-found")
	}
}

func (x *third) send(w http.ResponseWriter, status int, v fhir.Value) {
	w.Header().Set("Content-Type", "application/fhir+json; version=1.4.0")
	w.WriteHeader(status)
	_, _ = w.Write(v.JSON())
}

func (x *third) refuse(w http.ResponseWriter, status int, code, issue string) {
	x.send(w, status, fhir.Obj("resourceType", "OperationOutcome", "issue", fhir.Arr(fhir.Obj("severity", "error", "code", issue, "details", fhir.Obj("coding", fhir.Arr(fhir.Obj("code", code))), "diagnostics", "the third party says so"))))
}

func (x *third) taken(slot string) bool {
	for _, v := range x.visits {
		if v.slot == slot && v.status == "booked" {
			return true
		}
	}
	return false
}

func (x *third) sendSlots(w http.ResponseWriter) {
	var list []any
	for id, at := range x.slots {
		if !x.taken(id) {
			list = append(list, fhir.Obj("fullUrl", "urn:uuid:"+id, "resource", fhir.Obj("resourceType", "Slot", "id", "s", "status", "free", "start", at, "end", at.Add(20*time.Minute), "schedule", fhir.Obj("reference", "urn:uuid:sched"))))
		}
	}
	list = append(list, fhir.Obj("fullUrl", "urn:uuid:sched", "resource", fhir.Obj("resourceType", "Schedule", "actor", fhir.Arr(fhir.Obj("reference", "urn:uuid:dr")))),
		fhir.Obj("fullUrl", "urn:uuid:dr", "resource", fhir.Obj("resourceType", "Practitioner", "name", fhir.Arr(fhir.Obj("family", "Sands", "prefix", fhir.Arr("Dr"))))))
	x.send(w, 200, fhir.Obj("resourceType", "Bundle", "type", "searchset", "entry", fhir.Arr(list...)))
}

func (x *third) draw(v *thirdVisit) fhir.Value {
	return fhir.Obj("resourceType", "Appointment", "id", v.id, "status", v.status, "start", x.slots[v.slot], "slot", fhir.Arr(fhir.Obj("reference", "Slot/"+v.slot)))
}

// message does what a booking message asks, with the trouble that it is told to make.
func (x *third) message(w http.ResponseWriter, r *http.Request) {
	x.asked++
	how := ""
	if len(x.trouble) > 0 {
		how, x.trouble = x.trouble[0], x.trouble[1:]
	}
	if how == "before" {
		panic(http.ErrAbortHandler)
	}
	var raw json.RawMessage
	if json.NewDecoder(r.Body).Decode(&raw) != nil {
		x.refuse(w, 400, "REC_BAD_REQUEST", "invalid")
		return
	}
	b, err := fhir.Parse(raw)
	if err != nil {
		x.refuse(w, 400, "REC_BAD_REQUEST", "invalid")
		return
	}
	if how == "503" {
		x.refuse(w, 503, "REC_SERVICE_UNAVAILABLE", "transient")
		return
	}
	status, v := x.apply(b)
	switch {
	case how == "after":
		panic(http.ErrAbortHandler)
	case status == 200:
		x.send(w, 200, fhir.Obj("resourceType", "Bundle", "type", "message", "entry", fhir.Arr(fhir.Obj("resource", x.draw(v)))))
	case v != nil:
		x.refuse(w, status, "REC_CONFLICT", "duplicate")
	default:
		x.refuse(w, status, "REC_CONFLICT", "conflict")
	}
}

// apply is what becomes of a message: 200 with the appointment, 409 with it for one that was done before, 409 or 404 without for one that cannot be done.
func (x *third) apply(b *fhir.Resource) (int, *thirdVisit) {
	if x.messages[b.ID()] && !x.forgets {
		return 409, &thirdVisit{}
	}
	visit := catalogue.InBundle(b, b.Get("entry.0.resource.focus.0.reference").String())
	who := catalogue.InBundle(b, visit.Get("participant.0.actor.reference").String()).Get("identifier.0.value").String()
	slot := strings.TrimPrefix(visit.Get("slot.0.reference").String(), "urn:uuid:")
	v := x.visits[visit.Field("id").String()]
	update := b.Get("entry.0.resource.reason.coding.0.code").String() == "update"
	switch {
	case update && v == nil:
		return 404, nil
	case update && visit.Field("status").String() == "cancelled":
		v.status = "cancelled"
	case x.slots[slot].IsZero() || x.taken(slot):
		return 409, nil
	case update:
		v.slot = slot
	default:
		v = &thirdVisit{fmt.Sprintf("visit-%d", len(x.visits)), slot, who, "booked"}
		x.visits[v.id] = v
	}
	x.messages[b.ID()] = true
	return 200, v
}
