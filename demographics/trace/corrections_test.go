package trace_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

// A person asks for what they may not change; it lands on their practice's worklist, is taken on and answered, and they read the answer.
func TestAPersonAsksToHaveTheirNamePutRight(t *testing.T) {
	w := shared.Given(t)
	patient, clerk := w.SignedIn(t, "patient"), w.SignedIn(t, "clerk")
	patient.Get("/me/details").Sees(200, "Ask to put something right", "What I asked to put right")
	patient.Get("/me/corrections").Sees(200, "You have asked for nothing")
	patient.Get("/me/corrections/new").Send("/me/corrections/new", "words", "  ").Sees(422, "Choose what is wrong", "Say what is wrong, in 5 to 1000 letters")
	const words = "My name is Ffíon O’Llewelyn 🦊, with an accent"
	patient.Send("/me/corrections/new", "part", "name", "words", words).Sees(200, "Check your answers", words)
	patient.Send("/me/corrections/new").Sees(200, "We have your request", "Your reference", words, "Nobody has looked into it yet")
	patient.Get("/me/corrections/new").Send("/me/corrections/new", "part", "name", "words", "The same once more").Sees(200, "Check your answers")
	patient.Send("/me/corrections/new").Sees(422, "You asked about this already", "The same once more")

	one := clerk.Get("/corrections").Sees(200, "1 request", "LLEWELYN, Ffion Haf (Ms)", "Name", "Larch Street Surgery", "Nobody yet").SeesNot(words).Link("/corrections/[0-9]+")
	clerk.Get(one).Sees(200, words, "LLEWELYN, Ffion Haf (Ms)", "Change the name").Send(one, "act", "take").Sees(200, "You look into this request", "Ravi Menon")
	clerk.Get("/corrections?whose=mine").Sees(200, "LLEWELYN")
	patient.Get("/me/corrections").Sees(200, "Mr Ravi Menon is looking into it")

	clerk.Get(one).Send(one, "act", "answer", "answer", "").Sees(422, "Choose what became of it", "Enter an answer of 5 to 1000 characters")
	stale := w.SignedIn(t, "gp").Get(one)
	clerk.Get(one).Send(one, "act", "answer", "state", "stays", "answer", "Bring your passport, please").Sees(200, "The answer is sent", "Not changed")
	stale.Send(one, "act", "answer", "state", "right", "answer", "It is put right").Sees(409, "Somebody else has answered this meanwhile")
	patient.Get("/me/corrections").Sees(200, "Not changed", "Bring your passport, please", "Mr Ravi Menon")
	clerk.Get("/corrections").Sees(200, "No request waits").Get("/corrections?show=answered").Sees(200, "LLEWELYN")
	clerk.Get("/corrections?show=answered&format=csv").Sees(200, "Not changed", "999 000 0018")
	if known(t, w, number(t, w, "patient"), "clerk") == 0 {
		t.Error("the clerk's look is not on the person's account")
	}
}

// A person takes back what they asked while it waits, also when somebody looks into it; nobody can answer it then, and they may ask again. Nobody else's can be withdrawn.
func TestAPersonWithdrawsWhatTheyAsked(t *testing.T) {
	w := shared.Given(t)
	patient, clerk := w.SignedIn(t, "patient"), w.SignedIn(t, "clerk")
	ask := func() {
		patient.Get("/me/corrections/new").Send("/me/corrections/new", "part", "gender", "words", "I asked too soon").Send("/me/corrections/new").Sees(200, "We have your request")
	}
	ask()
	at := clerk.Get("/corrections").Sees(200, "1 request").Link("/corrections/[0-9]+")
	clerk.Get(at).Send(at, "act", "take").Sees(200, "You look into this request")
	stale := w.SignedIn(t, "gp").Get(at)
	withdraw := "/me" + at + "/withdraw"
	page := patient.Get("/me/corrections").Sees(200, "Withdraw request")
	form := page.Form()
	patient.Post(withdraw, form).Sees(200, "is withdrawn", "You withdrew it").SeesNot("Withdraw request")
	patient.Post(withdraw, form).Sees(409, "it was withdrawn")
	stale.Send(at, "act", "answer", "state", "right", "answer", "It is put right").Sees(409, "it was withdrawn")
	clerk.Get("/corrections").Sees(200, "No request waits").Get("/corrections?show=answered").Sees(200, "Withdrawn").Get(at).Sees(200, "Withdrawn by the person").SeesNot("Send the answer")

	hidden := askedBy(t, w, number(t, w, "restricted"), "I live in another refuge now")
	patient.Post("/me"+hidden+"/withdraw", form).Sees(404).SeesNot("refuge")
	patient.Post("/me/corrections/x/withdraw", form).Sees(404)
	ask()
	patient.Post("/me"+clerk.Get("/corrections").Link("/corrections/[0-9]+")+"/withdraw", patient.Get("/me/corrections").Form()).Sees(200, "is withdrawn")
}

// A request is for the practice of whoever asks, and for the records office; of somebody who is hidden no more is told than that it waits.
func TestWhoReadsWhatPeopleAsk(t *testing.T) {
	w := shared.Given(t)
	patient := w.SignedIn(t, "patient")
	patient.Get("/me/corrections/new").Send("/me/corrections/new", "part", "practice", "words", "I moved to another practice").Send("/me/corrections/new").Sees(200, "We have your request")
	one := w.SignedIn(t, "records").Get("/corrections").Sees(200, "LLEWELYN", "GP practice").Link("/corrections/[0-9]+")
	for _, user := range []string{"hospital", "hospital-clerk", "stranger"} {
		r := w.SignedIn(t, user).Get("/corrections").Sees(403, "This is for GP practices and the records office")
		r.Get(one).Sees(403)
	}
	for _, user := range []string{"patient", "pharmacist", "privacy", "admin"} {
		w.SignedIn(t, user).Get(one).Sees(403)
	}
	clerk := w.SignedIn(t, "clerk")
	for _, path := range []string{"/corrections/999999", "/corrections/x", "/corrections/-1"} {
		clerk.Get(path).Sees(404)
	}
	clerk.Get("/corrections?after=x").Sees(400)
	clerk.Get("/corrections?sort=x").Sees(400)
	if home := w.SignedIn(t, "hospital-clerk").Get("/").Text(); strings.Contains(home, "Corrections") || strings.Contains(home, "Duplicates") {
		t.Error("a hospital's clerk is led to worklists that are not theirs")
	}

	hidden := askedBy(t, w, number(t, w, "restricted"), "I live in another refuge now")
	clerk.Get("/corrections").Sees(200, "2 requests", "Kept from view", "A clinician who looks after the person").SeesNot("MARSH")
	clerk.Get("/corrections?format=csv").Sees(200, "Kept from view").SeesNot("MARSH")
	clerk.Get(hidden).Sees(404).SeesNot("MARSH", "refuge")
	w.SignedIn(t, "records").Get(hidden).Sees(404)
}

// askedBy is a request of somebody who has no page of their own in the demonstration; it goes when the test ends. It answers its address.
func askedBy(t *testing.T, w *simtest.World, person, words string) (at string) {
	t.Helper()
	db := w.Node.Kernel().DB
	lane := db.LaneOf(sim.National.String(), "corrections")
	err := db.Write(t.Context(), []store.Lane{lane}, func(tx *store.Tx) error {
		var id int64
		err := tx.QueryRow(`INSERT INTO trace_correction (lane, id, at, person, organisation, asked_by, part, words, state, owner, owner_name, taken, answered, answered_by, answer)
			SELECT ?, 1 + coalesce((SELECT max(id) FROM trace_correction WHERE lane = ?), 0), ?, ?, 'Z99801', 'somebody', 'other', ?, 'waiting', '', '', 0, 0, '', '' RETURNING id`,
			int64(lane), int64(lane), tx.At().UnixMicro(), person, words).Scan(&id)
		at = fmt.Sprintf("/corrections/%d", id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := db.Write(context.Background(), []store.Lane{lane}, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM trace_correction WHERE lane = ? AND '/corrections/' || CAST(id AS TEXT) = ?`, int64(lane), at)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	return at
}
