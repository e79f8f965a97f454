package demographics

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
)

// A file of people is read line by line: a field holds no line break, so that a quotation mark that somebody forgot to close is the fault of its
// own line and of no other.

const (
	// batchAtOnce is how many lines are looked up and accounted for together; batchBeside how many at one time.
	batchAtOnce, batchBeside = 200, 4
	// batchLineBytes bounds one line.
	batchLineBytes = 64 << 10
)

// BatchStretch is some lines of a file of people, to be traced together.
type BatchStretch struct {
	// First is the line of the file in which Text begins; the header is line 1.
	First int
	// Text is the lines as they stand, blank ones included; Lines how many of them are not.
	Text  string
	Lines int
}

// BatchReader reads a file of people.
type BatchReader struct {
	// Header is the file's first line.
	Header  string
	columns []string
	in      *bufio.Reader
	line    int // that were read
}

// ReadBatch reads the header of a file. Error: fault.Invalid for a file that is none of this kind.
func ReadBatch(in io.Reader) (*BatchReader, error) {
	b := &BatchReader{in: bufio.NewReaderSize(in, batchLineBytes)}
	header, err := b.read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	b.Header = strings.TrimPrefix(header, "\ufeff")
	fields, err := fieldsOf(b.Header)
	if err != nil || len(fields) == 0 {
		return nil, fault.Wrap(err, fault.Invalid, "The file has no header: its first line names the columns, for example %s.", strings.Join(BatchColumns()[:8], ","))
	}
	known := BatchColumns()
	for i, name := range fields {
		name = strings.ToUpper(strings.TrimSpace(name))
		switch {
		case !slices.Contains(known, name):
			return nil, fault.New(fault.Invalid, "There is no column %q. The columns are %s.", shown(name), strings.Join(known, ", "))
		case slices.Contains(fields[:i], name):
			return nil, fault.New(fault.Invalid, "The column %s is there twice.", name)
		}
		fields[i] = name
	}
	if !slices.Contains(fields, colBorn) {
		return nil, fault.New(fault.Invalid, "The column %s is missing: nobody is traced without their birth date.", colBorn)
	}
	b.columns = fields
	return b, nil
}

// read is the next line without its end; io.EOF after the last.
func (b *BatchReader) read() (string, error) {
	text, err := b.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fault.New(fault.Invalid, "Line %d is longer than %d characters.", b.line+1, batchLineBytes)
	case errors.Is(err, io.EOF) && len(text) == 0:
		return "", io.EOF
	case err != nil && !errors.Is(err, io.EOF):
		return "", err
	}
	b.line++
	return strings.TrimRight(string(text), "\r\n"), nil
}

// Next is the next stretch of the file. Errors: io.EOF after the last; fault.Invalid for a line that is too long to be one.
func (b *BatchReader) Next() (BatchStretch, error) {
	s := BatchStretch{First: b.line + 1}
	var text strings.Builder
	for s.Lines < batchAtOnce {
		line, err := b.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return s, err
		}
		text.WriteString(line + "\n")
		if strings.TrimSpace(line) != "" {
			s.Lines++
		}
	}
	if s.Text = text.String(); s.Text == "" {
		return s, io.EOF
	}
	return s, nil
}

// fieldsOf are the fields of one line.
func fieldsOf(line string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(line))
	r.FieldsPerRecord = -1
	return r.Read()
}

// lines are those of a stretch, read. A line that cannot be read is one that is invalid.
func (b *BatchReader) lines(s BatchStretch) []*batchLine {
	var list []*batchLine
	at := s.First
	for text := range strings.Lines(s.Text) {
		if text = strings.TrimRight(text, "\r\n"); strings.TrimSpace(text) != "" {
			list = append(list, b.lineOf(at, text))
		}
		at++
	}
	return list
}

func (b *BatchReader) lineOf(at int, text string) *batchLine {
	l := &batchLine{line: at, asked: map[string]string{}}
	fields, err := fieldsOf(text)
	var broken *csv.ParseError
	switch {
	case errors.As(err, &broken) && errors.Is(broken.Err, csv.ErrQuote) && strings.Count(text, `"`)%2 == 1:
		l.invalid("", fmt.Sprintf("line %d: a quotation mark is opened and not closed in this line", at))
		return l
	case errors.As(err, &broken):
		l.invalid("", fmt.Sprintf("line %d, character %d: the line is no CSV: %v", at, broken.Column, broken.Err))
		return l
	case err != nil:
		l.invalid("", fmt.Sprintf("line %d: the line cannot be read", at))
		return l
	}
	for i, name := range b.columns {
		if i < len(fields) {
			l.asked[name] = strings.TrimSpace(fields[i])
		}
	}
	switch {
	case len(fields) != len(b.columns):
		l.invalid("", fmt.Sprintf("it has %d fields, and the header %d", len(fields), len(b.columns)))
	case slices.ContainsFunc(fields, func(f string) bool { return !utf8.ValidString(f) }):
		l.invalid("", "it is not UTF-8")
	}
	return l
}

// BatchAnswerHeader is the first line of an answer.
func BatchAnswerHeader() string {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.Write(batchAnswer()); err != nil { // into memory: it does not fail
		return ""
	}
	w.Flush()
	return out.String()
}

// TraceStretch traces some lines of a file for who, and gives a line for each. Whoever is shown is on the account by then. header is the file's. It can
// be done again: the lines are the same unless somebody has changed meanwhile. Errors: as of Trace.
func (r *Register) TraceStretch(ctx context.Context, who access.Principal, header string, s BatchStretch) (answer []byte, sum BatchSummary, err error) {
	sum.By = map[Outcome]int{}
	if err := r.s.whole(); err != nil {
		return nil, sum, err
	}
	b, err := ReadBatch(strings.NewReader(header + "\n"))
	if err != nil {
		return nil, sum, err
	}
	list := b.lines(s)
	if err := r.s.traceSome(ctx, who, list); err != nil {
		return nil, sum, err
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	for _, l := range list {
		sum.Lines++
		sum.By[l.outcome]++
		if err := w.Write(l.answer()); err != nil {
			return nil, sum, err
		}
	}
	w.Flush()
	return out.Bytes(), sum, w.Error()
}

// Trace traces everybody in a CSV file for who, and writes a line for each line, the header left out. Whoever is shown is on the account
// before their line is written. skip lines were answered before, by a run that was cut off: nothing is written of them, the header neither.
// progress, if not nil, is called after each stretch, when all its lines are written. Errors: fault.Invalid for a file
// that is none of this kind, before anything is written; fault.Unavailable while searches are not whole; whatever who may not.
func (r *Register) Trace(ctx context.Context, who access.Principal, in io.Reader, out io.Writer, skip int, progress func(BatchSummary) error) (BatchSummary, error) {
	sum := BatchSummary{By: map[Outcome]int{}}
	if err := r.s.whole(); err != nil {
		return sum, err
	}
	b, err := ReadBatch(in)
	if err != nil {
		return sum, err
	}
	if skip == 0 {
		if _, err := io.WriteString(out, BatchAnswerHeader()); err != nil {
			return sum, err
		}
	}
	for ctx.Err() == nil {
		s, err := b.Next()
		if errors.Is(err, io.EOF) {
			return sum, nil
		}
		if err != nil {
			return sum, err
		}
		if s = s.without(&skip); s.Lines == 0 {
			continue
		}
		answer, part, err := r.TraceStretch(ctx, who, b.Header, s)
		if err != nil {
			return sum, err
		}
		if _, err := out.Write(answer); err != nil {
			return sum, err
		}
		sum.Lines += part.Lines
		for o, n := range part.By {
			sum.By[o] += n
		}
		if progress != nil {
			if err := progress(sum); err != nil {
				return sum, err
			}
		}
	}
	return sum, ctx.Err()
}

// without is the stretch less its first lines, as many as skip says, which it counts down.
func (s BatchStretch) without(skip *int) BatchStretch {
	for *skip > 0 && s.Text != "" {
		line, rest, _ := strings.Cut(s.Text, "\n")
		if s.Text, s.First = rest, s.First+1; strings.TrimSpace(line) != "" {
			s.Lines--
			*skip--
		}
	}
	return s
}
