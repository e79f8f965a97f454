package referral

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/web"
)

// Worklists are read whole, as far as they go, so that they can be ordered and searched by what is not in their own rows, such as names; what is shown of them is a page.
const (
	listRows   = 50   // a page
	mostListed = 2000 // what is read; whoever has more is told so, and narrows it
)

// listed is a row of a worklist: a referral or a question, by what lists are ordered and searched.
type listed[T any] struct {
	X                              T
	Chart, Number                  string
	UBRN                           ident.UBRN
	Name, Service, Provider, State string // the name is read when it is needed
	Priority                       Priority
	Since                          time.Time
}

func (l listed[T]) key() string { return l.UBRN.String() }

// named are the names of the people of rows.
func named[T any](ctx context.Context, f *face, rows []listed[T]) ([]string, error) {
	people := make([]Referral, len(rows))
	for i, x := range rows {
		people[i] = Referral{Chart: x.Chart}
	}
	return f.names(ctx, people)
}

// narrowed are the rows that the filters of a list leave, in the order that is asked for.
func narrowed[T any](ctx context.Context, f *face, state web.TableState, rows []listed[T]) ([]listed[T], error) {
	q, priority := strings.ToLower(state.Filter("q")), Priority(state.Filter("priority"))
	if slices.Contains(Priorities(), priority) {
		rows = slices.DeleteFunc(rows, func(x listed[T]) bool { return x.Priority != priority })
	}
	if by, _ := state.Sort(); q != "" || by == "patient" {
		names, err := named(ctx, f, rows)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			rows[i].Name = names[i]
		}
	}
	if q != "" {
		digits := strings.ReplaceAll(q, " ", "")
		rows = slices.DeleteFunc(rows, func(x listed[T]) bool {
			return !strings.Contains(strings.ToLower(x.Name+" "+x.Service+" "+x.Provider), q) && !strings.Contains(x.UBRN.String()+" "+x.Number, digits)
		})
	}
	urgency := func(x listed[T]) int { return -slices.Index(Priorities(), x.Priority) } // the most urgent first
	web.Ordered(state, rows, map[string]func(a, b listed[T]) int{
		"patient":  web.ByText(func(x listed[T]) string { return x.Name }),
		"service":  web.ByText(func(x listed[T]) string { return x.Service + " " + x.Provider }),
		"state":    web.ByText(func(x listed[T]) string { return x.State }),
		"priority": func(a, b listed[T]) int { return cmp.Compare(urgency(a), urgency(b)) },
		"waits":    func(a, b listed[T]) int { return b.Since.Compare(a.Since) },
	})
	return rows, nil
}

// countOf says how many rows a list has: where more were found than are read, that there are more.
func countOf(ctx context.Context, key string, rows, found int) string {
	if found > mostListed {
		return web.Text(ctx, "referral.list.more", web.Count(ctx, key, rows), mostListed)
	}
	return web.Count(ctx, key, rows)
}

func searchField(ctx context.Context, state web.TableState) web.Field {
	return web.Field{Name: "q", Label: web.Text(ctx, "referral.list.find"), Value: state.Filter("q"), Width: 20, Autocomplete: "off"}
}

func prioritiesChoice(ctx context.Context, state web.TableState) web.Choice {
	c := web.Choice{Name: "priority", Label: web.Text(ctx, "referral.column.priority"), Value: state.Filter("priority"), Options: []web.Option{{Text: web.Text(ctx, "referral.list.any-priority")}}}
	for _, p := range slices.Backward(Priorities()) {
		c.Options = append(c.Options, web.Option{Value: string(p), Text: web.Text(ctx, "referral.priority."+string(p))})
	}
	return c
}
