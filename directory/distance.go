package directory

import (
	"context"
	"math"
	"strings"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// point is a place on the earth in degrees.
type point struct{ lat, lon float64 }

// Distance is how far apart two outward codes are, in kilometres as the crow flies, between the middles of their districts where a postcode
// file was loaded (within a few kilometres), and otherwise between the main towns of their areas (within some tens of kilometres). ok is
// false where one of them is not known. Two districts of one area are 0 km apart when nothing finer is known.
func (d *Directory) Distance(ctx context.Context, outwardA, outwardB string) (km float64, ok bool, err error) {
	a, b := strings.ToUpper(strings.TrimSpace(outwardA)), strings.ToUpper(strings.TrimSpace(outwardB))
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		fine, err := outwardsIn(tx, a, b)
		km, ok = apart(fine, a, b)
		return err
	})
	return km, ok, err
}

// Position is a place on the earth, in degrees.
type Position struct{ Latitude, Longitude float64 }

// Where is where outward codes lie, for a map on which they stand beside one another: by the loaded postcode file where that has them all, and otherwise all by the main towns of their areas, as Distance
// measures. One that is not known is not in the answer.
func (d *Directory) Where(ctx context.Context, outwards []string) (all map[string]Position, err error) {
	if len(outwards) == 0 {
		return nil, nil //nolint:nilnil // nothing is nowhere
	}
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		all = map[string]Position{}
		fine, err := outwardsIn(tx, outwards...)
		if err != nil {
			return err
		}
		rough := map[string]point{}
		whole := true
		for _, o := range outwards {
			p, known := areaCentre(o)
			if known {
				rough[o] = p
			}
			_, ok := fine[o]
			whole = whole && (ok || !known)
		}
		if !whole {
			fine = rough
		}
		for o, p := range fine {
			all[o] = Position{p.lat, p.lon}
		}
		return nil
	})
	return all, err
}

// outwardsIn is where outward codes lie as the loaded postcode file says: those that are named, or all of them.
func outwardsIn(tx *store.Tx, codes ...string) (map[string]point, error) {
	query, args := `SELECT outward, latitude, longitude FROM directory_outward`, []any{}
	for i, c := range codes {
		query += map[bool]string{true: ` WHERE outward = ?`, false: ` OR outward = ?`}[i == 0]
		args = append(args, c)
	}
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	fine := map[string]point{}
	for rows.Next() {
		var code string
		var p point
		if err := rows.Scan(&code, &p.lat, &p.lon); err != nil {
			return nil, err
		}
		fine[code] = p
	}
	return fine, rows.Err()
}

// apart is how far apart two outward codes are; ok is false where one of them is not known.
func apart(fine map[string]point, a, b string) (km float64, ok bool) {
	from, okA := fine[a]
	to, okB := fine[b]
	if !okA || !okB {
		if from, okA = areaCentre(a); okA {
			to, okB = areaCentre(b)
		}
	}
	if !okA || !okB {
		return 0, false
	}
	return crow(from, to), true
}

// awayFrom tells how far each outward code is from one, in kilometres; -1 where that is not known. Each is worked out once.
func awayFrom(fine map[string]point, from string) func(outward string) float64 {
	known := map[string]float64{}
	return func(outward string) float64 {
		km, asked := known[outward]
		if !asked {
			var ok bool
			if km, ok = apart(fine, from, outward); !ok {
				km = -1
			}
			known[outward] = km
		}
		return km
	}
}

// near is the outward code of a postcode or of its first part as somebody types it; known says whether it is known where it lies.
func (d *Directory) near(ctx context.Context, typed string) (outward string, known bool, err error) {
	text := strings.ToUpper(strings.TrimSpace(typed))
	if text == "" {
		return "", false, nil
	}
	outward, _, _ = strings.Cut(text, " ")
	if pc, err := ident.ParsePostcode(text); err == nil {
		outward = pc.Outward()
	}
	_, known, err = d.Distance(ctx, outward, outward)
	return outward, known, err
}

// crow is the great-circle distance in kilometres.
func crow(a, b point) float64 {
	const earth, rad = 6371.0, math.Pi / 180
	h := math.Pow(math.Sin((b.lat-a.lat)*rad/2), 2) + math.Cos(a.lat*rad)*math.Cos(b.lat*rad)*math.Pow(math.Sin((b.lon-a.lon)*rad/2), 2)
	return 2 * earth * math.Asin(math.Min(1, math.Sqrt(h)))
}

// areaCentre is the main town of the area that an outward code is of.
func areaCentre(outward string) (point, bool) {
	area := outward[:min(len(outward), 2)]
	if len(area) == 2 && area[1] >= '0' && area[1] <= '9' {
		area = area[:1]
	}
	p, ok := postcodeAreas()[area]
	return p, ok
}
