package directory

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

const (
	uploadBytes   = 16 << 20
	uploadKept    = 24 * time.Hour
	importAtOnce  = 15 * time.Second // of writing in one request; what is left is confirmed again
	changesOnPage = 200
)

// importView is what the pages of an import show.
type importView struct {
	Errors  web.FieldErrors
	Reports []web.Option
	Report  string
	Done    string // what was just done
	// of a preview
	ID          string
	File        string
	Plan        *Plan
	Fingerprint string
	Moved       bool // somebody else changed the directory since the last look
	Left        bool // a part has been written
	Changes     web.Table
	Refused     web.Table
}

func reportOptions(ctx context.Context) []web.Option {
	list := []web.Option{{Value: "", Text: web.Text(ctx, "directory.import.by-name")}}
	for _, r := range Reports() {
		list = append(list, web.Option{Value: r.Name, Text: r.text(ctx)})
	}
	return list
}

// text is a report's name and what is in it.
func (r Report) text(ctx context.Context) string {
	if r.People != "" {
		return r.Name + " – " + web.Text(ctx, "directory.import.people."+r.People)
	}
	return r.Name + " – " + roleText(r.Role)
}

// askImport asks for a file.
func (d *Directory) askImport(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	view := importView{Reports: reportOptions(r.Context())}
	if n, err := strconv.Atoi(r.URL.Query().Get("done")); err == nil && n >= 0 {
		view.Done = web.Count(r.Context(), "directory.import.done", n)
	}
	return web.Render(w, r, http.StatusOK, askImportView(view))
}

// previewImport takes a file and leads to what it would change. Nothing is written to the directory.
func (d *Directory) previewImport(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	if err := r.ParseMultipartForm(uploadBytes); err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read. Choose a file of at most 16 MB.")
	}
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	view := importView{Reports: reportOptions(ctx), Report: r.PostForm.Get("report")}
	name, body := "", []byte(nil)
	if f, h, err := r.FormFile("file"); err == nil {
		defer f.Close()
		if body, err = io.ReadAll(f); err != nil {
			return err
		}
		name = h.Filename
	}
	if len(body) == 0 {
		view.Errors.Add("file", web.Text(ctx, "directory.import.no-file"))
	} else if _, err := ReportOf(orElse(view.Report, name)); err != nil {
		view.Errors.Add("report", fault.MessageOf(err))
	}
	if len(view.Errors) > 0 {
		return web.Render(w, r, http.StatusUnprocessableEntity, askImportView(view))
	}
	report, err := ReportOf(orElse(view.Report, name))
	if err != nil {
		return err
	}
	file, err := ReadFile(bytes.NewReader(body), report)
	if err == nil {
		err = file.LooksRight()
	}
	if err != nil {
		view.Errors.Add("file", fault.MessageOf(err))
		return web.Render(w, r, http.StatusUnprocessableEntity, askImportView(view))
	}
	id, err := d.keepUpload(ctx, p, name, report.Name, body)
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, findPath+"/import/"+id)
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// keepUpload keeps a file until somebody agrees to it, for a day at most.
func (d *Directory) keepUpload(ctx context.Context, p access.Principal, name, report string, body []byte) (string, error) {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		return "", err
	}
	packed := enc.EncodeAll(body, nil)
	id := strings.ToLower(rand.Text())
	return id, d.k.DB.Write(ctx, []store.Lane{keyLane}, func(tx *store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM directory_upload WHERE lane = ? AND at < ?`, int64(keyLane), tx.At().Add(-uploadKept)); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO directory_upload (lane, id, name, report, owner, at, body) VALUES (?, ?, ?, ?, ?, ?, ?)`, int64(keyLane), id, clipName(name), report, p.ID, tx.At(), packed)
		return err
	})
}

// clipName bounds the name of a file.
func clipName(s string) string { return strings.ToValidUTF8(s[:min(len(s), 200)], "") }

// upload is a kept file as its plan.
func (d *Directory) upload(ctx context.Context, p access.Principal, id string) (view importView, source string, err error) {
	var report string
	var packed []byte
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT name, report, body FROM directory_upload WHERE lane = ? AND id = ? AND owner = ?`, int64(keyLane), id, p.ID).Scan(&view.File, &report, &packed)
	})
	if fault.Is(err, fault.NotFound) {
		return view, "", fault.New(fault.NotFound, "This file is not here any more: it was imported, or it was sent over a day ago. Send it again.")
	}
	if err != nil {
		return view, "", err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(uploadBytes*2))
	if err != nil {
		return view, "", err
	}
	defer dec.Close()
	body, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return view, "", fault.Wrap(err, fault.Internal, "a kept file cannot be unpacked")
	}
	kind, err := ReportOf(report)
	if err != nil {
		return view, "", err
	}
	file, err := ReadFile(bytes.NewReader(body), kind)
	if err != nil {
		return view, "", err
	}
	if view.Plan, err = d.PlanFile(ctx, file); err != nil {
		return view, "", err
	}
	sum := sha256.Sum256(body)
	view.ID, view.Fingerprint = id, view.Plan.fingerprint()
	return view, SourceOf(sum[:]), nil
}

// fingerprint is what somebody agrees to: every change with its facts.
func (p *Plan) fingerprint() string {
	h := sha256.New()
	for _, c := range p.Changes {
		fmt.Fprintf(h, "%s\x00%s\x00%q\n", c.Kind, c.Code, c.Fields)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// showImport shows what a kept file would change.
func (d *Directory) showImport(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	view, _, err := d.upload(r.Context(), p, r.PathValue("id"))
	if err != nil {
		return err
	}
	view.Left = r.URL.Query().Has("left")
	if r.URL.Query().Get("format") == "csv" {
		return changesCSV(w, r, view.Plan)
	}
	return d.renderImport(w, r, http.StatusOK, view)
}

func (d *Directory) renderImport(w http.ResponseWriter, r *http.Request, status int, view importView) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "code")
	if err != nil {
		return err
	}
	table := func(id string, columns ...string) web.Table {
		t := web.Table{ID: id, State: state, RowHeader: true, Caption: web.Text(ctx, "directory.import."+id), Empty: web.Empty{Text: web.Text(ctx, "directory.import."+id+"-none")}}
		for _, name := range columnNames(ctx, columns...) {
			t.Columns = append(t.Columns, web.Column{Text: name})
		}
		return t
	}
	view.Changes, view.Refused = table("changes", "organisation", "change", "facts"), table("refused", "line", "code", "reason")
	view.Changes.Count = web.Count(ctx, "directory.import.count", len(view.Plan.Changes))
	view.Changes.CSVURL = state.With("format", "csv")
	for _, c := range view.Plan.Changes[:min(len(view.Plan.Changes), changesOnPage)] {
		view.Changes.Rows = append(view.Changes.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(c.Name + " (" + c.Code + ")"), web.ShowCell(kindTag(ctx, c.Kind)), web.ShowCell(fieldsCell(c.Fields))}})
	}
	for _, f := range append(view.Plan.Refused[:len(view.Plan.Refused):len(view.Plan.Refused)], view.Plan.Noted...) {
		if len(view.Refused.Rows) == changesOnPage {
			break
		}
		view.Refused.Rows = append(view.Refused.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(strconv.Itoa(f.Line)), web.Cell(f.Code), web.Cell(f.Reason)}})
	}
	return web.Render(w, r, status, showImportView(view))
}

func changesCSV(w http.ResponseWriter, r *http.Request, p *Plan) error {
	ctx := r.Context()
	return web.CSV(w, "changes", columnNames(ctx, "line", "code", "name", "change", "fact", "before", "after"), func(yield func([]string, error) bool) {
		for _, c := range p.Changes {
			fields := c.Fields
			if len(fields) == 0 {
				fields = []FieldChange{{}}
			}
			for _, f := range fields {
				if !yield([]string{strconv.Itoa(c.Line), c.Code, c.Name, c.Kind, f.Name, f.Before, f.After}, nil) {
					return
				}
			}
		}
		for _, f := range p.Refused {
			if !yield([]string{strconv.Itoa(f.Line), f.Code, "", "refused", "", "", f.Reason}, nil) {
				return
			}
		}
	})
}

// errPause ends the writing of one request; the rest is confirmed again.
var errPause = errors.New("a part has been written")

// confirmImport writes what was agreed to, as whoever agreed. What would now change otherwise is shown again first.
func (d *Directory) confirmImport(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	ctx := r.Context()
	view, source, err := d.upload(ctx, p, r.PathValue("id"))
	if err != nil {
		return err
	}
	if r.PostForm.Get("agreed") != view.Fingerprint {
		view.Moved = true
		return d.renderImport(w, r, http.StatusConflict, view)
	}
	pauseAt := d.k.Clock.Now().Add(importAtOnce)
	err = d.Apply(ctx, p, view.Plan, source, func(int) error {
		if d.k.Clock.Now().After(pauseAt) {
			return errPause
		}
		return nil
	})
	if errors.Is(err, errPause) {
		return web.SeeOther(w, r, findPath+"/import/"+view.ID+"?left")
	}
	if err != nil {
		return err
	}
	err = d.k.DB.Write(ctx, []store.Lane{keyLane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM directory_upload WHERE lane = ? AND id = ?`, int64(keyLane), view.ID)
		return err
	})
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, findPath+"/import?done="+strconv.Itoa(len(view.Plan.Changes)))
}

// kindTag is a kind of change in a word and a colour.
func kindTag(ctx context.Context, kind string) templ.Component {
	colour := map[string]web.Colour{Added: web.Green, Changed: web.Blue, Ended: web.Grey}[kind]
	return web.Tag(web.Text(ctx, "directory.import.kind."+kind), colour)
}
