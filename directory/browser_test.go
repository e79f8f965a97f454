package directory_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/webtest"
)

var country = simtest.Share("directory-pages", nil)

func TestMain(m *testing.M) { country.Main(m) }

// given a clerk who looks for the hospital; when she types, then the list follows, and leads to the organisation and its services.
func TestAClerkFindsAnOrganisationAsSheTypes(t *testing.T) {
	t.Parallel()
	w := country.Given(t)
	b := webtest.NewBrowser(t)
	p := b.Open(t, w.URL+"/directory", webtest.Cookie("openspine", w.SignedIn(t, "clerk").Cookie()))
	p.Sees("Find an organisation", "Larch Street Surgery")
	p.Type("#q", "gen fen")
	p.Wait(`document.querySelectorAll("#organisations tbody tr").length === 1`)
	p.Sees("Fenmarket General Hospital")
	p.Click("#organisations tbody a")
	p.Wait(`location.pathname === "/directory/RZZ01" && document.readyState === "complete"`) // the list may be drawn once more before the click leads on
	p.Sees("Fenmarket General Hospital", "ODS code RZZ01", "NHS trust", "Outpatients", "Cardiology outpatients", "Accredited system", "Clinical Practitioner Access Role", "Female; Aged 16 and over")
}

// Each page of the directory, at a desk, on a phone and without scripts.
func TestEachPageOfTheDirectory(t *testing.T) {
	t.Parallel()
	w := country.Given(t)
	clerk, admin := w.SignedIn(t, "clerk").Cookie(), w.SignedIn(t, "admin").Cookie()
	var visits []webtest.Visit
	for _, path := range []string{"/directory?q=fen&near=EW2", "/directory?q=nobody-is-called-so", "/directory/RZZ01", "/directory/services?near=FN2&age=40&sex=female", "/directory/services/RZZ01-gynaecology"} {
		visits = append(visits, webtest.Visit{User: "clerk", Path: path, Cookie: clerk, Walk: strings.Contains(path, "RZZ01")})
	}
	for _, path := range []string{"/directory/RZZ02", "/directory/keep/service/add?at=RZZ01", "/directory/keep/service/RZZ01-cardiology", "/directory/keep/service/RZZ01-cardiology/close",
		"/directory/keep/endpoint/RZZ01-endpoint", "/directory/keep/device/RZZ01-system", "/directory/keep/post/add?at=RZZ01", "/directory/keep/site/RZZ02", "/directory/keep/site/RZZ02/history", "/directory/import"} {
		visits = append(visits, webtest.Visit{User: "admin", Path: path, Cookie: admin, Walk: strings.HasSuffix(path, "cardiology")})
	}
	webtest.NewBrowser(t).EveryPage(t, w.URL, visits)
}

// given an administrator with a file; when she sends it, then she sees what would change, and only what she agrees to is written.
func TestAnAdministratorImportsAFile(t *testing.T) {
	t.Parallel()
	w := country.Given(t)
	file := filepath.Join(t.TempDir(), "epraccur.csv")
	text := line("1=Z99701", "2=NEW MILL SURGERY") + "\r\n" + line("1=Z99702", "12=soon") + "\r\n" + line("1=Z99802", "2=CANAL ROW PRACTICE", "12=20260531", "13=C", "17=20260531") + "\r\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := w.SignedIn(t, "admin")
	b := webtest.NewBrowser(t)
	p := b.Open(t, w.URL+"/directory/import", webtest.Cookie("openspine", admin.Cookie()))
	p.Sees("Import organisations")
	p.Healthy()
	p.Submit("main form button")
	p.Sees("Choose a file")
	p.Do(chromedp.SetUploadFiles("#file", []string{file}))
	p.Submit("main form button")
	p.Sees("What this file would change", "Write 2 changes", "line", "Column 12 is no date", "NEW MILL SURGERY")
	p.Healthy()
	p.Walk()
	p.Screenshot("directory-import.png")
	p.Submit("main form button")
	p.Sees("2 changes have been written")
	p.Go(w.URL + "/directory/Z99802")
	p.Sees("This organisation has closed", "31-May-2026")
	p.Healthy()
	p.Screenshot("directory-closed.png")

	admin.Get("/directory?q=mill&format=csv").Sees(200)
	if !strings.Contains(admin.Body, "Z99701,NEW MILL SURGERY") {
		t.Errorf("the export says %s", admin.Body)
	}
	if got := w.SignedIn(t, "clerk").Get("/directory/import").Status; got != 403 {
		t.Errorf("a clerk may import: %d", got)
	}
}

// what was agreed to is what is written: a file whose effect has changed since it was looked at is shown again.
func TestAnImportThatWouldNowDoOtherwiseIsShownAgain(t *testing.T) {
	t.Parallel()
	w := country.Given(t)
	admin := w.SignedIn(t, "admin")
	upload := func(text string) {
		t.Helper()
		admin.Get("/directory/import")
		token := admin.Form()
		admin.PostFile("/directory/import", token, "file", "epraccur.csv", []byte(text))
	}
	upload(line("1=Z99711"))
	first := admin.Form()
	at := admin.Link(`/directory/import/[a-z0-9]+\?[^"]*format=csv`)
	at, _, _ = strings.Cut(at, "?")
	upload(line("1=Z99711"))
	again, _, _ := strings.Cut(admin.Link(`/directory/import/[a-z0-9]+\?[^"]*format=csv`), "?")
	admin.Post(again, admin.Form()).Sees(200, "1 change has been written")
	admin.Post(at, first).Sees(409, "The directory has changed since you looked", "This file changes nothing")
	admin.Get("/directory/import/nothing").Sees(404, "not here any more")
}
