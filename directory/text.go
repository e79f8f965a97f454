package directory

import (
	"context"
	"strconv"

	"github.com/openspine/openspine/fault"
)

func itoa(n int) string { return strconv.Itoa(n) }

// knownKey refuses a key that was not given out here.
func (d *Directory) knownKey(context.Context, string) error {
	return fault.New(fault.Unauthenticated, "This key was not given out here.")
}
