package record

import (
	"cmp"
	"math"
	"slices"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/store"
)

// source is where the candidates of one condition stand in the index: the union of its parts, ordered by key, lane and
// rid. What it yields contains every resource that satisfies the condition.
type source struct {
	parts  []part
	exact  bool       // and nothing else, but for collisions of hashes
	list   []resident // in place of parts: known already
	unique bool       // no resource stands in it twice
	code   string     // of a sort: the parameter
	keyOf  func(v search.Value) (any, bool)
}

// part is a range of one table.
type part struct {
	table string // with the columns lane and rid
	key   string // expression that orders it; an integer, a number or a text
	where string
	args  []any
	only  any  // the one key under which all of it stands, if it is one
	dry   bool // read to its end
}

// resident is a place in the index: a resource by lane and rid, under a key.
type resident struct {
	key  any
	lane store.Lane
	rid  int64
}

// hashes are what an exact condition is found under.
type hashes struct {
	params []int64
	list   []int64
}

// source finds the candidates of a condition; nil when the index does not help and bodies must be read.
func (f *finder) source(typ string, kind int64, pc *planned) (*source, error) {
	c := pc.c
	switch c.form {
	case formID:
		return f.idSource(kind, c), nil
	case formUpdated:
		return f.updatedSource(kind, c), nil
	case formString:
		return f.stringSource(typ, c), nil
	case formDate:
		return f.dateSource(typ, c), nil
	case formNumber, formQuantity, formNear:
		return f.numberSource(typ, c), nil
	case formMissing, formText, formTokenText:
		return nil, nil
	}
	h, ok, err := f.hashes(typ, pc)
	if err != nil || !ok {
		return nil, err
	}
	if c.form == formCompartment && typ == c.ctype {
		return f.selfSource(kind, h, pc), nil // whose compartment it is, no row of idx_hash says
	}
	pc.hashes = h
	return f.hashSource(h, pc), nil
}

func (f *finder) hashSource(h *hashes, pc *planned) *source {
	s := &source{exact: pc.exactHash()}
	if c := pc.c; c.form == formToken || c.form == formReference || c.form == formURI {
		s.keyOf = hashKey
	}
	for _, param := range h.params {
		for _, hash := range h.list {
			p := f.part("idx_hash", "hash", `param = ? AND hash = ?`, param, hash)
			p.only = hash
			s.parts = append(s.parts, p)
		}
	}
	return s
}

// selfSource finds what a compartment holds of its own type: the one whose it is, and what refers to them.
func (f *finder) selfSource(kind int64, h *hashes, pc *planned) *source {
	s := f.hashSource(h, pc)
	s.exact, s.keyOf = false, nil
	for _, id := range append([]string{pc.c.cid}, pc.c.kin...) {
		s.parts = append(s.parts, f.part("record_resource", "id", `kind = ? AND id = ?`, kind, id))
	}
	return s
}

// part is a range of an index table, in the lane if there is but one.
func (f *finder) part(table, key, where string, args ...any) part {
	if f.r.db.Lanes() == 1 {
		where = "lane = 0 AND " + where
	}
	return part{table: table, key: key, where: where, args: args}
}

// params are the numbers of a parameter: of this edition, and of older ones whose rows may not have been written again.
func (f *finder) params(typ, code string) []int64 {
	if other, ok := f.r.index.same(typ)[code]; ok {
		code = other
	}
	return f.r.words.paramsOf(f.tenant.String() + "/" + typ + "/" + code)
}

func (f *finder) idSource(kind int64, c *cond) *source {
	s := &source{exact: true}
	for _, v := range c.values {
		s.parts = append(s.parts, f.part("record_resource", "id", `kind = ? AND id = ?`, kind, v.text))
	}
	return s
}

func (f *finder) updatedSource(kind int64, c *cond) *source {
	s := &source{}
	for _, v := range c.values {
		lo, hi := bounds(&v, f.at.UnixMicro())
		if v.prefix == "ne" {
			return nil
		}
		s.unique = len(c.values) == 1
		s.parts = append(s.parts, part{table: "record_resource", key: "at", where: `kind = ? AND at >= ? AND at <= ?`, args: []any{kind, lo, hi}})
	}
	return s
}

// bounds are between what a date's first instant must lie when its length is not known to be anything.
func bounds(v *value, now int64) (lo, hi int64) {
	switch v.prefix {
	case "gt", "ge", "sa":
		return v.lo, math.MaxInt64
	case "lt", "le", "eb":
		return math.MinInt64, v.hi
	case "ap":
		gap := max((max(now, v.lo)-min(now, v.lo))/10, day)
		return v.lo - gap, v.hi + gap
	}
	return v.lo, v.hi
}

func (f *finder) stringSource(typ string, c *cond) *source {
	params := f.params(typ, c.code)
	if c.modifier == "contains" || !f.r.index.indexed(typ, c.code) {
		return nil
	}
	s := &source{exact: c.modifier == "", keyOf: stringKey}
	for _, v := range c.values {
		low := clip(v.folded, foldedBytes)
		high := low + "\U0010FFFF"
		if c.modifier == "exact" || len(v.folded) > foldedBytes {
			high = low + "\x01"
			s.exact = false
		}
		for _, param := range params {
			s.parts = append(s.parts, f.part("idx_string", "folded", `param = ? AND folded >= ? AND folded < ?`, param, low, high))
		}
	}
	return s
}

// dateSource asks each class of spans by itself, because its length bounds how far back an overlap can begin.
func (f *finder) dateSource(typ string, c *cond) *source {
	if !f.r.index.indexed(typ, c.code) {
		return nil
	}
	s := &source{keyOf: dateKey, exact: true}
	for _, v := range c.values {
		if v.prefix == "ne" {
			return nil
		}
		s.exact = s.exact && v.prefix != "ap"
		for span := range spans {
			where, args := dateRange(&v, span, f)
			for _, param := range f.params(typ, c.code) {
				s.parts = append(s.parts, f.part("idx_date", "lo", `param = ? AND span = ? AND `+where, append([]any{param, span}, args...)...))
			}
		}
	}
	return s
}

// dateRange is dateHolds in SQL, for spans of one class.
func dateRange(v *value, span int, f *finder) (string, []any) {
	length := int64(math.MaxInt64)
	if span < len(spanLength) {
		length = spanLength[span]
	}
	back := func(from int64) int64 { // the earliest beginning of a span that reaches from
		if from < math.MinInt64+length {
			return math.MinInt64
		}
		if length == math.MaxInt64 {
			return math.MinInt64
		}
		return from - length
	}
	switch v.prefix {
	case "gt":
		return `lo >= ? AND hi > ?`, []any{back(v.hi), v.hi}
	case "lt":
		return `lo < ?`, []any{v.lo}
	case "ge":
		return `lo >= ? AND (hi > ? OR lo >= ? AND hi <= ?)`, []any{min(back(v.hi), v.lo), v.hi, v.lo, v.hi}
	case "le":
		return `lo <= ? AND (lo < ? OR hi <= ?)`, []any{v.hi, v.lo, v.hi}
	case "sa":
		return `lo > ?`, []any{v.hi}
	case "eb":
		return `lo < ? AND hi < ?`, []any{v.lo, v.lo}
	case "ap":
		lo, hi := around(v, f.at)
		return `lo >= ? AND lo <= ? AND hi >= ?`, []any{back(lo), hi, lo}
	}
	return `lo >= ? AND lo <= ? AND hi <= ?`, []any{v.lo, v.hi, v.hi}
}

func (f *finder) numberSource(typ string, c *cond) *source {
	if !f.r.index.indexed(typ, c.code) {
		return nil
	}
	s := &source{}
	if c.form == formNumber {
		s.keyOf = numberKey
	}
	for _, v := range c.values {
		n, unit := v.number, int64(0)
		if v.base.Code != "" {
			n, unit = v.base.Number, unitHash(v.base.Code)
		} else if v.system != "" {
			unit = unitHash(v.code)
		}
		if c.form == formNear {
			reach := v.km/111 + 0.01
			n = search.Number{Lo: v.lat - reach, Hi: v.lat + reach}
		}
		where, args := numberRange(v.prefix, n)
		if where == "" {
			return nil
		}
		if unit != 0 {
			where, args = where+` AND unit = ?`, append(args, unit)
		}
		for _, param := range f.params(typ, c.code) {
			s.parts = append(s.parts, f.part("idx_number", "lo", `param = ? AND `+where, append([]any{param}, args...)...))
		}
	}
	return s
}

// slack widens a range by what arithmetic in another unit may have rounded.
func slack(x float64) float64 { return math.Abs(x) * 1e-9 }

func numberRange(prefix string, n search.Number) (string, []any) {
	v := n.Value
	switch prefix {
	case "ne":
		return "", nil
	case "gt", "ge", "sa":
		return `lo >= ?`, []any{min(v, n.Lo) - slack(v)}
	case "lt", "le", "eb":
		return `lo <= ?`, []any{max(v, n.Hi) + slack(v)}
	case "ap":
		tenth := math.Abs(v)/10 + slack(v)
		return `lo >= ? AND lo <= ?`, []any{v - tenth, v + tenth}
	}
	return `lo >= ? AND lo <= ?`, []any{n.Lo - slack(n.Lo), n.Hi + slack(n.Hi)}
}

// hashes are what a condition is found under in idx_hash; ok is false when it cannot be found so.
func (f *finder) hashes(typ string, pc *planned) (h *hashes, ok bool, err error) {
	c := pc.c
	code := c.code
	if !f.r.index.indexed(typ, code) && c.form != formCompartment && c.form != formHas {
		return nil, false, nil
	}
	h = &hashes{}
	switch {
	case c.form == formChain || c.form == formHas:
		return f.refHashes(typ, pc)
	case c.form == formCompartment:
		return f.compartmentHashes(typ, c)
	case c.form == formIn:
		return f.setHashes(typ, c)
	case c.modifier == "not", c.form == formURI && c.modifier == "below":
		return nil, false, nil
	case c.form == formOfType:
		code += suffixOfType
	case c.form == formIdentifier:
		code += suffixIdentifier
	}
	h.params = f.params(typ, code)
	for i := range c.values {
		v := &c.values[i]
		if c.form == formComposite {
			v = &v.parts[0]
		}
		list, ok, err := f.valueHashes(c, v, h.params)
		if err != nil || !ok {
			return nil, false, err
		}
		h.list = append(h.list, list...)
	}
	return h, true, nil
}

func (f *finder) valueHashes(c *cond, v *value, params []int64) (list []int64, ok bool, err error) {
	switch {
	case c.form == formOfType:
		return []int64{ofTypeHash(v.system, v.text, v.code)}, true, nil
	case len(v.refs) > 0:
		for _, ref := range v.refs {
			list = append(list, wordHash(ref))
		}
		return list, true, nil
	case c.form == formURI:
		list = append(list, wordHash(v.text))
		if c.modifier == "above" {
			for i := len(v.text) - 1; i > 0; i-- {
				if v.text[i] == '/' {
					list = append(list, wordHash(v.text[:i]), wordHash(v.text[:i+1]))
				}
			}
		}
		return list, true, nil
	case v.code == "" || v.prefix != "" || v.text != "":
		return nil, false, nil // system|, or a composite that begins with no word
	case !v.anySystem && v.system != "":
		return []int64{tokenHash(v.system, v.code)}, true, nil
	}
	low := codeHash(v.code)
	return f.distinctHashes(params, low, low+1<<systemBits)
}

// mostSystems bounds under how many systems one code is looked for by exact hashes.
const mostSystems = 16

// distinctHashes lists the hashes that occur in a range, by leaps from one to the next.
func (f *finder) distinctHashes(params []int64, low, high int64) (list []int64, ok bool, err error) {
	for _, param := range params {
		for from := low; ; {
			p := f.part("idx_hash", "hash", `param = ? AND hash >= ? AND hash < ?`, param, from, high)
			var next *int64
			if err := f.tx.QueryRow(`SELECT min(hash) FROM idx_hash WHERE `+p.where, p.args...).Scan(&next); err != nil {
				return nil, false, err
			}
			if next == nil {
				break
			}
			if list = append(list, *next); len(list) > mostSystems {
				return nil, false, nil
			}
			from = *next + 1
		}
	}
	return list, true, nil
}

// setHashes expands :in to the codes of the value set.
func (f *finder) setHashes(typ string, c *cond) (*hashes, bool, error) {
	codes, ok := c.set.Codes()
	if !ok || c.modifier != "in" || len(codes) > 500 {
		return nil, false, nil
	}
	h := &hashes{params: f.params(typ, c.code)}
	for _, code := range codes {
		h.list = append(h.list, tokenHash(code.System, code.Code))
	}
	return h, true, nil
}

func (f *finder) compartmentHashes(typ string, c *cond) (*hashes, bool, error) {
	h := &hashes{list: []int64{wordHash(c.ctype + "/" + c.cid)}}
	for _, id := range c.kin {
		h.list = append(h.list, wordHash(c.ctype+"/"+id))
	}
	for _, code := range c.codes {
		if !f.r.index.indexed(typ, code) {
			return nil, false, nil
		}
		h.params = append(h.params, f.params(typ, code)...)
	}
	return h, true, nil
}

// refHashes are those of the resources that a chain or _has came to.
func (f *finder) refHashes(typ string, pc *planned) (*hashes, bool, error) {
	if pc.refs == nil {
		return nil, false, nil
	}
	if pc.c.form == formHas {
		return nil, false, nil
	}
	h := &hashes{params: f.params(typ, pc.c.code)}
	for ref := range pc.refs {
		h.list = append(h.list, wordHash(ref))
	}
	return h, true, nil
}

// keys under which values stand in the index, for conditions whose resources may stand there more than once.

func hashKey(v search.Value) (any, bool) {
	switch v := v.(type) {
	case search.Token:
		return tokenHash(systemOf(v), v.Code), v.Code != ""
	case search.Reference:
		return wordHash(refKey(v)), v.URL != ""
	case search.URI:
		return wordHash(v.URI), true
	}
	return nil, false
}

func stringKey(v search.Value) (any, bool) {
	s, ok := v.(search.String)
	return clip(s.Folded, foldedBytes), ok
}

func dateKey(v search.Value) (any, bool) {
	d, ok := v.(search.Date)
	return d.Lo, ok
}

func numberKey(v search.Value) (any, bool) {
	switch v := v.(type) {
	case search.Number:
		return pointOf(v), true
	case search.Quantity:
		return pointOf(v.Number), true
	}
	return nil, false
}

func pointOf(n search.Number) float64 {
	if isPoint(n) {
		return n.Value
	}
	return n.Lo
}

// count is how many rows a source has, up to most.
func (f *finder) count(s *source, most int) (int, error) {
	if s.list != nil {
		return len(s.list), nil
	}
	n := 0
	for _, p := range s.parts {
		var here int
		err := f.tx.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM `+p.table+` WHERE `+p.where+` LIMIT ?) AS c`,
			append(p.args[:len(p.args):len(p.args)], most-n)...).Scan(&here)
		if err != nil {
			return 0, err
		}
		if n += here; n >= most {
			break
		}
	}
	return n, nil
}

// read is the next stretch of a source behind a place, in the order of key, lane and rid. Each part stands in that order in
// its index; they are merged here.
func (f *finder) read(s *source, after *resident, n int, desc bool) ([]resident, error) {
	var list []resident
	for i := range s.parts {
		if s.parts[i].dry {
			continue
		}
		had := len(list)
		var err error
		if list, err = f.readPart(&s.parts[i], list, after, n, desc); err != nil {
			return nil, err
		}
		if len(list) == had {
			s.parts[i].dry = true
		} else if had > 0 {
			slices.SortFunc(list, func(a, b resident) int {
				c := cmp.Or(compareKeys(a.key, b.key), compareResidents(a, b))
				if desc {
					return -c
				}
				return c
			})
			list = list[:min(n, len(list))]
		}
	}
	return list, nil
}

// behind is the condition on what stands behind a place, in the direction of past ("<" or ">"), so that the index is entered there.
func (p *part) behind(after *resident, past string, one bool) (string, []any) {
	if p.only != nil {
		switch c := compareKeys(p.only, after.key); {
		case c == 0 && one:
			return ` AND rid ` + past + ` ?`, []any{after.rid}
		case c == 0:
			return ` AND (lane, rid) ` + past + ` (?, ?)`, []any{after.lane, after.rid}
		case c > 0 == (past == ">"):
			return ``, nil
		}
		return ` AND 1 = 0`, nil
	}
	if !one {
		return ` AND (` + p.key + `, lane, rid) ` + past + ` (?, ?, ?)`, []any{after.key, after.lane, after.rid}
	}
	return ` AND ` + p.key + ` ` + past + `= ? AND (` + p.key + ` ` + past + ` ? OR (lane, rid) ` + past + ` (?, ?))`,
		[]any{after.key, after.key, after.lane, after.rid}
}

func (f *finder) readPart(p *part, list []resident, after *resident, n int, desc bool) ([]resident, error) {
	order, past := "ASC", ">"
	if desc {
		order, past = "DESC", "<"
	}
	one := f.r.db.Lanes() == 1
	lane := `lane, `
	if one {
		lane = ``
	}
	query := `SELECT ` + lane + `rid, ` + p.key + ` FROM ` + p.table + ` WHERE ` + p.where
	args := p.args[:len(p.args):len(p.args)]
	if after != nil {
		behind, more := p.behind(after, past, one)
		query, args = query+behind, append(args, more...)
	}
	query += ` ORDER BY ` + p.key + ` ` + order + `, lane ` + order + `, rid ` + order + ` LIMIT ?`
	rows, err := f.tx.Query(query, append(args, n)...)
	if err != nil {
		return nil, err
	}
	list = slices.Grow(list, min(n, walkChunk))
	for rows.Next() {
		var r resident
		if one {
			err = rows.Scan(&r.rid, &r.key)
		} else {
			err = rows.Scan(&r.lane, &r.rid, &r.key)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// mostParts bounds the union of one statement.
const mostParts = 64

// all reads a whole source into memory, sorted by lane and rid, each resource once.
func (f *finder) all(s *source) ([]resident, error) {
	if s.list != nil {
		return s.list, nil
	}
	var list []resident
	for _, p := range s.parts {
		rows, err := f.tx.Query(`SELECT lane, rid FROM `+p.table+` WHERE `+p.where+` LIMIT ?`,
			append(p.args[:len(p.args):len(p.args)], f.r.limits.Rows+1)...)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
			var r resident
			if err := rows.Scan(&r.lane, &r.rid); err != nil {
				return nil, err
			}
			list = append(list, r)
		}
		if err := rows.Err(); err != nil {
			return nil, err
		}
		if len(list) > 4*f.r.limits.Rows {
			return nil, tooCostly()
		}
	}
	return sortResidents(list), nil
}

func tooCostly() error {
	return fault.New(fault.TooCostly, "This search would look into too many resources. Name a patient, an identifier, a date or a code to narrow it.")
}
