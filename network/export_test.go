package network

import (
	"bytes"
	"context"
	"net/http/httptest"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/store"
)

// Crowd puts many members into the books of an authority, whose certificates all end at one time.
func Crowd(ctx context.Context, a *Authority, count int, ends time.Time) error {
	return a.db.Write(ctx, []store.Lane{a.lane}, func(tx *store.Tx) error {
		const each = `WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < CAST(? AS INTEGER)) `
		_, err := tx.Exec(each+`INSERT INTO network_node (lane, node, organisations, joined, revoked, reason, trusts, serial)
			SELECT CAST(? AS INTEGER), 'C' || CAST(1000000 + i AS TEXT), '', 0, 0, '', '', 'crowd' || CAST(i AS TEXT) FROM c`, count, a.lane)
		if err != nil {
			return err
		}
		_, err = tx.Exec(each+`INSERT INTO network_certificate (lane, serial, node, asked, root, since, until, revoked, der)
			SELECT CAST(? AS INTEGER), 'crowd' || CAST(i AS TEXT), '', '', '', 0, CAST(? AS INTEGER), 0, CAST(? AS BLOB) FROM c`, count, a.lane, ends, []byte{})
		return err
	})
}

// Follow is what a node that trusts the authority's present roots makes of news, as JSON: how many roots it then trusts, and how many revocations it knows.
func (n *Network) Follow(text []byte) (roots, revoked int, edition int64, err error) {
	var told news
	if err := readJSON(bytes.NewReader(text), maxNews, &told); err != nil {
		return 0, 0, 0, err
	}
	t, err := n.trust.Load().follow(told)
	if err != nil {
		return 0, 0, 0, err
	}
	return len(t.roots), len(t.revoked), t.edition, nil
}

// AskerOf is in whose name a peer asks.
func AskerOf(p Peer, header string) (access.Principal, string, error) { return askerOf(p, header) }

// FileKeys are the authority's keys in a folder.
func FileKeys(path string) Keys { return fileKeys{folder(path)} }

// Told is the news of this node, as JSON.
func (n *Network) Told() ([]byte, int64) {
	w := httptest.NewRecorder()
	n.tellNews(w, nil, nil)
	return w.Body.Bytes(), n.trust.Load().edition
}
