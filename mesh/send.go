package mesh

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// chunkRange is what Mex-Chunk-Range says: this chunk, of how many.
type chunkRange struct{ num, of int }

// parseChunkRange reads "n:m", or "" for a message that is one chunk. ok is false for anything else.
func parseChunkRange(s string) (c chunkRange, ok bool) {
	if s = strings.TrimSpace(s); s == "" {
		return chunkRange{1, 1}, true
	}
	a, b, two := strings.Cut(s, ":")
	if !two || len(s) > 20 {
		return c, false
	}
	n, err := natural(strings.TrimSpace(a))
	m, err2 := natural(strings.TrimSpace(b))
	if err != nil || err2 != nil || n > m || m > MaxChunks {
		return c, false
	}
	return chunkRange{n, m}, true
}

// String is what parseChunkRange reads.
func (c chunkRange) String() string { return strconv.Itoa(c.num) + ":" + strconv.Itoa(c.of) }

var errNotNatural = errors.New("not a number from 1 on")

// natural reads a number from 1 on, of at most nine digits.
func natural(s string) (int, error) {
	if s == "" || len(s) > 9 || strings.ContainsFunc(s, notDigit) {
		return 0, errNotNatural
	}
	n, err := strconv.Atoi(s)
	if err == nil && n < 1 {
		err = errNotNatural
	}
	return n, err
}

// headerMost are the longest values of the headers that say what is sent (published, operation send_message).
func headerMost() []struct {
	name string
	most int
} {
	return []struct {
		name string
		most int
	}{{"mex-to", 100}, {"mex-workflowid", mostWorkflow}, {"mex-chunk-range", 20}, {"mex-subject", 500}, {"mex-localid", 300}, {"mex-filename", 300}, {"mex-content-checksum", 100}, {"mex-partnerid", 100},
		{"mex-from", 100}, {"mex-messagetype", 20}, {"content-type", 255}}
}

// readHeaders checks the headers of a message and makes mail of them.
func readHeaders(h http.Header, from *caller) (m Mail, chunks chunkRange, err error) {
	for _, f := range headerMost() {
		v := h.Get(f.name)
		if n := utf8.RuneCountInString(v); n > f.most {
			return m, chunks, invalidAt("header", f.name, fmt.Sprintf("ensure this value has at most %d characters", f.most), "value_error.any_str.max_length")
		}
		if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return m, chunks, refuseSend("", codeHeaders, f.name+" holds bytes that are no text")
		}
	}
	if v := strings.ToUpper(strings.TrimSpace(h.Get("mex-from"))); v != "" && v != from.ID {
		return m, chunks, refuseSend("", codeFrom, "")
	}
	if v := strings.TrimSpace(h.Get("mex-messagetype")); v != "" && !strings.EqualFold(v, kindData) {
		return m, chunks, refuseSend("", codeType, "")
	}
	m = Mail{Mailbox: from.ID, Side: outbox, Kind: kindData, Other: strings.ToUpper(strings.TrimSpace(h.Get("mex-to"))), Workflow: strings.TrimSpace(h.Get("mex-workflowid")), Subject: h.Get("mex-subject"),
		Local: h.Get("mex-localid"), File: h.Get("mex-filename"), Checksum: h.Get("mex-content-checksum"), Partner: h.Get("mex-partnerid"), Type: h.Get("content-type")}
	if yes(h.Get("mex-content-compressed")) || yes(h.Get("mex-content-compress")) {
		m.Flags |= flagCompressed
	}
	if yes(h.Get("mex-content-encrypted")) {
		m.Flags |= flagEncrypted
	}
	if m.Other == "" {
		return m, chunks, refuseSend("", codeNoTo, "name the mailbox that the message is for")
	}
	if m.Workflow == "" {
		return m, chunks, invalidAt("header", "mex-workflowid", "field required", "value_error.missing")
	}
	if m.Encoding, err = encodingOf(h, ""); err != nil {
		return m, chunks, err
	}
	var ok bool
	if chunks, ok = parseChunkRange(h.Get("mex-chunk-range")); !ok || chunks.num != 1 {
		return m, chunks, refuseSend("", codeHeaders, fmt.Sprintf("the Mex-Chunk-Range of a first chunk is 1:n, with n from 1 to %d", MaxChunks))
	}
	m.Chunks = chunks.of
	return m, chunks, nil
}

func yes(s string) bool {
	s = strings.ToUpper(strings.TrimSpace(s))
	return s == "Y" || s == "YES" || s == "TRUE"
}

// encodingOf is the content coding of a chunk: gzip or none.
func encodingOf(h http.Header, message string) (string, error) {
	switch v := strings.ToLower(strings.TrimSpace(strings.Join(h.Values("Content-Encoding"), ","))); v {
	case "", "identity":
		return "", nil
	case "gzip", "x-gzip":
		return "gzip", nil
	}
	return "", refuseSend(message, codeHeaders, "the Content-Encoding must be gzip, or be left out")
}

// send takes a message, or the first chunk of one (published: "Send message").
func (o *Office) send(w http.ResponseWriter, r *http.Request, from caller) error {
	ctx := r.Context()
	m, _, err := readHeaders(r.Header, &from)
	if err != nil {
		return err
	}
	to, err := o.recipient(ctx, &from, &m)
	if err != nil {
		return err
	}
	m.ODS = to.ODS.String()
	f, err := o.take(ctx, r, &m)
	if err != nil {
		return err
	}
	m.State, m.Size = Uploading, f.Size
	if m.Chunks == 1 {
		m.State = Accepted
	}
	err = o.k.DB.Write(ctx, o.sendLanes(&from), func(tx *store.Tx) error {
		m.ID, m.At, m.Changed, m.Expires, m.Post = newID(tx.At()), tx.At(), tx.At(), tx.At().Add(UploadWithin), ""
		if m.State == Accepted {
			m.Expires = tx.At().Add(CollectWithin)
			if m.Post, err = o.post(ctx, tx, &from.Mailbox, &m, []messaging.File{f}); err != nil {
				return err
			}
		}
		if err := m.insert(tx, o.lane(m.Mailbox)); err != nil {
			return err
		}
		if err := o.putPart(tx, &m, 1, f); err != nil {
			return err
		}
		return o.note(ctx, tx, &from.Mailbox, "send", m.ID)
	})
	if err != nil {
		return err
	}
	o.settled(ctx, &m, to)
	return sent(w, from.version, m.ID)
}

func sent(w http.ResponseWriter, version int, id string) error {
	if version == 2 {
		return answer(w, http.StatusAccepted, version, struct {
			MessageID string `json:"message_id"`
		}{id})
	}
	return answer(w, http.StatusAccepted, version, struct {
		MessageID string `json:"messageID"`
	}{id})
}

// sendLanes are those of a transaction that sends from a mailbox.
func (o *Office) sendLanes(from *caller) []store.Lane {
	return []store.Lane{o.lane(from.ID), o.k.Post().LaneOf(from.ODS, ""), o.k.Gate.DeedLane(from.principal())}
}

// recipient is the mailbox that a message is for, if it may be sent there.
func (o *Office) recipient(ctx context.Context, from *caller, m *Mail) (to *Mailbox, err error) {
	to, err = o.Mailbox(ctx, m.Other)
	if fault.Is(err, fault.NotFound) && isMailboxID(m.Other) && !o.national() { // it may be new
		switch asked := o.LearnBook(ctx); {
		case asked == nil:
			to, err = o.Mailbox(ctx, m.Other)
		case fault.Is(asked, fault.Unavailable) && !o.k.Network.Self().IsZero():
			return nil, fault.Wrap(asked, fault.Unavailable, "The mailbox %s is not known here, and the national node, which knows all, is not reached: send it again later.", m.Other)
		case !fault.Is(asked, fault.Unavailable):
			return nil, asked
		}
	}
	switch {
	case fault.Is(err, fault.NotFound) || err == nil && to.State != Open:
		return nil, refuseSend("", codeUnregistered, "find the recipient's mailbox by endpointlookup")
	case err != nil:
		return nil, err
	case !from.Sends(m.Workflow):
		return nil, refuseSend("", codeMayNotSend, "")
	case !to.Takes(m.Workflow):
		return nil, refuseSend("", codeWorkflow, "")
	}
	return to, nil
}

// take streams a chunk into the post's files.
func (o *Office) take(ctx context.Context, r *http.Request, m *Mail) (messaging.File, error) {
	if r.ContentLength > MaxChunk {
		return messaging.File{}, tooLong(m.ID)
	}
	body := newIncoming(r.Body, m.Encoding == "gzip")
	defer body.close()
	f, err := o.k.Post().Store(ctx, body, "", "")
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long) || fault.Is(err, fault.TooLarge):
		return f, tooLong(m.ID)
	case body.wrong != "":
		return f, refuseSend(m.ID, codeNoData, body.wrong)
	case err != nil:
		return f, err
	case f.Size == 0:
		return f, refuseSend(m.ID, codeNoData, "the body is empty")
	}
	return f, nil
}

func tooLong(message string) error {
	return refuseSend(message, codeNoData, fmt.Sprintf("one request carries at most %d MB; send what is larger in chunks", MaxChunk>>20))
}

// sendChunk takes a further chunk of a message (published: "Send chunked message").
func (o *Office) sendChunk(w http.ResponseWriter, r *http.Request, from caller) error {
	ctx, id := r.Context(), strings.ToUpper(r.PathValue("message"))
	num, err := natural(r.PathValue("chunk"))
	if err != nil {
		return invalidAt("path", "chunk_number", "value is not a valid integer from 1 on", "type_error.integer")
	}
	chunk, ok := parseChunkRange(r.Header.Get("mex-chunk-range"))
	if !ok || r.Header.Get("mex-chunk-range") == "" || chunk.num != num {
		return refuseSend(id, codeHeaders, fmt.Sprintf("the Mex-Chunk-Range of this address is %d:n, with n as the first chunk said", num))
	}
	m, err := o.uploading(ctx, &from, id, chunk)
	if err != nil {
		return err
	}
	if coding, err := encodingOf(r.Header, id); err != nil {
		return err
	} else if coding != m.Encoding {
		return refuseSend(id, codeHeaders, "every chunk has the Content-Encoding of the first")
	}
	f, err := o.take(ctx, r, m)
	if err != nil {
		return err
	}
	if m, err = o.addChunk(ctx, &from, id, chunk, f); err != nil {
		return err
	}
	if m.State == Accepted {
		if to, err := o.Mailbox(ctx, m.Other); err == nil {
			o.settled(ctx, m, to)
		}
	}
	return sent(w, from.version, id)
}

// uploading is the message that a chunk belongs to, before the chunk is taken.
func (o *Office) uploading(ctx context.Context, from *caller, id string, chunk chunkRange) (m *Mail, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		m, err = o.uploadingIn(tx, from, id, chunk)
		return err
	})
	return m, err
}

func (o *Office) uploadingIn(tx *store.Tx, from *caller, id string, chunk chunkRange) (*Mail, error) {
	m, err := o.readMail(tx, from.ID, outbox, id)
	switch {
	case err != nil:
		return nil, err
	case m.State != Uploading:
		return nil, locked(id)
	case chunk.of != m.Chunks:
		return nil, refuseSend(id, codeHeaders, fmt.Sprintf("the first chunk said that there are %d", m.Chunks))
	case chunk.num != chunk.of:
		return m, nil
	}
	parts, err := o.parts(tx, m)
	if err != nil {
		return nil, err
	}
	if lacking := missing(parts, m.Chunks-1); lacking != "" {
		return nil, refuseSend(id, codeNoData, "before the last chunk come all others; missing: "+lacking)
	}
	return m, nil
}

// missing lists which of the chunks 1 to upTo are not there, the first ten.
func missing(parts []part, upTo int) string {
	there := map[int]bool{}
	for _, p := range parts {
		there[p.num] = true
	}
	var list []string
	for n := 1; n <= upTo; n++ {
		if there[n] {
			continue
		}
		if len(list) == 10 {
			return strings.Join(append(list, "…"), ", ")
		}
		list = append(list, strconv.Itoa(n))
	}
	return strings.Join(list, ", ")
}

// addChunk adds a chunk that is stored, in the place of one with its number; with the last, the message is sent.
func (o *Office) addChunk(ctx context.Context, from *caller, id string, chunk chunkRange, f messaging.File) (m *Mail, err error) {
	err = o.k.DB.Write(ctx, o.sendLanes(from), func(tx *store.Tx) error {
		if m, err = o.uploadingIn(tx, from, id, chunk); err != nil {
			return err
		}
		if err := o.putPart(tx, m, chunk.num, f); err != nil || chunk.num != chunk.of {
			return err
		}
		parts, err := o.parts(tx, m)
		if err != nil {
			return err
		}
		files := make([]messaging.File, len(parts))
		m.Size = 0
		for i, p := range parts {
			files[i] = p.file
			m.Size += p.file.Size
		}
		m.State, m.Changed, m.Expires = Accepted, tx.At(), tx.At().Add(CollectWithin)
		if m.Post, err = o.post(ctx, tx, &from.Mailbox, m, files); err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE mesh_mail SET state = ?, changed = ?, expires = ?, size = ?, post = ? WHERE lane = ? AND mailbox = ? AND side = ? AND id = ?`,
			int64(m.State), m.Changed, m.Expires, m.Size, m.Post, o.lane(m.Mailbox), m.Mailbox, m.Side, m.ID)
		return err
	})
	return m, err
}
