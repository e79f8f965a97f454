package directory_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/internal/spectest"
)

func TestTheWholePublishedFileIsRead(t *testing.T) {
	text, err := os.Open(filepath.Join(spectest.Dir(t, "ods"), "epraccur.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	report, err := directory.ReportOf("/tmp/epraccur.csv")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	rows, refused, err := directory.ReadODS(text, report)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows in %s", len(rows), time.Since(start))
	for _, r := range refused {
		t.Errorf("refused: %+v", r)
	}
	active, gp := 0, 0
	for _, r := range rows {
		if r.Organisation.Active() {
			active++
			if r.Organisation.Has("RO76") {
				gp++
			}
		}
	}
	if len(rows) != 14303 || active != 11482 || gp != 6872 {
		t.Errorf("%d rows, %d active, %d of them GP practices; published are 14303, 11482 and 6872", len(rows), active, gp)
	}
}
