package credential_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// counting is a clock that stands still and counts how often it is looked at, which the store does for each transaction.
type counting struct {
	*clock.Fake
	looks atomic.Int64
}

func (c *counting) Now() time.Time {
	c.looks.Add(1)
	return c.Fake.Now()
}

// Whoever tries a recovery code learns nothing from how much work it makes: a user there is not, one without codes, and one with codes of which none fits cost the
// same transactions at each attempt, and when they are shut out after five.
func TestARefusalCostsTheSameWhoeverItIs(t *testing.T) {
	t.Parallel()
	at := &counting{Fake: clock.NewFake(time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC))}
	db := storetest.OpenWith(t, store.Options{Clock: at}, credential.Schema())
	keeper := credential.New(catalogue.Kernel{DB: db, Clock: at})
	insert := func(user string, used int) {
		lane := db.LaneOf("", "user/"+user)
		err := db.Write(t.Context(), []store.Lane{lane}, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO credential_recovery (lane, user_id, hash, made, used) VALUES (?, ?, ?, ?, ?)`, int64(lane), user, []byte{1}, tx.At().UnixMicro(), used)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	insert("with codes", 0)
	insert("with a used code", 1)
	next := 0
	// work is what each attempt of several looks like at its cheapest, from several addresses in turn: now and then the store looks at the clock once more.
	work := func(user string) (list []string) {
		least := make([]int64, credential.UserTries+2)
		list = make([]string, len(least))
		for range 5 {
			next++
			for i := range least {
				before := at.looks.Load()
				err := keeper.Recover(t.Context(), user, "abcd-efgh-ijkl-mnop", fmt.Sprintf("198.51.100.%d", next))
				if looks := at.looks.Load() - before; least[i] == 0 || looks < least[i] {
					least[i] = looks
				}
				list[i] = fmt.Sprintf("%d looks, %v: %s", least[i], fault.KindOf(err), fault.MessageOf(err))
			}
		}
		return list
	}
	work("whoever is first") // opens connections
	want := work("with codes")
	if want[0] == want[credential.UserTries] {
		t.Errorf("nobody is shut out: %q", want)
	}
	for _, user := range []string{"with a used code", "nobody", "", string(access.Clinician), "nobody\nat all"} {
		if got := work(user); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q:\n got %q\nwant %q", user, got, want)
		}
	}
}
