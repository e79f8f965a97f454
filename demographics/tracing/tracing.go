// Package tracing is where files of people are traced: a page for whoever may trace, who sends a file and gets the answer as it is found, and
// the same for programs. What is done with a line is package demographics' (Register.Trace).
//
//	file ──► no such file: said beside the field, nothing is traced
//	  └────► lines, a stretch at a time: looked for ──► on the account ──► sent ──► … ──► the end
//	                                                                        └── cut off: the download fails, and half is never taken for a whole
package tracing

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
)

// Where files are taken, from people and from programs.
const (
	path    = "/tracing"
	apiPath = "/tracing.csv"
)

// fileBytes is how large a file may be: some hundred thousand lines. Larger ones are for openspine trace.
const fileBytes = 16 << 20

type office struct {
	k        catalogue.Kernel
	register *demographics.Register
}

// Service is batch tracing over the register.
func Service(k catalogue.Kernel, r *demographics.Register) catalogue.Service {
	o := &office{k, r}
	staff := []access.Role{access.Clinician, access.Clerk, access.Pharmacist}
	return catalogue.Service{
		Name: "tracing", Summary: "Find the NHS numbers of everybody in a file.",
		Pages: []catalogue.Route{
			catalogue.OnBody("GET "+path, o.ask, staff...),
			catalogue.OnBody("POST "+path, o.take, staff...).Streamed(),
		},
		API:   []catalogue.Route{catalogue.OnBody("POST "+apiPath, o.takeCSV, append(staff, access.SystemClient)...).Streamed()},
		Links: []catalogue.Link{{Key: "tracing.nav", Path: path, Roles: staff}},
	}
}

// view is the page.
type view struct {
	Errors   web.FieldErrors
	Columns  []string
	Outcomes []demographics.Outcome
}

func (o *office) page(w http.ResponseWriter, r *http.Request, status int, problem string) error {
	v := view{Columns: demographics.BatchColumns(), Outcomes: demographics.Outcomes()}
	if problem != "" {
		v.Errors.Add("file", problem)
	}
	return web.Render(w, r, status, askPage(v))
}

// here refuses where the national register is not.
func (o *office) here(r *http.Request) error {
	if catalogue.TenantOf(r) != o.k.National {
		return fault.New(fault.NotFound, "The national register is at the national node.")
	}
	return nil
}

func (o *office) ask(w http.ResponseWriter, r *http.Request, _ catalogue.Asker) error {
	if err := o.here(r); err != nil {
		return err
	}
	return o.page(w, r, http.StatusOK, "")
}

// take traces the file of a form, and sends the answer as a file of its own.
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
		return o.page(w, r, http.StatusUnprocessableEntity, web.Text(r.Context(), "tracing.no-file"))
	}
	defer f.Close()
	err = o.answer(w, r, ask, f, strings.TrimSuffix(head.Filename, ".csv"))
	if fault.Is(err, fault.Invalid) {
		return o.page(w, r, http.StatusUnprocessableEntity, fault.MessageOf(err))
	}
	return err
}

// takeCSV traces the file that a program sends as text/csv.
func (o *office) takeCSV(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := o.here(r); err != nil {
		return err
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "text/csv" {
		return fault.New(fault.UnsupportedMedia, "Send the file as text/csv.")
	}
	text, err := io.ReadAll(r.Body) // whole, before the answer begins: HTTP/1.1 has but one way at a time
	if err != nil {
		return err
	}
	return o.answer(w, r, ask, bytes.NewReader(text), "people")
}

func (o *office) answer(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, in io.Reader, name string) error {
	out := &file{w: w, name: name}
	_, err := o.register.Trace(r.Context(), ask.Principal, in, out, 0, nil)
	return err
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
