package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/internal/node"
)

func configured(t *testing.T, text string) (node.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return node.ReadConfig(path)
}

func TestLimitsAreReadFromTheConfiguration(t *testing.T) {
	c, err := configured(t, "limits:\n  body-bytes: 1KB\n  held-bytes: 64MB\n  answer-bytes: 4096\n  request: 5s\n  at-once: 7\n")
	if err != nil || c.Limits != (node.Limits{BodyBytes: 1 << 10, HeldBytes: 64 << 20, AnswerBytes: 4096, Request: 5 * time.Second, AtOnce: 7}) {
		t.Errorf("%+v (%v)", c.Limits, err)
	}
	for text, want := range map[string]string{
		"limits: {body: 5}":                          "limits: body is 5: a time is written as 10s or 2m",
		"limits: {body-bytes: 16 apples}":            "body-bytes is 16 apples: a size is written as",
		"limits: {body-bytes: 99999999GB}":           "a size is written as",
		"limits: {at-once: 0}":                       "a number from 1",
		"limits: {bodies: 5}":                        "limits: unknown setting bodies; there are: address-tries, answer-bytes, at-once,",
		"limits: {depth: 65}":                        "depth is from 16, which FHIR's own examples need, to 64",
		"limits: {depth: 15}":                        "depth is from 16",
		"limits: {search-time: 31s}":                 "search-time is more than request",
		"limits: {user-tries: -1}":                   "a number from 1",
		"limits: {drain: 1m}":                        "drain is at most 8s",
		"limits: {body-bytes: 2MB, held-bytes: 1MB}": "body-bytes is more than held-bytes",
		"limits: 12":                                 "limits must be settings",
	} {
		if _, err := configured(t, text+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", text, err, want)
		}
	}
}

// A node keeps to the limits of its configuration.
func TestAConfiguredLimitHolds(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Limits.BodyBytes = 600
	r := serve(t, cfg, node.Options{}).seed()
	big := strings.Replace(observation(ownNumber), `"status"`, `"language":"`+strings.Repeat("x", 700)+`","status"`, 1)
	r.call("POST", "/FHIR/R4/Observation", r.token("clinician"), big).want(t, 413)
}

// How deep a document may be is as the configuration says.
func TestAConfiguredDepthHolds(t *testing.T) {
	cfg := config(t.TempDir())
	cfg.Limits.Depth = 16
	r := serve(t, cfg, node.Options{}).seed()
	nested := func(levels int) string {
		return strings.Replace(observation(ownNumber), `"status"`, strings.Repeat(`"extension":[{"url":"urn:x",`, levels)+`"extension":[{"url":"urn:x","valueBoolean":true}]`+strings.Repeat(`}]`, levels)+`,"status"`, 1)
	}
	r.call("POST", "/FHIR/R4/Observation", r.token("clinician"), nested(5)).want(t, 201)
	r.call("POST", "/FHIR/R4/Observation", r.token("clinician"), nested(8)).want(t, 400)
}
