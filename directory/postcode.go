package directory

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// postcodeColumns are the names under which the columns of a postcode file go: the first of each that a header has is taken (the ONS
// Postcode Directory has pcds, lat and long).
func postcodeColumns() [3][]string {
	return [3][]string{{"pcds", "pcd2", "pcd", "pcd7", "pcd8", "postcode"}, {"lat", "latitude"}, {"long", "lon", "lng", "longitude"}}
}

// boundaryColumn is a geography of the postcode directory and the names under which a postcode file has it.
type boundaryColumn struct {
	kind  string
	names []string
}

// boundaryColumns are the geographies of the postcode code system (ODT, "postcode"). The strategic mental health collaboratives are in the
// NHS's own file alone.
func boundaryColumns() []boundaryColumn {
	return []boundaryColumn{
		{"CA", []string{"ca", "calncv"}}, {"EW", []string{"ew", "osward", "ward"}}, {"GOR", []string{"gor", "rgn"}}, {"ICB", []string{"icb", "stp"}},
		{"LA", []string{"la", "oslaua", "laua"}}, {"LSOA11", []string{"lsoa11"}}, {"NHSER", []string{"nhser"}}, {"PC", []string{"pcon", "pc"}},
		{"PCO", []string{"pco", "sicbl", "ccg"}}, {"SMHPC AED", []string{"smhpc aed", "smhpc_aed"}}, {"SMHPC AS", []string{"smhpc as", "smhpc_as"}},
		{"SMHPC CT4", []string{"smhpc ct4", "smhpc_ct4"}},
	}
}

// postcodesAtOnce is how many postcodes share one commit.
const postcodesAtOnce = 10_000

// postcodeEdition is the name under which directory_edition says which load of postcodes counts.
const postcodeEdition = "postcodes"

// postcodeFile is a postcode file being read: where its columns are, the middle of each outward code so far, and what is not written yet.
type postcodeFile struct {
	at     [3]int
	bounds map[string]int
	sums   map[string]*outwardSum
	list   rows
}

type outwardSum struct {
	lat, lon float64
	n        int64
}

// LoadPostcodes reads a postcode file with a header line (of the shape of the ONS Postcode Directory, or any with columns for postcode,
// latitude and longitude), and keeps the middle of each outward code and the areas that each postcode lies in, as far as the file has columns for
// them. It replaces what was loaded before, all of it at once: until the whole file is read, what was loaded before counts. It returns how many
// outward codes there are now and how many lines had no place. Errors: fault.Invalid when the header lacks a column, or no line could be used.
func (d *Directory) LoadPostcodes(ctx context.Context, r io.Reader) (outwards, skipped int, err error) {
	edition, err := d.nextEdition(ctx)
	if err != nil {
		return 0, 0, err
	}
	f := postcodeFile{sums: map[string]*outwardSum{}, list: rows{insert: `INSERT INTO directory_postcode (lane, edition, postcode, areas)`, after: ` ON CONFLICT DO NOTHING`, width: 4}}
	in := bufio.NewReaderSize(r, odsLine)
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
			if f.at, err = columnsOf(cells); err != nil {
				return 0, 0, err
			}
			f.bounds = boundsOf(cells)
			continue
		}
		if tooLong || problem != "" || !f.take(cells, edition) {
			skipped++
			continue
		}
		if len(f.list.args) >= postcodesAtOnce*f.list.width {
			if err := d.writePostcodes(ctx, &f.list); err != nil {
				return 0, skipped, err
			}
		}
	}
	if len(f.sums) == 0 {
		return 0, skipped, fault.New(fault.Invalid, "No line of the file has a postcode with a place.")
	}
	if err := d.writePostcodes(ctx, &f.list); err != nil {
		return 0, skipped, err
	}
	return len(f.sums), skipped, d.switchPostcodes(ctx, edition, f.sums)
}

// take reads one line; false when it has no postcode with a place.
func (f *postcodeFile) take(cells []string, edition int64) bool {
	pc, p, ok := postcodeLine(cells, f.at)
	if !ok {
		return false
	}
	s := f.sums[pc.Outward()]
	if s == nil {
		s = &outwardSum{}
		f.sums[pc.Outward()] = s
	}
	s.lat, s.lon, s.n = s.lat+p.lat, s.lon+p.lon, s.n+1
	var areas strings.Builder
	for _, b := range boundaryColumns() {
		if i, has := f.bounds[b.kind]; has && i < len(cells) {
			if v := strings.TrimSpace(cells[i]); v != "" && !strings.ContainsAny(v, "|=") {
				areas.WriteString("|" + b.kind + "=" + v + "|")
			}
		}
	}
	f.list.add(int64(keyLane), edition, squeezed(pc.String()), areas.String())
	return true
}

// nextEdition is the number of a new load; what a load that was broken off left is taken away.
func (d *Directory) nextEdition(ctx context.Context) (edition int64, err error) {
	current, err := d.currentEdition(ctx)
	if err != nil {
		return 0, err
	}
	return current + 1, d.dropPostcodes(ctx, `edition > ?`, current)
}

func (d *Directory) currentEdition(ctx context.Context) (edition int64, err error) {
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		edition, err = editionOf(tx)
		return err
	})
	return edition, err
}

// editionOf is the load of postcodes that counts; 0 when there is none.
func editionOf(tx *store.Tx) (edition int64, err error) {
	err = tx.QueryRow(`SELECT coalesce(max(edition), 0) FROM directory_edition WHERE lane = ? AND name = ?`, int64(keyLane), postcodeEdition).Scan(&edition)
	return edition, err
}

// dropPostcodes takes the rows of some editions away, some at a time.
func (d *Directory) dropPostcodes(ctx context.Context, cond string, edition int64) error {
	for {
		var gone int64
		err := d.k.DB.Write(ctx, []store.Lane{keyLane}, func(tx *store.Tx) (err error) {
			gone, err = tx.Exec(`DELETE FROM directory_postcode WHERE lane = ? AND `+cond+` AND postcode IN
				(SELECT postcode FROM directory_postcode WHERE lane = ? AND `+cond+` LIMIT `+itoa(postcodesAtOnce)+`)`, int64(keyLane), edition, int64(keyLane), edition)
			return err
		})
		if err != nil || gone == 0 {
			return err
		}
	}
}

// writePostcodes writes what has been gathered and forgets it.
func (d *Directory) writePostcodes(ctx context.Context, list *rows) error {
	err := d.k.DB.Write(ctx, []store.Lane{keyLane}, func(tx *store.Tx) error {
		again := *list
		return again.write(tx)
	})
	list.args = list.args[:0]
	return err
}

// switchPostcodes makes a load count and takes the one before away.
func (d *Directory) switchPostcodes(ctx context.Context, edition int64, sums map[string]*outwardSum) error {
	list := rows{insert: `INSERT INTO directory_outward (lane, outward, latitude, longitude, postcodes)`, width: 5}
	for code, s := range sums {
		list.add(int64(keyLane), code, s.lat/float64(s.n), s.lon/float64(s.n), s.n)
	}
	err := d.k.DB.Write(ctx, []store.Lane{keyLane}, func(tx *store.Tx) error {
		for _, query := range []string{`DELETE FROM directory_outward WHERE lane = ?`, `DELETE FROM directory_edition WHERE lane = ? AND name = '` + postcodeEdition + `'`} {
			if _, err := tx.Exec(query, int64(keyLane)); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(`INSERT INTO directory_edition (lane, name, edition) VALUES (?, ?, ?)`, int64(keyLane), postcodeEdition, edition); err != nil {
			return err
		}
		again := list
		return again.write(tx)
	})
	if err != nil {
		return err
	}
	return d.dropPostcodes(ctx, `edition < ?`, edition)
}

// columnOf is where a header has a column of one of these names; -1 for nowhere.
func columnOf(header, names []string) int {
	for _, name := range names {
		if i := slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), name) }); i >= 0 {
			return i
		}
	}
	return -1
}

// columnsOf finds the columns for postcode, latitude and longitude in a header.
func columnsOf(header []string) (at [3]int, err error) {
	for i, names := range postcodeColumns() {
		if at[i] = columnOf(header, names); at[i] < 0 {
			return at, fault.New(fault.Invalid, "The header has no column called %s.", strings.Join(names, " or "))
		}
	}
	return at, nil
}

// boundsOf finds the columns of geographies that a header has.
func boundsOf(header []string) map[string]int {
	found := map[string]int{}
	for _, b := range boundaryColumns() {
		if i := columnOf(header, b.names); i >= 0 {
			found[b.kind] = i
		}
	}
	return found
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

// areasAt are the areas that a postcode lies in, as the loaded postcode file says; none without one.
func areasAt(tx *store.Tx, postcode string) (list []Area, err error) {
	edition, err := editionOf(tx)
	if err != nil || edition == 0 || postcode == "" {
		return nil, err
	}
	found, err := texts(tx, `SELECT areas FROM directory_postcode WHERE lane = ? AND edition = ? AND postcode = ?`, 1, int64(keyLane), edition, squeezed(postcode))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return unpackAreas(found[0][0]), nil
}

// unpackAreas reads |KIND=CODE||KIND=CODE|.
func unpackAreas(text string) (list []Area) {
	for part := range strings.SplitSeq(text, "|") {
		if kind, area, found := strings.Cut(part, "="); found {
			list = append(list, Area{kind, area})
		}
	}
	return list
}

// postcodeSystem is the postcode code system (ODT, "postcode"): the postcodes of the loaded file with their areas; without one, those of the
// directory's organisations, with the areas that these are known to lie in.
func postcodeSystem() codeSystem {
	s := codeSystem{url: systemPostcode, id: "postcode", name: "Postcode", large: true}
	for _, b := range boundaryColumns() {
		s.properties = append(s.properties, b.kind)
	}
	s.find = func(tx *store.Tx, code string) (concept, bool, error) {
		pc, err := ident.ParsePostcode(code)
		if err != nil {
			return concept{}, false, nil //nolint:nilerr // what is no postcode is not in the code system
		}
		page, _, err := postcodesIn(tx, []filter{{"code", "=", pc.String()}}, 0, 1)
		if err != nil || len(page) == 0 {
			return concept{}, false, err
		}
		return page[0], true, nil
	}
	s.list = func(tx *store.Tx, filters []filter, _ bool, offset, count int) ([]concept, int, error) {
		return postcodesIn(tx, filters, offset, count)
	}
	return s
}

// postcodesIn are the postcodes that filters leave.
func postcodesIn(tx *store.Tx, filters []filter, offset, count int) (page []concept, total int, err error) {
	edition, err := editionOf(tx)
	if err != nil {
		return nil, 0, err
	}
	from := `(SELECT DISTINCT postcode, '' AS areas FROM directory_organisation WHERE postcode <> '') p`
	var q where
	if edition > 0 {
		from = `directory_postcode p`
		q.and(`p.lane = ? AND p.edition = ?`, int64(keyLane), edition)
	}
	for _, f := range filters {
		if err := q.postcodeFilter(f, edition > 0); err != nil {
			return nil, 0, err
		}
	}
	if err := tx.QueryRow(`SELECT count(*) FROM `+from+` WHERE `+q.sql(), q.args...).Scan(&total); err != nil {
		return nil, 0, err
	}
	found, err := texts(tx, `SELECT postcode, areas FROM `+from+` WHERE `+q.sql()+` ORDER BY postcode LIMIT ? OFFSET ?`, 2, append(q.args, count, offset)...)
	if err != nil {
		return nil, 0, err
	}
	for _, row := range found {
		c := concept{code: spaced(row[0]), display: spaced(row[0])}
		areas := unpackAreas(row[1])
		if edition == 0 {
			known, err := texts(tx, `SELECT DISTINCT a.kind, a.area FROM directory_organisation o JOIN directory_area a ON a.code = o.code WHERE o.postcode = ? AND a.kind <> 'HLHG' ORDER BY 1, 2`, 2, row[0])
			if err != nil {
				return nil, 0, err
			}
			for _, a := range known {
				areas = append(areas, Area{a[0], a[1]})
			}
		}
		for _, a := range areas {
			c.properties = append(c.properties, property{a.Kind, "Coding", a.Code, SystemGeography})
		}
		page = append(page, c)
	}
	return page, total, nil
}

// postcodeFilter adds a filter of an expansion over postcodes: their beginning by code, or an area.
func (q *where) postcodeFilter(f filter, loaded bool) error {
	values := strings.Split(f.value, ",")
	if f.property == "code" && (f.op == "=" || f.op == "in") {
		var conds []string
		var args []any
		for _, v := range values {
			conds, args = append(conds, `p.postcode = ?`), append(args, squeezed(bare(v)))
		}
		q.any(conds, args)
		return nil
	}
	known := slices.ContainsFunc(boundaryColumns(), func(b boundaryColumn) bool { return b.kind == f.property })
	if !known || f.op != "=" && f.op != "in" {
		return noFilter(f)
	}
	var conds []string
	var args []any
	for _, v := range values {
		v = bare(strings.TrimSpace(v))
		if loaded {
			conds, args = append(conds, `p.areas LIKE ? ESCAPE '\'`), append(args, "%|"+like(f.property)+"="+like(v)+"|%")
			continue
		}
		conds = append(conds, `EXISTS (SELECT 1 FROM directory_organisation o JOIN directory_area a ON a.code = o.code WHERE o.postcode = p.postcode AND a.kind = '`+f.property+`' AND a.area = ?)`)
		args = append(args, v)
	}
	q.any(conds, args)
	return nil
}
