package events

import (
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
)

// condition is one part of a subscription's criteria: a filter and the value that it must have.
type condition struct{ Key, Value string }

// criteria are which events a subscriber wants: one type, and what must be true of it.
type criteria struct {
	Kind    string
	Filters []condition
}

// The bounds of criteria.
const (
	maxCriteria = 2000
	maxFilters  = 20
)

// parseCriteria reads criteria as they are published: eventType='pds-change-of-gp-2' AND generalpractitioner='XY11', where a value without spaces needs no
// quotes. Errors: fault.Invalid, in words for whoever subscribes.
func parseCriteria(text string) (criteria, error) {
	var c criteria
	if len(text) > maxCriteria {
		return c, fault.New(fault.Invalid, "Criteria have at most %d characters.", maxCriteria)
	}
	rest := strings.TrimSpace(text)
	for first := true; ; first = false {
		one, after, err := parseCondition(rest)
		if err != nil {
			return c, err
		}
		switch {
		case first && one.Key != "eventType":
			return c, fault.New(fault.Invalid, "Criteria begin with eventType=.")
		case first:
			c.Kind = one.Value
		case one.Key == "eventType":
			return c, fault.New(fault.Invalid, "Criteria name one eventType.")
		default:
			c.Filters = append(c.Filters, one)
		}
		if after == "" {
			break
		}
		next, ok := strings.CutPrefix(after, "AND")
		if trimmed := strings.TrimLeft(next, " "); !ok || trimmed == next {
			return c, fault.New(fault.Invalid, "The parts of criteria are joined by AND.")
		}
		rest = strings.TrimLeft(next, " ")
	}
	if len(c.Filters) > maxFilters {
		return c, fault.New(fault.Invalid, "Criteria have at most %d filters.", maxFilters)
	}
	k, known := kindOf(c.Kind)
	if !known {
		return c, fault.New(fault.Invalid, "Please provide a valid event type")
	}
	for _, f := range c.Filters {
		if !k.filter(f.Key) {
			return c, fault.New(fault.Invalid, "%s cannot be filtered by %s", k.name, f.Key)
		}
	}
	return c, nil
}

// parseCondition reads key=value at the beginning of text, and what follows.
func parseCondition(text string) (one condition, rest string, err error) {
	key, value, ok := strings.Cut(text, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" || strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return one, "", fault.New(fault.Invalid, "A part of criteria is a name, =, and a value: eventType='pds-change-of-gp-2'.")
	}
	value = strings.TrimLeft(value, " ")
	if quoted, ok := strings.CutPrefix(value, "'"); ok {
		if value, rest, ok = strings.Cut(quoted, "'"); !ok {
			return one, "", fault.New(fault.Invalid, "A quote in the criteria is not closed.")
		}
	} else if i := strings.IndexByte(value, ' '); i >= 0 {
		value, rest = value[:i], value[i:]
	}
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == '\'' || r == 0x7f || r == 0xfffd }) {
		return one, "", fault.New(fault.Invalid, "A value in the criteria is empty, or has a character that no value has.")
	}
	if rest != "" && rest[0] != ' ' {
		return one, "", fault.New(fault.Invalid, "The parts of criteria are joined by AND.")
	}
	return condition{key, value}, strings.TrimSpace(rest), nil
}

// String is the criteria in one form, so that those which ask the same are the same.
func (c criteria) String() string {
	filters := slices.Clone(c.Filters)
	slices.SortFunc(filters, func(a, b condition) int { return strings.Compare(a.Key+"\x00"+a.Value, b.Key+"\x00"+b.Value) })
	var b strings.Builder
	b.WriteString("eventType='" + c.Kind + "'")
	for _, f := range slices.Compact(filters) {
		b.WriteString(" AND " + f.Key + "='" + f.Value + "'")
	}
	return b.String()
}

// holds reports whether an event is one that the criteria ask for. Of a restricted person nothing that tells where they are is compared: such a filter lets none of
// their events pass.
func (c criteria) holds(e *event, restricted bool, makers func(organisation string) []string) bool {
	k, known := kindOf(c.Kind)
	if !known || e.Kind != c.Kind {
		return false
	}
	for _, f := range c.Filters {
		if restricted && k.tells(f.Key) {
			return false
		}
		have := e.Filtering[f.Key]
		if base, ok := strings.CutSuffix(f.Key, makerOf); ok && len(have) == 0 {
			for _, organisation := range e.Filtering[base] {
				have = append(have, makers(organisation)...)
			}
		}
		if !slices.Contains(have, f.Value) {
			return false
		}
	}
	return true
}
