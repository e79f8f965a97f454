package mesh

import (
	"compress/gzip"
	"errors"
	"io"
)

// Bounds of what a compressed chunk may unfold to: a real file shrinks to a twentieth, a bomb to a thousandth.
const (
	bombRatio = 200
	bombFloor = 64 << 20
)

// incoming is a chunk as it comes. One that says that it is compressed is unfolded beside, and thrown away, so that whoever sends what is not,
// is cut short or unfolds to no end learns it at once, and no recipient is handed it.
type incoming struct {
	r     io.Reader
	read  int64
	pipe  *io.PipeWriter // to the one who unfolds; nil when nobody does
	done  chan error
	wrong string // what is wrong with it, in words for the sender
}

var errBomb = errors.New("it unfolds to too much")

func newIncoming(r io.Reader, zipped bool) *incoming {
	in := &incoming{r: r}
	if !zipped {
		return in
	}
	from, to := io.Pipe()
	in.pipe, in.done = to, make(chan error, 1)
	go func() {
		err := unfold(from)
		_ = from.CloseWithError(errors.Join(err, io.EOF)) // who writes on learns that nobody reads
		in.done <- err
	}()
	return in
}

// unfold reads a whole gzip stream and keeps nothing of it.
func unfold(from io.Reader) error {
	counted := &counter{r: from}
	gz, err := gzip.NewReader(counted)
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for n := int64(0); ; {
		k, err := gz.Read(buf)
		if n += int64(k); n > bombFloor && n > bombRatio*counted.n {
			return errBomb
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// Read is io.Reader's. What is wrong with a compressed chunk ends it.
func (in *incoming) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	in.read += int64(n)
	if in.pipe == nil {
		return n, err
	}
	if n > 0 {
		if _, werr := in.pipe.Write(p[:n]); werr != nil {
			return 0, in.judge(<-in.done)
		}
	}
	if err != nil {
		_ = in.pipe.CloseWithError(err) // always nil
		if judged := in.judge(<-in.done); judged != nil && errors.Is(err, io.EOF) {
			return 0, judged
		}
		in.pipe = nil
	}
	return n, err
}

// judge words what unfolding said.
func (in *incoming) judge(err error) error {
	in.pipe = nil
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errBomb):
		in.wrong = "what is compressed unfolds to more than two hundred times its size: send it in chunks, or less compressed"
	case in.read == 0:
		return nil // empty, which is said otherwise
	default:
		in.wrong = "the body is not gzip, as its Content-Encoding says, or is cut short"
	}
	return err
}

// close ends the one who unfolds, whoever stopped reading.
func (in *incoming) close() {
	if in.pipe != nil {
		_ = in.pipe.CloseWithError(io.ErrUnexpectedEOF) // always nil
		<-in.done
		in.pipe = nil
	}
}
