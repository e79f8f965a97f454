package referral

import (
	"context"
	"net/http"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// ForPatient are the files of a referral that the patient may read: those that are marked so, and can be read.
func (r Referral) ForPatient() []Attachment {
	return slices.DeleteFunc(slices.Clone(r.Attachments), func(a Attachment) bool { return !a.ForPatient || a.Availability() != Available })
}

// ownFiles lists them for the patient.
func (f *face) ownFiles(ctx context.Context, r Referral) web.Table {
	t := web.Table{ID: "files", Caption: web.Text(ctx, "referral.files.own"), RowHeader: true}
	for _, key := range []string{"file", "size", "about", "from", "when"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "referral.column."+key), Whole: key == "when" || key == "size"})
	}
	for _, a := range r.ForPatient() {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(a.Name, doorPath+"/files/"+a.ID), web.Cell(format.Bytes(a.Size)), web.NoteCell(a.Description), web.Cell(f.k.Organisation(ctx, a.Organisation)), web.Cell(format.DateTime(a.At))}})
	}
	return t
}

// ownFile hands a patient a file that is meant for them; that it was read is on their account. Of another file of the referral it says no more than of one that is not there.
func (f *face) ownFile(w http.ResponseWriter, r *http.Request, v Visit) error {
	ctx := r.Context()
	c := f.caller(ctx, v)
	ref, err := f.s.Get(ctx, c, v.UBRN)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(ref.ForPatient(), func(a Attachment) bool { return a.ID == r.PathValue("file") }) {
		return access.NotHere()
	}
	o, err := f.s.OpenFile(ctx, c, v.UBRN, r.PathValue("file"))
	if err != nil {
		return err
	}
	web.ServeFile(w, r, o.Name, o.Type, o.Hash, o)
	return nil
}
