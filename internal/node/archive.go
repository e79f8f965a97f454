package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/internal/catalogue"
)

// archiveEvery is how often the node looks whether a month of the account has become old enough to be archived.
const archiveEvery = 6 * time.Hour

// keepArchiving moves old months of the account into archives, as a job, until ctx ends.
func (n *Node) keepArchiving(ctx context.Context) error {
	if n.cfg.AccountMonths > 0 {
		n.repeat(ctx, "account/archive", catalogue.Job{Name: "archive", Every: archiveEvery, Run: n.archiveAccount})
	}
	return nil
}

// archiveAccount does nothing while the disk is nearly full: an archive is written before anything is freed.
func (n *Node) archiveAccount(ctx context.Context) error {
	if n.low.Load() {
		return nil
	}
	done, err := n.kernel.Audit.Archive(ctx, audit.FirstKept(n.clock.Now(), n.cfg.AccountMonths))
	if done.Entries > 0 || done.Held > 0 {
		n.log.LogAttrs(ctx, slog.LevelInfo, "old months of the account were archived", slog.Int64("entries", done.Entries), slog.Any("files", done.Files), slog.Int64("bytes", done.Bytes), slog.Int("lanes held back", done.Held))
	}
	return err
}

// kept is a figure of where the account's entries are, -1 when it cannot be asked.
func (n *Node) kept(figure func(audit.Kept) int64) float64 {
	k, err := n.kernel.Audit.Kept(context.Background())
	if err != nil {
		return -1
	}
	return float64(figure(k))
}
