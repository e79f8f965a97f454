package messaging

import (
	"context"
	"net/http"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

func useFiles(_ *store.Tx, files []File) error {
	if len(files) > 0 {
		return fault.New(fault.Conflict, "the file is not here")
	}
	return nil
}

func (t *turn) lacksFiles(l *letter) (bool, error) { return false, nil }

func (p *Post) turnFetch(ctx context.Context, w Work) (bool, error) { return false, nil }

func (p *Post) serveFile(w http.ResponseWriter, r *http.Request) {}
