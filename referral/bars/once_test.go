package bars_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store/storefault"
	"github.com/openspine/openspine/store/storetest"
)

// onBothEngines runs a test over SQLite and over PostgreSQL.
func onBothEngines(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, newWorldOn(t, ""))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, newWorldOn(t, storetest.PostgresURL(t)))
	})
}

// starts are the beginnings of slots on the days of a clinic.
func starts(n int) (list []time.Time) {
	for i := range n {
		list = append(list, day(i/12, 20*(i%12)))
	}
	return list
}

// alone is a booking as a resource by itself.
func alone(slot string) string {
	return `{"resourceType":"Appointment","status":"booked","slot":[{"reference":"Slot/` + slot + `"}],"participant":[{"actor":{"identifier":{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + patient + `"}},"status":"accepted"}]}`
}

// aloneRequest is a referral as a resource by itself.
func aloneRequest(priority string) string {
	return `{"resourceType":"ServiceRequest","status":"active","intent":"plan","priority":"` + priority + `","category":[{"coding":[{"system":"https://fhir.nhs.uk/CodeSystem/message-category-servicerequest","code":"referral"}]}],
		"reasonCode":[{"text":"Palpitations"}],"subject":{"identifier":{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + patient + `"}}}`
}

// free are the ids of the slots that are free.
func (p *program) free() (ids []string) {
	p.t.Helper()
	for _, s := range p.get(slotQuery()).found("Slot") {
		ids = append(ids, s.Field("id").String())
	}
	return ids
}

// visits are how many appointments the patient has had, and how many stand.
func (p *program) visits() (all, booked int) {
	p.t.Helper()
	list := p.get("/Appointment?patient:identifier=https://fhir.nhs.uk/Id/nhs-number|" + patient).found("Appointment")
	for _, v := range list {
		if v.Field("status").String() == "booked" {
			booked++
		}
	}
	return len(list), booked
}

// TestARepeatedRequestDoesNothing: whatever was done since, the first answer comes again, or the published 409, and nothing is booked.
func TestARepeatedRequestDoesNothing(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *world) {
		w.gives(clinic, starts(4)...)
		p := w.program(practice)
		free := p.free()
		same := p.but("X-Request-Id", uuid.NewString())

		made := same.do(http.MethodPost, "/Appointment", alone(free[0]))
		if made.status != http.StatusOK || made.json["status"] != "booked" {
			t.Fatalf("booking: %d %s", made.status, made.body)
		}
		id := made.json["id"].(string)
		message := msg("booking-request", "new", visit("booked", "Slot/"+free[1]), thePatient)
		other := p.post(message)
		if other.status != http.StatusOK {
			t.Fatalf("booking by message: %d %s", other.status, other.body)
		}
		for _, id := range []string{id, other.found("Appointment")[0].Field("id").String()} {
			if gone := p.do(http.MethodDelete, "/Appointment/"+id, ""); gone.status != http.StatusOK {
				t.Fatalf("cancelling: %d %s", gone.status, gone.body)
			}
		}
		if again := same.do(http.MethodPost, "/Appointment", alone(free[0])); again.status != http.StatusOK || again.body != made.body {
			t.Errorf("the first answer was %s\nand the second is %d %s", made.body, again.status, again.body)
		}
		if again := p.post(message); again.code() != "REC_CONFLICT duplicate" {
			t.Errorf("the message again: %d %s", again.status, again.body)
		}
		if another := same.do(http.MethodPost, "/Appointment", alone(free[2])); another.code() != "REC_CONFLICT conflict" {
			t.Errorf("another request of the same id: %d %s", another.status, another.body)
		}
		if all, booked := p.visits(); all != 2 || booked != 0 || len(p.free()) != 4 {
			t.Errorf("%d appointments, %d of them stand, %d slots are free", all, booked, len(p.free()))
		}
		if fresh := p.do(http.MethodPost, "/Appointment", alone(free[0])); fresh.status != http.StatusOK {
			t.Errorf("a request of its own: %d %s", fresh.status, fresh.body)
		}

		// A change that is repeated after another one does not come back.
		referred := p.do(http.MethodPost, "/ServiceRequest", aloneRequest("routine"))
		if referred.status != http.StatusOK {
			t.Fatalf("referring: %d %s", referred.status, referred.body)
		}
		at := "/ServiceRequest/" + referred.json["id"].(string)
		body := func(priority string) string {
			return strings.Replace(aloneRequest(priority), `{`, `{"id":"`+referred.json["id"].(string)+`",`, 1)
		}
		urgent := p.but("X-Request-Id", uuid.NewString())
		first := urgent.do(http.MethodPut, at, body("urgent"))
		if first.status != http.StatusOK || first.json["priority"] != "urgent" {
			t.Fatalf("made urgent: %d %s", first.status, first.body)
		}
		if back := p.do(http.MethodPut, at, body("routine")); back.status != http.StatusOK {
			t.Fatalf("made routine again: %d %s", back.status, back.body)
		}
		if again := urgent.do(http.MethodPut, at, body("urgent")); again.status != http.StatusOK || again.body != first.body {
			t.Errorf("repeated: %d %s", again.status, again.body)
		}
		if now := p.get(at); now.json["priority"] != "routine" {
			t.Errorf("a repeated request was done again: %s", now.body)
		}
	})
}

// TestTheSameRequestAtTheSameMoment: of 32 at once one is done, and each of the others is told so.
func TestTheSameRequestAtTheSameMoment(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *world) {
		w.gives(clinic, starts(4)...)
		p := w.program(practice)
		free := p.free()
		for name, c := range map[string]struct{ path, body string }{
			"a booking by itself":   {"/Appointment", alone(free[0])},
			"a booking message":     {"/$process-message", msg("booking-request", "new", visit("booked", "Slot/"+free[1]), thePatient)},
			"a referral by itself":  {"/ServiceRequest", aloneRequest("routine")},
			"a message that refers": {"/$process-message", msg("servicerequest-request", "new", request("active", "referral"), thePatient)},
			"a validation":          {"/$process-message", msg("servicerequest-request", "new", request("active", "validation"), thePatient)},
		} {
			same := p.but("X-Request-Id", uuid.NewString())
			const callers = 32
			answers := make([]answer, callers)
			var wait sync.WaitGroup
			for i := range callers {
				wait.Go(func() { answers[i] = same.do(http.MethodPost, c.path, c.body) })
			}
			wait.Wait()
			done, told := 0, 0
			for _, a := range answers {
				switch {
				case a.status == http.StatusOK && (c.path == "/$process-message" || a.body == answers[0].body):
					done++
				case a.code() == "REC_CONFLICT duplicate":
					told++
				default:
					t.Errorf("%s: %d %s", name, a.status, a.body)
				}
			}
			if c.path == "/$process-message" && done != 1 || c.path != "/$process-message" && done != callers {
				t.Errorf("%s: %d were answered as done, %d were told that it was", name, done, told)
			}
		}
		if all, booked := p.visits(); all != 2 || booked != 2 || len(p.free()) != 2 {
			t.Errorf("%d appointments, %d of them stand, %d slots are free", all, booked, len(p.free()))
		}
		if list := p.get("/ServiceRequest?patient:identifier=https://fhir.nhs.uk/Id/nhs-number|" + patient); list.json["total"] != 5.0 {
			t.Errorf("%v referrals were made by five requests", list.json["total"])
		}
	})
}

// lost reports whether an answer leaves open what was done.
func (a answer) lost() bool {
	return a.status == 0 || a.status == http.StatusRequestTimeout || a.status >= 500
}

// settled sends a request until there is an answer.
func (p *program) settled(path, body string) answer {
	p.t.Helper()
	for range 20 {
		if a := p.do(http.MethodPost, path, body); !a.lost() {
			return a
		}
		p.time.Advance(time.Second)
	}
	p.t.Fatal("no answer came")
	return answer{}
}

// TestThePowerGoesInTheMiddle cuts the power somewhere in each booking and each referral: sent again, each has happened once.
func TestThePowerGoesInTheMiddle(t *testing.T) {
	t.Parallel()
	const lives = 60 // at most: it ends when it has seen each kind of misfortune
	disk, err := storefault.New(28)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, time: clock.NewFake(time.Date(2026, 1, 15, 9, 30, 0, 0, time.UTC))}
	dir := t.TempDir()
	stop := w.open(dir, "", disk.VFS())
	w.populate()
	w.gives(clinic, starts(lives+1)...)
	free := w.program(practice).free()
	rng := rand.New(rand.NewPCG(28, 1))
	lost, kept, unheard := 0, 0, 0
	for life := 0; life < lives && (life < 8 || lost == 0 || kept == 0 || unheard == 0); life++ {
		same := w.program(practice).but("X-Request-Id", uuid.NewString())
		path, body := "/Appointment", alone(free[life])
		if life%3 > 0 {
			path, body = "/$process-message", msg("booking-request", "new", visit("booked", "Slot/"+free[life]), thePatient)
		}
		w.darkly = true
		disk.CutPowerAfter(1 + rng.IntN(9))
		first := same.do(http.MethodPost, path, body)
		disk.CutPower() // at the latest after the answer
		_ = stop()
		w.darkly = false
		disk.PowerOn()
		stop = w.open(dir, "", disk.VFS())
		p := w.program(practice)
		same.world, same.token = p.world, p.token
		second := same.settled(path, body)
		switch {
		case second.status != http.StatusOK && second.code() != "REC_CONFLICT duplicate", first.status == http.StatusOK && path == "/Appointment" && second.body != first.body:
			t.Fatalf("life %d: at first %d %s, then %d %s", life, first.status, first.body, second.status, second.body)
		case first.status == http.StatusOK && second.status == http.StatusOK && path != "/Appointment":
			t.Fatalf("life %d: it was done, and was done again", life)
		case first.status == http.StatusOK:
			kept++
		case second.code() == "REC_CONFLICT duplicate":
			unheard++
		default:
			lost++
		}
		if all, booked := p.visits(); all != life+1 || booked != life+1 || len(p.free()) != lives-life {
			t.Fatalf("life %d: %d appointments, %d of them stand, %d slots are free", life, all, booked, len(p.free()))
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := disk.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d had no answer, of which %d messages had been done; %d were answered before the power went", lost+unheard, unheard, kept)
	if lost == 0 || kept == 0 || unheard == 0 {
		t.Error("the power never went in the middle, or always: the test tests nothing")
	}
}

// TestTheDatabaseBreaksOffInTheMiddle ends PostgreSQL's connections in the middle of their writes while bookings are made: sent again, each has happened once.
func TestTheDatabaseBreaksOffInTheMiddle(t *testing.T) {
	t.Parallel()
	const bookings = 8
	url := storetest.PostgresURL(t)
	w := newWorldOn(t, url)
	w.gives(clinic, starts(bookings)...)
	p := w.program(practice)
	free := p.free()
	control, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close(context.Background())
	ctx, enough := context.WithCancel(t.Context())
	ticking, still := context.WithCancel(t.Context())
	defer still()
	go func() { // the database waits by the node's clock before it tries again
		for ticking.Err() == nil {
			time.Sleep(5 * time.Millisecond)
			w.time.Advance(5 * time.Millisecond)
		}
	}()
	broken := make(chan int64, 1)
	go func() {
		var n int64
		defer func() { broken <- n }()
		for ctx.Err() == nil {
			tag, err := control.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
				WHERE c.relnamespace = current_schema()::regnamespace AND l.mode = 'RowExclusiveLock' AND l.pid <> pg_backend_pid()) writer WHERE random() < 0.3`)
			if err != nil {
				return
			}
			n += tag.RowsAffected()
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := worker; i < bookings; i += 4 {
				same := p.but("X-Request-Id", uuid.NewString())
				path, body := "/Appointment", alone(free[i])
				if i%2 == 0 {
					path, body = "/$process-message", msg("booking-request", "new", visit("booked", "Slot/"+free[i]), thePatient)
				}
				for tries := 0; ; tries++ {
					a := same.do(http.MethodPost, path, body)
					if a.status == http.StatusOK || a.code() == "REC_CONFLICT duplicate" {
						break
					}
					if tries == 40 {
						enough() // and now without trouble
					}
					if !a.lost() || tries > 80 {
						t.Errorf("%s: %d %s", fmt.Sprint(i), a.status, a.body)
						break
					}
				}
			}
		})
	}
	wait.Wait()
	enough()
	if n := <-broken; n == 0 {
		t.Error("nothing broke: the test tests nothing")
	} else {
		t.Logf("%d connections were ended", n)
	}
	if all, booked := p.visits(); all != bookings || booked != bookings || len(p.free()) != 0 {
		t.Errorf("%d appointments, %d of them stand, %d slots are free", all, booked, len(p.free()))
	}
}
