package record

import (
	"context"
	"strconv"
	"strings"

	"github.com/openspine/openspine/store"
)

// purge takes away the index rows of editions that nothing is indexed by any more, a few thousand to a Write, and then
// forgets their numbers.
func (r *Records) purge(ctx context.Context) error {
	old := r.words.with(spaceParam, func(word string) bool {
		base, edition, _ := cutLast(word)
		parts := strings.SplitN(base, "/", 3)
		if len(parts) != 3 {
			return false
		}
		_, elsewhere := r.index.same(parts[1])[parts[2]]
		return elsewhere || edition != strconv.FormatInt(r.index.edition(parts[1]), 36)
	})
	for num := range old {
		if err := r.purgeParam(ctx, num); err != nil {
			return err
		}
		if err := r.words.forget(ctx, spaceParam, num); err != nil {
			return err
		}
	}
	return nil
}

func cutLast(word string) (before, after string, found bool) {
	i := strings.LastIndexByte(word, '/')
	if i < 0 {
		return word, "", false
	}
	return word[:i], word[i+1:], true
}

// purged are the tables with the column by which their rows of one parameter are taken away in order.
var purged = [...]struct{ table, key, where string }{
	{"idx_hash", "hash", ""}, {"idx_string", "folded", ""}, {"idx_number", "lo", ""},
	{"idx_date", "lo", " AND span = 0"}, {"idx_date", "lo", " AND span = 1"}, {"idx_date", "lo", " AND span = 2"},
	{"idx_date", "lo", " AND span = 3"}, {"idx_date", "lo", " AND span = 4"},
}

const purgeBatch = 5000

// purgeParam takes the rows of one parameter away, of all lanes: nobody writes any more of them.
func (r *Records) purgeParam(ctx context.Context, param int64) error {
	of := `param = ?`
	if r.db.Lanes() == 1 {
		of = `lane = 0 AND param = ?` // SQLite's index begins with the lane
	}
	for _, t := range purged {
		for {
			var some int64
			err := r.db.Read(ctx, func(tx *store.Tx) error {
				return tx.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM `+t.table+` WHERE `+of+t.where+` LIMIT 1) AS c`, param).Scan(&some)
			})
			if err != nil {
				return err
			}
			if some == 0 {
				break
			}
			err = r.db.Write(ctx, []store.Lane{r.words.lane}, func(tx *store.Tx) error {
				_, err := tx.Exec(`DELETE FROM `+t.table+` WHERE `+of+t.where+` AND `+t.key+` <= (SELECT max(k) FROM (SELECT `+t.key+
					` AS k FROM `+t.table+` WHERE `+of+t.where+` ORDER BY `+t.key+` LIMIT ?) AS c)`, param, param, purgeBatch)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
