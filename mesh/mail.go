package mesh

import (
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// The sides of a mailbox.
const (
	outbox = 1
	inbox  = 2
)

// MailState is what has become of a piece of mail.
type MailState uint8

// The states of mail, in an outbox and in an inbox.
const (
	Uploading    MailState = iota + 1 // outbox: not all chunks have come
	Accepted                          // outbox: taken; inbox: waits to be collected
	Acknowledged                      // collected
	Failed                            // outbox: it came back, with a report; inbox: nobody came in time
	PutAway                           // inbox: 30 days are over
)

// String is the state as the interface says it.
func (s MailState) String() string {
	names := []string{"", "uploading", "accepted", "acknowledged", "undeliverable", "deleted"}
	if int(s) >= len(names) {
		return ""
	}
	return names[s]
}

// The kinds of mail.
const (
	kindData   = "DATA"
	kindReport = "REPORT"
)

// The flags of mail that say what its sender did to it.
const (
	flagCompressed = 1
	flagEncrypted  = 2
)

// Mail is one piece of mail as one mailbox has it, without what it holds.
type Mail struct {
	Mailbox string // whose it is
	Side    int64
	ID      string
	State   MailState
	At      time.Time // when it was taken, or came
	Changed time.Time
	Expires time.Time // when its state ends by itself; zero for never
	Opened  time.Time // when it was downloaded first; zero while it was not
	Kind    string    // DATA or REPORT
	Other   string    // the mailbox at the other end; empty for a report
	ODS     string    // the organisation at the other end

	Workflow, Subject, Local, File, Checksum, Partner string
	Encoding, Type                                    string
	Flags                                             int64
	Chunks                                            int
	Size                                              int64 // of all chunks as they were sent

	Linked, Event, Code, Description string // what went wrong
	Post                             string // the message of the post that carried it
}

const mailColumns = `mailbox, side, id, state, at, changed, expires, opened, kind, other, ods, workflow, subject, local, file, checksum, partner, encoding, type, flags, chunks, size, linked, event, code, description, post`

func (m *Mail) insert(tx *store.Tx, lane store.Lane) error {
	_, err := tx.Exec(`INSERT INTO mesh_mail (lane, `+mailColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		lane, m.Mailbox, m.Side, m.ID, int64(m.State), m.At, m.Changed, micros(m.Expires), micros(m.Opened), m.Kind, m.Other, m.ODS, m.Workflow, m.Subject, m.Local, m.File, m.Checksum, m.Partner,
		m.Encoding, m.Type, m.Flags, m.Chunks, m.Size, m.Linked, m.Event, m.Code, m.Description, m.Post)
	return err
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

// readMails reads what a query answers with, whose columns are mailColumns.
func readMails(tx *store.Tx, query string, args ...any) ([]Mail, error) {
	rows, err := tx.Query(`SELECT `+mailColumns+` FROM mesh_mail `+query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Mail
	for rows.Next() {
		var m Mail
		var state, expires, opened int64
		if err := rows.Scan(&m.Mailbox, &m.Side, &m.ID, &state, &m.At, &m.Changed, &expires, &opened, &m.Kind, &m.Other, &m.ODS, &m.Workflow, &m.Subject, &m.Local, &m.File, &m.Checksum, &m.Partner,
			&m.Encoding, &m.Type, &m.Flags, &m.Chunks, &m.Size, &m.Linked, &m.Event, &m.Code, &m.Description, &m.Post); err != nil {
			return nil, err
		}
		m.State, m.Expires, m.Opened = MailState(state), fromMicros(expires), fromMicros(opened) //nolint:gosec // as it was put
		list = append(list, m)
	}
	return list, rows.Err()
}

// readMail reads one piece of a mailbox's mail. Error: fault.NotFound.
func (o *Office) readMail(tx *store.Tx, mailbox string, side int64, id string) (*Mail, error) {
	list, err := readMails(tx, `WHERE lane = ? AND mailbox = ? AND side = ? AND id = ?`, o.lane(mailbox), mailbox, side, id)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "There is no message %q in this mailbox.", clip(id, 64))
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

func clip(s string, most int) string {
	for i := range s {
		if i > most {
			return s[:i]
		}
	}
	return s
}

// part is one chunk of mail.
type part struct {
	num  int
	file messaging.File
}

func (o *Office) putPart(tx *store.Tx, m *Mail, num int, f messaging.File) error {
	_, err := tx.Exec(`INSERT INTO mesh_part (lane, mailbox, side, id, num, hash, size) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lane, mailbox, side, id, num) DO UPDATE SET hash = excluded.hash, size = excluded.size`,
		o.lane(m.Mailbox), m.Mailbox, m.Side, m.ID, num, f.Hash[:], f.Size)
	return err
}

// parts are the chunks of mail that are here, in order.
func (o *Office) parts(tx *store.Tx, m *Mail) ([]part, error) {
	rows, err := tx.Query(`SELECT num, hash, size FROM mesh_part WHERE lane = ? AND mailbox = ? AND side = ? AND id = ? ORDER BY num`, o.lane(m.Mailbox), m.Mailbox, m.Side, m.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []part
	for rows.Next() {
		var p part
		var hash []byte
		if err := rows.Scan(&p.num, &hash, &p.file.Size); err != nil {
			return nil, err
		}
		copy(p.file.Hash[:], hash)
		list = append(list, p)
	}
	return list, rows.Err()
}

// newID is the id of a message as MESH makes them: the time to the microsecond, and six hexadecimal digits.
func newID(at time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	const form = "20060102150405.000000"
	stamp := at.UTC().Format(form)
	return stamp[:14] + stamp[15:] + "_" + upper(hex.EncodeToString(b[:]))
}

func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'f' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// isMessageID reports whether s has the shape of a message's id.
func isMessageID(s string) bool {
	if len(s) != 27 || s[20] != '_' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		digit := c >= '0' && c <= '9'
		if i != 20 && !digit && (i < 20 || c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
