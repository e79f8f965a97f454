package record

import (
	"math/bits"
	"slices"

	"github.com/openspine/openspine/store"
)

// spots is a set of places in the index, a bit each: resources are numbered one after the other within a lane, so that a
// set of many thousands is small and quick to ask.
type spots struct {
	pages map[spotPage]*[spotWords]uint64
	n     int
}

// spotPage is a stretch of a lane's numbers.
type spotPage struct {
	lane store.Lane
	page int64
}

const (
	spotBits  = 1 << 12 // numbers in a page
	spotWords = spotBits / 64
)

func newSpots() *spots { return &spots{pages: map[spotPage]*[spotWords]uint64{}} }

func (s *spots) add(lane store.Lane, rid int64) {
	k := spotPage{lane, rid / spotBits}
	page := s.pages[k]
	if page == nil {
		page = new([spotWords]uint64)
		s.pages[k] = page
	}
	word, bit := &page[rid%spotBits/64], uint64(1)<<(rid%64)
	if *word&bit == 0 {
		*word |= bit
		s.n++
	}
}

// addAll adds a list; a set that is nil takes nothing.
func (s *spots) addAll(list []resident) {
	if s == nil {
		return
	}
	for _, r := range list {
		s.add(r.lane, r.rid)
	}
}

// has reports whether a place is in the set; nothing is in one that is nil.
func (s *spots) has(lane store.Lane, rid int64) bool {
	if s == nil {
		return false
	}
	page := s.pages[spotPage{lane, rid / spotBits}]
	return page != nil && page[rid%spotBits/64]&(1<<(rid%64)) != 0
}

// and is what is in both.
func (s *spots) and(other *spots) *spots {
	if len(other.pages) < len(s.pages) {
		s, other = other, s
	}
	both := newSpots()
	for k, page := range s.pages {
		with := other.pages[k]
		if with == nil {
			continue
		}
		common := new([spotWords]uint64)
		for i := range page {
			common[i] = page[i] & with[i]
			both.n += bits.OnesCount64(common[i])
		}
		both.pages[k] = common
	}
	return both
}

// list is the set in the order of lane and number.
func (s *spots) list() []resident {
	list := make([]resident, 0, s.n)
	for k, page := range s.pages {
		for i, word := range page {
			for bit := int64(0); word != 0; bit, word = bit+1, word>>1 {
				if word&1 != 0 {
					list = append(list, resident{lane: k.lane, rid: k.page*spotBits + int64(i)*64 + bit})
				}
			}
		}
	}
	slices.SortFunc(list, compareResidents)
	return list
}

// spotsOf is the set of a list.
func spotsOf(list []resident) *spots {
	s := newSpots()
	s.addAll(list)
	return s
}
