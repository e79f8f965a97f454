package edge

import (
	"context"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
)

// carry puts a message into the inbox, as a file for its body and one for each file beside it. Under the same name it is put there again when the gateway was
// killed before that was remembered. A disk that takes nothing is a destination that is not reached: everything for it waits.
func (g *gateway) carry(ctx context.Context, _ messaging.Destination, m messaging.Message) error {
	dir := g.in(Inbox, folderName(m.Workflow))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the inbox cannot be written to")
	}
	name := m.At.UTC().Format("20060102T150405.000000Z") + "-" + m.From.String() + "-" + m.ID
	for _, f := range m.Files {
		if err := g.carryFile(ctx, dir+"/"+name+"-"+folderName(f.Name), f); err != nil {
			return err
		}
	}
	if len(m.Files) > 0 && len(m.Body) == 0 {
		return nil
	}
	if err := write(dir+"/"+name, m.Body); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the inbox cannot be written to")
	}
	return nil
}

func (g *gateway) carryFile(ctx context.Context, path string, f messaging.File) error {
	there, err := exists(path)
	if err != nil || there {
		return err
	}
	from, err := g.k.Post().Open(ctx, f)
	if err != nil {
		return err
	}
	if err := put(path, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	}); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the inbox cannot be written to")
	}
	return nil
}

// folderName is a name that somebody elsewhere chose, as it may stand in a folder: it leads nowhere, and is hidden from nobody.
func folderName(s string) string {
	s = url.PathEscape(s)
	if strings.HasPrefix(s, ".") {
		s = "%2E" + s[1:]
	}
	if len(s) > 150 {
		s = s[:150]
	}
	if s == "" {
		s = "%"
	}
	return s
}
