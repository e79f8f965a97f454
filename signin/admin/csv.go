package admin

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/web/format"
)

// Columns are those that a file of users may have, by their names in its first line, in any order; id, name and role must be there.
func Columns() []string {
	return []string{"id", "name", "role", "organisation", "job", "patient", "proofed", "joins", "leaves", "review"}
}

// maxRows is how many users one file may hold.
const maxRows = 20_000

// Row is one line of a file: who it says, or why it says nobody.
type Row struct {
	Line   int
	Member access.Member
	Err    error
}

// ReadUsers reads a file of users (RFC 4180, UTF-8, with or without a byte order mark). A line that is wrong says so and stops none of
// the others. Errors: fault.Invalid for a first line that names no columns; fault.TooLarge for more than 20,000 lines.
func ReadUsers(file io.Reader) ([]Row, error) {
	r := csv.NewReader(file)
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The file must begin with a line that names its columns: %s.", strings.Join(Columns(), ","))
	}
	at := map[string]int{}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if _, twice := at[name]; twice || !slices.Contains(Columns(), name) {
			return nil, fault.New(fault.Invalid, "The column %q is there twice or is not known. There are: %s.", name, strings.Join(Columns(), ","))
		}
		at[name] = i
	}
	for _, name := range Columns()[:3] {
		if _, ok := at[name]; !ok {
			return nil, fault.New(fault.Invalid, "The file has no column %s.", name)
		}
	}
	var rows []Row
	seen := map[string]int{}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if len(rows) == maxRows {
			return nil, fault.New(fault.TooLarge, "The file has more than %d lines: send it in parts.", maxRows)
		}
		row := Row{}
		if err != nil {
			var bad *csv.ParseError
			if errors.As(err, &bad) {
				row.Line = bad.Line
			}
			row.Err = fault.Wrap(err, fault.Invalid, "The line is not as the first line says, or a quotation mark is missing.")
			rows = append(rows, row)
			if !errors.Is(err, csv.ErrFieldCount) {
				return rows, nil // where the next line begins, nobody can tell
			}
			continue
		}
		row.Line, _ = r.FieldPos(0)
		row.Member, row.Err = member(func(column string) string {
			if i, ok := at[column]; ok {
				return strings.TrimSpace(fields[i])
			}
			return ""
		})
		if first, twice := seen[row.Member.ID]; twice && row.Err == nil {
			row.Err = fault.New(fault.Invalid, "%s is on line %d already.", row.Member.ID, first)
		}
		seen[row.Member.ID] = row.Line
		rows = append(rows, row)
	}
}

// member reads one user by column.
func member(value func(column string) string) (access.Member, error) {
	var m access.Member
	m.ID, m.Name, m.Role, m.Job, m.Person, m.Proofed = value("id"), value("name"), access.Role(value("role")), value("job"), value("patient"), value("proofed")
	var err error
	if code := value("organisation"); code != "" {
		if m.Organisation, err = ident.ParseODSCode(code); err != nil {
			return m, err
		}
	}
	for _, d := range []struct {
		column string
		at     *time.Time
	}{{"joins", &m.Joined}, {"leaves", &m.Leaves}, {"review", &m.Review}} {
		if *d.at, err = ReadDay(value(d.column)); err != nil {
			return m, err
		}
	}
	if !m.Leaves.IsZero() {
		m.Leaves = EndOf(m.Leaves)
	}
	if m.Role == access.Patient {
		if _, err := ident.ParseNHSNumber(m.Person); err != nil {
			return m, err
		}
	}
	return m, m.Check()
}

// ReadDay is a day written as 2027-03-31, at its beginning in the United Kingdom; the zero time for "". Errors: fault.Invalid.
func ReadDay(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1900 {
		return time.Time{}, fault.New(fault.Invalid, "%q is no day; write it as 2027-03-31.", s)
	}
	return format.Begins(t), nil
}

// EndOf is the end of somebody's last day, from its beginning: a day of 23, 24 or 25 hours.
func EndOf(day time.Time) time.Time { return format.Midnight(day).AddDate(0, 0, 1) }

// LastDay is the day of which EndOf is the end, at its beginning; the zero time for none.
func LastDay(end time.Time) time.Time {
	if end.IsZero() {
		return end
	}
	return format.Midnight(end.Add(-12 * time.Hour))
}

// Written is a day as ReadDay reads it; "" for none.
func Written(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return format.Midnight(t).Format(time.DateOnly)
}

// Result is what became of a row, or would.
type Result struct {
	Row
	Outcome access.Outcome
}

// What is one word for a result: added, changed, moved, unchanged or refused.
func (r Result) What() string {
	switch {
	case r.Err != nil:
		return "refused"
	case r.Outcome.Act == "":
		return "unchanged"
	}
	return r.Outcome.Act
}

// Import adds and changes users as rows say, each in a commit of its own: one that is refused stops none of the others, and the same
// file again changes nothing. With dry it changes nothing either, and says what it would.
func Import(ctx context.Context, gate *access.Gate, by access.Principal, rows []Row, reason string, dry bool) ([]Result, error) {
	results := make([]Result, len(rows))
	for i, row := range rows {
		results[i].Row = row
		if row.Err != nil {
			continue
		}
		var err error
		if dry {
			results[i].Outcome, err = gate.PlanMember(ctx, by, row.Member)
		} else {
			results[i].Outcome, err = gate.PutMember(ctx, by, row.Member, reason)
		}
		if err != nil && fault.KindOf(err).HTTPStatus() >= 500 {
			return results[:i], err
		}
		results[i].Err = err
	}
	return results, nil
}
