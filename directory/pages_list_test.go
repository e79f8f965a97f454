package directory_test

import (
	"encoding/csv"
	"slices"
	"strings"
	"testing"
)

// given a hospital with services; when somebody sorts, pages and exports that list, then the address says which, and the file holds all of it.
func TestAListOfAnOrganisationIsSortedPagedAndExported(t *testing.T) {
	t.Parallel()
	w := country.Given(t)
	clerk := w.SignedIn(t, "clerk")
	names := func(query string) (list []string) {
		t.Helper()
		file := clerk.Get("/directory/RZZ02?list=services&format=csv" + query)
		file.Sees(200)
		rows, err := csv.NewReader(strings.NewReader(file.Body)).ReadAll()
		if err != nil || len(rows) < 3 || len(rows[0]) != 5 {
			t.Fatalf("%v: %q", err, file.Body)
		}
		for _, r := range rows[1:] {
			list = append(list, r[0])
		}
		return list
	}
	up, down := names("&sort=name"), names("&sort=-name")
	folded := func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }
	if !slices.IsSortedFunc(up, folded) || folded(up[0], down[len(down)-1]) != 0 || folded(up[0], up[len(up)-1]) == 0 {
		t.Errorf("ascending %q, descending %q", up, down)
	}

	page := clerk.Get("/directory/RZZ02?list=services&sort=name&after=1")
	page.Sees(200, "Services", up[1], "Previous")
	if strings.Contains(page.Body, "Roles</") || strings.Count(page.Body, "<tr ") != len(up) {
		t.Errorf("more or less than the services after the first:\n%s", page.Text())
	}
	whole := clerk.Get("/directory/RZZ02")
	for _, link := range []string{"?list=services&amp;sort=name", "?format=csv&amp;list=people", "?list=roles&amp;sort=from"} {
		if !strings.Contains(whole.Body, link) {
			t.Errorf("the page has no %s", link)
		}
	}
	clerk.Get("/directory/RZZ02?list=roles&sort=-from").Sees(200, "Eastwold Royal Infirmary")
	clerk.Get("/directory/RZZ02?list=nothing").Sees(404, "no such list")
	clerk.Get("/directory/RZZ02?list=services&sort=eligibility").Sees(400)
	clerk.Get("/directory/RZZ02?list=services&after=x").Sees(400)
}
