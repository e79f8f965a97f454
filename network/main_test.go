package network_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when something that a test began goes on after it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
