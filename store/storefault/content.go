package storefault

import (
	"math/rand/v2"
)

// content is a file: as its users see it, and as the disk would hold it were the power to go.
type content struct {
	now     []byte
	kept    []byte
	pending []change // since the last sync, in order
	durable bool     // the file's own existence
	locks   locks
}

// change is a write, or a truncation to off when data is nil.
type change struct {
	off  int64
	data []byte
}

const sector = 512

func (c change) apply(b []byte) []byte {
	if c.data == nil {
		if c.off <= int64(len(b)) {
			clear(b[c.off:])
			return b[:c.off]
		}
		return append(b, make([]byte, c.off-int64(len(b)))...)
	}
	if end := c.off + int64(len(c.data)); end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[c.off:], c.data)
	return b
}

// do makes a change that is not yet durable.
func (c *content) do(ch change) {
	c.now = ch.apply(c.now)
	c.pending = append(c.pending, ch)
}

// sync makes everything durable.
func (c *content) sync() {
	for _, ch := range c.pending {
		c.kept = ch.apply(c.kept)
	}
	c.pending, c.durable = nil, true
}

// crash leaves what survives a loss of power, and says how many changes did not.
func (c *content) crash(rng *rand.Rand) (lost int) {
	for _, ch := range c.pending {
		switch rng.IntN(4) {
		case 0, 1:
			lost++
			continue
		case 2:
			if torn := ch.tear(rng); torn != nil {
				lost++
				for _, part := range torn {
					c.kept = part.apply(c.kept)
				}
				continue
			}
		}
		c.kept = ch.apply(c.kept)
	}
	c.pending, c.durable = nil, true
	c.now = append([]byte(nil), c.kept...)
	c.locks = locks{}
	return lost
}

// tear is some of a write's sectors, or nil if it has but one.
func (c change) tear(rng *rand.Rand) []change {
	if len(c.data) <= sector {
		return nil
	}
	torn := []change{}
	for at := 0; at < len(c.data); at += sector {
		if rng.IntN(2) == 0 {
			torn = append(torn, change{c.off + int64(at), c.data[at:min(at+sector, len(c.data))]})
		}
	}
	return torn
}
