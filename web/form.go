package web

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
)

// Form asks for something. It carries the person it is about and the token that CheckForm looks for.
type Form struct {
	// Action receives the POST; empty is the page's own URL.
	Action string
	// Person is what CheckForm will be given: the identifier of whose record the form acts on, empty for nobody's.
	Person string
	// PersonName is shown above the button, so that the last thing read before acting is whom it is about.
	PersonName string
	Submit     string
	// Danger makes the button a warning: merge, cancel, override.
	Danger bool
	Cancel Link
	// Multipart is for forms that send files.
	Multipart bool
}

// FieldError is one thing wrong with what was typed: in which field, and what to do about it.
type FieldError struct{ Field, Text string }

// FieldErrors are the things wrong with a form, in the order of its fields. The zero value is none.
type FieldErrors []FieldError

// Add says that a field is wrong, in words that say what to do: "Enter a date of birth, for example 27 3 1979".
func (e *FieldErrors) Add(field, text string) { *e = append(*e, FieldError{field, text}) }

// Of is what is wrong with a field, empty when nothing is.
func (e FieldErrors) Of(field string) string {
	for _, f := range e {
		if f.Field == field {
			return f.Text
		}
	}
	return ""
}

// Field is a question with one answer in text.
type Field struct {
	Name  string // unique on the page; also its id
	Label string
	Hint  string
	Value string // as typed
	Error string // FieldErrors.Of(Name)
	// Type is HTML's: text when empty, or search, email, tel, password.
	Type string
	// Width is how many characters are expected: 2, 3, 4, 5, 10, 20 or 30; zero is the full width.
	Width        int
	Autocomplete string // HTML's autofill name, for example name; "off" where the person at the desk is not the patient
	Numeric      bool   // shows digits on a phone
	// Rows is the height of a text area.
	Rows int
	// PageHeading makes the label the page's heading, where the page asks one thing.
	PageHeading bool
}

// Choice is a question with a list of answers.
type Choice struct {
	Name, Label, Hint, Error string
	Options                  []Option
	Value                    string   // of radios and selects
	Values                   []string // of checkboxes
	Inline                   bool
	PageHeading              bool
}

// Option is one answer.
type Option struct{ Value, Text, Hint string }

// DateField is a question about a day, asked as day, month and year.
type DateField struct {
	Name, Label, Hint, Error string
	Value                    DateValue
	// Birth lets the browser offer the reader's own date of birth.
	Birth       bool
	PageHeading bool
}

// DateValue is a date as it was typed.
type DateValue struct{ Day, Month, Year string }

// DateValueOf is a date for a form.
func DateValueOf(t time.Time) DateValue {
	return DateValue{strconv.Itoa(t.Day()), strconv.Itoa(int(t.Month())), strconv.Itoa(t.Year())}
}

// ReadDate reads the three parts of a DateField. Ok is false when they are no day of the calendar, 31 February included;
// a month may be a number or its English name. The value is kept as typed, to be shown again.
func ReadDate(form url.Values, name string) (v DateValue, day time.Time, ok bool) {
	v = DateValue{
		strings.TrimSpace(form.Get(name + "-day")),
		strings.TrimSpace(form.Get(name + "-month")),
		strings.TrimSpace(form.Get(name + "-year")),
	}
	d, errDay := strconv.Atoi(v.Day)
	m, okMonth := monthOf(v.Month)
	y, errYear := strconv.Atoi(v.Year)
	if errDay != nil || errYear != nil || !okMonth || len(v.Year) != 4 || y < 1 {
		return v, time.Time{}, false
	}
	day = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	return v, day, day.Day() == d && day.Month() == m
}

// Empty reports whether nothing was typed.
func (v DateValue) Empty() bool { return v == DateValue{} }

func monthOf(s string) (time.Month, bool) {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Month(n), n >= 1 && n <= 12
	}
	for m := time.January; m <= time.December; m++ {
		if len(s) >= 3 && strings.HasPrefix(strings.ToLower(m.String()), strings.ToLower(s)) {
			return m, true
		}
	}
	return 0, false
}

// describedBy lists the ids of what explains a field: its hint and its error.
func describedBy(name, hint, failed string) string {
	var ids []string
	if hint != "" {
		ids = append(ids, name+"-hint")
	}
	if failed != "" {
		ids = append(ids, name+"-error")
	}
	return strings.Join(ids, " ")
}

func (f Field) kind() string {
	if f.Type == "" {
		return "text"
	}
	return f.Type
}

func (f Field) class() string {
	c := "nhsuk-input"
	if f.Width > 0 {
		c += " nhsuk-input--width-" + strconv.Itoa(f.Width)
	}
	if f.Error != "" {
		c += " nhsuk-input--error"
	}
	return c
}

func (f Field) rows() string {
	if f.Rows == 0 {
		return "5"
	}
	return strconv.Itoa(f.Rows)
}

// optionID is the id of a radio or checkbox: the first has the field's own, where the error summary leads.
func optionID(name string, i int) string {
	if i == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(i+1)
}

// datePart is one of the three inputs. The first has the field's own id, where the error summary leads.
type datePart struct{ id, name, label, value, width, autocomplete string }

func (f DateField) parts(ctx context.Context) []datePart {
	parts := []datePart{
		{f.Name, f.Name + "-day", Text(ctx, "web.form.day"), f.Value.Day, "2", "bday-day"},
		{f.Name + "-month", f.Name + "-month", Text(ctx, "web.form.month"), f.Value.Month, "2", "bday-month"},
		{f.Name + "-year", f.Name + "-year", Text(ctx, "web.form.year"), f.Value.Year, "4", "bday-year"},
	}
	for i := range parts {
		if !f.Birth {
			parts[i].autocomplete = "off"
		}
	}
	return parts
}

// errorTarget is where a line of the error summary leads: the field's id.
func errorTarget(e FieldError) string { return "#" + e.Field }

func encoding(f Form) templ.Attributes {
	if f.Multipart {
		return templ.Attributes{"enctype": "multipart/form-data"}
	}
	return nil
}

func describedByAttribute(name, hint, failed string) templ.Attributes {
	if ids := describedBy(name, hint, failed); ids != "" {
		return templ.Attributes{"aria-describedby": ids}
	}
	return nil
}

func inputAttributes(f Field) templ.Attributes {
	a := templ.Attributes{}
	if !f.Numeric {
		a["dir"] = "auto" // a name in another script is typed, and shown again, from its own side
	}
	if ids := describedBy(f.Name, f.Hint, f.Error); ids != "" {
		a["aria-describedby"] = ids
	}
	if f.Autocomplete != "" {
		a["autocomplete"] = f.Autocomplete
	}
	if f.Numeric {
		a["inputmode"] = "numeric"
	}
	if f.Type == "search" || f.Autocomplete == "off" {
		a["spellcheck"] = "false"
	}
	return a
}

func fieldsetAttributes(name, hint, failed, role string) templ.Attributes {
	a := describedByAttribute(name, hint, failed)
	if role == "" {
		return a
	}
	if a == nil {
		a = templ.Attributes{}
	}
	a["role"] = role
	return a
}
