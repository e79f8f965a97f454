package edge_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

// taker takes FHIR messages of one event at the national node: each into a row, by its id.
func taker() catalogue.Messaged {
	return catalogue.Messaged{Event: "urn:x:letter", Take: func(_ context.Context, m catalogue.FHIRMessage) (catalogue.Effect, error) {
		return catalogue.Effect{Lanes: []store.Lane{0}, Do: func(_ context.Context, tx *store.Tx) ([]fhir.Value, error) {
			_, err := tx.Exec(`INSERT INTO results_taken (lane, id, size, body) VALUES (0, ?, 0, ?)`, m.ID, m.From.Organisation.String())
			return nil, err
		}}, nil
	}}
}

// sends posts a FHIR message to the gateway as the site's own system does.
func (w *world) sends(token, id, event string) (status int, body string) {
	w.t.Helper()
	text := fmt.Sprintf(`{"resourceType":"Bundle","id":"b-%s","type":"message","timestamp":"2026-02-03T04:05:06Z","entry":[
		{"fullUrl":"urn:uuid:0f7c6c9e-0000-4000-8000-000000000001","resource":{"resourceType":"MessageHeader","id":"%s","eventUri":"%s","source":{"name":"ward system","endpoint":"https://ward.example.org/fhir"},
			"destination":[{"endpoint":"https://spine.example.org","receiver":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"X26"}}}],
			"focus":[{"reference":"urn:uuid:0f7c6c9e-0000-4000-8000-000000000002"}]}},
		{"fullUrl":"urn:uuid:0f7c6c9e-0000-4000-8000-000000000002","resource":{"resourceType":"Patient","name":[{"family":"Núñez"}]}}]}`, id, id, event)
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.edge.URL()+"/o/"+site.String()+"/FHIR/R4/$process-message", bytes.NewReader([]byte(text)))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Prefer", "wait=0")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// A site's system posts FHIR messages to the gateway while the link is cut: they are kept, go when it is back, and the same message again says what became of it.
func TestFHIRMessagesOfTheLocalSystemAreKeptUntilTheLinkIsBack(t *testing.T) {
	t.Parallel()
	w := given(t)
	token, err := w.edge.Kernel().Issuer.Mint(access.Principal{ID: "ward-system", Name: "A ward's system", Role: access.SystemClient, Organisation: site, Tenants: []ident.ODSCode{site}, Scopes: []string{"system/*.*"}}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	by, links := access.Service("test", nation), w.nation.Kernel().Network
	simtest.Eventually(t, func() bool { status, _ := w.sends(token, "first", "urn:x:letter"); return status == http.StatusOK })
	if err := links.CutLink(t.Context(), by, network.MustNodeID(site.String()), "a trial"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "a"} { // one is sent twice
		if status, body := w.sends(token, id, "urn:x:letter"); status != http.StatusAccepted {
			t.Fatalf("%s while the link is cut: %d %s", id, status, body)
		}
	}
	if status, body := w.sends(token, "strange", "urn:x:nobody-knows"); status != http.StatusAccepted {
		t.Fatalf("while the link is cut: %d %s", status, body)
	}
	if err := links.HealLink(t.Context(), by, network.MustNodeID(site.String()), "the trial is over"); err != nil {
		t.Fatal(err)
	}
	for id, code := range map[string]string{"a": `"ok"`, "b": `"ok"`, "strange": `"fatal-error"`} {
		event := "urn:x:letter"
		if id == "strange" {
			event = "urn:x:nobody-knows"
		}
		var status int
		var body string
		simtest.Eventually(t, func() bool { status, body = w.sends(token, id, event); return status == http.StatusOK })
		if !strings.Contains(body, `"identifier":"`+id+`"`) || !strings.Contains(body, `"code":`+code) {
			t.Errorf("%s is answered %s", id, body)
		}
	}
	var ids []string
	err = w.nation.Kernel().DB.Read(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT id, body FROM results_taken WHERE lane = 0 ORDER BY id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, from string
			if err := rows.Scan(&id, &from); err != nil {
				return err
			}
			ids = append(ids, id+" of "+from)
		}
		return rows.Err()
	})
	if err != nil || strings.Join(ids, ", ") != "a of RQX01, b of RQX01, first of RQX01" {
		t.Errorf("taken at the spine: %v (%v)", ids, err)
	}
}
