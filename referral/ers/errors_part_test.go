package ers_test

import (
	"net/http"
	"sync"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/ers"
	"github.com/openspine/openspine/sim/seed/published"
	"github.com/openspine/openspine/store"
)

// elsewhere is a practice that a patient has moved to since they were referred, and a provider that looks after them as well: both may read what is under way, and have no part in it.
var (
	movedTo  = ident.MustODSCode("Y98765")
	caresFor = ident.MustODSCode("R6988")
)

// stranger is a clinician of one of the two, whose patient the person is.
func (x shot) stranger(number string, provider bool) *caller {
	x.s.t.Helper()
	at, id, function := movedTo, "555500000010", ers.ReferringClinician
	if provider {
		at, id, function = caresFor, "555500000011", ers.ProviderClinician
		x.s.load(`{"resourceType":"HealthcareService","id":"77003","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"` + caresFor.String() + `"}},"name":"A clinic of another provider"}`)
		x.s.time.Advance(2e9)
	}
	if err := published.Register(x.s.t.Context(), x.s.node, number, at); err != nil {
		x.s.t.Fatal(err)
	}
	x.member(id, false, access.Profile{Role: access.Clinician, Organisation: at})
	return x.s.as(x.s.user(id), acting(function, at)...)
}

// partWrongs are done by whoever may read a request and has no part in it.
func partWrongs() map[string]wrong {
	list := map[string]wrong{}
	no := func(op string, provider bool, state func(x shot, d referral.Draft) (referral.Referral, func(doc map[string]any))) {
		list[op+" NO_RELATIONSHIP"] = func(x shot) answer {
			d, _ := x.lost()
			r, change := state(x, d)
			x.q.who = x.stranger(d.Patient.String(), provider)
			return x.about(r).fire(change)
		}
	}
	plain := func(x shot, d referral.Draft) (referral.Referral, func(doc map[string]any)) {
		return x.s.refers(d), nil
	}
	sent := func(x shot, d referral.Draft) (referral.Referral, func(doc map[string]any)) {
		return x.s.does(x.s.byReferrer(), x.s.refers(d), referral.Work{Kind: referral.ActSendTriage, Service: "11000"}), nil
	}
	booked := func(x shot, d referral.Draft) (referral.Referral, func(doc map[string]any)) {
		return x.s.booked(x.s.refers(d), "11000"), nil
	}
	question := func(x shot, d referral.Draft) (referral.Referral, func(doc map[string]any)) {
		x.s.next++
		a := x.s.asks(d.Patient.String(), nearLeeds, true, "What of this one? "+ident.MustUBRN("000000070000").String()+string(rune('a'+x.s.next%26)))
		r := referral.Referral{UBRN: a.UBRN, Version: a.Version}
		if x.o.id == "a027" {
			return referral.Referral{}, createFrom(r)
		}
		return r, nil
	}
	no("a012", false, func(x shot, d referral.Draft) (referral.Referral, func(doc map[string]any)) {
		r := x.s.refers(d)
		return r, files("referralLetterFile", "REFERRER", "current", x.upload(false, r.UBRN, "theirs.pdf"))
	})
	no("a016", false, func(x shot, d referral.Draft) (referral.Referral, func(doc map[string]any)) {
		slot, r := x.slotAt("11000"), x.s.refers(d)
		return referral.Referral{}, asksFor(r, "booked", "", slot)
	})
	no("a019", false, plain)
	no("a031", false, plain)
	no("a032", false, plain)
	no("a034", false, booked)
	no("a036", false, plain)
	no("a013", true, sent)
	no("a014", true, sent)
	no("a022", true, booked)
	no("a028", true, sent)
	no("a026", true, question)
	no("a027", true, question)
	const service = "http://fhir.nhs.net/Id/ers-service"
	theirs := func(x shot) func(doc map[string]any) {
		d, _ := x.lost()
		x.stranger(d.Patient.String(), true)
		return with("service", "valueIdentifier", map[string]any{"system": service, "value": "77003"})
	}
	list["a008 NO_RELATIONSHIP"] = func(x shot) answer {
		x.q.who = x.s.reviewer()
		return x.fire(all(coded("listType", "code", "REFERRALS_FOR_REVIEW"), theirs(x)))
	}
	list["a023 NO_RELATIONSHIP"] = func(x shot) answer { return x.fire(theirs(x)) }
	list["a028 PRIORITY_NOT_CURRENT"] = func(x shot) answer {
		return x.about(x.theirs()).fire(with("reviewPriority", "valueCoding", priorityOf(priorityCodes, "URGENT")))
	}
	criterion := func(name string, value map[string]any) wrong {
		return func(x shot) answer {
			if x.q.about.UBRN.IsZero() && x.o.id != "a011" && x.o.id != "a021" && x.o.id != "a044" {
				x = x.about(x.mine())
			}
			return x.fire(func(doc map[string]any) {
				c := criteriaOf(doc)
				c["parameter"] = append(c["parameter"].([]any), map[string]any{"name": name, "valueIdentifier": value})
			})
		}
	}
	for _, op := range []string{"a011", "a021", "a031", "a032", "a044"} { // no service of the shortlist is at the site of another provider
		list[op+" SHORTLISTED_SERVICE_NOT_IN_RESULTS"] = criterion("organisation", map[string]any{"system": "https://directory.spineservices.nhs.uk/STU3/Organization", "value": published.Site.String()})
	}
	return list
}

// unreadWrongs are files that were brought from elsewhere, where they could not be read.
func unreadWrongs() map[string]wrong {
	list := map[string]wrong{}
	for _, op := range []string{"a006", "a042"} {
		for _, why := range []referral.Availability{referral.Pending, referral.ThreatsFound, referral.ValidationFailed} {
			list[op+" "+string(why)] = func(x shot) answer {
				d := draft(referral.Routine, "11000")
				d.Files = x.s.unread(published.Referrer, "", "unread.pdf", "", 6, why)
				x.s.refers(d)
				return x.s.referrer().do(x.o.method, inPath.ReplaceAllString(x.o.path, d.Files[0].ID), "")
			}
		}
	}
	return list
}

// twice sends a request twice, while nothing can be written about the request that it is about, and is what is answered first: to whoever came second.
func (x shot) twice(u ident.UBRN, change func(doc map[string]any)) answer {
	x.s.t.Helper()
	k := x.s.node.Kernel()
	held, free, wrote := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		wrote <- k.DB.Write(x.s.root.Context(), []store.Lane{k.DB.LaneOf(k.National.String(), u.String())}, func(*store.Tx) error {
			once.Do(func() { close(held) })
			<-free
			return nil
		})
	}()
	<-held
	answers := make(chan answer, 2)
	for range 2 {
		go func() { answers <- x.fire(change) }()
	}
	first := <-answers
	close(free)
	if second := <-answers; second.status == http.StatusLocked {
		x.s.t.Errorf("%s: both are turned away", x.o.id)
	}
	if err := <-wrote; err != nil {
		x.s.t.Fatal(err)
	}
	return first
}

// lockedWrongs are calls about a request that another call is changing.
func lockedWrongs() map[string]wrong {
	list := map[string]wrong{}
	for op, of := range map[string]func(x shot) referral.Referral{
		"a013": shot.theirs, "a014": shot.theirs, "a022": shot.booked, "a026": shot.question, "a028": shot.theirs, "a031": shot.mine, "a032": shot.mine, "a034": shot.booked, "a036": shot.mine,
	} {
		list[op+" 423"] = func(x shot) answer { r := of(x); return x.about(r).twice(r.UBRN, nil) }
	}
	list["a012 423"] = func(x shot) answer {
		r := x.mine()
		return x.about(r).twice(r.UBRN, files("referralLetterFile", "REFERRER", "current", x.upload(false, r.UBRN, "twice.pdf")))
	}
	list["a016 423"] = func(x shot) answer {
		r := x.mine()
		return x.twice(r.UBRN, asksFor(r, "booked", "", x.slotAt("11000")))
	}
	list["a027 423"] = func(x shot) answer { r := x.question(); return x.twice(r.UBRN, createFrom(r)) }
	return list
}
