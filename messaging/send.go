package messaging

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Send puts a message into the post as part of tx, which must hold LaneOf(m.From, m.Conversation), and returns its id: once tx is durable the message cannot be lost.
// It does not wait for anybody. The messages of a conversation go in the order of their transactions' commits.
//
// Errors: fault.Invalid or fault.TooLarge for a message that is not sound; fault.NotFound when nobody keeps the recipient's post; fault.Conflict when
// a file is not stored here.
func (p *Post) Send(_ context.Context, tx *store.Tx, m Message) (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	lane := p.LaneOf(m.From, m.Conversation)
	if !tx.Holds(lane) {
		return "", fault.New(fault.Internal, "to send from %s in this conversation a transaction must hold lane %d (Post.LaneOf)", m.From, lane)
	}
	to, err := p.route(tx, m.To, m.Workflow)
	if err != nil {
		return "", err
	}
	return p.send(tx, lane, to, m)
}

// SendTo is Send to a place that the sender knows, of a kind that a Courier of this node serves: a mailbox, an address elsewhere. m.To is the organisation
// whose it is. Errors: those of Send; fault.NotFound when nothing here delivers to such places.
func (p *Post) SendTo(_ context.Context, tx *store.Tx, to Destination, m Message) (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	lane := p.LaneOf(m.From, m.Conversation)
	if !tx.Holds(lane) {
		return "", fault.New(fault.Internal, "to send from %s in this conversation a transaction must hold lane %d (Post.LaneOf)", m.From, lane)
	}
	if !p.Serves(to.Kind) || to.Name == "" {
		return "", fault.New(fault.NotFound, "Nothing here delivers to a %s.", to.Kind)
	}
	return p.send(tx, lane, to, m)
}

// Serves reports whether a Courier of this node delivers to places of a kind.
func (p *Post) Serves(kind string) bool { return p.couriers[kind] != nil }

// Knows reports whether a service of this node sends or handles a workflow: nobody else may name theirs so.
func (p *Post) Knows(workflow string) bool { return p.handlers[workflow] != nil }

func (p *Post) send(tx *store.Tx, lane store.Lane, to Destination, m Message) (_ string, err error) {
	if m.ID, err = p.newID(tx.At()); err != nil {
		return "", err
	}
	m.At = tx.At()
	if h := p.handlers[m.Workflow]; m.Expires.IsZero() && h != nil && h.TTL > 0 {
		m.Expires = m.At.Add(h.TTL)
	}
	if err := useFiles(tx, m.Files); err != nil {
		return "", err
	}
	_, err = p.place(tx, lane, to, letter{Message: m})
	return m.ID, err
}

func (m *Message) check() error {
	switch {
	case m.From.IsZero() || m.To.IsZero():
		return fault.New(fault.Invalid, "A message needs a sender and a recipient.")
	case m.Workflow == "" || len(m.Workflow) > MaxWorkflow || !utf8.ValidString(m.Workflow):
		return fault.New(fault.Invalid, "A message names its workflow in 1 to %d characters.", MaxWorkflow)
	case len(m.Conversation) > MaxConversation || !utf8.ValidString(m.Conversation):
		return fault.New(fault.Invalid, "The name of a conversation has at most %d characters.", MaxConversation)
	case len(m.Body) > MaxBody:
		return fault.New(fault.TooLarge, "The body of a message has at most %d bytes; what is larger goes as a file beside it.", MaxBody)
	case len(m.Files) > MaxFiles:
		return fault.New(fault.TooLarge, "A message has at most %d files.", MaxFiles)
	}
	if len(m.Files) > 100 && len(putFiles(nil, m.Files)) > maxFilesBytes {
		return fault.New(fault.TooLarge, "The names and types of a message's files are too long together.")
	}
	for _, f := range m.Files {
		if len(f.Name) > 255 || len(f.Type) > 255 || f.Size < 0 || !utf8.ValidString(f.Name) || !utf8.ValidString(f.Type) {
			return fault.New(fault.Invalid, "The name and the type of a file have at most 255 characters each.")
		}
	}
	return nil
}

// letter is a message with what the post keeps about it.
type letter struct {
	Message
	lane       store.Lane
	queue, num int64
	state      State
	turn       int64 // how often its state has changed since it came here
	base       int64 // and how often before, for one that was redirected
	hops       int
	size       int64
	source     int64  // the stream that it came in by; 0 when it was sent here
	number     int64  // in that stream
	answer     []byte // of a system elsewhere that handled it in this turn
}

// place puts l into the queue of a destination, and returns it with its place.
func (p *Post) place(tx *store.Tx, lane store.Lane, to Destination, l letter) (letter, error) {
	q := p.queueOf(to)
	if err := p.intern(tx, q); err != nil {
		return l, err
	}
	num, err := nextNumber(tx, lane, q.id)
	if err != nil {
		return l, err
	}
	l.lane, l.queue, l.num = lane, q.id, num
	var delivered, ended int64
	switch to.Kind {
	case kindNode:
		l.state = Accepted
	case kindNowhere:
		l.state, l.turn = Refused, 1
		delivered, ended = tx.At().UnixMicro(), tx.At().UnixMicro()
	default:
		l.state, delivered = Delivered, tx.At().UnixMicro()
	}
	if err := l.insert(tx, delivered, ended); err != nil {
		return l, err
	}
	p.ringAfter(tx, q.work(lane))
	if l.source == 0 || len(l.Files) == 0 || to.Kind != kindNode {
		return l, nil
	}
	return l, p.fetchOn(tx, q, &l) // it is passed on at once; its files follow when they are here
}

// insert writes the rows of a letter.
func (l *letter) insert(tx *store.Tx, delivered, ended int64) error {
	err := tx.Queue(`INSERT INTO post_message (lane, queue, num, state, turn, base, heard, at, delivered, ended, expires, size, hops, source, number, sender, recipient, workflow, conversation, id, files)
		VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		l.lane, l.queue, l.num, int64(l.state), l.turn, l.base, l.At, delivered, ended, micros(l.Expires), len(l.Body), l.hops, l.source, l.number,
		l.From.String(), l.To.String(), l.Workflow, l.Conversation, l.ID, putFiles(nil, l.Files))
	if err != nil || l.state.Final() {
		return err
	}
	if err := l.attach(tx); err != nil {
		return err
	}
	return tx.Queue(`INSERT INTO post_body (lane, queue, num, body) VALUES (?, ?, ?, ?)`, l.lane, l.queue, l.num, nonNil(l.Body))
}

// nextNumber takes the next number of a queue in a lane.
func nextNumber(tx *store.Tx, lane store.Lane, queue int64) (int64, error) {
	var num int64
	err := tx.QueryRow(`UPDATE post_stream SET next = next + 1 WHERE lane = ? AND queue = ? RETURNING next - 1`, lane, queue).Scan(&num)
	if !fault.Is(err, fault.NotFound) {
		return num, err
	}
	_, err = tx.Exec(`INSERT INTO post_stream (lane, queue, next, done, tried) VALUES (?, ?, 2, 0, 0)`, lane, queue)
	return 1, err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// letterColumns are what scan reads.
const letterColumns = `m.lane, m.queue, m.num, m.state, m.turn, m.base, m.at, m.expires, m.size, m.hops, m.source, m.number, m.sender, m.recipient, m.workflow, m.conversation, m.id, m.files`

// bodyColumn is what stands behind letterColumns where bodies are read too. Each is asked for by its whole key: of a join PostgreSQL without statistics takes all bodies of a queue for every message.
const bodyColumn = `, coalesce((SELECT b.body FROM post_body b WHERE b.lane = m.lane AND b.queue = m.queue AND b.num = m.num), CAST('' AS BLOB)) `

// fields are where letterColumns go; done finishes what was read.
func (l *letter) fields() (dest []any, done func() error) {
	var at, expires int64
	var from, to string
	var files []byte
	return []any{&l.lane, &l.queue, &l.num, &l.state, &l.turn, &l.base, &at, &expires, &l.size, &l.hops, &l.source, &l.number, &from, &to, &l.Workflow, &l.Conversation, &l.ID, &files}, func() error {
		l.At, l.Expires = fromMicros(at), fromMicros(expires)
		var err error
		if l.From, err = ident.ParseODSCode(from); err != nil {
			return fault.Wrap(err, fault.Internal, "the sender of a message cannot be read")
		}
		if l.To, err = ident.ParseODSCode(to); err != nil {
			return fault.Wrap(err, fault.Internal, "the recipient of a message cannot be read")
		}
		l.Files, err = takeFiles(files)
		return err
	}
}

// letters reads what a query answers with, whose columns are letterColumns and, when bodies, the body. It stops before what is read exceeds most
// bytes, but for the first.
func letters(tx *store.Tx, bodies bool, most int64, query string, args ...any) ([]letter, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []letter
	var size int64
	for rows.Next() {
		var l letter
		dest, done := l.fields()
		if bodies {
			dest = append(dest, &l.Body)
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		if err := done(); err != nil {
			return nil, err
		}
		if size += l.size; most > 0 && size > most && len(all) > 0 {
			return all, nil
		}
		all = append(all, l)
	}
	return all, rows.Err()
}
