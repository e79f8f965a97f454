package referral

import (
	"context"
	"strings"
	"testing"

	"github.com/openspine/openspine/directory"
)

// TestTheListSaysWhatTheMapDraws: each place of the map has its number and its direction in the list; what is in one place has one number, and what is not known where has none.
func TestTheListSaysWhatTheMapDraws(t *testing.T) {
	t.Parallel()
	service := func(id, outward string, km float64) FoundService {
		return FoundService{FoundService: directory.FoundService{ID: id, Outward: outward, Km: km}}
	}
	found := []FoundService{service("here", "AA1", 0), service("north", "AA2", 111), service("beside", "AA3", 112), service("west", "AA4", 70), service("nowhere", "ZZ9", -1)}
	where := map[string]directory.Position{"AA1": {Latitude: 52, Longitude: 0}, "AA2": {Latitude: 53, Longitude: 0}, "AA3": {Latitude: 53.01, Longitude: 0.01}, "AA4": {Latitude: 52, Longitude: -1}}
	m := drawMap(context.Background(), "AA1", found, where)
	if m == nil || len(m.Places) != 3 {
		t.Fatalf("%+v", m)
	}
	for i, want := range []struct {
		number string
		toward int
	}{{"1", -1}, {"2", 0}, {"2", 0}, {"3", 6}, {"", -1}} {
		to, ok := m.toward[found[i].Outward]
		if !ok {
			to = -1
		}
		if n := m.numberOf(found[i]); n != want.number || to != want.toward {
			t.Errorf("%s is number %q, toward %d", found[i].ID, n, to)
		}
	}
	if p := m.Places[0]; p.X != "160.0" || p.Y != "160.0" {
		t.Errorf("who is where the patient lives is at %+v", p)
	}
	if p := m.Places[1]; p.X != "160.0" || !strings.HasPrefix(p.Y, "24.") && !strings.HasPrefix(p.Y, "25.") {
		t.Errorf("the north is at %+v", p)
	}
	if len(m.Rings) < 2 || len(m.Rings) > 4 {
		t.Errorf("%d rings", len(m.Rings))
	}
	if drawMap(context.Background(), "ZZ9", found, where) != nil {
		t.Error("a map of nobody knows where")
	}
}
