package referral

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/openspine/openspine/booking/attach"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// mostForm is how many bytes a form with a file has at most.
const mostForm = attach.MostBytes + 2<<20

// fileField is the field of a form that brings a file.
const fileField = "file"

// forPatientField is the box by which whoever attaches a file lets the patient read it.
const forPatientField = "for-patient"

func forPatient(ctx context.Context, yes bool) web.Choice {
	c := web.Choice{Name: forPatientField, Label: web.Text(ctx, "referral.files.who"), Options: []web.Option{{Value: "yes", Text: web.Text(ctx, "referral.files.for-patient"), Hint: web.Text(ctx, "referral.files.for-patient-hint")}}}
	if yes {
		c.Values = []string{"yes"}
	}
	return c
}

// filesTable lists what is attached; base is where each is to be had.
func filesTable(ctx context.Context, base string, list []Attachment, organisation func(a Attachment) string) web.Table {
	t := web.Table{ID: "files", Caption: web.Text(ctx, "referral.files.caption"), RowHeader: true}
	for _, key := range []string{"file", "size", "about", "who", "when"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "referral.column."+key), Whole: key == "when" || key == "size"})
	}
	for _, a := range list {
		name := web.LinkCell(a.Name, base+a.ID)
		if a.Availability() != Available {
			name = web.ShowCell(web.Lines(a.Name, web.Text(ctx, "referral.files."+string(a.Status))))
		}
		about := web.NoteCell(a.Description)
		if a.ForPatient {
			about = web.ShowCell(web.Lines(a.Description, web.Text(ctx, "referral.files.shown")))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{name, web.Cell(format.Bytes(a.Size)), about, web.ShowCell(web.Lines(a.By.Name, organisation(a))), web.Cell(format.DateTime(a.At))}})
	}
	return t
}

// fileForm is what a form asks of a file.
type fileForm struct {
	Description string
	ForPatient  bool
	Errors      web.FieldErrors
}

func fileHint(ctx context.Context) string {
	return web.Text(ctx, "referral.files.hint", strings.Join(attach.Extensions(), ", "))
}

// wrongFile puts what is wrong with a file beside its field; other failures are for whoever called.
func wrongFile(err error, errs *web.FieldErrors) error {
	if errors.Is(err, attach.ErrSize) || errors.Is(err, attach.ErrType) || errors.Is(err, attach.ErrHeld) || errors.Is(err, ErrSameName) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge) {
		errs.Add(fileField, fault.MessageOf(err))
		return nil
	}
	return err
}

// fileView is the page that adds a file.
type fileView struct {
	*caseView
	fileForm
}

// askFile asks for a file to go with a referral.
func (f *face) askFile(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.fileView(r, ask)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, filePage(v))
}

func (f *face) fileView(r *http.Request, ask catalogue.Asker) (*fileView, error) {
	c, err := f.opened(r, ask, "referral.files.add")
	if err != nil {
		return nil, err
	}
	if !c.R.May(ActLetter, c.Party) {
		return nil, fault.New(fault.Forbidden, "The practice that referred adds files.")
	}
	c.Page.Back = web.Link{URL: casePath + c.R.UBRN.String()}
	return &fileView{caseView: c}, nil
}

// addFile attaches a file to a referral. The same file sent twice, by a double click, is refused the second time: there is one of its name.
func (f *face) addFile(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	sent, err := web.ReadFileForm(r, fileField)
	if err != nil {
		return err
	}
	if err := web.CheckForm(r, r.PathValue("ubrn")); err != nil {
		return err
	}
	v, err := f.fileView(r, ask)
	if err != nil {
		return err
	}
	v.Description, v.ForPatient = strings.TrimSpace(r.PostForm.Get("description")), r.PostForm.Get(forPatientField) != ""
	if sent.Body == nil {
		v.Errors.Add(fileField, web.Text(ctx, "referral.files.missing"))
	} else if err = f.attach(ctx, ask, v, sent); err != nil {
		if err = wrongFile(err, &v.Errors); err != nil {
			return err
		}
	}
	if len(v.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, filePage(v))
	}
	return web.SeeOther(w, r, casePath+v.R.UBRN.String()+"?done=file")
}

func (f *face) attach(ctx context.Context, ask catalogue.Asker, v *fileView, sent web.SentFile) error {
	a, err := f.s.Upload(ctx, CallerOf(ask), Upload{Name: sent.Name, For: v.R.UBRN}, sent.Body)
	if err != nil {
		return err
	}
	_, err = f.s.Act(ctx, CallerOf(ask), v.R.UBRN, Work{Kind: ActLetter, Files: []FileRef{{ID: a.ID, Description: v.Description, ForPatient: v.ForPatient}}})
	return err
}

// file hands out a file of a referral.
func (f *face) file(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	u, err := ubrnOf(r)
	if err != nil {
		return err
	}
	o, err := f.s.OpenFile(r.Context(), CallerOf(ask), u, r.PathValue("file"))
	if err != nil {
		return err
	}
	web.ServeFile(w, r, o.Name, o.Type, o.Hash, o)
	return nil
}
