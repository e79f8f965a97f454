package record

import (
	_ "embed"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/fault"
)

//go:generate go run dictionary/train.go -out dictionary/1.dict -id 1

//go:embed dictionary/1.dict
var dictionaryOne []byte

// maxBody bounds what a stored body may inflate to, in bytes: a damaged row must not exhaust memory.
const maxBody = 64 << 20

// plain marks a body that is stored as it came, because compression would not have made it shorter.
const plain = 0

// current is the dictionary that new bodies are written with. Older numbers stay readable for ever.
const current = 1

// Dictionary is what bodies are compressed with now, for whoever measures what reading them takes.
func Dictionary() []byte { return slices.Clone(dictionaryOne) }

// bodies packs and unpacks the JSON of versions. A body is kept exactly as it was PUT; it is safe for
// concurrent use and keeps a pool of coders.
type bodies struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newBodies() (*bodies, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderDict(dictionaryOne), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the encoder of bodies")
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderDicts(dictionaryOne), zstd.WithDecoderMaxMemory(maxBody),
		zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the decoder of bodies")
	}
	return &bodies{enc: enc, dec: dec}, nil
}

// pack compresses body and says which dictionary it used.
func (b *bodies) pack(body []byte) (dict int64, packed []byte) {
	packed = b.enc.EncodeAll(body, make([]byte, 0, len(body)/3+64))
	if len(packed) >= len(body) {
		return plain, append([]byte(nil), body...)
	}
	return current, packed
}

// unpack gives back the bytes that pack was given. A body that does not inflate is a damaged store.
func (b *bodies) unpack(dict int64, packed []byte) ([]byte, error) {
	switch dict {
	case plain:
		return packed, nil
	case current:
		body, err := b.dec.DecodeAll(packed, make([]byte, 0, 4*len(packed)))
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a stored body does not inflate")
		}
		return body, nil
	}
	return nil, fault.New(fault.Internal, "a stored body names dictionary %d, which this program does not hold", dict)
}

func (b *bodies) close() {
	b.dec.Close()
}
