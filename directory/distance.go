package directory

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
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
	fine := map[string]point{}
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		clear(fine)
		rows, err := tx.Query(`SELECT outward, latitude, longitude FROM directory_outward WHERE outward IN (?, ?)`, a, b)
		if err != nil {
			return err
		}
		for rows.Next() {
			var code string
			var p point
			if err := rows.Scan(&code, &p.lat, &p.lon); err != nil {
				return err
			}
			fine[code] = p
		}
		return rows.Err()
	})
	if err != nil {
		return 0, false, err
	}
	from, okA := fine[a]
	to, okB := fine[b]
	if !okA || !okB {
		if from, okA = areaCentre(a); okA {
			to, okB = areaCentre(b)
		}
	}
	if !okA || !okB {
		return 0, false, nil
	}
	return crow(from, to), true, nil
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

// postcodeColumns are the names under which the columns of a postcode file go: the first of each that a header has is taken (the ONS
// Postcode Directory has pcds, lat and long).
func postcodeColumns() [3][]string {
	return [3][]string{{"pcds", "pcd2", "pcd", "pcd7", "pcd8", "postcode"}, {"lat", "latitude"}, {"long", "lon", "lng", "longitude"}}
}

// LoadPostcodes reads a postcode file with a header line (of the shape of the ONS Postcode Directory, or any with columns for postcode,
// latitude and longitude) and keeps the middle of each outward code. It replaces what was loaded before. It returns how many outward
// codes there are now and how many lines had no place. Errors: fault.Invalid when the header lacks a column, or no line could be used.
func (d *Directory) LoadPostcodes(ctx context.Context, r io.Reader) (outwards, skipped int, err error) {
	type sum struct {
		lat, lon float64
		n        int64
	}
	sums := map[string]*sum{}
	in := bufio.NewReaderSize(r, odsLine)
	var at [3]int
	for line := 1; ; line++ {
		text, tooLong, err := readLine(in)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, skipped, fault.Wrap(err, fault.Invalid, "The file ended before it was complete.")
		}
		cells, problem := splitCSV(string(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
		if line == 1 {
			if at, err = columnsOf(cells); err != nil {
				return 0, 0, err
			}
			continue
		}
		pc, p, ok := postcodeLine(cells, at)
		if tooLong || problem != "" || !ok {
			skipped++
			continue
		}
		s := sums[pc.Outward()]
		if s == nil {
			s = &sum{}
			sums[pc.Outward()] = s
		}
		s.lat, s.lon, s.n = s.lat+p.lat, s.lon+p.lon, s.n+1
	}
	if len(sums) == 0 {
		return 0, skipped, fault.New(fault.Invalid, "No line of the file has a postcode with a place.")
	}
	list := rows{insert: `INSERT INTO directory_outward (lane, outward, latitude, longitude, postcodes)`, width: 5}
	for code, s := range sums {
		list.add(int64(keyLane), code, s.lat/float64(s.n), s.lon/float64(s.n), s.n)
	}
	return len(sums), skipped, d.k.DB.Write(ctx, []store.Lane{keyLane}, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM directory_outward WHERE lane = ?`, int64(keyLane)); err != nil {
			return err
		}
		again := list
		return again.write(tx)
	})
}

// columnsOf finds the columns for postcode, latitude and longitude in a header.
func columnsOf(header []string) (at [3]int, err error) {
	for i, names := range postcodeColumns() {
		at[i] = -1
		for _, name := range names {
			if at[i] = slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), name) }); at[i] >= 0 {
				break
			}
		}
		if at[i] < 0 {
			return at, fault.New(fault.Invalid, "The header has no column called %s.", strings.Join(names, " or "))
		}
	}
	return at, nil
}

// postcodeLine is the postcode and place of a line. The ONS writes a latitude of 99.999999 where there is none.
func postcodeLine(cells []string, at [3]int) (pc ident.Postcode, p point, ok bool) {
	if len(cells) <= max(at[0], at[1], at[2]) {
		return pc, p, false
	}
	pc, err := ident.ParsePostcode(cells[at[0]])
	if err != nil {
		return pc, p, false
	}
	lat, err := strconv.ParseFloat(strings.TrimSpace(cells[at[1]]), 64)
	lon, bad := strconv.ParseFloat(strings.TrimSpace(cells[at[2]]), 64)
	return pc, point{lat, lon}, err == nil && bad == nil && lat > 45 && lat < 65 && lon > -15 && lon < 5
}
