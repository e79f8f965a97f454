// Package tracing is where files of people are traced: a page for whoever may trace, who sends a file, sees how far it is, and fetches the answer;
// and the same for programs, at once or as a file that waits. What is done with a line is package demographics' (Register.TraceStretch).
//
//	file ──► no such file: said beside the field, nothing is kept
//	  └────► waiting: kept, a stretch of lines at a time ──► each is looked for, put on the account, and kept with how far the file is, in one commit
//	            │  ▲                                            └── stopped anywhere, killed, the rights gone for a while: it goes on behind the last
//	            │  └── …
//	            ├──► done: fetched, as often as is wanted ──► a week later, or when its owner says so: what it held of people is gone (expired)
//	            ├──► stopped by its owner: what is traced can be fetched
//	            └──► failed: its sender may not trace any more
//
// A file is its sender's alone. The people are traced in the sender's name, as they may at that moment.
package tracing

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Where files are taken, from people and from programs.
const (
	path    = "/tracing"
	apiPath = "/tracing.csv"
)

type office struct {
	k        catalogue.Kernel
	register *demographics.Register
}

// Service is batch tracing over the register.
func Service(k catalogue.Kernel, r *demographics.Register) catalogue.Service {
	o := &office{k, r}
	staff := []access.Role{access.Clinician, access.Clerk, access.Pharmacist}
	callers := append(slices.Clone(staff), access.SystemClient)
	return catalogue.Service{
		Name: "tracing", Summary: "Find the NHS numbers of everybody in a file.",
		Schema: store.Embedded("tracing", schemaFiles, "schema"),
		Pages: []catalogue.Route{
			catalogue.OnBody("GET "+path, o.ask, staff...),
			catalogue.OnBody("POST "+path, o.take, staff...),
			catalogue.OnBody("GET "+path+"/{job}", o.show, staff...),
			catalogue.OnBody("GET "+path+"/{job}/events", o.events, staff...).Streamed(),
			catalogue.OnBody("GET "+path+"/{job}/answer.csv", o.answer, staff...).Streamed(),
			catalogue.OnBody("POST "+path+"/{job}", o.decide, staff...),
		},
		API:   append(o.api(callers...), catalogue.OnBody("POST "+apiPath, o.takeCSV, callers...).Streamed()),
		Jobs:  []catalogue.Job{{Name: "files", Every: lookEvery, Run: o.work}},
		Links: []catalogue.Link{{Key: "tracing.nav", Path: path, Roles: staff}},
	}
}

// view is the page.
type view struct {
	Errors   web.FieldErrors
	Columns  []string
	Outcomes []demographics.Outcome
	Table    web.Table
}

// listed is how many of somebody's files are listed.
const listed = 20

// mine are somebody's files, newest first.
func (o *office) mine(ctx context.Context, who access.Principal) ([]job, error) {
	return o.jobs(ctx, `owner = ? AND state <> 'expired' ORDER BY made DESC LIMIT ?`, who.ID, int64(listed))
}

func (o *office) page(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, status int, problem string) error {
	ctx := r.Context()
	v := view{Columns: demographics.BatchColumns(), Outcomes: demographics.Outcomes()}
	if problem != "" {
		v.Errors.Add("file", problem)
	}
	state, err := web.ReadTableState(r)
	if err != nil {
		return err
	}
	list, err := o.mine(ctx, ask.Principal)
	if err != nil {
		return err
	}
	v.Table = web.Table{ID: "files", State: state, RowHeader: true, Caption: web.Text(ctx, "tracing.mine"), Columns: []web.Column{{Text: web.Text(ctx, "tracing.column.file")}, {Text: web.Text(ctx, "tracing.column.sent"), Whole: true},
		{Text: web.Text(ctx, "tracing.column.state")}, {Text: web.Text(ctx, "tracing.column.traced"), Numeric: true}, {Text: web.Text(ctx, "tracing.column.gone"), Whole: true}},
		Empty: web.Empty{Text: web.Text(ctx, "tracing.none")}}
	for _, j := range list {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(j.Name, path+"/"+j.ID), web.Cell(format.DateTime(j.Made)), web.ShowCell(stateTag(j.shown())),
			web.Cell(web.Text(ctx, "tracing.of", j.Traced, j.Lines)), web.Cell(format.Date(j.Expires))}})
	}
	return web.Render(w, r, status, askPage(v))
}

// shown is the state as pages name it: a file that waits and was begun is being traced.
func (j job) shown() string {
	if j.State == waiting && j.Stretch > 0 {
		return "running"
	}
	return j.State
}

// answered reports whether there is an answer to be fetched.
func (j job) answered() bool {
	return j.Stretch > 0 && (j.State == done || j.State == stopped || j.State == failed)
}

// here refuses where the national register is not.
func (o *office) here(r *http.Request) error {
	if catalogue.TenantOf(r) != o.k.National {
		return fault.New(fault.NotFound, "The national register is at the national node.")
	}
	return nil
}

func (o *office) ask(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := o.here(r); err != nil {
		return err
	}
	return o.page(w, r, ask, http.StatusOK, "")
}

// take keeps the file of a form, to be traced.
func (o *office) take(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := o.here(r); err != nil {
		return err
	}
	if err := r.ParseMultipartForm(fileBytes); err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read. Choose a file of at most 16 MB.")
	}
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	f, head, err := r.FormFile("file")
	if err != nil || head.Size == 0 {
		return o.page(w, r, ask, http.StatusUnprocessableEntity, web.Text(r.Context(), "tracing.no-file"))
	}
	defer f.Close()
	id, err := o.submit(r.Context(), ask.Principal, nameOf(head.Filename), f)
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge) || fault.Is(err, fault.TooMany) {
		return o.page(w, r, ask, http.StatusUnprocessableEntity, fault.MessageOf(err))
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, path+"/"+id)
}

// nameBytes bounds the name of a file as it is kept.
const nameBytes = 100

func nameOf(name string) string {
	name = strings.ToValidUTF8(name, "")
	if len(name) > nameBytes {
		name = strings.ToValidUTF8(name[len(name)-nameBytes:], "")
	}
	return name
}

// jobView is one file: how far it is.
type jobView struct {
	Job    job
	Page   web.Page
	Facts  []web.Row
	Path   string
	Answer bool // there is one to be fetched
	Done   string
}

func (o *office) show(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	j, err := o.jobOf(r.Context(), ask.Principal, r.PathValue("job"))
	if err != nil {
		return err
	}
	ctx := r.Context()
	v := jobView{Job: j, Path: path + "/" + j.ID, Answer: j.answered(), Done: r.URL.Query().Get("done"),
		Page: web.Page{Title: web.Text(ctx, "tracing.job.title"), Back: web.Link{Text: web.Text(ctx, "tracing.title"), URL: path}, Live: j.State == waiting}}
	row := func(key, text string) {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "tracing.column."+key), Text: text})
	}
	v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "tracing.column.state"), Value: stateTag(j.shown())})
	row("traced", web.Text(ctx, "tracing.of-percent", j.Traced, j.Lines, 100*j.Traced/max(j.Lines, 1)))
	for _, outcome := range demographics.Outcomes() {
		if n := j.Outcomes[outcome]; n > 0 {
			v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "tracing.so-far."+string(outcome)), Text: web.Count(ctx, "tracing.lines", n)})
		}
	}
	if left, known := j.left(o.k.Clock.Now()); known {
		row("left", timeText(ctx, left))
	}
	row("sent", format.DateTime(j.Made))
	if !j.Ended.IsZero() {
		row("ended", format.DateTime(j.Ended))
	}
	if j.State != expired {
		row("gone", format.DateTime(j.Expires))
	}
	if j.Error != "" {
		row("error", j.Error)
	}
	return web.RenderPart(w, r, "progress", progressPart(v), jobPage(v))
}

// timeText is a time that is left, as exactly as it can be known.
func timeText(ctx context.Context, d time.Duration) string {
	if d < time.Minute {
		return web.Text(ctx, "tracing.left-soon")
	}
	return web.Count(ctx, "tracing.left-minutes", int((d+time.Minute-1)/time.Minute))
}

// events tells the page that the file has come further.
func (o *office) events(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx, id := r.Context(), r.PathValue("job")
	j, err := o.jobOf(ctx, ask.Principal, id)
	if err != nil {
		return err
	}
	changes := make(chan struct{})
	go func() {
		defer close(changes)
		for was := j.Stretch; ; {
			select {
			case <-ctx.Done():
				return
			case <-o.k.Clock.After(lookEvery):
			}
			now, err := o.jobOf(ctx, ask.Principal, id)
			if err != nil {
				return
			}
			if now.Stretch != was || now.State != j.State {
				was, j.State = now.Stretch, now.State
				select {
				case changes <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return web.Events(w, r, o.k.Clock, changes)
}

// answer sends what was found: in the order of the file, a line for each line. That it was fetched is on the account; the people are, from when they were traced.
func (o *office) answer(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	j, err := o.jobOf(ctx, ask.Principal, r.PathValue("job"))
	if err != nil {
		return err
	}
	if !j.answered() {
		return fault.New(fault.Conflict, "There is no answer to be fetched: the file is not traced yet, or the answer is gone.")
	}
	err = o.k.DB.Write(ctx, []store.Lane{o.k.Gate.DeedLane(ask.Principal)}, func(tx *store.Tx) error {
		return o.k.Gate.Record(ctx, tx, ask.Principal, access.Deed{Action: string(access.Export), Basis: "batch tracing", Detail: "the answer to the file " + j.ID})
	})
	if err != nil {
		return err
	}
	out := &file{w: w, name: cmp.Or(strings.TrimSuffix(j.Name, ".csv"), "people")}
	if _, err := out.Write([]byte(demographics.BatchAnswerHeader())); err != nil {
		return err
	}
	for i := range j.Stretch {
		var text []byte
		err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT answer FROM tracing_stretch WHERE lane = ? AND job = ? AND stretch = ?`, int64(o.lane()), j.ID, int64(i)).Scan(&text)
		})
		if err != nil {
			return err
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// decide stops a file, or takes it away with its answer.
func (o *office) decide(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	j, err := o.jobOf(r.Context(), ask.Principal, r.PathValue("job"))
	if err != nil {
		return err
	}
	switch r.PostForm.Get("act") {
	case "stop":
		if err := o.stop(r.Context(), j); err != nil {
			return err
		}
		return web.SeeOther(w, r, path+"/"+j.ID+"?done=stopped")
	case "remove":
		if err := o.remove(r.Context(), j); err != nil {
			return err
		}
		return web.SeeOther(w, r, path+"/"+j.ID+"?done=removed")
	}
	return fault.New(fault.Invalid, "A file is stopped, or taken away.")
}

// takeCSV traces the file that a program sends as text/csv, and answers with it.
func (o *office) takeCSV(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := o.here(r); err != nil {
		return err
	}
	if err := isCSV(r); err != nil {
		return err
	}
	text, err := io.ReadAll(r.Body) // whole, before the answer begins: HTTP/1.1 has but one way at a time
	if err != nil {
		return err
	}
	_, err = o.register.Trace(r.Context(), ask.Principal, bytes.NewReader(text), &file{w: w, name: "people"}, 0, nil)
	return err
}

func isCSV(r *http.Request) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "text/csv" {
		return fault.New(fault.UnsupportedMedia, "Send the file as text/csv.")
	}
	return nil
}

// file is an answer that becomes a download with its first byte, so that what fails before is a page.
type file struct {
	w     http.ResponseWriter
	name  string
	begun bool
}

// Write sends a part of the answer.
func (f *file) Write(p []byte) (int, error) {
	if !f.begun {
		f.begun = true
		h := f.w.Header()
		h.Set("Content-Type", "text/csv; charset=utf-8")
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.name + ".traced.csv"}))
		h.Set("Cache-Control", "no-store")
	}
	return f.w.Write(p)
}
