package office

import (
	"context"
	"encoding/json"
	"runtime"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

const (
	// night is how long after a comparison of everybody the next one is due.
	night = 20 * time.Hour
	// few is how many people are compared at any time of the day: it takes less than a second.
	few = 20_000
	// sampled is how many random pairs of people are compared for each person there is, to learn what agrees by chance.
	sampled, sampleMost = 50, 2_000_000
	// maxBlock is how many people may share a key and still be compared for it.
	maxBlock = 500
	// learnFrom is how many people there must be for the weights to be learnt from them.
	learnFrom = 1000
	// atOnce is how many pairs one commit writes.
	atOnce = 500
)

// run is one comparison of everybody with everybody.
type run struct {
	Started, Finished       time.Time
	People                  int
	Pairs                   int64
	Skipped, Opened, Lapsed int
	Model                   *match.Model
	Estimation              match.Estimation
}

// nightly compares everybody, if that is due: once a day, and where there are many between one and five at night.
func (o *office) nightly(ctx context.Context) error {
	now := o.k.Clock.Now()
	last, err := o.lastRun(ctx)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err == nil && now.Sub(last.Started) < night {
		return nil
	}
	counts, err := o.k.Records.Counts(ctx)
	if err != nil {
		return err
	}
	for _, c := range counts {
		if hour := now.UTC().Hour(); c.Tenant == o.k.National && c.Type == "Patient" && c.Live > few && (hour < 1 || hour >= 5) {
			return nil
		}
	}
	_, err = o.compareAll(ctx)
	return err
}

// suspect is a pair that a run found.
type suspect struct {
	a, b   string
	hidden bool
	match.Result
}

// compareAll compares everybody with everybody who shares something with them, and brings the worklist up to date.
// Error: fault.Conflict while another comparison is under way.
func (o *office) compareAll(ctx context.Context) (run, error) {
	select {
	case o.running <- struct{}{}:
		defer func() { <-o.running }()
	default:
		return run{}, fault.New(fault.Conflict, "Everybody is being compared already.")
	}
	r := run{Started: o.k.Clock.Now()}
	index := match.NewIndex(match.Keys)
	var numbers []string
	var hidden []bool
	day := r.Started.UTC().Format(time.DateOnly)
	err := o.everybody(ctx, func(v record.Version) error {
		p := match.FromPatient(v.Resource, day)
		index.Add(&p)
		numbers = append(numbers, v.ID)
		hidden = append(hidden, v.Label()&access.Restricted != 0)
		return nil
	})
	if err != nil {
		return r, err
	}
	r.People, r.Model = index.Len(), match.Default()
	workers := max(1, runtime.GOMAXPROCS(0)/2)
	if r.People >= learnFrom {
		if r.Model, r.Estimation, err = match.Estimate(ctx, index, r.Model, match.EstimateOptions{Seed: uint64(r.Started.UnixNano()), Sample: min(sampled*r.People, sampleMost), Workers: workers}); err != nil {
			return r, err
		}
	}
	found := make([][]suspect, workers)
	report, err := index.Pairs(ctx, match.PairOptions{Workers: workers, MaxBlock: maxBlock}, func(worker, i, j int, a, b *match.Person) {
		if result := r.Model.Score(a, b); result.Verdict != match.Different {
			s := suspect{a: numbers[i], b: numbers[j], hidden: hidden[i] || hidden[j], Result: result}
			if s.a > s.b {
				s.a, s.b = s.b, s.a
			}
			found[worker] = append(found[worker], s)
		}
	})
	if err != nil {
		return r, err
	}
	r.Pairs, r.Skipped = report.Pairs, report.Skipped
	for _, list := range found {
		for len(list) > 0 {
			n := min(len(list), atOnce)
			opened, err := o.propose(ctx, list[:n])
			if err != nil {
				return r, err
			}
			r.Opened += opened
			list = list[n:]
		}
	}
	return r, o.finish(ctx, &r)
}

// propose puts pairs on the worklist, or says of those that are on it what is now known.
func (o *office) propose(ctx context.Context, list []suspect) (opened int, err error) {
	linked := map[suspect]bool{}
	for _, s := range list {
		charts, err := o.k.Records.Charts(ctx, o.k.National, s.a)
		if err != nil {
			return 0, err
		}
		for _, c := range charts {
			linked[s] = linked[s] || c == s.b
		}
	}
	err = o.k.DB.Write(ctx, []store.Lane{o.lane()}, func(tx *store.Tx) error {
		opened = 0
		for _, s := range list {
			if linked[s] {
				continue
			}
			isNew, err := o.proposeOne(tx, s)
			if err != nil {
				return err
			}
			if isNew {
				opened++
			}
		}
		return nil
	})
	return opened, err
}

// proposeOne writes one pair. What a person called different stays so until what is recorded of the two changes.
func (o *office) proposeOne(tx *store.Tx, s suspect) (opened bool, err error) {
	lane, now := int64(o.lane()), tx.At().UnixMicro()
	what := []any{bit(s.hidden), int64(s.Verdict), millionths(s.Probability), thousandths(s.Weight), int64(s.Pattern), s.Veto.String(), now}
	const says = `hidden = ?, verdict = ?, probability = ?, weight = ?, pattern = ?, veto = ?, seen = ?`
	const which = ` WHERE lane = ? AND a = ? AND b = ?`
	var state string
	var pattern int64
	err = tx.QueryRow(`SELECT state, pattern FROM office_pair`+which, lane, s.a, s.b).Scan(&state, &pattern)
	switch {
	case fault.Is(err, fault.NotFound):
		return true, tx.Queue(`INSERT INTO office_pair (lane, a, b, state, hidden, verdict, probability, weight, pattern, veto, seen, found,
			owner, owner_name, taken, survivor, decided, decided_by, reason) VALUES (?, ?, ?, 'open', ?, ?, ?, ?, ?, ?, ?, ?, '', '', 0, '', 0, '', '')`,
			append(append([]any{lane, s.a, s.b}, what...), now)...)
	case err != nil:
		return false, err
	case state == stateOpen:
		return false, tx.Queue(`UPDATE office_pair SET `+says+which, append(what, lane, s.a, s.b)...)
	case state == stateDifferent && pattern == int64(s.Pattern):
		return false, tx.Queue(`UPDATE office_pair SET seen = ?`+which, now, lane, s.a, s.b)
	}
	return true, tx.Queue(`UPDATE office_pair SET state = 'open', owner = '', owner_name = '', taken = 0, survivor = '', `+says+`, found = ?`+which,
		append(what, now, lane, s.a, s.b)...)
}

// finish lets open pairs lapse that this run did not find, and writes the run down.
func (o *office) finish(ctx context.Context, r *run) error {
	model, err := json.Marshal(r.Model)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "writing the model")
	}
	passes, err := json.Marshal(r.Estimation)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "writing how the model was learnt")
	}
	return o.k.DB.Write(ctx, []store.Lane{o.lane()}, func(tx *store.Tx) error {
		lane := int64(o.lane())
		n, err := tx.Exec(`UPDATE office_pair SET state = 'lapsed' WHERE lane = ? AND state = 'open' AND seen < ?`, lane, r.Started.UnixMicro())
		if err != nil {
			return err
		}
		r.Lapsed, r.Finished = int(n), tx.At()
		return tx.Queue(`INSERT INTO office_run (lane, started, finished, people, pairs, skipped, opened, lapsed, model, passes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			lane, r.Started.UnixMicro(), r.Finished.UnixMicro(), int64(r.People), r.Pairs, int64(r.Skipped), int64(r.Opened), int64(r.Lapsed), string(model), string(passes))
	})
}

// lastRun is the last comparison that was finished. Error: fault.NotFound when there was none.
func (o *office) lastRun(ctx context.Context) (run, error) {
	var r run
	var started, finished int64
	var model, passes string
	err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT started, finished, people, pairs, skipped, opened, lapsed, model, passes FROM office_run WHERE lane = ? ORDER BY started DESC LIMIT 1`,
			int64(o.lane())).Scan(&started, &finished, &r.People, &r.Pairs, &r.Skipped, &r.Opened, &r.Lapsed, &model, &passes)
	})
	if err != nil {
		return r, err
	}
	r.Started, r.Finished, r.Model = time.UnixMicro(started).UTC(), time.UnixMicro(finished).UTC(), &match.Model{}
	if err := json.Unmarshal([]byte(model), r.Model); err != nil {
		return r, fault.Wrap(err, fault.Internal, "the model of the last comparison does not read")
	}
	if err := json.Unmarshal([]byte(passes), &r.Estimation); err != nil {
		return r, fault.Wrap(err, fault.Internal, "how the model was learnt does not read")
	}
	return r, nil
}

// model is that of the last comparison, or the one to begin with.
func (o *office) model(ctx context.Context) (*match.Model, error) {
	r, err := o.lastRun(ctx)
	if fault.Is(err, fault.NotFound) {
		return match.Default(), nil
	}
	return r.Model, err
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func millionths(p float64) int64  { return int64(p*1e6 + 0.5) }
func thousandths(w float64) int64 { return int64(w * 1e3) }
