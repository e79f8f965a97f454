package events

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// reader is the name under which this package reads what happened to people.
const reader = "events"

// source is who tells of what happened to people here.
const source = "uk.nhs.personal-demographics-service"

// referralSource is who tells of what happened to referrals, and referralPath where one is asked for (e-RS API, A005).
const (
	referralSource = "uk.nhs.e-referral-service"
	referralPath   = "/referrals/FHIR/STU3/ReferralRequest/"
)

// batch is how many events are sent in one transaction.
const batch = 200

// stretch is what is unread of one lane.
type stretch struct {
	lane     store.Lane
	from, to int64
	events   []demographics.Event
}

// pump tells subscribers of what happened to people since it was last asked, each thing once: what is sent and how far it was read are one commit.
func (s *service) pump(ctx context.Context) error {
	if err := demographics.Reader(ctx, s.k.DB, reader); err != nil {
		return err
	}
	for {
		list, err := s.unread(ctx)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, one := range list {
			if err := again(func() error { return s.tell(ctx, one) }); err != nil {
				return err
			}
		}
	}
}

// unread is what there is to tell, at most a batch, by lane.
func (s *service) unread(ctx context.Context) (list []stretch, err error) {
	err = s.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		for most := batch; ; most *= 4 {
			events, err := demographics.Unread(tx, reader, most)
			if err != nil {
				return err
			}
			if len(events) == most { // the last thing that happened may not be whole
				last := events[most-1]
				events = slices.DeleteFunc(events, func(e demographics.Event) bool { return e.Lane == last.Lane && e.Seq == last.Seq })
			} else if len(events) == 0 {
				return nil
			}
			if len(events) == 0 {
				continue
			}
			for _, e := range events {
				if len(list) == 0 || list[len(list)-1].lane != e.Lane {
					from, err := demographics.Place(tx, reader, e.Lane)
					if err != nil {
						return err
					}
					list = append(list, stretch{lane: e.Lane, from: from})
				}
				one := &list[len(list)-1]
				one.events, one.to = append(one.events, e), e.Seq
			}
			return nil
		}
	})
	return list, err
}

// tell sends what one stretch tells of.
func (s *service) tell(ctx context.Context, one stretch) error {
	var kinds []string
	for _, e := range one.events {
		if !slices.Contains(kinds, e.Kind) {
			kinds = append(kinds, e.Kind)
		}
	}
	subs, err := s.wanted(ctx, kinds)
	if err != nil {
		return err
	}
	hooks, err := s.hooked(ctx, kinds)
	if err != nil {
		return err
	}
	var parcels []parcel
	var notes []hookParcel
	for _, e := range one.events {
		if about, err := s.noteOf(ctx, e, hooks); err != nil {
			return err
		} else {
			notes = append(notes, about...)
		}
		asked := slices.DeleteFunc(slices.Clone(subs[e.Kind]), func(q subscription) bool { return !q.Made.Before(e.At) })
		if len(asked) == 0 {
			continue
		}
		made, err := s.happened(ctx, e)
		if err != nil {
			return err
		}
		p := parcel{event: made, publisher: "service/" + reader, register: true}
		if p.targets, err = s.address(ctx, made, asked); err != nil {
			return err
		}
		parcels = append(parcels, p)
	}
	return s.k.DB.Write(ctx, append(append(s.lanes(parcels...), s.hookParcelLanes(notes)...), one.lane), func(tx *store.Tx) error {
		mine, err := demographics.Read(tx, reader, one.lane, one.from, one.to)
		if err != nil || !mine {
			return err // another process was quicker
		}
		for _, p := range parcels {
			if err := s.send(ctx, tx, p); err != nil {
				return err
			}
		}
		for _, n := range notes {
			if err := s.sendReferred(ctx, tx, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// happened is what happened to a person as it is published.
func (s *service) happened(ctx context.Context, h demographics.Event) (*event, error) {
	at := h.At.UTC()
	e := &event{
		// The same thing has the same name whenever it is told of, and after a database was restored another thing has another.
		ID:     nameOf("demographics", s.k.National.String(), strconv.FormatInt(int64(h.Lane), 10), strconv.FormatInt(h.Seq, 10), h.Kind, h.Person, strconv.FormatInt(at.UnixMicro(), 10)),
		Source: source, Kind: h.Kind, Subject: h.Person, At: at, Time: at.Format("2006-01-02T15:04:05.000Z07:00"),
		DataRef:   s.k.BaseURL() + demographics.Base + "/Patient/" + h.Person,
		Filtering: map[string][]string{"nhsnumber": {h.Person}},
	}
	if h.Kind == demographics.ReferralChange || h.Kind == demographics.VisitChange {
		e.Source, e.About, e.DataRef = referralSource, h.About.ID, s.k.BaseURL()+referralPath+h.About.ID
	}
	if h.Kind == demographics.EncounterChange {
		e.About, e.DataRef = h.About.ID, h.About.Ref
		e.Source, _, _ = strings.Cut(h.About.Ref, "/Encounter/")
	}
	if h.Version > 0 {
		e.VersionID = fmt.Sprintf(`W/"%d"`, h.Version)
	}
	e.Body = mustJSON(cloud{SpecVersion: "1.0", ID: e.ID, Source: e.Source, Type: e.Kind, Time: e.Time, DataRef: e.DataRef, Subject: e.Subject, VersionID: e.VersionID})
	return e, s.facts(ctx, h, e)
}

// facts adds what the event may be filtered by: what of the record changed, and the practice. They are compared, and never sent.
func (s *service) facts(ctx context.Context, h demographics.Event, e *event) error {
	for name, values := range h.About.Facts {
		e.Filtering[name] = values
	}
	if h.Kind == demographics.EncounterChange {
		return s.practiceOf(ctx, h.Person, e)
	}
	if h.Version == 0 || h.About.ID != "" {
		return nil
	}
	ref := record.Ref{Tenant: s.k.National, Type: "Patient", ID: h.Person}
	me := access.Service(reader, s.k.National)
	place, err := s.k.Records.LocateVersion(ctx, ref, h.Version)
	if err != nil {
		return err
	}
	g, err := s.k.Gate.Decide(ctx, me, access.Read, place)
	if err != nil {
		return err
	}
	now, err := s.k.Records.ReadVersion(ctx, g, ref, h.Version)
	if err != nil || now.Deleted {
		return err
	}
	before := record.Version{}
	if h.Version > 1 {
		if place, err = s.k.Records.LocateVersion(ctx, ref, h.Version-1); err != nil {
			return err
		}
		if g, err = s.k.Gate.Decide(ctx, me, access.Read, place); err != nil {
			return err
		}
		if before, err = s.k.Records.ReadVersion(ctx, g, ref, h.Version-1); err != nil {
			return err
		}
	}
	for _, element := range changedElements(before.Resource, now.Resource) {
		e.Filtering["changed_"+strings.ToLower(element)] = []string{"true"}
	}
	if practice := now.Resource.Get("generalPractitioner.0.identifier.value").String(); practice != "" {
		e.Filtering["registeredgpodscode"] = []string{practice}
	}
	return nil
}

// changedElements are the elements of a record that differ between two versions; before may be nil.
func changedElements(before, after *fhir.Resource) (list []string) {
	was := map[string]string{}
	if before != nil {
		for name, v := range before.Root().Fields() {
			was[name] = string(v.Raw())
		}
	}
	for name, v := range after.Root().Fields() {
		if name != "meta" && name != "id" && was[name] != string(v.Raw()) {
			list = append(list, name)
		}
		delete(was, name)
	}
	for name := range was {
		if name != "meta" && name != "id" {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}
