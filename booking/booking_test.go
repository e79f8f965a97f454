package booking

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// TestOnlyOneSideMayBook lets two sides give, take and ask back one slot over a post that is late and out of order, and restores either from what it
// knew before. There is no moment at which both may book, and in the end exactly one may.
func TestOnlyOneSideMayBook(t *testing.T) {
	for seed := range uint64(20000) {
		m := newModel(seed)
		for range 80 {
			m.step()
			if m.owns(Hospital) && m.owns(Spine) {
				t.Fatalf("seed %d: both may book, the hospital at %d and the spine at %d", seed, m.now[Hospital].epoch, m.now[Spine].epoch)
			}
		}
		m.rest()
		if m.owns(Hospital) == m.owns(Spine) {
			t.Fatalf("seed %d: at rest the hospital is at %d and the spine at %d", seed, m.now[Hospital].epoch, m.now[Spine].epoch)
		}
	}
}

// letter is a message about the slot.
type letter struct {
	id     int
	epoch  Epoch
	round  int  // of an ask and its answer
	asks   bool // the sender was restored
	answer bool
}

// knowledge is one side's database: it goes back as a whole when it is restored.
type knowledge struct {
	epoch   Epoch
	sure    bool
	round   int // of its own last ask
	owed    *letter
	sent    []letter
	inbox   []letter
	handled map[int]bool
}

func (k knowledge) copy() knowledge {
	k.sent, k.inbox, k.handled = slices.Clone(k.sent), slices.Clone(k.inbox), maps.Clone(k.handled)
	return k
}

type model struct {
	r     *rand.Rand
	clock int // milliseconds
	ids   int
	now   [2]knowledge
	kept  [2]knowledge
}

func newModel(seed uint64) *model {
	m := &model{r: rand.New(rand.NewPCG(seed, 5))}
	for s := range m.now {
		m.now[s] = knowledge{sure: true, handled: map[int]bool{}}
		m.kept[s] = m.now[s].copy()
	}
	return m
}

func (m *model) owns(s Side) bool { return m.now[s].sure && s.Owns(m.now[s].epoch) }

func (m *model) send(from Side, l letter) {
	m.ids++
	l.id = m.ids
	m.now[from].sent = append(m.now[from].sent, l)
	m.now[1-from].inbox = append(m.now[1-from].inbox, l)
}

func (m *model) step() {
	s := Side(m.r.IntN(2))
	m.clock++
	switch n := m.r.IntN(20); {
	case n < 8:
		if e, err := s.Give(m.now[s].epoch); err == nil && m.now[s].sure {
			m.now[s].epoch = e
			m.send(s, letter{epoch: e})
		}
	case n < 17:
		m.handle(s)
	case n < 19:
		m.kept[s] = m.now[s].copy()
	default:
		m.restore(s)
	}
}

// handle takes one message out of a side's inbox, in any order.
func (m *model) handle(s Side) {
	m.clock++
	k := &m.now[s]
	if len(k.inbox) == 0 {
		return
	}
	i := m.r.IntN(len(k.inbox))
	if l := k.inbox[i]; l.asks || l.answer { // these are one conversation, which the post keeps in order
		for j, o := range k.inbox {
			if (o.asks || o.answer) && o.id < k.inbox[i].id {
				i = j
			}
		}
	}
	l := k.inbox[i]
	k.inbox = slices.Delete(k.inbox, i, i+1)
	k.handled[l.id] = true
	switch {
	case l.asks && s == Hospital && !k.sure:
		k.owed = &l // it has asked itself, and answers when it has been answered
	case l.asks:
		m.answer(s, l)
	case l.answer:
		if k.round == l.round {
			k.epoch, k.sure = Settled(k.epoch, l.epoch), true
			if k.owed != nil {
				m.answer(s, *k.owed)
				k.owed = nil
			}
		}
	default:
		k.epoch, _, _ = s.Take(k.epoch, l.epoch)
	}
}

func (m *model) answer(s Side, ask letter) {
	k := &m.now[s]
	k.epoch = s.Settle(k.epoch, ask.epoch, k.sure, time.UnixMilli(int64(m.clock)))
	m.send(s, letter{epoch: k.epoch, answer: true, round: ask.round})
	if !k.sure {
		m.ask(s) // what it is being answered was said by a life that is over
	}
}

// restore brings a side's database back to what was kept. What it sent since is lost but for what has arrived; what it was sent since comes again.
func (m *model) restore(s Side) {
	lost := m.now[s].sent[len(m.kept[s].sent):]
	m.now[s] = m.kept[s].copy()
	m.now[1-s].inbox = slices.DeleteFunc(m.now[1-s].inbox, func(l letter) bool { return slices.Contains(lost, l) && m.r.IntN(2) == 0 })
	for _, l := range m.now[1-s].sent {
		if !m.now[s].handled[l.id] && !slices.Contains(m.now[s].inbox, l) {
			m.now[s].inbox = append(m.now[s].inbox, l)
		}
	}
	m.now[s].sure = false
	m.ask(s)
}

func (m *model) ask(s Side) {
	m.now[s].round = m.ids + 1
	m.send(s, letter{epoch: m.now[s].epoch, asks: true, round: m.ids + 1})
}

// rest handles all that is under way.
func (m *model) rest() {
	for range 1000 {
		m.handle(Hospital)
		m.handle(Spine)
		if m.owns(Hospital) && m.owns(Spine) {
			return
		}
	}
}

func TestWhoGivesAndWhoTakes(t *testing.T) {
	if _, err := Spine.Give(0); !fault.Is(err, fault.Conflict) {
		t.Errorf("the spine gave away what is the hospital's: %v", err)
	}
	if _, _, err := Spine.Take(0, 2); !fault.Is(err, fault.Invalid) {
		t.Errorf("the spine took what was handed to the hospital: %v", err)
	}
	if e, changed, err := Hospital.Take(4, 2); e != 4 || changed || err != nil {
		t.Errorf("what was told late changed something: %d %v %v", e, changed, err)
	}
	if e, changed, err := Hospital.Take(3, 4); e != 4 || !changed || err != nil {
		t.Errorf("what was given was not taken: %d %v %v", e, changed, err)
	}
}

func someCase() Case {
	at := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)
	return Case{UBRN: ident.MustUBRN("000000070000"), Version: 3, State: "BOOKED", Priority: "ROUTINE", Service: "s1", ServiceName: "Heart clinic", Practice: ident.MustODSCode("B99001"),
		Referrer: "Dr Ann O'Neill", Person: Person{NHSNumber: ident.MustNHSNumber("9990000018"), Family: "Núñez", Born: "1970-01-02"}, ClockStart: at, Changed: at, Sent: 9,
		Appointment: &Appointment{Slot: "a", Epoch: 1, Session: "b", Start: at, End: at.Add(time.Hour)}}
}

func TestWhatIsSentIsWhatIsRead(t *testing.T) {
	want := someCase()
	body, err := Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode[Case](body)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestWhatIsNotSoundIsRefused(t *testing.T) {
	at := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)
	refused := map[string]error{
		"an even epoch":      Slots{Session: "x", Service: "y", Slots: []Slot{{ID: "a", Epoch: 2, Start: at, End: at.Add(1)}}}.check(),
		"ends at its start":  Slots{Session: "x", Service: "y", Slots: []Slot{{ID: "a", Epoch: 1, Start: at, End: at}}}.check(),
		"no slots":           Slots{Session: "x", Service: "y"}.check(),
		"returned odd":       Returned{Session: "x", Slots: []SlotMark{{ID: "a", Epoch: 3}}}.check(),
		"an unknown act":     Act{UBRN: ident.MustUBRN("000000070000"), Number: 1, Seen: 1, Kind: "vanish"}.check(),
		"moved to the spine": Act{UBRN: ident.MustUBRN("000000070000"), Number: 1, Seen: 1, Kind: ActMove, Appointment: &Appointment{Slot: "a", Session: "b", Epoch: 1, Start: at, End: at.Add(1)}}.check(),
		"nobody can be so":   Visit{UBRN: ident.MustUBRN("000000070000"), State: "lost", At: at, Appointment: Appointment{Slot: "a", Session: "b", Start: at, End: at.Add(1)}}.check(),
		"no person":          Case{UBRN: ident.MustUBRN("000000070000"), Version: 1, State: "BOOKED", Service: "x"}.check(),
		"version 0":          Tally{Round: "r", Cases: []CaseMark{{UBRN: ident.MustUBRN("000000070000")}}}.check(),
	}
	for name, err := range refused {
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, body := range []string{`{}`, `{"session":"x","service":"y","slots":[],"more":1}`, `{"session":"x"`, `[]`, `{"session":"x"}{"session":"y"}`} {
		if _, err := Decode[Slots]([]byte(body)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s was read: %v", body, err)
		}
	}
}

// FuzzDecode reads whatever comes: what is accepted can be sent again, and is then the same.
func FuzzDecode(f *testing.F) {
	body, err := Encode(someCase())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"session":"x","slots":["a"],"withdrawn":true}`))
	f.Add([]byte(`{"round":"r","page":0,"heard":4,"slots":[{"id":"a","epoch":1}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		again[Slots](t, body)
		again[Recall](t, body)
		again[Returned](t, body)
		again[Case](t, body)
		again[Act](t, body)
		again[Visit](t, body)
		again[Tally](t, body)
	})
}

func again[M Message](t *testing.T, body []byte) {
	m, err := Decode[M](body)
	if err != nil {
		return
	}
	once, err := Encode(m)
	if err != nil {
		t.Fatalf("what was read cannot be sent: %v", err)
	}
	n, err := Decode[M](once)
	if err != nil {
		t.Fatalf("what was sent cannot be read: %v", err)
	}
	twice, err := Encode(n)
	if err != nil || string(twice) != string(once) {
		t.Fatalf("%s became %s (%v)", once, twice, err)
	}
}
