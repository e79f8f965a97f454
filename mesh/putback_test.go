package mesh_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/mesh"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// expire lets time go by, and what ends by itself end.
func (w *world) expire(after time.Duration) {
	w.t.Helper()
	w.clock.Advance(after)
	if err := w.o.Expire(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// history is what was done to a mailbox, and why.
func (w *world) history(mailbox string) (done []string) {
	w.t.Helper()
	list, err := w.n.Kernel().Gate.Changes(w.t.Context(), "mailbox/"+mailbox)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range list {
		if c.Act == "put-back" || c.Act == "sent-again" {
			done = append(done, c.Act+" "+c.Detail+" "+c.Reason)
		}
	}
	return done
}

// Mail that nobody collected is put back by a person with a reason, once; collected then, its sender sees so. When it is 30 days old it is gone.
func TestWhatNobodyCollectedIsPutBack(t *testing.T) {
	t.Parallel()
	whatNobodyCollectedIsPutBack(t, given(t))
}

func whatNobodyCollectedIsPutBack(t *testing.T, w *world) {
	ctx := t.Context()
	id := w.send(first, second, "come and get it", "Mex-Subject: late")
	refused := func(want fault.Kind, mailbox, id, reason string) {
		t.Helper()
		if err := w.o.PutBack(ctx, admin(), mailbox, id, reason); !fault.Is(err, want) {
			t.Errorf("putting back is %v, want %v", err, want)
		}
	}
	refused(fault.Conflict, second, id, "it waits still")
	w.expire(mesh.CollectWithin + time.Hour)
	w.reported(first, id)
	refused(fault.Invalid, second, id, " ")
	refused(fault.NotFound, first, id, "not its inbox")
	refused(fault.NotFound, "X26NONE", id, "no such mailbox")
	if err := w.o.PutBack(ctx, admin(), second, id, "asked for by its sender"); err != nil {
		t.Fatal(err)
	}
	refused(fault.Conflict, second, id, "twice")
	if got := w.inbox(second); !slices.Equal(got, []string{id}) {
		t.Fatalf("the inbox holds %v", got)
	}
	if a := w.as(second, "GET", "/"+second+"/inbox/"+id, ""); a.body != "come and get it" {
		t.Errorf("reading is answered %v", a)
	}
	w.expire(mesh.CollectWithin + time.Hour) // nobody came again
	if got := w.inbox(second); len(got) != 0 {
		t.Fatalf("the inbox holds %v", got)
	}
	if err := w.o.PutBack(ctx, admin(), second, id, "once more"); err != nil {
		t.Fatal(err)
	}
	if a := w.as(second, "PUT", "/"+second+"/inbox/"+id+"/status/acknowledged", ""); a.status != http.StatusOK {
		t.Fatalf("acknowledging is answered %v", a)
	}
	w.tracked(first, id, "acknowledged")
	if got, want := w.history(second), []string{"put-back " + id + " once more", "put-back " + id + " asked for by its sender"}; !slices.Equal(got, want) {
		t.Errorf("the history says %q, want %q", got, want)
	}

	other := w.send(first, second, "too late")
	w.expire(mesh.CollectWithin + time.Hour)
	w.expire(mesh.KeepFor)
	refused(fault.Gone, second, other, "after 30 days")
	if a := w.as(second, "GET", "/"+second+"/inbox/"+other, ""); a.status != http.StatusGone {
		t.Errorf("reading what is put away is answered %v", a)
	}
}

// tracked waits until a sender sees what became of a message.
func (w *world) tracked(mailbox, id, want string) {
	w.t.Helper()
	var a answer
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if a = w.as(mailbox, "GET", "/"+mailbox+"/outbox/tracking?messageID="+id, "", v2); a.json["status"] == want {
			return
		}
		w.clock.Advance(time.Second)
	}
	w.t.Fatalf("tracking says %v, not %s", a, want)
}

// Mail that the recipient's mailbox refused is sent again by a person once the mailbox takes it, in all its chunks, under the same number.
func TestWhatCameBackIsSentAgain(t *testing.T) {
	t.Parallel()
	whatCameBackIsSentAgain(t, given(t))
}

func whatCameBackIsSentAgain(t *testing.T, w *world) {
	ctx := t.Context()
	a := w.as(first, "POST", "/"+first+"/outbox", "one ", toSecond, workflow, v2, "Mex-Chunk-Range: 1:2")
	id, _ := a.json["message_id"].(string)
	if err := w.o.Set(ctx, admin(), second, mesh.Suspended, "away"); err != nil {
		t.Fatal(err)
	}
	if a := w.as(first, "POST", "/"+first+"/outbox/"+id+"/2", "two", "Mex-Chunk-Range: 2:2"); a.status != http.StatusAccepted {
		t.Fatalf("the last chunk is answered %v", a)
	}
	w.reported(first, id)
	if err := w.o.Set(ctx, admin(), second, mesh.Open, "back"); err != nil {
		t.Fatal(err)
	}
	if err := w.o.SendAgain(ctx, admin(), first, id, "the mailbox is open"); err != nil {
		t.Fatal(err)
	}
	if err := w.o.SendAgain(ctx, admin(), first, id, "twice"); !fault.Is(err, fault.Conflict) {
		t.Errorf("sending what is under way again is %v", err)
	}
	w.arrived(second, id)
	got := ""
	for _, chunk := range []string{"", "/2"} {
		got += w.as(second, "GET", "/"+second+"/inbox/"+id+chunk, "").body
	}
	if got != "one two" {
		t.Errorf("it holds %q", got)
	}
	w.as(second, "PUT", "/"+second+"/inbox/"+id+"/status/acknowledged", "")
	w.tracked(first, id, "acknowledged")
	if got := w.history(first); !slices.Equal(got, []string{"sent-again " + id + " the mailbox is open"}) {
		t.Errorf("the history says %q", got)
	}
}

// Mail that ended is forgotten when it came long ago; what waits, or is not put away yet, never.
func TestOldMailIsForgotten(t *testing.T) {
	t.Parallel()
	oldMailIsForgotten(t, given(t))
}

func oldMailIsForgotten(t *testing.T, w *world) {
	collected, left := w.send(first, second, "collected"), w.send(first, second, "left")
	w.as(second, "PUT", "/"+second+"/inbox/"+collected+"/status/acknowledged", "")
	w.tracked(first, collected, "acknowledged")
	kept := func(want int64) {
		t.Helper()
		if err := w.o.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		var mail, parts int64
		err := w.n.Kernel().DB.Read(t.Context(), func(tx *store.Tx) error {
			if err := tx.QueryRow(`SELECT count(*) FROM mesh_part WHERE id IN (?, ?)`, collected, left).Scan(&parts); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT count(*) FROM mesh_mail WHERE id IN (?, ?)`, collected, left).Scan(&mail)
		})
		if err != nil || mail != want || mail == 0 && parts != 0 {
			t.Errorf("%d pieces of mail and %d parts are kept, want %d: %v", mail, parts, want, err)
		}
	}
	kept(4) // each in an outbox and an inbox
	w.clock.Advance(mesh.RememberFor - time.Hour)
	kept(4)
	w.clock.Advance(2 * time.Hour)
	w.expire(0) // what was left comes back to its sender, and what was collected is put away, if the node's own job was not quicker
	w.reported(first, left)
	w.expire(time.Minute)
	fresh := w.send(first, second, "fresh")
	kept(0)
	if got := w.inbox(second); !slices.Contains(got, fresh) {
		t.Errorf("what waits is forgotten: %v", got)
	}
}

// The mail of mailboxes goes on PostgreSQL as it does on SQLite, where each mailbox has a lane of its own.
func TestOnPostgreSQL(t *testing.T) {
	t.Parallel()
	cfg := config(t.TempDir())
	cfg.Database = storetest.PostgresURL(t)
	w := opened(t, cfg)
	if err := w.o.Demo(t.Context()); err != nil {
		t.Fatal(err)
	}
	isSentReadAndAcknowledged(t, w)
	isNotFinishedAndComesBack(t, w)
	whatCameBackIsSentAgain(t, w)
	whatNobodyCollectedIsPutBack(t, w)
	oldMailIsForgotten(t, w)
}

// An administrator puts mail back by page and by program; nobody else.
func TestPuttingBackByPage(t *testing.T) {
	t.Parallel()
	w := given(t)
	id := w.send(first, second, "come and get it")
	w.expire(mesh.CollectWithin + time.Hour)
	w.reported(first, id)
	keeper, clerk := w.desk("keeper", access.Administrator, "X26"), w.desk("clerk", access.Clerk, "X26")
	path := "/mailboxes/" + second + "/inbox/" + id
	if _, page := keeper("/mailboxes/"+second, nil); !strings.Contains(page, path) {
		t.Error("the mailbox's page does not lead there")
	}
	if status, page := clerk("/mailboxes/"+second, nil); status != 200 || strings.Contains(page, path) {
		t.Errorf("a clerk's page is answered %d, and may lead there", status)
	}
	if status, _ := clerk(path, nil); status != http.StatusForbidden {
		t.Errorf("a clerk is answered %d", status)
	}
	if status, _ := w.filled(keeper, path, "reason", ""); status != http.StatusUnprocessableEntity {
		t.Errorf("without a reason it is answered %d", status)
	}
	if status, page := w.filled(keeper, path, "reason", "asked for"); status != 200 || !strings.Contains(page, "Put back "+id) {
		t.Errorf("putting back is answered %d", status)
	}
	if status, _ := keeper(path, nil); status != http.StatusConflict {
		t.Errorf("twice it is answered %d", status)
	}
	if got := w.inbox(second); !slices.Equal(got, []string{id}) {
		t.Errorf("the inbox holds %v", got)
	}
}
