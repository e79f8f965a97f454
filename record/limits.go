package record

import "time"

// Limits bound what one search may cost. A search that would pass one is refused as too costly, not cut short.
type Limits struct {
	// Rows is how many resources a search may look into, beside those it returns; 20,000 by default.
	Rows int
	// Set is how many resources one hop of a chain or _has may hold in memory; 10,000 by default.
	Set int
	// Included is how many resources _include and _revinclude may add to a page; 2,000 by default.
	Included int
	// Time is how long a search may take; 10 seconds by default.
	Time time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.Rows <= 0 {
		l.Rows = 20_000
	}
	if l.Set <= 0 {
		l.Set = 10_000
	}
	if l.Included <= 0 {
		l.Included = 2_000
	}
	if l.Time <= 0 {
		l.Time = 10 * time.Second
	}
	return l
}
