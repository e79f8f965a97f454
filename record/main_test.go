package record_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets property tests run 25 cases each, and fewer when -short: on two engines a hundred take minutes. More with -rapid.checks.
func TestMain(m *testing.M) {
	checks := flag.Lookup("rapid.checks")
	flag.Parse()
	if checks.Value.String() == checks.DefValue {
		n := "25"
		if testing.Short() {
			n = "8"
		}
		if err := flag.Set("rapid.checks", n); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
