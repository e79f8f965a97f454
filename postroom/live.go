package postroom

import (
	"context"
	"net/http"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/web"
)

// nowView is how the post is at the moment: how much waits for a person, and how much waits at all.
type nowView struct {
	Rows []web.Row
}

// nowOf counts what waits in the post that somebody sees.
func (d *desk) nowOf(ctx context.Context, p access.Principal) (v nowView, err error) {
	sum, err := d.k.Post().ParkedSum(ctx, organisationOf(p))
	if err != nil {
		return v, err
	}
	list, err := d.backlogs(ctx, p)
	if err != nil {
		return v, err
	}
	var waiting int64
	var oldest time.Time
	for _, b := range list {
		waiting += b.Waiting + b.Held - b.Parked // what waits for a person is counted above
		if !b.UnderWay.IsZero() && (oldest.IsZero() || b.UnderWay.Before(oldest)) {
			oldest = b.UnderWay
		}
	}
	v.Rows = []web.Row{
		{Key: web.Text(ctx, "postroom.now.parked"), Value: counted(web.Count(ctx, "postroom.now.messages", int(sum.Count)), d.since(ctx, sum.Oldest), pathParked)},
		{Key: web.Text(ctx, "postroom.now.waiting"), Value: counted(web.Count(ctx, "postroom.now.messages", int(waiting)), d.since(ctx, oldest), pathWaiting)},
	}
	return v, nil
}

// since says how old the oldest is.
func (d *desk) since(ctx context.Context, oldest time.Time) string {
	if oldest.IsZero() {
		return ""
	}
	return web.Text(ctx, "postroom.now.oldest", d.age(ctx, oldest))
}

// backlogs are the queues that somebody sees: all of them, or that of their organisation's own post.
func (d *desk) backlogs(ctx context.Context, p access.Principal) (list []messaging.Backlog, err error) {
	all, err := d.k.Post().Backlogs(ctx)
	if err != nil {
		return nil, err
	}
	own := organisationOf(p)
	for _, b := range all {
		if own.IsZero() && p.Role == access.Administrator || b.To.Kind == "here" && b.To.Name == own.String() {
			list = append(list, b)
		}
	}
	return list, nil
}

func (d *desk) now(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, err := d.nowOf(r.Context(), p)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, nowPart(v))
}

// restBetween is how long pages rest between two looks, however much moves.
const restBetween = 2 * time.Second

// events tells pages that messages have moved.
func (d *desk) events(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	ctx := r.Context()
	moved, stop := d.k.Post().Changes()
	changes := make(chan struct{})
	go func() {
		defer close(changes)
		defer stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-moved:
			}
			select {
			case <-ctx.Done():
				return
			case changes <- struct{}{}:
			}
			select {
			case <-ctx.Done():
				return
			case <-d.k.Clock.After(restBetween):
			}
		}
	}()
	return web.Events(w, r, d.k.Clock, changes)
}
