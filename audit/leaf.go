package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strconv"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// maxBatch is how many entries one leaf seals: their prints must fit a log entry (64 KiB, C2SP tlog-tiles).
const maxBatch = 4096

// printSize is how many bytes of a row's hash the leaf keeps, so that a row that was tampered with can be named.
// The root keeps all of it.
const printSize = 8

// leaf is what the log holds of one batch. It tells nothing about anyone: every hash in it is salted with a secret.
type leaf struct {
	incarnation string
	lane        store.Lane
	batch       int64
	first, last int64
	root        []byte // 32 bytes
	prints      []byte // printSize for each row, in order of sequence
}

const leafHead = "openspine audit batch 1"

// marshal writes the leaf as five lines of text.
func (f leaf) marshal() []byte {
	return fmt.Appendf(nil, "%s\n%s\n%d %d %d %d\n%s\n%s\n", leafHead, f.incarnation, f.lane, f.batch, f.first, f.last,
		base64.StdEncoding.EncodeToString(f.root), base64.StdEncoding.EncodeToString(f.prints))
}

// parseLeaf reads what marshal wrote, strictly: what it accepts, marshal writes the same again.
func parseLeaf(b []byte) (leaf, error) {
	bad := fault.New(fault.Invalid, "a leaf of the audit log cannot be read")
	lines := bytes.Split(b, []byte("\n"))
	if len(lines) != 6 || string(lines[0]) != leafHead || len(lines[5]) != 0 {
		return leaf{}, bad
	}
	numbers := bytes.Split(lines[2], []byte(" "))
	if len(numbers) != 4 {
		return leaf{}, bad
	}
	var n [4]int64
	for i, text := range numbers {
		v, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil || v < 0 {
			return leaf{}, bad
		}
		n[i] = v
	}
	f := leaf{incarnation: string(lines[1]), lane: store.Lane(n[0]), batch: n[1], first: n[2], last: n[3]}
	var err1, err2 error
	f.root, err1 = base64.StdEncoding.Strict().DecodeString(string(lines[3]))
	f.prints, err2 = base64.StdEncoding.Strict().DecodeString(string(lines[4]))
	rows := f.last - f.first + 1
	if err1 != nil || err2 != nil || n[0] > 1<<30 || len(f.root) != sha256.Size || f.first < 1 || rows < 1 || rows > maxBatch || int64(len(f.prints)) != rows*printSize {
		return leaf{}, bad
	}
	if !bytes.Equal(f.marshal(), b) {
		return leaf{}, bad
	}
	return f, nil
}

// print is the mark of the row with sequence seq.
func (f leaf) print(seq int64) [printSize]byte {
	return [printSize]byte(f.prints[(seq-f.first)*printSize:])
}

// sealer hashes the rows of one lane.
type sealer struct {
	lane    store.Lane
	laneKey []byte
	secret  []byte
	row     hash.Hash // with laneKey
	buf     []byte
}

func (k keys) sealer(lane store.Lane) *sealer {
	laneKey := salted(k.secret, fmt.Appendf(nil, "lane %d", lane))
	return &sealer{lane: lane, secret: k.secret, laneKey: laneKey, row: hmac.New(sha256.New, laneKey)}
}

func salted(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message) // a hash never fails
	return h.Sum(nil)
}

// rowHash covers all that an entry says but its place in the lane, so that a row that was moved is known again.
func (s *sealer) rowHash(e Entry) []byte {
	b := binary.BigEndian.AppendUint64(s.buf[:0], uint64(e.At.UnixMicro()))
	for _, text := range [...]string{e.Tenant.String(), e.Chart, e.Actor, e.ActorName, e.Role, e.Organisation.String(),
		e.Action, e.Purpose, e.Basis, e.Outcome, e.Detail, e.RequestID} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	s.buf = b
	s.row.Reset()
	s.row.Write(b) // a hash never fails
	return s.row.Sum(nil)
}

// build makes the leaf of a batch; rows follow one another without a gap.
func (s *sealer) build(incarnation string, batch int64, rows []Entry) leaf {
	f := leaf{incarnation: incarnation, lane: s.lane, batch: batch, first: rows[0].Seq, last: rows[len(rows)-1].Seq}
	f.prints = make([]byte, 0, len(rows)*printSize)
	hashes := make([][]byte, len(rows))
	for i, e := range rows {
		hashes[i] = s.rowHash(e)
		f.prints = append(f.prints, hashes[i][:printSize]...)
	}
	f.root = s.root(batch, f.first, hashes)
	return f
}

// root is the Merkle root (RFC 6962) over the rows' hashes, salted for the batch and bound to their sequences.
func (s *sealer) root(batch, first int64, hashes [][]byte) []byte {
	salt := salted(s.secret, fmt.Appendf(nil, "lane %d batch %d", s.lane, batch))
	tree := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	b := slices.Clone(salt)
	for i, h := range hashes {
		b = append(binary.BigEndian.AppendUint64(b[:len(salt)], uint64(first+int64(i))), h...)
		if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(b), nil); err != nil {
			panic(err) // a range that begins at 0 can always grow
		}
	}
	root, err := tree.GetRootHash(nil)
	if err != nil {
		panic(err)
	}
	return root
}
