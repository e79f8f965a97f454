package referral

import (
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/web"
)

// foundID is the part of the page on which services stand.
const foundID = "found"

// serviceMap is where services are from where a patient lives, in the middle: places are those of outward codes, by number. It is drawn here; nothing is asked of another host.
type serviceMap struct {
	Title  string
	Rings  []mapRing
	Places []mapPlace
	number map[string]int // of an outward code; from 1
	toward map[string]int // the eighth of the compass in which it lies; absent for one that is where the patient is
}

// mapRing is all that is so many kilometres away.
type mapRing struct{ R, Y, Text string }

// mapPlace is where one service is, or several that cannot be told apart on the map.
type mapPlace struct{ X, Y, Number string }

// The drawing's measures, in the units of its viewBox.
const (
	mapMiddle, mapReach = 160.0, 136.0
	mapApart            = 16.0 // places nearer than that to one another are one
	kmOfDegree          = 111.2
)

// mapOf draws the services of a list; nil where it is not known where the patient lives, or where any of the services is.
func (f *face) mapOf(ctx context.Context, home string, found []FoundService) (*serviceMap, error) {
	if home == "" || len(found) == 0 {
		return nil, nil //nolint:nilnil // there is nothing to draw
	}
	codes := []string{home}
	for _, x := range found {
		if x.Outward != "" && !slices.Contains(codes, x.Outward) {
			codes = append(codes, x.Outward)
		}
	}
	where, err := f.s.places.Where(ctx, codes)
	if err != nil {
		return nil, err
	}
	return drawMap(ctx, home, found, where), nil
}

func drawMap(ctx context.Context, home string, found []FoundService, where map[string]directory.Position) *serviceMap {
	middle, known := where[home]
	if !known {
		return nil
	}
	offset := func(outward string) (east, north float64, ok bool) { // in kilometres
		p, ok := where[outward]
		return (p.Longitude - middle.Longitude) * kmOfDegree * math.Cos(middle.Latitude*math.Pi/180), (p.Latitude - middle.Latitude) * kmOfDegree, ok
	}
	m := &serviceMap{number: map[string]int{}, toward: map[string]int{}}
	radius, near, far := 1.0, math.Inf(1), 0.0
	for _, x := range found {
		if east, north, ok := offset(x.Outward); ok && x.Km >= 0 {
			radius, near, far = max(radius, math.Hypot(east, north)), min(near, x.Km), max(far, x.Km)
		}
	}
	if math.IsInf(near, 1) {
		return nil
	}
	m.Title = web.Text(ctx, "referral.map.title", kmText(ctx, near), kmText(ctx, far))
	if kmText(ctx, near) == kmText(ctx, far) {
		m.Title = web.Text(ctx, "referral.map.title-one", kmText(ctx, near))
	}
	step := ringStep(radius)
	scale := mapReach / max(radius, step)
	for km := step; km*scale <= mapReach+1; km += step {
		m.Rings = append(m.Rings, mapRing{R: place(km * scale), Y: place(mapMiddle + km*scale - 4), Text: web.Text(ctx, "referral.km", strconv.FormatFloat(km, 'f', -1, 64))})
	}
	var at [][2]float64
	for _, x := range found {
		east, north, ok := offset(x.Outward)
		if !ok || m.number[x.Outward] > 0 {
			continue
		}
		if math.Hypot(east, north) >= 1 {
			m.toward[x.Outward] = (int(math.Round(math.Atan2(east, north)/(math.Pi/4))) + 8) % 8
		}
		px, py := mapMiddle+east*scale, mapMiddle-north*scale
		i := slices.IndexFunc(at, func(o [2]float64) bool { return math.Hypot(o[0]-px, o[1]-py) < mapApart })
		if i < 0 {
			at = append(at, [2]float64{px, py})
			i = len(at) - 1
			m.Places = append(m.Places, mapPlace{place(px), place(py), strconv.Itoa(len(at))})
		}
		m.number[x.Outward] = i + 1
	}
	return m
}

// ringStep is a round number of kilometres, of which two or three rings fit on the map.
func ringStep(radius float64) float64 {
	mag := math.Pow(10, math.Floor(math.Log10(radius)))
	for _, n := range []float64{0.5, 1, 2, 5} {
		if radius/(n*mag) < 4 {
			return n * mag
		}
	}
	return 5 * mag
}

func place(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// numberOf is the number of a service's place; empty where it has none.
func (m *serviceMap) numberOf(x FoundService) string {
	if n := m.number[x.Outward]; n > 0 {
		return strconv.Itoa(n)
	}
	return ""
}

// away is how far a service is, and which way where there is a map.
func (m *serviceMap) away(ctx context.Context, x FoundService) string {
	text := kmText(ctx, x.Km)
	if m == nil {
		return text
	}
	if to, ok := m.toward[x.Outward]; ok && x.Km >= 0 {
		return web.Text(ctx, "referral.map.away", text, web.Text(ctx, "referral.compass."+strconv.Itoa(to)))
	}
	return text
}
