package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/store"
)

// ErrKilled is what a step gives to end the process there.
var ErrKilled = errKilled

// AtStep has step called at each step of archiving; what it gives ends the archiving.
func (l *Log) AtStep(step func(name string) error) { l.stepped = step }

// Small makes blocks, files and commits of archiving hold no more than a few entries.
func (l *Log) Small(block, file, moved int) { l.sizes = sizes{block, file, moved} }

// SampleLeaf is a leaf as the log holds it.
func SampleLeaf() []byte {
	k := keys{secret: make([]byte, 32)}
	return k.sealer(0).build("life", 1, []Entry{{Seq: 1, Action: "read"}, {Seq: 2, Action: "search"}}).marshal()
}

// RoundTripLeaf reads a leaf and writes it again.
func RoundTripLeaf(b []byte) ([]byte, error) {
	f, err := parseLeaf(b)
	if err != nil {
		return nil, err
	}
	return f.marshal(), nil
}

// SampleArchive is an archive file of some entries.
func SampleArchive(dir string, entries []Entry) ([]byte, error) {
	path := filepath.Join(dir, "sample")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	w, err := newArchiveWriter(f, keys{secret: make([]byte, 32)}, 3)
	for i := range entries {
		if err == nil {
			err = w.batch(store.Lane(entries[i].Lane), sealedBatch{int64(i + 1), entries[i].Seq, entries[i].Seq, int64(i)}, entries[i:i+1])
		}
	}
	if err == nil {
		_, _, err = w.finish()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// ReadArchive reads an archive file whole.
func ReadArchive(b []byte) (entries []Entry, err error) {
	z, err := newArchiveDecoder()
	if err != nil {
		return nil, err
	}
	defer z.Close()
	a, err := readArchive(bytes.NewReader(b), int64(len(b)), z)
	if err != nil {
		return nil, err
	}
	for n := range a.blocks {
		k, _, err := a.block(bytes.NewReader(b), n, z)
		if err != nil {
			return nil, err
		}
		if _, err := a.mayHold(bytes.NewReader(b), n, k.charts); err != nil {
			return nil, err
		}
		for i := range k.seqs {
			entries = append(entries, k.entry(i))
		}
	}
	return entries, nil
}

// ReadArchiveIndex reads the index of an archive, past what guards it, for files that end at end.
func ReadArchiveIndex(b []byte, end int64) error {
	_, err := parseIndex(b, nil, end)
	return err
}

// ReadBlock reads the sections of a block with n entries, past what guards them.
func ReadBlock(charts, columns, ids []byte, n int) (entries []Entry, err error) {
	z, err := newArchiveDecoder()
	if err != nil {
		return nil, err
	}
	defer z.Close()
	e, err := zstd.NewWriter(nil)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	k := &block{actors: make([]actorWords, 2), acts: make([]actWords, 2), uuids: ids}
	if k.charts, err = readCharts(z, e.EncodeAll(charts, nil)); err != nil {
		return nil, err
	}
	if err := k.readColumns(z, e.EncodeAll(columns, nil), n); err != nil {
		return nil, err
	}
	for i := range k.seqs {
		entries = append(entries, k.entry(i))
	}
	return entries, nil
}
