package directory

import (
	"io"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// What the files about those who practise hold (ODS, "Data downloads": egpcur, enurse, epracmem).
const (
	practitioners = "practitioners" // GPs, with the practice where they work now
	nurses        = "nurses"        // nurses who prescribe, with the organisation for which they do
	memberships   = "memberships"   // when GPs joined and left practices
)

// Person is one line of a file about those who practise.
type Person struct {
	Line  int // from 1
	Code  string
	Title string
	Name  string // as the file writes it: SMITH AB; empty in a file of memberships
	Kind  string // of the practitioner-role code system; empty in a file of memberships
	Span  Span   // of the code
	Open  bool
	Phone string
	// At is where they work, and Works since and until when.
	At    ident.ODSCode
	Works Span
}

// File is an ODS file that was read.
type File struct {
	Report  Report
	Rows    []Row
	People  []Person
	Refused []Refusal
}

// ReadFile reads an ODS file of any kind, as ReadODS does those of organisations. Error: only what r fails with.
func ReadFile(r io.Reader, report Report) (f File, err error) {
	f.Report = report
	if report.People == "" {
		f.Rows, f.Refused, err = ReadODS(r, report)
		return f, err
	}
	seen := map[string]int{}
	f.Refused, err = eachLine(r, func(line int, text []byte) (string, string) {
		p, problem := readPerson(text, report)
		key := p.Code
		if report.People == memberships {
			key = p.postID()
		}
		if problem == "" && seen[key] != 0 {
			problem = "This stands in line " + itoa(seen[key]) + " already, which was taken."
		}
		if problem == "" {
			seen[key], p.Line = line, line
			f.People = append(f.People, p)
		}
		return p.Code, problem
	})
	return f, err
}

// LooksRight refuses a file as a whole when it can hardly be the report that it is said to be. Error: fault.Invalid.
func (f File) LooksRight() error {
	return looksRight(f.Report, len(f.Rows)+len(f.People), f.Refused)
}

// Lines is how many lines held something.
func (f File) Lines() int { return len(f.Rows) + len(f.People) + len(f.Refused) }

// personColumns are where a file has what, from 1; 0 for nowhere.
type personColumns struct {
	code, name, kind, parent, phone, title, initials, state int
	days                                                    [4]int
}

func (r Report) people() personColumns {
	switch r.People {
	case nurses:
		return personColumns{code: 3, name: 8, initials: 7, title: 6, kind: 1, parent: 2, phone: 15, days: [4]int{4, 5, 4, 5}}
	case memberships:
		return personColumns{code: 1, parent: 2, days: [4]int{0, 0, 4, 5}}
	}
	return personColumns{code: 1, name: 2, kind: 14, parent: 15, phone: 18, state: 13, days: [4]int{11, 12, 16, 17}}
}

// readPerson reads one line; problem is why it cannot be taken, and empty when it can.
func readPerson(text []byte, report Report) (p Person, problem string) {
	cells, problem := splitLine(text)
	if problem != "" {
		return p, problem
	}
	at := report.people()
	if len(cells) != report.columns() {
		return p, "There are " + itoa(len(cells)) + " columns; " + report.Name + " has " + itoa(report.columns()) + "."
	}
	if problem := tidy(cells); problem != "" {
		return p, problem
	}
	c := func(column int) string {
		if column == 0 {
			return ""
		}
		return cells[column-1]
	}
	if p.Code = strings.ToUpper(c(at.code)); !practitionerCode(p.Code) {
		p.Code = ""
		return p, "Column " + itoa(at.code) + " is no practitioner's code."
	}
	p.Name, p.Title, p.Phone = strings.TrimSpace(c(at.name)+" "+c(at.initials)), c(at.title), c(at.phone)
	if p.Name == "" && at.name != 0 {
		return p, "Column " + itoa(at.name) + ", the name, is empty."
	}
	days, problem := readDaysOf(cells, at.days)
	if problem != "" {
		return p, problem
	}
	p.Span, p.Works, p.Open = Span{days[0], days[1]}, Span{days[2], days[3]}, true
	if at.state != 0 {
		state, known := states[strings.ToUpper(c(at.state))]
		if !known {
			return p, "Column " + itoa(at.state) + ", the status, is none of A, C, D and P."
		}
		p.Open = state == Open
	}
	p.Kind = kindOfPerson(report.People, c(at.kind))
	if c(at.parent) == "" && report.People != memberships {
		return p, ""
	}
	var err error
	if p.At, err = ident.ParseODSCode(c(at.parent)); err != nil {
		return p, "Column " + itoa(at.parent) + " is no ODS code: " + fault.MessageOf(err) + "."
	}
	return p, ""
}

// practitionerCode reports whether s can be the code of somebody who practises: 6 to 12 letters and digits (G1234567, a nurse's PIN).
func practitionerCode(s string) bool {
	return len(s) >= 6 && len(s) <= 12 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" && strings.ContainsAny(s, "0123456789")
}

// kindOfPerson is the code of the practitioner-role code system that a file's own code stands for: the specification names the principal among GPs and the
// district nurse or health visitor among nurses; others are known by their type alone.
func kindOfPerson(people, own string) string {
	switch {
	case people == practitioners && own == "P":
		return "PGP1"
	case people == practitioners:
		return "PGP"
	case people == nurses && own == "1":
		return "PNURSE1"
	case people == nurses:
		return "PNURSE"
	}
	return ""
}

// postID is the id of where somebody works, since a day: as the register numbers it, with hyphens.
func (p Person) postID() string {
	return strings.TrimSuffix(p.Code+"-"+p.At.String()+"-"+strings.ReplaceAll(string(p.Works.From), "-", ""), "-")
}

// on makes a line mean what its dates say on a day: a code that closes ends the work under it.
func (p *Person) on(today Day) {
	switch {
	case p.Span.To > today:
		p.Open = true
	case p.Span.To.Known() && p.Span.To < today:
		p.Open = false
	}
	if p.Span.To.Known() && (!p.Works.To.Known() || p.Works.To > p.Span.To) {
		p.Works.To = p.Span.To
	}
}

// names are a family name and the initials after it, as the files write a name: SMITH AB. A name of one word is a family name.
func (p Person) names() (family string, given []string) {
	words := strings.Fields(p.Name)
	last := words[len(words)-1]
	if len(words) == 1 || len(last) > 5 || last != strings.ToUpper(last) {
		return p.Name, nil
	}
	for _, letter := range last {
		if letter != '.' {
			given = append(given, string(letter))
		}
	}
	return strings.Join(words[:len(words)-1], " "), given
}
