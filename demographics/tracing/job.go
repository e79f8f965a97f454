package tracing

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// The states of a job.
const (
	waiting = "waiting" // or being traced: what is not traced yet is taken up by whoever comes by
	done    = "done"
	stopped = "stopped" // by its owner
	failed  = "failed"
	expired = "expired" // what it held of people is gone
)

const (
	// fileBytes is how large a file may be, and fileLines how many people it may ask about. Larger ones are for openspine trace.
	fileBytes, fileLines = 16 << 20, 200_000
	// unfinished is how many files one person may have waiting.
	unfinished = 5
	// keptFor is how long an answer can be fetched: it holds the details of many people. rememberedFor is how long the row says that it was.
	keptFor, rememberedFor = 7 * 24 * time.Hour, 90 * 24 * time.Hour
	// lookEvery is how often the node looks for files.
	lookEvery = 2 * time.Second
	// againAfter is the pause after a failure, and triesMost after how many in a row a job is given up.
	againAfter, triesMost = time.Minute, 30
)

// job is one file, and how far it is.
type job struct {
	ID, Owner, OwnerName, Profile, Assurance, Program, Name, Header, State string

	Stretches, Stretch, Lines, Traced, Tries int
	Outcomes                                 map[demographics.Outcome]int
	Made, Begun, Ended, Expires, Again       time.Time
	Error                                    string
}

const jobColumns = `id, owner, owner_name, profile, assurance, name, header, state, stretches, stretch, lines, traced, outcomes, made, begun, ended, expires, again, tries, error, program`

func (j *job) scan(from interface{ Scan(...any) error }) error {
	var outcomes string
	var made, begun, ended, expires, again int64
	if err := from.Scan(&j.ID, &j.Owner, &j.OwnerName, &j.Profile, &j.Assurance, &j.Name, &j.Header, &j.State, &j.Stretches, &j.Stretch, &j.Lines, &j.Traced, &outcomes, &made, &begun, &ended, &expires, &again,
		&j.Tries, &j.Error, &j.Program); err != nil {
		return err
	}
	j.Made, j.Begun, j.Ended, j.Expires, j.Again = timeOf(made), timeOf(begun), timeOf(ended), timeOf(expires), timeOf(again)
	return fault.Wrap(json.Unmarshal([]byte(outcomes), &j.Outcomes), fault.Internal, "how far a file is does not read")
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// lane is where all of it stands.
func (o *office) lane() store.Lane { return o.k.DB.LaneOf(o.k.National.String(), "tracing") }

// submit keeps a file to be traced, whole or not at all. Errors: fault.Invalid for no such file; fault.TooLarge, fault.TooMany.
func (o *office) submit(ctx context.Context, who access.Principal, name string, in io.Reader) (id string, err error) {
	b, err := demographics.ReadBatch(io.LimitReader(in, fileBytes+1))
	if err != nil {
		return "", err
	}
	var all []demographics.BatchStretch
	lines, size := 0, len(b.Header)
	for {
		s, err := b.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if lines, size = lines+s.Lines, size+len(s.Text); lines > fileLines || size > fileBytes {
			return "", fault.New(fault.TooLarge, "The file is too large: it may be of %d MB and ask about %d people. Send it in parts, or have it traced by openspine trace.", fileBytes>>20, fileLines)
		}
		if s.Lines > 0 {
			all = append(all, s)
		}
	}
	if lines == 0 {
		return "", fault.New(fault.Invalid, "The file asks about nobody: it has a header and no lines.")
	}
	if id, err = o.k.Records.NewID(); err != nil {
		return "", err
	}
	program, err := programOf(who)
	if err != nil {
		return "", err
	}
	lane := int64(o.lane())
	return id, o.k.DB.Write(ctx, []store.Lane{o.lane()}, func(tx *store.Tx) error {
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM tracing_job WHERE lane = ? AND owner = ? AND state = 'waiting'`, lane, who.ID).Scan(&n); err != nil {
			return err
		}
		if n >= unfinished {
			return fault.New(fault.TooMany, "You have %d files that are not traced yet. Wait for one of them, or stop one.", n)
		}
		if err := tx.Queue(`INSERT INTO tracing_job (lane, id, owner, owner_name, profile, assurance, name, header, state, stretches, stretch, lines, traced, outcomes, made, begun, ended, expires, again, tries, error, program)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?, 0, ?, 0, '{}', ?, 0, 0, ?, 0, 0, '', ?)`,
			lane, id, who.ID, who.Name, who.Profile, who.Assurance, name, b.Header, int64(len(all)), int64(lines), tx.At().UnixMicro(), tx.At().Add(keptFor).UnixMicro(), program); err != nil {
			return err
		}
		for i, s := range all {
			if err := tx.Queue(`INSERT INTO tracing_stretch (lane, job, stretch, line, lines, asked, answer) VALUES (?, ?, ?, ?, ?, ?, ?)`, lane, id, int64(i), int64(s.First), int64(s.Lines), []byte(s.Text), []byte{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// jobOf is a job of somebody. Error: access.NotHere for one that is not there, or somebody else's.
func (o *office) jobOf(ctx context.Context, who access.Principal, id string) (job, error) {
	var j job
	err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
		j = job{}
		return j.scan(tx.QueryRow(`SELECT `+jobColumns+` FROM tracing_job WHERE lane = ? AND id = ? AND owner = ?`, int64(o.lane()), id, who.ID))
	})
	if fault.Is(err, fault.NotFound) {
		return j, access.NotHere()
	}
	return j, err
}

// jobs are those that a condition selects, newest last.
func (o *office) jobs(ctx context.Context, where string, args ...any) (list []job, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT `+jobColumns+` FROM tracing_job WHERE lane = ? AND `+where, append([]any{int64(o.lane())}, args...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var j job
			if err := j.scan(rows); err != nil {
				return err
			}
			list = append(list, j)
		}
		return rows.Err()
	})
	return list, err
}

// work traces what waits, a stretch of each file in turn, so that a short file does not stand behind a long one, until nothing waits. Each stretch is a
// commit of its own: whatever stops the program, the next run goes on behind the last.
func (o *office) work(ctx context.Context) error {
	if err := o.expire(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if more, err := o.turn(ctx); err != nil || !more {
			return err
		}
	}
	return ctx.Err()
}

// turn traces a stretch of each file that waits; more says whether one did.
func (o *office) turn(ctx context.Context) (more bool, err error) {
	list, err := o.jobs(ctx, `state = 'waiting' AND again <= ? ORDER BY made, id LIMIT 100`, o.k.Clock.Now().UnixMicro())
	for _, j := range list {
		if err == nil {
			err = o.stretch(ctx, j)
		}
	}
	return len(list) > 0, err
}

// stretch traces the next stretch of a job, in the name of whoever sent it, as they may now.
func (o *office) stretch(ctx context.Context, j job) error {
	if j.Stretch >= j.Stretches {
		return o.put(ctx, j, nil, `state = 'done', ended = ?`, o.k.Clock.Now().UnixMicro())
	}
	if j.Begun.IsZero() {
		j.Begun = o.k.Clock.Now()
	}
	who, err := o.sender(ctx, j)
	if fault.Is(err, fault.NotFound) {
		return o.put(ctx, j, nil, `state = 'failed', ended = ?, error = ?`, o.k.Clock.Now().UnixMicro(), "Whoever sent the file may not trace people any more.")
	}
	if err != nil {
		return err
	}
	s, err := o.asked(ctx, j)
	if err != nil {
		return err
	}
	answer, sum, err := o.register.TraceStretch(ctx, who, j.Header, s)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case fault.Is(err, fault.Forbidden) || err != nil && j.Tries+1 >= triesMost:
		return o.put(ctx, j, nil, `state = 'failed', ended = ?, error = ?`, o.k.Clock.Now().UnixMicro(), fault.MessageOf(err))
	case err != nil:
		return o.put(ctx, j, nil, `tries = tries + 1, again = ?, error = ?`, o.k.Clock.Now().Add(againAfter).UnixMicro(), fault.MessageOf(err))
	}
	outcomes := map[demographics.Outcome]int{}
	for _, by := range []map[demographics.Outcome]int{j.Outcomes, sum.By} {
		for outcome, n := range by {
			outcomes[outcome] += n
		}
	}
	text, err := json.Marshal(outcomes)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "writing how far a file is")
	}
	state, ended := waiting, int64(0)
	if j.Stretch+1 == j.Stretches {
		state, ended = done, o.k.Clock.Now().UnixMicro()
	}
	return o.put(ctx, j, answer, `stretch = stretch + 1, traced = traced + ?, outcomes = ?, begun = ?, state = ?, ended = ?, tries = 0, again = 0, error = ''`,
		int64(sum.Lines), string(text), j.Begun.UnixMicro(), state, ended)
}

// asked is the next stretch of a job.
func (o *office) asked(ctx context.Context, j job) (s demographics.BatchStretch, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		var text []byte
		if err := tx.QueryRow(`SELECT line, lines, asked FROM tracing_stretch WHERE lane = ? AND job = ? AND stretch = ?`, int64(o.lane()), j.ID, int64(j.Stretch)).Scan(&s.First, &s.Lines, &text); err != nil {
			return err
		}
		s.Text = string(text)
		return nil
	})
	return s, err
}

// put changes a job that is still as far as it was, with the answer to its stretch in the same commit. Who stopped it meanwhile, or was quicker with the
// same stretch on another node, has the last word.
func (o *office) put(ctx context.Context, j job, answer []byte, set string, args ...any) error {
	lane := int64(o.lane())
	return o.k.DB.Write(ctx, []store.Lane{o.lane()}, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE tracing_job SET `+set+` WHERE lane = ? AND id = ? AND state = 'waiting' AND stretch = ?`, append(append([]any{}, args...), lane, j.ID, int64(j.Stretch))...)
		if err != nil || n == 0 || answer == nil {
			return err
		}
		return tx.Queue(`UPDATE tracing_stretch SET answer = ? WHERE lane = ? AND job = ? AND stretch = ?`, answer, lane, j.ID, int64(j.Stretch))
	})
}

// stop ends a job at its owner's wish; what is traced by then can be fetched. remove takes away all that it holds of people at once.
func (o *office) stop(ctx context.Context, j job) error {
	return o.k.DB.Write(ctx, []store.Lane{o.lane()}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE tracing_job SET state = 'stopped', ended = ? WHERE lane = ? AND id = ? AND state = 'waiting'`, tx.At().UnixMicro(), int64(o.lane()), j.ID)
		return err
	})
}

func (o *office) remove(ctx context.Context, j job) error {
	return o.k.DB.Write(ctx, []store.Lane{o.lane()}, func(tx *store.Tx) error { return o.removeIn(tx, j.ID) })
}

func (o *office) removeIn(tx *store.Tx, id string) error {
	lane := int64(o.lane())
	if _, err := tx.Exec(`DELETE FROM tracing_stretch WHERE lane = ? AND job = ?`, lane, id); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE tracing_job SET state = 'expired', name = '', header = '', ended = CASE WHEN ended = 0 THEN ? ELSE ended END WHERE lane = ? AND id = ?`, tx.At().UnixMicro(), lane, id)
	return err
}

// expire takes away what has been kept long enough.
func (o *office) expire(ctx context.Context) error {
	now := o.k.Clock.Now()
	list, err := o.jobs(ctx, `state <> 'expired' AND expires < ? LIMIT 20`, now.UnixMicro())
	if err != nil {
		return err
	}
	old, err := o.jobs(ctx, `state = 'expired' AND made < ? LIMIT 100`, now.Add(-rememberedFor).UnixMicro())
	if err != nil || len(list)+len(old) == 0 {
		return err
	}
	return o.k.DB.Write(ctx, []store.Lane{o.lane()}, func(tx *store.Tx) error {
		for _, j := range list {
			if err := o.removeIn(tx, j.ID); err != nil {
				return err
			}
		}
		for _, j := range old {
			if _, err := tx.Exec(`DELETE FROM tracing_job WHERE lane = ? AND id = ?`, int64(o.lane()), j.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// left is how long the rest of a job will take, as fast as it has gone; false while that cannot be told.
func (j job) left(now time.Time) (time.Duration, bool) {
	gone := now.Sub(j.Begun)
	if j.State != waiting || j.Begun.IsZero() || j.Traced == 0 || gone <= 0 {
		return 0, false
	}
	per := float64(gone) / float64(j.Traced)
	return time.Duration(per * float64(j.Lines-j.Traced)), true
}
