package web_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/web"
)

// TestPagesOfAListThatChanges turns the pages of a list forth and back while rows leave it: nobody is missed, and nobody comes twice.
func TestPagesOfAListThatChanges(t *testing.T) {
	list := strings.Split("abcdefghijklmnopqrstuvwxyz", "")
	at := func(query string) web.TableState {
		s, err := web.ReadTableState(httptest.NewRequest("GET", "/list?"+query, nil), "letter", "other")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	page := func(query string) (rows []string, previous, next string) {
		t.Helper()
		return web.PageOf(at(query), list, 10, func(s string) string { return s })
	}
	rows, previous, next := page("")
	if strings.Join(rows, "") != "abcdefghij" || previous != "" || next == "" {
		t.Fatalf("first: %v %q %q", rows, previous, next)
	}
	second := next
	rows, previous, next = page("after=" + second)
	if strings.Join(rows, "") != "klmnopqrst" || previous == "" || next == "" {
		t.Fatalf("second: %v %q %q", rows, previous, next)
	}
	if back, _, _ := page("before=" + previous); strings.Join(back, "") != "abcdefghij" {
		t.Errorf("back: %v", back)
	}
	if last, _, none := page("after=" + next); strings.Join(last, "") != "uvwxyz" || none != "" {
		t.Errorf("last: %v %q", last, none)
	}
	list = slices.DeleteFunc(list, func(s string) bool { return s == "b" || s == "c" })
	if rows, _, _ := page("after=" + second); rows[0] != "k" {
		t.Errorf("after two rows of the first page have gone, the second begins with %q", rows[0])
	}
	list = slices.DeleteFunc(list, func(s string) bool { return s == "j" })
	if rows, _, _ := page("after=" + second); rows[0] != "k" {
		t.Errorf("after the last row of the first page has gone, too, the second is %v", rows)
	}
	for _, wild := range []string{"after=999.zz", "after=-5.zz", "before=x", "before=999999999999999999999.a", "after=."} {
		if rows, _, _ := page(wild); len(rows) != 10 {
			t.Errorf("%s: %v", wild, rows)
		}
	}
	list = nil
	if rows, previous, next := page("after=" + second); len(rows) != 0 || previous != "" || next != "" {
		t.Errorf("of nothing: %v %q %q", rows, previous, next)
	}

	words := []string{"c", "B", "a"}
	compare := map[string]func(a, b string) int{"other": web.ByText(func(s string) string { return s })}
	for query, want := range map[string]string{"": "cBa", "sort=-letter": "aBc", "sort=other": "aBc", "sort=-other": "cBa"} {
		got := slices.Clone(words)
		if web.Ordered(at(query), got, compare); strings.Join(got, "") != want {
			t.Errorf("%q: %v", query, got)
		}
	}
	if s := at("after=9.j.i&sort=-other&show=all"); s.Here() != "/list?after=9.j.i&show=all&sort=-other" {
		t.Errorf("here: %s", s.Here())
	}
}
