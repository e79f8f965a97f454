package bookings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// In half of the countries the practice asks hospitals for advice (docs/decisions/0030): it replies and closes, clinicians answer on their own node or at the spine, ask back, make a referral of it, look at an old
// page, and either side is restored.

// talks is what a simulation knows of questions for advice.
type talks struct {
	some bool
	list []*talk
	said int // messages so far: each has words of its own
}

// talk is a question that the practice was told is asked.
type talk struct {
	made
	service   ident.ODSCode
	said      []string // what the practice was last shown that was said, since the spine was restored last
	owed      []string // what its hospital knew that was said when the spine was restored last
	dropped   []string // what was owed once, and could be dropped
	seen      int64    // a version that somebody still looks at
	converted bool
}

const mostTalks = 4

func (w *world) talkOf(ubrn string) *talk {
	i := slices.IndexFunc(w.talks.list, func(t *talk) bool { return t.ubrn.String() == ubrn })
	if i < 0 {
		return nil
	}
	return w.talks.list[i]
}

// words are what somebody says next.
func (w *world) words(who string) string {
	w.talks.said++
	return fmt.Sprintf("%s, message %d.", who, w.talks.said)
}

// contents are what files hold: few things, so that several have the same.
func (w *world) content() []byte {
	k := w.Rng.IntN(5)
	return []byte(strings.Repeat(fmt.Sprintf("result %d\n", k), 1+k*k*4))
}

// talk lets the practice ask, reply or close.
func (n *node) talk() {
	w := n.w
	if len(w.talks.list) < mostTalks && (len(w.talks.list) == 0 || w.Rng.IntN(4) == 0) {
		n.askAdvice()
		return
	}
	t := w.talks.list[w.Rng.IntN(len(w.talks.list))]
	c := n.caller(w.gp())
	a, err := n.refer.Advice(w.Ctx, c, t.ubrn, true)
	if err != nil {
		return // lost, or the power went
	}
	if a.State == referral.AdviceConverted && !t.converted {
		t.converted = true
		w.made = append(w.made, t.made)
	}
	seen := a.Version
	if t.seen > 0 && w.Rng.IntN(3) == 0 {
		seen = t.seen // another window, from before
	}
	t.seen = a.Version
	switch k := w.Rng.IntN(12); {
	case k < 1:
		a, err = n.refer.CloseAdvice(w.Ctx, c, t.ubrn, seen)
	case k < 3:
		by := n.w.at(t.service)
		a, err = n.refer.AnswerAdvice(w.Ctx, n.caller(by.doctor()), t.ubrn, referral.Answer{Seen: seen, Recommendation: "OTHER", Text: w.words("At the spine"), Priority: referral.Routine})
	case k < 10:
		a, err = n.refer.ReplyAdvice(w.Ctx, c, t.ubrn, referral.AdviceReply{Seen: seen, Text: w.words("The practice"), Files: n.file(t.ubrn)})
	default:
		return
	}
	if n.Disk.Dark() {
		t.owed = nil // perhaps it is said, and stands
	}
	if n.done("says something of "+t.ubrn.String(), err) {
		w.res.Remarks++
		t.shown(a)
	}
}

// shown keeps what the practice was shown that was said. What it says before a hospital has told back what a restore has lost stands, and that is not taken up.
func (t *talk) shown(a referral.Advice) {
	t.said = nil
	for _, m := range a.Remarks {
		t.said = append(t.said, m.Text)
	}
	if !within(t.owed, t.said) {
		t.dropped = append(t.dropped, t.owed...)
		t.owed = nil
	}
}

// within reports whether a list is part of another, in the same order.
func within(part, all []string) bool {
	for _, x := range all {
		if len(part) > 0 && part[0] == x {
			part = part[1:]
		}
	}
	return len(part) == 0
}

func (n *node) askAdvice() {
	w := n.w
	u, err := ident.ParseUBRN(fmt.Sprintf("%012d", 3_000_000_000+len(w.talks.list)*7919+w.Step))
	if err != nil {
		w.Break("a UBRN: %v", err)
		return
	}
	h := hospitals[w.Rng.IntN(len(hospitals))]
	q := referral.AdviceQuestion{Patient: Patient(w.Rng.IntN(People)), Priority: referral.Routine, Service: ServiceOf(h), MayConvert: w.Rng.IntN(3) > 0, Text: w.words("The practice asks"), UBRN: u, Files: n.file(ident.UBRN{})}
	a, err := n.refer.AskAdvice(w.Ctx, n.caller(w.gp()), q)
	if n.done("asks "+h.String()+" for advice by "+u.String(), err) {
		w.res.Questions++
		t := &talk{made: made{u, a.Chart}, service: h}
		t.shown(a)
		w.talks.list = append(w.talks.list, t)
	}
}

// file uploads one for what is said next, sometimes.
func (n *node) file(of ident.UBRN) []referral.FileRef {
	w := n.w
	if w.Rng.IntN(3) > 0 {
		return nil
	}
	holds := w.content()
	f, err := n.refer.Upload(w.Ctx, n.caller(w.gp()), referral.Upload{Name: fmt.Sprintf("trace %d.txt", w.talks.said), For: of}, bytes.NewReader(holds))
	if !n.done("uploads a file for a question", err) {
		return nil
	}
	w.files[f.ID] = holds
	return []referral.FileRef{{ID: f.ID}}
}

// asked is a question as a hospital's database has it, with what its clinicians said.
type asked struct {
	booking.Advice
	chart   string
	answers []answer
}

type answer struct {
	booking.Advise
	state string
}

// questions are those that a hospital knows.
func (n *node) questions() (list []asked, err error) {
	err = n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		list = nil
		err := each(tx, `SELECT body, chart FROM hospital_advice ORDER BY ubrn`, func(r *store.Rows) error {
			var a asked
			var body []byte
			if err := r.Scan(&body, &a.chart); err != nil {
				return err
			}
			err := json.Unmarshal(body, &a.Advice)
			list = append(list, a)
			return err
		})
		if err != nil {
			return err
		}
		return each(tx, `SELECT body, state FROM hospital_advise ORDER BY ubrn, number`, func(r *store.Rows) error {
			var x answer
			var body []byte
			if err := r.Scan(&body, &x.state); err != nil {
				return err
			}
			err := json.Unmarshal(body, &x.Advise)
			for i := range list {
				if list[i].UBRN == x.UBRN {
					list[i].answers = append(list[i].answers, x)
				}
			}
			return err
		})
	})
	return list, err
}

// advise lets a clinician of a hospital say something to a question; they may have looked at it before.
func (n *node) advise() {
	w := n.w
	list, err := n.questions()
	if err != nil || len(list) == 0 {
		return
	}
	a := list[w.Rng.IntN(len(list))]
	say := hospital.Saying{Kind: booking.AdviseAnswer, Seen: a.Version, Recommendation: "OTHER", Text: w.words(n.Name)}
	switch k := w.Rng.IntN(10); {
	case k < 3:
		say.Kind, say.Recommendation = booking.AdviseMore, ""
	case k < 4:
		say.Kind, say.Recommendation, say.Note, say.Priority = booking.AdviseConvert, "", "Within four weeks.", "URGENT"
	}
	if w.Rng.IntN(8) == 0 {
		say.Seen--
	}
	if w.Rng.IntN(3) == 0 {
		holds := w.content()
		f, err := n.clinics.StoreFile(w.Ctx, fmt.Sprintf("leaflet %d.txt", w.talks.said), bytes.NewReader(holds))
		if !n.done("stores a file", err) {
			return
		}
		w.files[f.ID] = holds
		say.Files = []booking.Attachment{f}
	}
	if n.done(fmt.Sprintf("says %s to %s at %d", say.Kind, a.UBRN, say.Seen), n.clinics.Advise(w.Ctx, n.doctor(), n.code, a.UBRN.String(), say)) {
		w.res.Answers++
	}
}

// advice are the questions that the spine knows, by UBRN.
func (n *node) advice() map[string]referral.Advice {
	list := map[string]referral.Advice{}
	err := n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		return each(tx, `SELECT body FROM referral_advice`, func(r *store.Rows) error {
			var body []byte
			var a referral.Advice
			if err := r.Scan(&body); err != nil {
				return err
			}
			err := json.Unmarshal(body, &a)
			list[a.UBRN.String()] = a
			return err
		})
	})
	if err != nil {
		n.w.Break("%s cannot be read: %v", n.Name, err)
	}
	return list
}

func textsOf(a referral.Advice) (list []string) {
	for _, m := range a.Remarks {
		list = append(list, m.Text)
	}
	return list
}

// owedTalks are what each hospital knows that was said, and the spine must know again after a restore.
func (w *world) owedTalks() map[string][]string {
	owed := map[string][]string{}
	for _, n := range w.nodes[1:] {
		if !n.Up || n.Disk.Dark() {
			continue
		}
		list, err := n.questions()
		if err != nil {
			continue
		}
		for _, a := range list {
			for _, m := range a.Remarks {
				owed[a.UBRN.String()] = append(owed[a.UBRN.String()], m.Text)
			}
		}
	}
	return owed
}

// stillOwed is what of that which a hospital knows a spine that is restored must know again. Where the practice was shown something that the hospital was not told of, that stands, and what came to the hospital late does not.
func (t *talk) stillOwed(knows []string) []string {
	if !within(t.said, knows) {
		for _, x := range knows {
			if !slices.Contains(t.said, x) && !slices.Contains(t.owed, x) {
				t.dropped = append(t.dropped, x)
			}
		}
	}
	return slices.DeleteFunc(knows, func(x string) bool { return slices.Contains(t.dropped, x) })
}

// talksRestored notes that a node was restored: owed is what the hospitals knew before.
func (w *world) talksRestored(n *node, owed map[string][]string) {
	for _, t := range w.talks.list {
		switch {
		case n == w.nodes[0]:
			t.owed = t.stillOwed(owed[t.ubrn.String()])
			t.said, t.seen = nil, 0
		case n.code == t.service:
			t.owed = nil // lost to both
		}
	}
}

// checkTalksNow holds the spine to what the practice was shown: nothing of it goes, or changes its place.
func (w *world) checkTalksNow() {
	if len(w.talks.list) == 0 || w.Rng.IntN(6) > 0 {
		return
	}
	all := w.nodes[0].advice()
	for _, t := range w.talks.list {
		if now := textsOf(all[t.ubrn.String()]); len(now) < len(t.said) || !slices.Equal(now[:len(t.said)], t.said) {
			w.Break("the practice was shown of %s: %q, and it is %q", t.ubrn, t.said, now)
		}
	}
}

// checkTalks looks, at rest, whether both sides have the same conversations, with their files, and what was said in them is there, once and in its order.
func (w *world) checkTalks(s seenBy) {
	spine := w.nodes[0]
	all := spine.advice()
	for _, t := range w.talks.list {
		a, there := all[t.ubrn.String()]
		now := textsOf(a)
		if len(now) < len(t.said) || !slices.Equal(now[:len(t.said)], t.said) {
			w.Break("at rest the practice was shown of %s: %q, and it is %q", t.ubrn, t.said, now)
		}
		if !within(t.owed, now) {
			w.Break("%s knew of %s: %q, and since the spine was restored it is %q", t.service, t.ubrn, t.owed, now)
		}
		if r, is := s.referrals[t.ubrn.String()]; there && is != (a.State == referral.AdviceConverted) {
			w.Break("%s is %s, and as a referral %q", t.ubrn, a.State, r.State)
		}
		w.checkRemarks(a)
	}
	for _, n := range w.nodes[1:] {
		list, err := n.questions()
		if err != nil {
			w.Break("%s cannot be read: %v", n.Name, err)
		}
		for _, u := range sorted(all) {
			a := all[u]
			if a.Service.Provider == n.code && !slices.ContainsFunc(list, func(x asked) bool { return x.UBRN == a.UBRN }) && !(a.Ended() && n.Lost) {
				w.Break("%s is asked by %s for advice, and does not know it", n.Name, u)
			}
		}
		for _, x := range list {
			w.checkTalk(n, x, all[x.UBRN.String()])
		}
	}
}

// checkRemarks looks at the messages of a conversation: each is there once, and an answer is to what was said before it.
func (w *world) checkRemarks(a referral.Advice) {
	said := map[string]bool{}
	for i, m := range a.Remarks {
		if said[m.Text] {
			w.Break("%s says twice: %q", a.UBRN, m.Text)
		}
		said[m.Text] = true
		for _, f := range m.Files {
			w.checkFile(w.nodes[0], a.UBRN, f.ID, f.Size, f.Hash)
		}
		if i > 0 && m.Version < a.Remarks[i-1].Version {
			w.Break("%s has %q after %q", a.UBRN, m.Text, a.Remarks[i-1].Text)
		}
	}
}

// checkTalk holds a hospital's question to the spine's, and what its clinicians said to what the spine made of it.
func (w *world) checkTalk(n *node, x asked, a referral.Advice) {
	u := x.UBRN
	if x.Version != a.Version || x.State != string(a.State) || len(x.Remarks) != len(a.Remarks) {
		w.Break("%s is %s at %d with %q at the spine, and %s at %d with %d messages at %s", u, a.State, a.Version, textsOf(a), x.State, x.Version, len(x.Remarks), n.Name)
		return
	}
	for i, m := range x.Remarks {
		o := a.Remarks[i]
		if m.ID != o.ID || m.Text != o.Text || m.Provider != o.Provider || m.Recommendation != o.Recommendation || len(m.Files) != len(o.Files) {
			w.Break("message %d of %s is %+v at %s, and %+v at the spine", i, u, m, n.Name, o)
			continue
		}
		for j, f := range m.Files {
			if f.ID != o.Files[j].ID {
				w.Break("message %d of %s has another file at %s", i, u, n.Name)
			}
			w.checkFile(n, u, f.ID, f.Size, f.Hash)
			w.res.Files++
		}
	}
	if !x.Ended && x.chart == "" {
		w.Break("%s is asked by %s about somebody who is no patient there", n.Name, u)
	}
	if w.talkOf(u.String()) == nil {
		return // of a story, where several say the same
	}
	for _, s := range x.answers {
		at := slices.IndexFunc(a.Remarks, func(m referral.Remark) bool { return m.Text == s.Text })
		switch {
		case s.state == "waiting":
			w.Break("at rest the spine has not answered what %s said to %s: %q", n.Name, u, s.Text)
		case s.state == "refused" && !w.nodes[0].Lost && !n.Lost:
			if w.res.Overtaken++; at >= 0 {
				w.Break("the spine has refused what %s said to %s, and has it: %q", n.Name, u, s.Text)
			}
		case s.state != "confirmed" || w.nodes[0].Lost:
		case at < 0:
			w.Break("the spine has taken what %s said to %s, and has it not: %q", n.Name, u, s.Text)
		case at == 0 || a.Remarks[at-1].Version != s.Seen:
			w.Break("%s said %q to %s when %d was the latest, and it stands after %+v", n.Name, s.Text, u, s.Seen, a.Remarks[max(0, at-1)])
		}
	}
}
