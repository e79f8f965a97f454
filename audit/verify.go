package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// What Verify can find.
const (
	Changed   = "changed"    // a row says something else than when it was sealed
	Removed   = "removed"    // a row is gone
	Inserted  = "inserted"   // a row is there that was never sealed in its place
	BackDated = "back-dated" // a row claims an instant that its neighbours exclude
	SealBad   = "seal"       // a seal row was changed or removed
	LogBad    = "log"        // the log itself, or its signed checkpoint, does not hold together
	FileBad   = "archive"    // a file of archived entries is missing or was changed
)

// maxFindings bounds a report; a database that was wholly rewritten needs no longer list.
const maxFindings = 1000

// Finding is one thing that somebody did to the account.
type Finding struct {
	Kind  string
	Lane  int32
	Row   bool // it is about one row, Seq; otherwise about a batch, or about the log
	Seq   int64
	Batch int64     // 0 for a row that is not sealed
	File  string    // the archive that it is about, or that holds the row; "" for the database
	At    time.Time // as the row now says; zero when it is gone
	What  string    // in words, without any person's identifier
}

// String is the finding as one line.
func (f Finding) String() string {
	where := "the log"
	switch {
	case f.Row:
		where = fmt.Sprintf("entry %d of lane %d", f.Seq, f.Lane)
	case f.Batch != 0:
		where = fmt.Sprintf("batch %d of lane %d", f.Batch, f.Lane)
	case f.File != "":
		return fmt.Sprintf("%s: %s: %s", f.Kind, f.File, f.What)
	}
	if f.File != "" {
		where += " (" + f.File + ")"
	}
	return fmt.Sprintf("%s: %s: %s", f.Kind, where, f.What)
}

// Report is what Verify found.
type Report struct {
	Lanes, Batches, Entries int64 // that are sealed and were checked
	Unsealed                int64 // entries that wait for their seal
	LogSize                 int64
	Archived                int64    // of Entries, those that are in archives
	Archives                int64    // files
	Strays                  []string // files beside the archives that none of them is: left over, or put there by somebody; they are not read
	Lost                    int64    // sealed batches of a life of the database that a restore from a backup ended
	Findings                []Finding
	More                    bool // there are more findings than are listed
}

// OK reports whether the account is as it was written.
func (r Report) OK() bool { return len(r.Findings) == 0 }

// String is the report for a person: a verdict, the counts, a line for each finding.
func (r Report) String() string {
	var b strings.Builder
	if r.OK() {
		b.WriteString("The account is as it was written.\n")
	} else {
		b.WriteString("THE ACCOUNT WAS TAMPERED WITH.\n")
	}
	fmt.Fprintf(&b, "%d entries in %d batches of %d lanes checked against a log of %d leaves; %d not sealed yet.\n", r.Entries, r.Batches, r.Lanes, r.LogSize, r.Unsealed)
	if r.Archives > 0 {
		fmt.Fprintf(&b, "%d of the entries are in %d archives, the others in the database.\n", r.Archived, r.Archives)
	}
	if len(r.Strays) > 0 {
		fmt.Fprintf(&b, "Not read, for they are none of the account's archives: %s.\n", strings.Join(r.Strays, ", "))
	}
	if r.Lost > 0 {
		fmt.Fprintf(&b, "%d sealed batches were lost when a backup was restored.\n", r.Lost)
	}
	for _, f := range r.Findings {
		b.WriteString(f.String() + "\n")
	}
	if r.More {
		b.WriteString("and more.\n")
	}
	return b.String()
}

func (r *Report) find(f Finding) {
	if len(r.Findings) >= maxFindings {
		r.More = true
		return
	}
	r.Findings = append(r.Findings, f)
}

// verifier is one run of Verify.
type verifier struct {
	log    *Log
	report Report
	leafCache
	heads  []head // of every leaf in the log, by index
	blocks blockCache
}

// head is a leaf without its hashes.
type head struct {
	index       uint64
	lane        store.Lane
	batch       int64
	first, last int64
	life        string
	bad         bool
}

// Verify checks the whole account: the checkpoint's signature, the log against it and against every checkpoint kept, each
// seal row against the log, and each sealed row against its leaf. It names what was changed, removed, inserted or back-dated,
// and counts what is not sealed yet, where only gaps and back-dating can be seen. It reads only; a node may run meanwhile.
// An error means that it could not be checked, not that it is wrong.
func (l *Log) Verify(ctx context.Context) (Report, error) {
	v := &verifier{log: l, leafCache: l.emptyLeafCache(), blocks: blockCache{log: l}}
	defer v.blocks.close()
	if err := v.checkLog(ctx); err != nil {
		return v.report, err
	}
	if err := v.checkArchives(ctx); err != nil {
		return v.report, err
	}
	var lanes []store.Lane
	err := l.db.ReadNow(ctx, func(tx *store.Tx) error {
		lanes = nil
		for _, table := range []string{"audit_entry", "audit_seal", "audit_archived"} {
			some, err := lanesOf(tx, table)
			if err != nil {
				return err
			}
			lanes = append(lanes, some...)
		}
		return nil
	})
	if err != nil {
		return v.report, err
	}
	for _, h := range v.heads {
		if !h.bad && h.life == l.db.Incarnation() {
			lanes = append(lanes, h.lane)
		}
	}
	slices.Sort(lanes)
	used := map[uint64]bool{}
	for _, lane := range slices.Compact(lanes) {
		if err := v.checkLane(ctx, lane, used); err != nil {
			return v.report, err
		}
	}
	for _, h := range v.heads {
		if !h.bad && !used[h.index] {
			v.report.Lost++
		}
	}
	return v.report, nil
}

// checkLog reads every leaf, rebuilds the tree, and compares it with the checkpoint and with those kept from before.
func (v *verifier) checkLog(ctx context.Context) error {
	kept, err := v.keptCheckpoints(ctx)
	if err != nil {
		return err
	}
	raw, err := v.files.ReadCheckpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		if len(kept) > 0 {
			v.report.find(Finding{Kind: LogBad, What: "the log is gone"})
		}
		return nil
	}
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the audit log's checkpoint cannot be read")
	}
	cp, _, _, err := log.ParseCheckpoint(raw, v.log.keys.verifier.Name(), v.log.keys.verifier)
	if err != nil {
		v.report.find(Finding{Kind: LogBad, What: "the checkpoint's signature does not hold"})
		return nil //nolint:nilerr // a bad signature is a finding, not a failure to look
	}
	v.size, v.report.LogSize = cp.Size, int64(cp.Size)
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	next := 0
	err = eachLeaf(ctx, v.files.ReadEntryBundle, 0, cp.Size, func(index uint64, raw []byte) error {
		if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(raw), nil); err != nil {
			return err
		}
		v.heads = append(v.heads, headOf(index, raw))
		for ; next < len(kept) && kept[next].Size == index+1; next++ {
			if err := v.sameRoot(tree, kept[next], "the log was rewritten since a checkpoint that it had signed"); err != nil {
				return err
			}
		}
		return nil
	})
	if fault.Is(err, fault.Unavailable) {
		v.report.find(Finding{Kind: LogBad, What: "leaves that the checkpoint counts cannot be read"})
		return nil
	}
	if err != nil {
		return err
	}
	if next < len(kept) {
		v.report.find(Finding{Kind: LogBad, What: "the log is shorter than a checkpoint that it had signed"})
	}
	if cp.Size == 0 {
		return nil
	}
	return v.sameRoot(tree, *cp, "the leaves are not those that the checkpoint signed")
}

func (v *verifier) sameRoot(tree *compact.Range, cp log.Checkpoint, otherwise string) error {
	root, err := tree.GetRootHash(nil)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "computing the log's root")
	}
	if !slices.Equal(root, cp.Hash) {
		v.report.find(Finding{Kind: LogBad, What: otherwise})
	}
	return nil
}

func headOf(index uint64, raw []byte) head {
	f, err := parseLeaf(raw)
	if err != nil {
		return head{index: index, bad: true}
	}
	return head{index: index, lane: f.lane, batch: f.batch, first: f.first, last: f.last, life: f.incarnation}
}

// keptCheckpoints are those kept in the database, by size.
func (v *verifier) keptCheckpoints(ctx context.Context) ([]log.Checkpoint, error) {
	var kept []log.Checkpoint
	err := v.log.db.ReadNow(ctx, func(tx *store.Tx) error {
		kept = nil
		rows, err := tx.Query(`SELECT note FROM audit_checkpoint WHERE lane = 0 ORDER BY size`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			cp, _, _, err := log.ParseCheckpoint([]byte(text), v.log.keys.verifier.Name(), v.log.keys.verifier)
			if err != nil {
				v.report.find(Finding{Kind: LogBad, What: "a checkpoint kept in the database was changed"})
				continue
			}
			if cp.Size > 0 {
				kept = append(kept, *cp)
			}
		}
		return rows.Err()
	})
	return kept, err
}

// leafCache reads leaves of the log as it was when it had size leaves; the bundle that holds one is kept, since neighbours are asked
// for next.
type leafCache struct {
	files  client.FileFetcher
	size   uint64
	bundle struct {
		index   uint64
		entries [][]byte
	}
}

func (l *Log) emptyLeafCache() leafCache {
	c := leafCache{files: client.FileFetcher{Root: l.logDir()}}
	c.bundle.index = ^uint64(0)
	return c
}

// newLeafCache reads leaves of the log as it is.
func (l *Log) newLeafCache(ctx context.Context) (*leafCache, error) {
	c := l.emptyLeafCache()
	raw, err := c.files.ReadCheckpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return &c, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the audit log's checkpoint cannot be read")
	}
	size, err := checkpointSize(raw)
	c.size = uint64(size)
	return &c, err
}

func (c *leafCache) at(ctx context.Context, index uint64) (leaf, error) {
	if c.bundle.index != index/256 {
		b, err := client.GetEntryBundle(ctx, c.files.ReadEntryBundle, index/256, c.size)
		if err != nil {
			return leaf{}, fault.Wrap(err, fault.Unavailable, "the audit log's leaf %d cannot be read", index)
		}
		c.bundle.index, c.bundle.entries = index/256, b.Entries
	}
	return parseLeaf(c.bundle.entries[index%256])
}

func checkpointSize(raw []byte) (int64, error) {
	var cp log.Checkpoint
	if _, err := cp.Unmarshal(raw); err != nil {
		return 0, fault.Wrap(err, fault.Internal, "the audit log's checkpoint cannot be read")
	}
	return int64(cp.Size), nil
}

// Unsealed is how many entries wait for their seal.
func (l *Log) Unsealed(ctx context.Context) (int64, error) {
	var n int64
	err := l.db.ReadNow(ctx, func(tx *store.Tx) error {
		n = 0
		lanes, err := lanesOf(tx, "audit_entry")
		if err != nil {
			return err
		}
		for _, lane := range lanes {
			var some int64
			if err := tx.QueryRow(`SELECT count(*) FROM audit_entry WHERE lane = ? AND seq > coalesce(
				(SELECT last_seq FROM audit_seal WHERE lane = ? ORDER BY batch DESC LIMIT 1), 0)`, int64(lane), int64(lane)).Scan(&some); err != nil {
				return err
			}
			n += some
		}
		return nil
	})
	return n, err
}
