package match

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// Keyer appends the keys under which a person is filed; two people who share a key are compared.
type Keyer func(p *Person, dst []Key) []Key

// Key is a hash of what a block has in common.
type Key uint64

// Keys files a person under what a second record of theirs would very likely have in common, each kind forgiving other errors:
// birth date and the sound of a name; names and part of the birth date; names and postcode; telephone numbers and e-mail.
func Keys(p *Person, dst []Key) []Key {
	from := len(dst)
	for _, n := range p.Names {
		given := canonical(first(n.Given))
		family := Sound(n.Family)
		if p.Birth.whole() {
			if n.Family != "" {
				dst = append(dst, key('b', uint64(p.Birth), family, ""))
			}
			if n.Given != "" {
				dst = append(dst, key('b', uint64(p.Birth), Sound(bare(first(n.Given))), ""), key('g', uint64(p.Birth), given, ""))
			}
		}
		if n.Family == "" || n.Given == "" {
			continue
		}
		if p.Birth != 0 {
			dst = append(dst, key('y', uint64(p.Birth.year()), n.Family, given))
		}
		if p.Birth.whole() {
			dst = append(dst, key('d', uint64(p.Birth.month()*100+p.Birth.day()), n.Family, given),
				key('d', uint64(p.Birth.day()*100+p.Birth.month()), n.Family, given))
		}
		for _, pl := range p.Places {
			if pl.Postcode != "" {
				dst = append(dst, key('p', uint64(n.Given[0]), family, pl.Postcode))
			}
		}
	}
	for _, n := range p.Numbers {
		dst = append(dst, key('n', 0, n, ""))
	}
	slices.Sort(dst[from:])
	return dst[:from+len(slices.Compact(dst[from:]))]
}

// seed is drawn at start: keys live as long as the process.
var seed = maphash.MakeSeed()

func key(kind byte, n uint64, a, b string) Key {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteByte(kind)
	maphash.WriteComparable(&h, n)
	h.WriteString(a)
	h.WriteByte(0)
	h.WriteString(b)
	return Key(h.Sum64())
}

// Index holds people in compact form, to be compared with one another block by block: about 250 bytes a person. Add is for one
// goroutine; Pairs may follow when all are in.
type Index struct {
	keyer   Keyer
	arena   []byte
	ends    []int
	keys    []Key
	keyEnds []int
	buffer  []Key
}

// NewIndex makes an index whose people are filed by keyer.
func NewIndex(keyer Keyer) *Index { return &Index{keyer: keyer} }

// Add files a person and says their number, from 0 up.
func (x *Index) Add(p *Person) int {
	x.arena = p.Append(x.arena)
	x.ends = append(x.ends, len(x.arena))
	x.buffer = x.keyer(p, x.buffer[:0])
	x.keys = append(x.keys, x.buffer...)
	x.keyEnds = append(x.keyEnds, len(x.keys))
	return len(x.ends) - 1
}

// Len is how many people are in.
func (x *Index) Len() int { return len(x.ends) }

// Person decodes person i into p.
func (x *Index) Person(i int, p *Person) error {
	from := 0
	if i > 0 {
		from = x.ends[i-1]
	}
	return p.Decode(string(x.arena[from:x.ends[i]]))
}

func (x *Index) keysOf(i int) []Key {
	from := 0
	if i > 0 {
		from = x.keyEnds[i-1]
	}
	return x.keys[from:x.keyEnds[i]]
}

// filedAs is a person under one key.
type filedAs struct {
	key Key
	who uint32
}

// PairOptions say how Pairs goes about it.
type PairOptions struct {
	// Workers is how many goroutines compare; at least 1.
	Workers int
	// MaxBlock is the largest block that is compared, in people: what thousands share (the number of a care home) says
	// little. At least 2.
	MaxBlock int
	// MaxPairs is how many pairs to compare, about; when the blocks hold more, only a share of the blocks is taken, as
	// their keys fall. 0 means all.
	MaxPairs int64
	// Progress is told now and then how many people's keys of the total are done; nil for nobody.
	Progress func(done, total int)
}

// PairReport is what Pairs did.
type PairReport struct {
	Pairs   int64 // that were handed to visit
	Skipped int   // blocks that were too large
	Largest int   // people in the largest block
	// Share of the blocks that were taken, 1 unless MaxPairs says otherwise.
	Share float64
}

// Pairs hands each pair of people who share a key to visit, once, however many keys they share, i below j; worker is 0 to Workers-1,
// and visits of one worker do not overlap. The two people are visit's until it returns. Errors: the context's.
func (x *Index) Pairs(ctx context.Context, o PairOptions, visit func(worker, i, j int, a, b *Person)) (PairReport, error) {
	filing := make([]filedAs, 0, len(x.keys))
	for i := range x.ends {
		for _, k := range x.keysOf(i) {
			filing = append(filing, filedAs{k, uint32(i)})
		}
	}
	slices.SortFunc(filing, func(a, b filedAs) int {
		if c := cmp.Compare(a.key, b.key); c != 0 {
			return c
		}
		return cmp.Compare(a.who, b.who)
	})
	w := walk{x: x, o: o, filing: filing, visit: visit}
	w.survey()
	var wait sync.WaitGroup
	for n := range max(1, o.Workers) {
		wait.Go(func() { w.work(ctx, n) })
	}
	wait.Wait()
	return PairReport{Pairs: w.pairs.Load(), Skipped: len(w.skipped), Largest: w.largest, Share: 1 / float64(w.thin)}, ctx.Err()
}

// stretch is how many keys a worker takes at a time.
const stretch = 1 << 14

// walk is one run of Pairs.
type walk struct {
	x       *Index
	o       PairOptions
	filing  []filedAs
	visit   func(worker, i, j int, a, b *Person)
	skipped map[Key]bool
	largest int
	thin    Key // one block in so many is taken
	next    atomic.Int64
	pairs   atomic.Int64
}

// survey finds the blocks that are too large, and how many pairs the others hold.
func (w *walk) survey() {
	w.skipped, w.thin = map[Key]bool{}, 1
	pairs := int64(0)
	for from := 0; from < len(w.filing); {
		to := w.endOfBlock(from)
		w.largest = max(w.largest, to-from)
		if to-from > w.o.MaxBlock {
			w.skipped[w.filing[from].key] = true
		} else {
			pairs += int64(to-from) * int64(to-from-1) / 2
		}
		from = to
	}
	if w.o.MaxPairs > 0 && pairs > w.o.MaxPairs {
		w.thin = Key((pairs + w.o.MaxPairs - 1) / w.o.MaxPairs)
	}
}

func (w *walk) endOfBlock(from int) int {
	to := from + 1
	for to < len(w.filing) && w.filing[to].key == w.filing[from].key {
		to++
	}
	return to
}

func (w *walk) work(ctx context.Context, worker int) {
	var people []Person
	for ctx.Err() == nil {
		from := int(w.next.Add(stretch)) - stretch
		if from >= len(w.filing) {
			return
		}
		end := min(from+stretch, len(w.filing))
		// A block belongs to the stretch in which it begins.
		for from < end && from > 0 && w.filing[from].key == w.filing[from-1].key {
			from++
		}
		for from < end && ctx.Err() == nil {
			to := w.endOfBlock(from)
			people = w.block(worker, w.filing[from:to], people)
			from = to
		}
		if w.o.Progress != nil {
			w.o.Progress(end, len(w.filing))
		}
	}
}

// block compares everybody in one block; people is room to decode into.
func (w *walk) block(worker int, block []filedAs, people []Person) []Person {
	if len(block) < 2 || w.skipped[block[0].key] || block[0].key%w.thin != 0 {
		return people
	}
	for len(people) < len(block) {
		people = append(people, Person{})
	}
	for i, f := range block {
		if err := w.x.Person(int(f.who), &people[i]); err != nil {
			panic(err) // Append wrote it
		}
	}
	pairs := int64(0)
	for i := range block {
		for j := i + 1; j < len(block); j++ {
			if w.firstShared(int(block[i].who), int(block[j].who)) == block[i].key {
				w.visit(worker, int(block[i].who), int(block[j].who), &people[i], &people[j])
				pairs++
			}
		}
	}
	w.pairs.Add(pairs)
	return people
}

// firstShared is the lowest key that two people share who share one, blocks that are too large left out.
func (w *walk) firstShared(i, j int) Key {
	a, b := w.x.keysOf(i), w.x.keysOf(j)
	for {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case a[0] > b[0]:
			b = b[1:]
		case len(w.skipped) > 0 && w.skipped[a[0]]:
			a, b = a[1:], b[1:]
		default:
			return a[0]
		}
	}
}
