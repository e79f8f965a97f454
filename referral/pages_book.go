package referral

import (
	"context"
	"net/http"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// timesView is the free times of one service, by days.
type timesView struct {
	Page    web.Page
	R       Referral
	Service Choice
	Days    []dayView
	Action  string
	Cancel  string
	Error   string
	Why     string    // there are none for this person; empty where it is only that none is free
	Earlier bool      // there are more than are shown
	Silent  time.Time // since when nothing was heard of the hospital; see Referrals.Silent
}

// dayView is the free times of one day.
type dayView struct {
	Day   string
	Times []web.Option
}

// mostTimes is how many free times a page shows.
const mostTimes = 40

// days are a service's free times that the person of a referral can have, by days. Why says in words why there can be none for them; empty where there can.
func (s *Referrals) days(ctx context.Context, service string, r Referral) (days []dayView, more bool, why string, err error) {
	f, err := s.fitsOf(ctx, r.Chart, service)
	if err != nil {
		return nil, false, "", err
	}
	if f.only != "" {
		return nil, false, fault.MessageOf(f.at(s.k.Clock.Now())), nil
	}
	list, err := s.FreeSlots(ctx, service, f.from, f.until, r.UBRN.String(), mostTimes+1)
	if err != nil {
		return nil, false, "", err
	}
	for _, x := range list[:min(len(list), mostTimes)] {
		day := dayOf(x.Start)
		if len(days) == 0 || days[len(days)-1].Day != day {
			days = append(days, dayView{Day: day})
		}
		d := &days[len(days)-1]
		d.Times = append(d.Times, web.Option{Value: slotValue(x.SlotRef), Text: format.Time(x.Start), Hint: x.Clinician})
	}
	return days, len(list) > mostTimes, "", nil
}

// askBook lets staff book for a patient who is with them.
func (f *face) askBook(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return f.bookPage(w, r, ask, http.StatusOK, "")
}

func (f *face) bookPage(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, status int, wrong string) error {
	ctx := r.Context()
	c, err := f.opened(r, ask, "referral.times.title")
	if err != nil {
		return err
	}
	if kind := bookingOf(c.R); !c.R.May(kind, Referrer) && !c.R.May(kind, Provider) {
		return fault.New(fault.Conflict, "No time can be chosen for a referral that is %s.", c.R.State.words())
	}
	service := r.FormValue("service")
	v := timesView{Page: c.Page, R: c.R, Action: casePath + c.R.UBRN.String() + "/book", Cancel: casePath + c.R.UBRN.String(), Error: wrong}
	var ok bool
	if v.Service, ok = c.R.ChoiceOf(service); !ok {
		v.Service = c.R.Shortlist[0]
	}
	v.Silent = f.s.Silent(v.Service.Provider)
	v.Page.Back, v.Page.Failed = web.Link{URL: v.Cancel}, wrong != ""
	if v.Days, v.Earlier, v.Why, err = f.s.days(ctx, v.Service.Service, c.R); err != nil {
		return err
	}
	return web.Render(w, r, status, timesPage(v))
}

// book books, or moves, for a patient who is with the staff.
func (f *face) book(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	if err := web.CheckForm(r, r.PathValue("ubrn")); err != nil {
		return err
	}
	u, err := ubrnOf(r)
	if err != nil {
		return err
	}
	ref, ok := slotOf(r.PostForm.Get("slot"))
	if !ok {
		return f.bookPage(w, r, ask, http.StatusUnprocessableEntity, web.Text(ctx, "referral.times.missing"))
	}
	was, err := f.s.Get(ctx, CallerOf(ask), u)
	if err != nil {
		return err
	}
	_, err = f.s.Act(ctx, CallerOf(ask), u, Work{Kind: bookingOf(was), Seen: seen(r), Slot: ref, Service: r.PostForm.Get("service")})
	if _, gone := Taken(err); gone {
		return f.bookPage(w, r, ask, http.StatusConflict, fault.MessageOf(err))
	}
	if unfit(err) {
		return f.bookPage(w, r, ask, http.StatusUnprocessableEntity, fault.MessageOf(err))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, casePath+u.String()+"?done=book")
}

// bookingOf is the act that gives a referral another date.
func bookingOf(r Referral) Kind {
	if r.State == Booked {
		return ActMove
	}
	return ActBook
}
