package node

import (
	"context"
	"log/slog"
	"regexp"
)

// patientNumber is ten digits as an NHS number is written.
var patientNumber = regexp.MustCompile(`\b[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}\b`)

func hasNumber(s string) bool { return digits(s) >= 10 && patientNumber.MatchString(s) }

func digits(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}

// discreet is a log that shows no number as long as a patient's: the causes of failures are written by many hands.
type discreet struct{ slog.Handler }

// Handle passes the record on with such numbers struck out.
func (d discreet) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, strike(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(struck(a))
		return true
	})
	return d.Handler.Handle(ctx, clean)
}

// WithAttrs keeps the rule.
func (d discreet) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = struck(a)
	}
	return discreet{d.Handler.WithAttrs(clean)}
}

// WithGroup keeps the rule.
func (d discreet) WithGroup(name string) slog.Handler { return discreet{d.Handler.WithGroup(name)} }

func struck(a slog.Attr) slog.Attr {
	a.Value = a.Value.Resolve()
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(strike(a.Value.String()))
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(strike(err.Error()))
		}
	}
	return a
}

func strike(s string) string {
	if digits(s) < 10 {
		return s
	}
	return patientNumber.ReplaceAllString(s, "(number)")
}
