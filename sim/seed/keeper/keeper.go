// Package keeper is a clinic whose own system keeps its slots (docs/decisions/0028): the demonstration's example of those that are asked. It speaks the Booking and Referral Standard as such
// a system does, for the one service that it has: free slots, booking messages, a patient's appointments. Nothing of it runs in a node.
//
// What is booked stays in a file, so that the demonstration goes on where it was.
//
// Source: Booking and Referral Standard 1.4, operations GET /Slot, GET /Appointment and POST /$process-message.
package keeper

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/web/format"
)

// mostBody is how much a message has at most.
const mostBody = 1 << 20

// Clinic is the system.
type Clinic struct {
	clock clock.Clock
	file  string

	mu   sync.Mutex
	kept kept
}

// kept is what is in the file.
type kept struct {
	Visits   map[string]visit `json:"visits"`   // by their ids
	Messages []string         `json:"messages"` // those that were done
}

// visit is an appointment.
type visit struct {
	Slot, Patient, Status string
	Start                 time.Time
}

// Open is the system with what its file holds. Error: fault.Invalid when the file cannot be read.
func Open(c clock.Clock, file string) (*Clinic, error) {
	x := &Clinic{clock: c, file: file, kept: kept{Visits: map[string]visit{}}}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return x, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &x.kept)
	}
	return x, fault.Wrap(err, fault.Invalid, "%s cannot be read; remove it, and nobody is booked there", file)
}

// save writes the file anew, whole or not at all.
func (x *Clinic) save(k kept) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := os.WriteFile(x.file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(x.file+".new", x.file)
}

// ServeHTTP answers as BaRS says.
func (x *Clinic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch r.Method + " " + r.URL.Path {
	case "GET /Slot":
		send(w, http.StatusOK, x.free())
	case "GET /Appointment":
		_, number, _ := strings.Cut(r.URL.Query().Get("patient:identifier"), "|")
		send(w, http.StatusOK, x.appointments(number))
	case "POST /$process-message":
		x.message(w, r)
	default:
		refuse(w, http.StatusNotFound, "REC_NOT_FOUND", "not-found", "There is nothing at this address.")
	}
}

func send(w http.ResponseWriter, status int, v fhir.Value) {
	w.Header().Set("Content-Type", "application/fhir+json; version=1.4.0")
	w.WriteHeader(status)
	_, _ = w.Write(v.JSON()) // whoever has gone asks again
}

func refuse(w http.ResponseWriter, status int, code, issue, why string) {
	send(w, status, fhir.Obj("resourceType", "OperationOutcome", "issue", fhir.Arr(fhir.Obj("severity", "error", "code", issue,
		"details", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "https://fhir.nhs.uk/CodeSystem/http-error-codes", "code", code))), "diagnostics", why))))
}

// slot is a time at which somebody can be seen.
type slot struct {
	id    string
	start time.Time
}

// Slots are every 20 minutes of the mornings of Mondays to Thursdays, from the day after tomorrow on for six weeks.
const (
	slotLasts = 20 * time.Minute
	slotDays  = 42
	slotCount = 9
)

func (x *Clinic) slots() (list []slot) {
	today := format.Midnight(x.clock.Now())
	for d := 2; d < slotDays; d++ {
		day := today.AddDate(0, 0, d)
		if w := day.Weekday(); w == time.Friday || w == time.Saturday || w == time.Sunday {
			continue
		}
		for i := range slotCount {
			at := time.Date(day.Year(), day.Month(), day.Day(), 9, 0, 0, 0, day.Location()).Add(time.Duration(i) * slotLasts).UTC()
			list = append(list, slot{uuid.NewSHA1(uuid.NameSpaceURL, []byte(Service+at.Format(time.RFC3339))).String(), at})
		}
	}
	return list
}

func (x *Clinic) taken(id string) bool {
	for _, v := range x.kept.Visits {
		if v.Slot == id && v.Status == booked {
			return true
		}
	}
	return false
}

const (
	booked    = "booked"
	cancelled = "cancelled"
)

func (x *Clinic) free() fhir.Value {
	list := []any{fhir.Obj("fullUrl", "urn:uuid:"+scheduleID, "resource", fhir.Obj("resourceType", "Schedule", "id", scheduleID, "actor", fhir.Arr(fhir.Obj("reference", "urn:uuid:"+clinicianID)))),
		fhir.Obj("fullUrl", "urn:uuid:"+clinicianID, "resource", fhir.Obj("resourceType", "Practitioner", "id", clinicianID, "name", fhir.Arr(fhir.Obj("text", "Dr Nerys Ashdown"))))}
	for _, s := range x.slots() {
		if !x.taken(s.id) {
			list = append(list, fhir.Obj("fullUrl", "urn:uuid:"+s.id, "resource", fhir.Obj("resourceType", "Slot", "id", s.id, "status", "free", "start", s.start, "end", s.start.Add(slotLasts), "schedule", fhir.Obj("reference", "urn:uuid:"+scheduleID))))
		}
	}
	return fhir.Obj("resourceType", "Bundle", "type", "searchset", "entry", fhir.Arr(list...))
}

const (
	scheduleID  = "8f0f1a52-6a52-4cf5-8a0f-0d7e6c1b7a01"
	clinicianID = "8f0f1a52-6a52-4cf5-8a0f-0d7e6c1b7a02"
)

func draw(id string, v visit) fhir.Value {
	return fhir.Obj("resourceType", "Appointment", "id", id, "status", v.Status, "start", v.Start, "end", v.Start.Add(slotLasts), "slot", fhir.Arr(fhir.Obj("reference", "Slot/"+v.Slot)),
		"participant", fhir.Arr(fhir.Obj("actor", fhir.Obj("identifier", fhir.Obj("system", ident.SystemNHSNumber, "value", v.Patient)), "status", "accepted")))
}

func (x *Clinic) appointments(number string) fhir.Value {
	var list []any
	for id, v := range x.kept.Visits {
		if v.Patient == number {
			list = append(list, fhir.Obj("resource", draw(id, v)))
		}
	}
	return fhir.Obj("resourceType", "Bundle", "type", "searchset", "entry", fhir.Arr(list...))
}

// message does what a booking message asks: once, however often it comes.
func (x *Clinic) message(w http.ResponseWriter, r *http.Request) {
	var raw json.RawMessage
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBody)).Decode(&raw)
	var b *fhir.Resource
	if err == nil {
		b, err = fhir.Parse(raw)
	}
	if err != nil || b.ID() == "" {
		refuse(w, http.StatusBadRequest, "REC_BAD_REQUEST", "invalid", "The message cannot be read.")
		return
	}
	if slices.Contains(x.kept.Messages, b.ID()) {
		refuse(w, http.StatusConflict, "REC_CONFLICT", "duplicate", "The message was done before.")
		return
	}
	id, v, no := x.wanted(b)
	if no != nil {
		refuse(w, no.status, no.code, no.issue, no.why)
		return
	}
	after := kept{Visits: map[string]visit{}, Messages: append(slices.Clone(x.kept.Messages), b.ID())}
	for k, was := range x.kept.Visits {
		after.Visits[k] = was
	}
	after.Visits[id] = v
	if err := x.save(after); err != nil {
		refuse(w, http.StatusServiceUnavailable, "REC_SERVICE_UNAVAILABLE", "transient", "It cannot be written down now.")
		return
	}
	x.kept = after
	send(w, http.StatusOK, fhir.Obj("resourceType", "Bundle", "type", "message", "entry", fhir.Arr(fhir.Obj("resource", draw(id, v)))))
}

// refusal is why something is not done.
type refusal struct {
	status           int
	code, issue, why string
}

// wanted is the appointment as a message would have it.
func (x *Clinic) wanted(b *fhir.Resource) (id string, v visit, no *refusal) {
	asked := catalogue.InBundle(b, b.Get("entry.0.resource.focus.0.reference").String())
	if asked.Field("resourceType").String() != "Appointment" {
		return "", v, &refusal{http.StatusUnprocessableEntity, "REC_UNPROCESSABLE_ENTITY", "processing", "The message is about no appointment."}
	}
	id = asked.Field("id").String()
	update := b.Get("entry.0.resource.reason.coding.0.code").String() == "update"
	if update {
		var known bool
		if v, known = x.kept.Visits[id]; !known || v.Status != booked {
			return id, v, &refusal{http.StatusNotFound, "REC_NOT_FOUND", "not-found", "There is no such appointment."}
		}
		if asked.Field("status").String() == cancelled {
			v.Status = cancelled
			return id, v, nil
		}
	} else {
		id = uuid.NewString()
		v.Patient = catalogue.InBundle(b, asked.Get("participant.0.actor.reference").String()).Get("identifier.0.value").String()
		if _, err := ident.ParseNHSNumber(v.Patient); err != nil {
			return id, v, &refusal{http.StatusUnprocessableEntity, "REC_UNPROCESSABLE_ENTITY", "processing", "The message names no patient by an NHS number."}
		}
	}
	ref := asked.Get("slot.0.reference").String()
	ref = ref[strings.LastIndexAny(ref, "/:")+1:]
	all := x.slots()
	i := slices.IndexFunc(all, func(s slot) bool { return s.id == ref })
	if i < 0 || x.taken(ref) {
		return id, v, &refusal{http.StatusConflict, "REC_CONFLICT", "conflict", "That time has gone."}
	}
	v.Slot, v.Start, v.Status = ref, all[i].start, booked
	return id, v, nil
}
