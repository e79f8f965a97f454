package mesh

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

func senderOf(m *Mail) (ident.ODSCode, error) { return ident.ParseODSCode(m.ODS) }

// read hands over a message, or its first chunk (published: "Get Message"); HEAD says only what it is.
func (o *Office) read(w http.ResponseWriter, r *http.Request, from caller, id string) error {
	return o.readPiece(w, r, from, strings.ToUpper(id), 1)
}

// readChunk hands over a further chunk (published: "Get Message chunk").
func (o *Office) readChunk(w http.ResponseWriter, r *http.Request, from caller, id, chunk string) error {
	num, err := natural(chunk)
	if err != nil {
		return invalidAt("path", "chunk_number", "value is not a valid integer from 1 on", "type_error.integer")
	}
	return o.readPiece(w, r, from, strings.ToUpper(id), num)
}

func (o *Office) readPiece(w http.ResponseWriter, r *http.Request, from caller, id string, num int) error {
	ctx := r.Context()
	var m *Mail
	var p part
	var body []byte
	err := o.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if m, err = o.readMail(tx, from.ID, inbox, id); err != nil {
			return err
		}
		if m.State != Accepted {
			return expired()
		}
		if m.Kind != kindData {
			return nil
		}
		if num > m.Chunks {
			return fault.New(fault.NotFound, "The message has %d chunks.", m.Chunks)
		}
		p, body, err = o.partOf(tx, m, num)
		return err
	})
	if err != nil {
		return err
	}
	m.describe(w.Header(), num)
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", mediaType(from.version))
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err := o.opened(ctx, &from, m, num); err != nil {
		return err
	}
	if m.Kind != kindData {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return nil
	}
	var content io.Reader = bytes.NewReader(body)
	if body == nil {
		if content, err = o.k.Post().Open(ctx, p.file); err != nil {
			return err
		}
	}
	return m.hand(w, r, from.version, num, p.file.Size, content)
}

// partOf is a chunk: a file of the post, or the body that a service sent.
func (o *Office) partOf(tx *store.Tx, m *Mail, num int) (p part, body []byte, err error) {
	var hash []byte
	err = tx.QueryRow(`SELECT hash, size FROM mesh_part WHERE lane = ? AND mailbox = ? AND side = ? AND id = ? AND num = ?`, o.lane(m.Mailbox), m.Mailbox, m.Side, m.ID, num).Scan(&hash, &p.file.Size)
	if err == nil {
		copy(p.file.Hash[:], hash)
		return p, nil, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return p, nil, err
	}
	err = tx.QueryRow(`SELECT body FROM mesh_body WHERE lane = ? AND mailbox = ? AND id = ?`, o.lane(m.Mailbox), m.Mailbox, m.ID).Scan(&body)
	p.file.Size = int64(len(body))
	return p, nonNil(body), gone(err, "The message holds nothing any more.")
}

// opened puts the download on the account, and keeps when the message was first opened.
func (o *Office) opened(ctx context.Context, from *caller, m *Mail, num int) error {
	lanes := []store.Lane{o.lane(from.ID), o.k.Gate.DeedLane(from.principal())}
	return o.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		if num == 1 && m.Opened.IsZero() {
			if err := tx.Queue(`UPDATE mesh_mail SET opened = ? WHERE lane = ? AND mailbox = ? AND side = ? AND id = ? AND opened = 0`, tx.At(), o.lane(m.Mailbox), m.Mailbox, m.Side, m.ID); err != nil {
				return err
			}
		}
		what := m.ID
		if m.Chunks > 1 {
			what += " " + chunkRange{num, m.Chunks}.String()
		}
		return o.note(ctx, tx, &from.Mailbox, "read", what)
	})
}

// describe says in headers what a message is (published, the examples of "Get Message" and "Asynchronous error reporting").
func (m *Mail) describe(h http.Header, num int) {
	set := func(name, value string) {
		if value != "" {
			h[name] = []string{headerSafe(value)}
		}
	}
	set("Mex-Messageid", m.ID)
	set("Mex-Messagetype", m.Kind)
	set("Mex-Workflowid", m.Workflow)
	set("Mex-Subject", m.Subject)
	set("Mex-Localid", m.Local)
	set("Mex-Version", "1.0")
	set("Mex-Addresstype", "ALL")
	set("Mex-Statustimestamp", stamp(m.Changed))
	set("Last-Modified", m.Changed.UTC().Format(http.TimeFormat))
	if m.Kind == kindReport {
		set("Mex-To", m.Other)
		set("Mex-Linkedmsgid", m.Linked)
		set("Mex-Statusevent", m.Event)
		set("Mex-Statuscode", m.Code)
		set("Mex-Statusdescription", m.Description)
		set("Mex-Statussuccess", "ERROR")
		return
	}
	set("Mex-From", m.Other)
	set("Mex-To", m.Mailbox)
	set("Mex-Filename", nonEmpty(m.File, m.ID+".dat"))
	set("Mex-Content-Checksum", m.Checksum)
	set("Mex-Partnerid", m.Partner)
	set("Mex-Chunk-Range", chunkRange{num, max(m.Chunks, 1)}.String())
	set("Mex-Statusevent", "TRANSFER")
	set("Mex-Statuscode", "00")
	set("Mex-Statusdescription", "Transferred to recipient mailbox")
	set("Mex-Statussuccess", "SUCCESS")
	set("Mex-Content-Compressed", "N")
	if m.Flags&flagCompressed != 0 || m.Encoding != "" {
		set("Mex-Content-Compressed", "Y")
	}
	if m.Flags&flagEncrypted != 0 {
		set("Mex-Content-Encrypted", "Y")
	}
}

// headerSafe is a value without what would end a header.
func headerSafe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func nonEmpty(s, usual string) string {
	if s == "" {
		return usual
	}
	return s
}

// stamp is a time as version 1 writes it.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("20060102150405")
}

// takesGzip reports whether a caller accepts the gzip coding (RFC 9110 section 12.5.3).
func takesGzip(h http.Header) bool {
	for _, field := range h.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(field, ",") {
			name, params, _ := strings.Cut(strings.TrimSpace(coding), ";")
			if n := strings.ToLower(strings.TrimSpace(name)); n != "gzip" && n != "x-gzip" {
				continue
			}
			q, found := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !found || err == nil && weight > 0
		}
	}
	return false
}

// hand writes a chunk: as it was sent, or unfolded for a caller who does not take what is compressed.
func (m *Mail) hand(w http.ResponseWriter, r *http.Request, version, num int, size int64, content io.Reader) error {
	status, h := http.StatusOK, w.Header()
	if num < m.Chunks {
		status = http.StatusPartialContent
	}
	h.Set("Content-Type", "application/octet-stream")
	zipped := takesGzip(r.Header)
	switch {
	case m.Encoding == "gzip" && zipped:
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	case m.Encoding == "gzip":
		if m.Flags&flagCompressed == 0 {
			h.Set("Mex-Content-Compressed", "N")
		}
		gz, err := gzip.NewReader(content)
		if err != nil {
			return fault.Wrap(err, fault.Unprocessable, "what the message holds is not gzip: ask for it with Accept-Encoding: gzip")
		}
		content = gz
	case version == 2 && zipped && size > 1<<10:
		h.Set("Content-Encoding", "gzip")
		h.Set("Mex-Content-Compressed", "Y")
		w.WriteHeader(status)
		gz, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err != nil {
			return err
		}
		_, err = copyAll(gz, content)
		return errors.Join(err, gz.Close())
	default:
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	w.WriteHeader(status)
	_, err := copyAll(w, content)
	return err
}

// copyAll copies in pieces of the post's own size; a failure leaves the answer cut short, which the caller sees.
func copyAll(w io.Writer, r io.Reader) (int64, error) {
	n, err := io.CopyBuffer(onlyWriter{w}, onlyReader{r}, make([]byte, 64<<10))
	if err != nil && fault.KindOf(err) == fault.Internal {
		err = fault.Wrap(err, fault.Unavailable, "the download was cut short")
	}
	return n, err
}

// onlyWriter and onlyReader keep io.Copy from ways of its own.
type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }
