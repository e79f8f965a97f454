package postroom

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/web"
)

// files are what travels beside a message; whoever may open the message may take them.
func files(ctx context.Context, p access.Principal, it messaging.Item) web.Table {
	t := web.Table{ID: "files", Caption: web.Text(ctx, "postroom.message.files"), RowHeader: true}
	for _, k := range []string{"file", "type", "size", "hash"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "postroom.column."+k)})
	}
	for i, f := range it.Files {
		name := web.Cell(fileName(f, i))
		if p.Role == access.Clerk {
			name = web.LinkCell(fileName(f, i), messagePath(it.Ref)+"/files/"+strconv.Itoa(i+1))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{name, web.Cell(f.Type), web.Cell(bytesText(f.Size)), web.Cell(hex.EncodeToString(f.Hash[:8]))}})
	}
	return t
}

// fileName is what a file is called, which its sender need not have said.
func fileName(f messaging.File, i int) string { return cmp.Or(f.Name, fmt.Sprintf("file-%d", i+1)) }

// download hands a file of a message, or a range of it, to a clerk of the message's sender or recipient. It is on the account first. What its sender says of it
// is not believed by a browser: it is a file to keep, of no type that would be shown or run.
func (d *desk) download(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	it, err := d.find(r, p)
	if err != nil {
		return err
	}
	num, err := strconv.Atoi(r.PathValue("file"))
	if err != nil || num < 1 || num > len(it.Files) {
		return fault.New(fault.NotFound, "%s", web.Text(ctx, "postroom.gone"))
	}
	f := it.Files[num-1]
	body, err := d.k.Post().Open(ctx, f)
	if err != nil {
		return err
	}
	if err := d.looked(ctx, p, access.Read, it.Ref.Lane, fmt.Sprintf("file %d of message %s", num, it.ID)); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", cmp.Or(mime.FormatMediaType("attachment", map[string]string{"filename": fileName(f, num-1)}), "attachment"))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("ETag", `"`+hex.EncodeToString(f.Hash[:])+`"`)
	http.ServeContent(w, r, "", time.Time{}, body)
	return nil
}
