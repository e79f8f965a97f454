package access

import (
	"slices"

	"github.com/openspine/openspine/fault"
)

// keyset is a condition, an order and a limit that select one page of a worklist, which goes by (at, lane, id), newest or oldest first.
type keyset struct {
	cond string
	args []any
}

// keyset is the page that q asks for among what mine selects; waiting is the condition for what waits. Errors: fault.Invalid for
// a limit over 200 and for two cursors, fault.NotFound for a foreign cursor.
func (q *AlertQuery) keyset(waiting, mine string, args []any) (keyset, error) {
	if q.Limit == 0 {
		q.Limit = 50
	}
	if q.Limit < 1 || q.Limit > 200 || q.After != "" && q.Before != "" {
		return keyset{}, fault.New(fault.Invalid, "A page holds 1 to 200, after one place or before one.")
	}
	k := keyset{mine, slices.Clone(args)}
	if q.Waiting {
		k.cond += ` AND ` + waiting
	}
	order, sign, from := ` ORDER BY at DESC, lane DESC, id DESC LIMIT ?`, "<", q.After
	if q.Before != "" {
		from = q.Before
	}
	if q.Oldest != (q.Before != "") {
		order, sign = ` ORDER BY at, lane, id LIMIT ?`, ">"
	}
	if from != "" {
		at, lane, id, err := parseAlertID(from)
		if err != nil {
			return keyset{}, err
		}
		k.cond += ` AND (at, lane, id) ` + sign + ` (?, ?, ?)`
		k.args = append(k.args, at, lane, id)
	}
	k.cond, k.args = k.cond+order, append(k.args, q.Limit+1)
	return k, nil
}

// paged puts what keyset selected in the order that was asked for, with the cursors of the pages before and after.
func paged[T any](list []T, q AlertQuery, id func(T) string) (page []T, previous, next string) {
	more := len(list) > q.Limit
	if more {
		list = list[:q.Limit]
	}
	older, newer := more, q.After != ""
	if q.Before != "" {
		slices.Reverse(list)
		older, newer = true, more
	}
	if len(list) == 0 {
		return nil, "", ""
	}
	if newer {
		previous = id(list[0])
	}
	if older {
		next = id(list[len(list)-1])
	}
	return list, previous, next
}
