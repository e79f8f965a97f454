package tracing

import (
	"context"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
)

// Office is the office, for tests that have it work when they say so.
type Office struct{ o *office }

// NewOffice is the office of a node.
func NewOffice(k catalogue.Kernel) Office {
	return Office{&office{k, demographics.New(k, demographics.Options{})}}
}

// Submit keeps a file.
func (o Office) Submit(ctx context.Context, who access.Principal, text string) (string, error) {
	return o.o.submit(ctx, who, "people.csv", strings.NewReader(text))
}

// Work traces what waits.
func (o Office) Work(ctx context.Context) error { return o.o.work(ctx) }

// Turn traces a stretch of each file that waits.
func (o Office) Turn(ctx context.Context) error {
	_, err := o.o.turn(ctx)
	return err
}

// State is how far a file is: its state, how many of its lines are traced, what is wrong.
func (o Office) State(ctx context.Context, who access.Principal, id string) (state string, traced int, problem string, err error) {
	j, err := o.o.jobOf(ctx, who, id)
	return j.State, j.Traced, j.Error, err
}

// Stop stops a file.
func (o Office) Stop(ctx context.Context, who access.Principal, id string) error {
	j, err := o.o.jobOf(ctx, who, id)
	if err != nil {
		return err
	}
	return o.o.stop(ctx, j)
}

// Answer is what is kept of an answer.
func (o Office) Answer(ctx context.Context, id string) (string, error) {
	text := demographics.BatchAnswerHeader()
	err := o.o.k.DB.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT answer FROM tracing_stretch WHERE lane = ? AND job = ? ORDER BY stretch`, int64(o.o.lane()), id)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var part []byte
			if err := rows.Scan(&part); err != nil {
				return err
			}
			text += string(part)
		}
		return rows.Err()
	})
	return text, err
}
