package demographics_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/store"
)

func TestWhatHappensToAPersonIsAnEvent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.load(person("9990000018", "Marsh", "Ada", "1980-01-02")) // a load is none
		c := w.worker()
		c.patch("9990000018", `{"op":"add","path":"/generalPractitioner/-","value":{"type":"Organization","identifier":{"value":"A20047"}}}`).want(200)
		c.patch("9990000018", `{"op":"add","path":"/extension/-","value":`+deathNotice("1")+`},{"op":"add","path":"/deceasedDateTime","value":"2026-01-10"}`).want(200)
		c.patch("9990000018", `{"op":"replace","path":"/gender","value":"other"}`).want(400)
		sister := `{"resourceType":"RelatedPerson","id":"r1","patient":{"reference":"Patient/9990000018"},"name":[{"family":"%s"}]}`
		w.load(fmt.Appendf(nil, sister, "Marsh"))
		w.load(fmt.Appendf(nil, sister, "Reed"))
		w.load([]byte(`{"resourceType":"Patient","id":"9990000018","birthDate":"1980-01-02","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"REDACTED"}]}}`))
		db := w.node.Kernel().DB
		lane := db.LaneOf(national.String(), "9990000018")
		var got []string
		if err := db.Read(t.Context(), func(tx *store.Tx) error {
			got = nil
			list, err := demographics.Events(tx, lane, 0, 10)
			for _, e := range list {
				got = append(got, fmt.Sprint(e.Kind, " ", e.Version))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		want := []string{"pds-change-of-gp-2 2", "pds-record-change-2 2", "pds-death-notification-2 3", "pds-record-change-2 3", "pds-record-change-2 0",
			"nhs-number-change-2 4", "pds-change-of-gp-2 4", "pds-record-change-2 4"}
		if !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
	})
}
