package web

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// PageOf is the part of a list that the URL asks for, and the cursors that lead to the rows before and after it; an empty cursor means that there are none. The list is as it is ordered and filtered. key names a row, so that
// whoever turns the page of a list that has changed meanwhile goes on behind the row that they saw last; where that row has left the list, behind the one before it.
func PageOf[T any](s TableState, list []T, size int, key func(T) string) (rows []T, previous, next string) {
	from := 0
	switch after, before := s.After(), s.Before(); {
	case after != "":
		at, there := placeOf(list, after, key)
		if from = at; there {
			from++
		}
	case before != "":
		at, _ := placeOf(list, before, key)
		from = at - size
	}
	if from >= len(list) {
		from = len(list) - size
	}
	from = max(from, 0)
	to := min(from+size, len(list))
	if rows = list[from:to]; from > 0 {
		previous = cursorAt(from, rows[:min(len(rows), 1)], key)
	}
	if to < len(list) {
		next = cursorAt(to-1, rows[max(0, len(rows)-cursorRows):], key)
	}
	return rows, previous, next
}

// cursorRows is how many rows a cursor names, the nearest first: a row that was dealt with leaves the list.
const cursorRows = 4

func cursorAt[T any](at int, rows []T, key func(T) string) string {
	c := strconv.Itoa(at)
	for _, row := range slices.Backward(rows) {
		c += "." + key(row)
	}
	return c
}

// placeOf is where the first of a cursor's rows stands that is there; where none is, where the first one stood.
func placeOf[T any](list []T, cursor string, key func(T) string) (at int, there bool) {
	names := strings.SplitN(cursor, ".", cursorRows+2)
	for _, name := range names[1:] {
		if i := slices.IndexFunc(list, func(row T) bool { return key(row) == name }); i >= 0 {
			return i, true
		}
	}
	at, err := strconv.Atoi(names[0])
	if err != nil {
		return 0, false
	}
	return min(max(at, 0), len(list)), false
}

// Ordered sorts a list by the column that the URL names, of those that compare has; the list comes in the order of the first column, which is kept where none is named. What is equal stays as it was.
func Ordered[T any](s TableState, list []T, compare map[string]func(a, b T) int) {
	column, descending := s.Sort()
	by, ok := compare[column]
	if !ok {
		if descending {
			slices.Reverse(list)
		}
		return
	}
	slices.SortStableFunc(list, func(a, b T) int {
		if descending {
			a, b = b, a
		}
		return by(a, b)
	})
}

// ByText compares two rows by a text, whatever its case.
func ByText[T any](text func(T) string) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(strings.ToLower(text(a)), strings.ToLower(text(b))) }
}

// Here is the URL of the list as it is shown, with where in it the reader is: what a page that follows changes fetches again.
func (s TableState) Here() string { return s.With(AfterParam, s.After(), BeforeParam, s.Before()) }
