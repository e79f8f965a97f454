package node

import (
	"context"
	"syscall"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
)

// A full disk would stop reading too, because what is shown must first be on the account. So the node stops changing things while
// there is still room for the account: below reserveBytes changes are refused with fault.Full, and reads go on.
const (
	reserveBytes = 128 << 20
	spaceEvery   = 2 * time.Second
)

// freeSpace is how many bytes whoever runs the node may still write below dir.
func freeSpace(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:gosec,unconvert // the types differ between systems; no disk holds 2^63 bytes
}

// watchSpace looks at the disk until ctx ends.
func (n *Node) watchSpace(ctx context.Context) error {
	for {
		n.lookAtSpace()
		select {
		case <-ctx.Done():
			return nil
		case <-n.clock.After(spaceEvery):
		}
	}
}

// lookAtSpace notes whether the disk is nearly full, and says so in the log when that changes.
func (n *Node) lookAtSpace() {
	free, err := n.space()
	if err != nil {
		n.log.Warn("the disk's free space cannot be told", "cause", err)
		return
	}
	low := free < n.reserve
	if n.low.Swap(low) == low {
		return
	}
	if low {
		n.log.Error("the disk is nearly full: changes are refused and reading goes on; make room", "free", free)
		return
	}
	n.log.Warn("there is room on the disk again: changes are taken", "free", free)
}

// room refuses a route that changes things while the disk is nearly full.
func (n *Node) room(rt catalogue.Route) error {
	if rt.Changes() && n.low.Load() {
		return fault.New(fault.Full, "The disk is nearly full: nothing can be changed until there is room; reading goes on.")
	}
	return nil
}
