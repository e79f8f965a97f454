package admin_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/signin/admin"
)

// TestDaysAreThoseOfTheUnitedKingdom: a first day begins and a last day ends at midnight there, in summer too, and on the days of 23 and 25 hours.
func TestDaysAreThoseOfTheUnitedKingdom(t *testing.T) {
	for day, want := range map[string][2]string{
		"2027-01-31": {"2027-01-31T00:00:00Z", "2027-02-01T00:00:00Z"},
		"2027-06-30": {"2027-06-29T23:00:00Z", "2027-06-30T23:00:00Z"},
		"2027-03-27": {"2027-03-27T00:00:00Z", "2027-03-28T00:00:00Z"},
		"2027-03-28": {"2027-03-28T00:00:00Z", "2027-03-28T23:00:00Z"},
		"2027-10-31": {"2027-10-30T23:00:00Z", "2027-11-01T00:00:00Z"},
	} {
		begins, err := admin.ReadDay(day)
		if err != nil {
			t.Fatal(err)
		}
		ends := admin.EndOf(begins)
		if b, e := begins.UTC().Format(time.RFC3339), ends.UTC().Format(time.RFC3339); b != want[0] || e != want[1] {
			t.Errorf("%s is from %s to %s", day, b, e)
		}
		if got := admin.Written(admin.LastDay(ends.UTC())); got != day {
			t.Errorf("%s is shown as %s", day, got)
		}
		if got := admin.Written(begins.UTC()); got != day {
			t.Errorf("%s is written as %s", day, got)
		}
	}
	if !admin.LastDay(time.Time{}).IsZero() || admin.Written(time.Time{}) != "" {
		t.Error("no day is a day")
	}
}

// FuzzReadUsers: whatever a file holds, each line of it is somebody who holds together or says what is wrong; nobody is there twice; and what was
// read, written again, is read as the same.
func FuzzReadUsers(f *testing.F) {
	f.Add("id,name,role,organisation,job,joins,leaves\nann,Ann Quist,clinician,A99901,R8000,2027-03-28,2027-10-31\n")
	f.Add("\ufeffID , name,role,patient,proofed\r\npat,\"Marsh, Helena\",patient,9990000018,P9\r\npat,x,patient,1,\r\n")
	f.Add("id,name,role\na,\"b\nc,d\ne,f,clerk")
	f.Add("id,name,role,role\n")
	f.Fuzz(func(t *testing.T, file string) {
		rows, err := admin.ReadUsers(strings.NewReader(file))
		if err != nil {
			if len(rows) > 0 {
				t.Fatal("a file that is refused has lines")
			}
			return
		}
		var again bytes.Buffer
		w := csv.NewWriter(&again)
		write := func(record []string) {
			if err := w.Write(record); err != nil {
				t.Fatal(err)
			}
		}
		write(admin.Columns())
		var good []access.Member
		seen := map[string]bool{}
		for _, r := range rows {
			if r.Err != nil {
				continue
			}
			m := r.Member
			if err := m.Check(); err != nil || seen[m.ID] || r.Line < 2 {
				t.Fatalf("line %d: %+v, %v, twice %v", r.Line, m, err, seen[m.ID])
			}
			seen[m.ID] = true
			good = append(good, m)
			write([]string{m.ID, m.Name, string(m.Role), m.Organisation.String(), m.Job, m.Person, m.Proofed, admin.Written(m.Joined), admin.Written(admin.LastDay(m.Leaves)), admin.Written(m.Review)})
		}
		w.Flush()
		back, err := admin.ReadUsers(&again)
		if err != nil || len(back) != len(good) {
			t.Fatalf("%d people came back as %d: %v\n%s", len(good), len(back), err, again.String())
		}
		for i, r := range back {
			m, was := r.Member, good[i]
			if r.Err != nil || m.ID != was.ID || m.Name != was.Name || m.Role != was.Role || m.Organisation != was.Organisation || m.Person != was.Person || m.Job != was.Job ||
				!m.Joined.Equal(was.Joined) || !m.Leaves.Equal(was.Leaves) || !m.Review.Equal(was.Review) {
				t.Fatalf("%+v came back as %+v: %v", was, m, r.Err)
			}
		}
	})
}
