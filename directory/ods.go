package directory

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// odsColumns is how many columns every file of the ODS downloads has (ODS, "Data downloads: file formats").
const odsColumns = 27

// odsLine bounds one line, in bytes; the longest in a published file has about 300.
const odsLine = 64 << 10

// Report is one of the ODS files: they share their columns and differ in what their rows are.
type Report struct {
	// Name is the file's name without .csv, for example epraccur.
	Name string
	// Role is the primary role of each row.
	Role string
	// Site says that the rows are places of other organisations.
	Site bool
	// Parent is what column 15 is to the row, and Provider what column 24 is; empty for nothing.
	Parent, Provider string
	// Settings says that column 26 is a prescribing setting.
	Settings bool
	// People says that the rows are those who practise, and of which kind (people.go); empty for organisations.
	People string
}

// columns is how many columns a line has.
func (r Report) columns() int {
	switch r.People {
	case nurses:
		return 20
	case memberships:
		return 6
	}
	return odsColumns
}

// Reports are the ODS files that can be imported.
func Reports() []Report {
	return []Report{
		{Name: "epraccur", Role: "RO177", Parent: "RE4", Provider: "RE6", Settings: true},
		{Name: "ebranchs", Role: "RO96", Site: true, Parent: "RE6"},
		{Name: "edispensary", Role: "RO182", Parent: "RE6"},
		{Name: "epharmacyhq", Role: "RO181"},
		{Name: "etr", Role: "RO197"},
		{Name: "ets", Role: "RO198", Site: true, Parent: "RE6"},
		{Name: "eccg", Role: "RO98"},
		{Name: "egdpprac", Role: "RO110", Parent: "RE4"},
		{Name: "ehospice", Role: "RO172", Parent: "RE4"},
		{Name: "egpcur", People: practitioners},
		{Name: "enurse", People: nurses},
		{Name: "epracmem", People: memberships},
	}
}

// ReportOf is the report that a file's name says: epraccur for /tmp/epraccur.csv. Error: fault.Invalid, which lists those there are.
func ReportOf(name string) (Report, error) {
	base := strings.ToLower(filepath.Base(name))
	var known []string
	for _, r := range Reports() {
		if strings.TrimSuffix(base, ".csv") == r.Name {
			return r, nil
		}
		known = append(known, r.Name)
	}
	return Report{}, fault.New(fault.Invalid, "Which ODS report this is cannot be told from its name; say which: %s.", strings.Join(known, ", "))
}

// Row is one line of an ODS file that could be read.
type Row struct {
	Line         int // from 1
	Organisation Organisation
	// Relations are those that the line states, without ids.
	Relations []Relationship
	// Note says what is odd about a line that was taken all the same; empty for nothing.
	Note string
}

// Refusal is one line that was kept out, and why.
type Refusal struct {
	Line   int
	Code   string // where it could be read
	Reason string
}

// ReadODS reads an ODS file of 27 columns without a header line (RFC 4180 in UTF-8 or Windows-1252, with or without a byte order
// mark, lines ended by LF or CRLF). What is wrong with a line is a Refusal with its number and keeps no other line out.
// A line that runs on is left at its end and never held in memory whole. Error: only what r fails with.
func ReadODS(r io.Reader, report Report) (rows []Row, refused []Refusal, err error) {
	seen := map[string]int{}
	refused, err = eachLine(r, func(line int, text []byte) (string, string) {
		row, problem := readRow(text, report)
		code := row.Organisation.Code.String()
		if problem == "" && seen[code] != 0 {
			problem = "The code stands in line " + itoa(seen[code]) + " already, which was taken."
		}
		if problem == "" {
			seen[code], row.Line = line, line
			rows = append(rows, row)
		}
		return code, problem
	})
	return rows, refused, err
}

// eachLine hands over each line that is not empty, without its end; take says what it is about and what is wrong with it, empty for nothing.
func eachLine(r io.Reader, take func(line int, text []byte) (code, problem string)) (refused []Refusal, err error) {
	in := bufio.NewReaderSize(r, odsLine)
	for line := 1; ; line++ {
		text, tooLong, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return refused, nil
		}
		if err != nil {
			return refused, fault.Wrap(err, fault.Invalid, "The file ended before it was complete.")
		}
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		}
		if tooLong {
			refused = append(refused, Refusal{line, "", "The line is over 64 KB."})
			continue
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if code, problem := take(line, text); problem != "" {
			refused = append(refused, Refusal{line, code, problem})
		}
	}
}

// LooksRight refuses a file as a whole when it can hardly be the report that it is said to be: it has no line that could be read, or more lines were
// refused than taken. Error: fault.Invalid, with the first line that was refused and why.
func LooksRight(report Report, rows []Row, refused []Refusal) error {
	return looksRight(report, len(rows), refused)
}

func looksRight(report Report, rows int, refused []Refusal) error {
	switch {
	case rows == 0 && len(refused) == 0:
		return fault.New(fault.Invalid, "The file is empty; each line of %s has %d columns.", report.Name, report.columns())
	case len(refused) > rows:
		return fault.New(fault.Invalid, "This does not look like %s: %d lines could be read and %d could not. The first is line %d: %s Nothing was written.",
			report.Name, rows, len(refused), refused[0].Line, refused[0].Reason)
	}
	return nil
}

// readLine is the next line without its end; tooLong says that it was over odsLine and has been skipped.
func readLine(in *bufio.Reader) (text []byte, tooLong bool, err error) {
	text, err = in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		tooLong = true
		_, err = in.ReadSlice('\n')
	}
	if errors.Is(err, io.EOF) && (len(text) > 0 || tooLong) {
		err = nil
	}
	return bytes.TrimRight(text, "\r\n"), tooLong, err
}

// readRow reads one line; problem is why it cannot be taken, and empty when it can.
func readRow(text []byte, report Report) (row Row, problem string) {
	cells, problem := splitLine(text)
	if problem != "" {
		return row, problem
	}
	if code, err := ident.ParseODSCode(strings.TrimSpace(cells[0])); err == nil {
		row.Organisation.Code = code
	} else if len(cells) == odsColumns {
		return row, "Column 1 is no ODS code: " + fault.MessageOf(err) + "."
	}
	if len(cells) != odsColumns {
		return row, "There are " + itoa(len(cells)) + " columns; an ODS file has 27."
	}
	if problem := tidy(cells); problem != "" {
		return row, problem
	}
	return readCells(row.Organisation.Code, cells, report)
}

// splitLine reads the fields of a line in UTF-8 or Windows-1252.
func splitLine(text []byte) (cells []string, problem string) {
	if !utf8.Valid(text) {
		decoded, err := charmap.Windows1252.NewDecoder().Bytes(text)
		if err != nil {
			return nil, "The line is neither UTF-8 nor Windows-1252."
		}
		text = decoded
	}
	return splitCSV(string(text))
}

// tidy takes needless spaces from the fields, and says which of them cannot be a field.
func tidy(cells []string) (problem string) {
	for i, c := range cells {
		if cells[i] = strings.Join(strings.Fields(c), " "); strings.ContainsFunc(c, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return "Column " + itoa(i+1) + " holds a control character."
		}
		if utf8.RuneCountInString(c) > 255 {
			return "Column " + itoa(i+1) + " is over 255 characters."
		}
	}
	return ""
}

// splitCSV reads the fields of one line (RFC 4180).
func splitCSV(s string) (cells []string, problem string) {
	for {
		if !strings.HasPrefix(s, `"`) {
			cell, rest, more := strings.Cut(s, ",")
			if strings.Contains(cell, `"`) {
				return nil, "Column " + itoa(len(cells)+1) + " has a quotation mark in the middle."
			}
			cells = append(cells, cell)
			if !more {
				return cells, ""
			}
			s = rest
			continue
		}
		var cell strings.Builder
		s = s[1:]
		for {
			part, rest, found := strings.Cut(s, `"`)
			if !found {
				return nil, "Column " + itoa(len(cells)+1) + " has a quotation mark that is not closed."
			}
			cell.WriteString(part)
			if s = rest; !strings.HasPrefix(s, `"`) {
				break
			}
			cell.WriteByte('"')
			s = s[1:]
		}
		cells = append(cells, cell.String())
		if s == "" {
			return cells, ""
		}
		if s[0] != ',' {
			return nil, "Column " + itoa(len(cells)) + " goes on after its closing quotation mark."
		}
		s = s[1:]
	}
}

// states are the status codes of column 13.
var states = map[string]State{"A": Open, "C": Closed, "D": Dormant, "P": Proposed, "ACTIVE": Open, "INACTIVE": Closed}

// readCells makes facts of a line's columns, which are numbered from 1 in what is said about them.
func readCells(code ident.ODSCode, cells []string, report Report) (row Row, problem string) {
	c := func(column int) string { return cells[column-1] }
	o := Organisation{Code: code, Name: c(2), Site: report.Site, Phone: c(18)}
	row.Organisation = o
	if o.Name == "" {
		return row, "Column 2, the name, is empty."
	}
	var known bool
	if o.State, known = states[strings.ToUpper(c(13))]; !known {
		return row, "Column 13, the status, is none of A, C, D and P."
	}
	days, problem := readDays(cells)
	if problem != "" {
		return row, problem
	}
	opened, closed, joined, left := days[0], days[1], days[2], days[3]
	if o.State == Closed && !closed.Known() {
		return row, "The organisation is closed (column 13) and has no close date (column 12)."
	}
	o.Roles = []Role{{Code: report.Role, Active: o.Active(), Span: Span{opened, closed}}}
	if report.Settings && c(26) != "" {
		set, known := settingOf(c(26))
		if !known {
			return row, "Column 26 is no prescribing setting."
		}
		o.Setting = set.Code
		for _, role := range set.Roles {
			o.Roles = append(o.Roles, Role{Code: role, Active: o.Active(), Span: Span{opened, closed}})
		}
	}
	row.Organisation, row.Note = readPlace(o, cells)
	for _, p := range []struct {
		column int
		kind   string
	}{{15, report.Parent}, {24, report.Provider}} {
		if p.kind == "" || c(p.column) == "" {
			continue
		}
		to, err := ident.ParseODSCode(c(p.column))
		if err != nil {
			return row, "Column " + itoa(p.column) + " is no ODS code: " + fault.MessageOf(err) + "."
		}
		row.Relations = append(row.Relations, Relationship{Type: p.kind, From: code, To: to, Active: o.State != Closed && !left.Known(), Span: Span{joined, left}})
	}
	return row, ""
}

// on makes a row mean what its dates say on a day: what closes or is left later is open and held until then, whatever its status says, and what closed
// before is closed.
func (r *Row) on(today Day) {
	o := &r.Organisation
	closes := o.Span().To
	switch {
	case o.State == Closed && closes > today:
		o.State = Open
	case o.State == Open && closes.Known() && closes < today:
		o.State = Closed
	}
	for i := range o.Roles {
		o.Roles[i].Active = o.Active()
	}
	for i, rel := range r.Relations {
		r.Relations[i].Active = o.State != Closed && (!rel.Span.To.Known() || rel.Span.To >= today)
	}
}

// readDays are the open, close, join and left dates.
func readDays(cells []string) (days [4]Day, problem string) {
	return readDaysOf(cells, [4]int{11, 12, 16, 17})
}

// readDaysOf are the open, close, join and left dates by their columns; 0 is one that the file does not have.
func readDaysOf(cells []string, columns [4]int) (days [4]Day, problem string) {
	for i, column := range columns {
		if column == 0 {
			continue
		}
		text := cells[column-1]
		if text == "" {
			continue
		}
		t, err := time.Parse("20060102", text)
		if err != nil || t.Year() < 1800 {
			return days, "Column " + itoa(column) + " is no date (YYYYMMDD)."
		}
		days[i] = DayOf(t)
	}
	if days[1].Known() && days[1] < days[0] {
		return days, "It closes (column " + itoa(columns[1]) + ") before it opens (column " + itoa(columns[0]) + ")."
	}
	if days[3].Known() && days[3] < days[2] {
		return days, "It leaves (column " + itoa(columns[3]) + ") before it joins (column " + itoa(columns[2]) + ")."
	}
	return days, ""
}

// readPlace reads the address and the areas, and notes a postcode that is none and is kept as it is written. The files squeeze blank lines out, so whether the last line is a county is told by its name.
func readPlace(o Organisation, cells []string) (_ Organisation, note string) {
	lines := slices.DeleteFunc(slices.Clone(cells[4:9]), func(s string) bool { return s == "" })
	if n := len(lines); n > 1 && county(lines[n-1]) {
		o.County, lines = lines[n-1], lines[:n-1]
	}
	if n := len(lines); n > 1 {
		o.Town, lines = lines[n-1], lines[:n-1]
	}
	o.Lines = lines
	if text := cells[9]; text != "" {
		o.Postcode = text
		if pc, err := ident.ParsePostcode(text); err == nil {
			o.Postcode = pc.String()
		} else {
			note = "Column 10 is no postcode and was kept as it is written: " + fault.MessageOf(err) + "."
		}
	}
	o.Country = "ENGLAND"
	switch region := cells[2]; region {
	case "":
	case "W00":
		o.Country = "WALES"
		o.Areas = append(o.Areas, Area{"NHSER", region})
	default:
		o.Areas = append(o.Areas, Area{"NHSER", region})
	}
	if cells[3] != "" {
		o.Areas = append(o.Areas, Area{"HLHG", cells[3]})
	}
	switch o.County {
	case "JERSEY", "GUERNSEY", "ISLE OF MAN":
		o.Country = o.County
	}
	return o, note
}
