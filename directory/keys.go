package directory

import (
	"slices"
	"strings"

	"github.com/xrash/smetrics"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// keepers keep this package's tables in step with the national record.
func (d *Directory) keepers() []record.Keeper {
	return []record.Keeper{
		{Name: "directory organisations", Edition: 1, Type: "Organization", Tenant: d.k.National, Ready: readyOrganisation, Keep: keepOrganisations},
		{Name: "directory relationships", Edition: 1, Type: "OrganizationAffiliation", Tenant: d.k.National, Ready: readyRelation, Keep: keepRelations},
	}
}

// none is what is made of a resource that is in the record and not in the directory.
type none struct{}

// readyOrganisation reads the facts of an Organization. One without an ODS code as its id is in the record and not in the directory.
func readyOrganisation(_ record.Ref, res *fhir.Resource) (any, error) {
	if o, err := ParseOrganisation(res); err == nil && o.Code.String() == res.ID() {
		return &o, nil
	}
	return none{}, nil
}

func readyRelation(_ record.Ref, res *fhir.Resource) (any, error) {
	if r, err := ParseRelationship(res); err == nil {
		return &r, nil
	}
	return none{}, nil
}

// rows gathers the rows of one table for few, large statements.
type rows struct {
	insert string // up to VALUES
	after  string // what follows the values
	width  int
	args   []any
}

// rowsAtOnce bounds one statement; PostgreSQL takes 65,535 arguments.
const rowsAtOnce = 200

func (r *rows) add(args ...any) { r.args = append(r.args, args...) }

func (r *rows) write(tx *store.Tx) error {
	for len(r.args) > 0 {
		n := min(rowsAtOnce, len(r.args)/r.width)
		one := "(" + strings.Repeat("?, ", r.width-1) + "?)"
		query := r.insert + " VALUES " + strings.Repeat(one+", ", n-1) + one + r.after
		if _, err := tx.Exec(query, r.args[:n*r.width]...); err != nil {
			return err
		}
		r.args = r.args[n*r.width:]
	}
	return nil
}

func keepOrganisations(tx *store.Tx, kept []record.Kept) error {
	org := rows{insert: `INSERT INTO directory_organisation 
		(lane, code, name, folded, town, foldtown, county, address, postcode, outward, country, state, active, site, setting, role, opened, closed, changed, source, at)`, width: 21}
	words := rows{insert: `INSERT INTO directory_word (lane, code, word, sound)`, width: 4}
	roles := rows{insert: `INSERT INTO directory_role (lane, code, role, number, active, instance, opened, closed)`, width: 8}
	areas := rows{insert: `INSERT INTO directory_area (lane, code, kind, area)`, width: 4}
	successions := rows{insert: `INSERT INTO directory_succession (lane, code, successor, at)`, width: 4}
	for _, k := range kept {
		if k.Before != nil || k.Again {
			for _, table := range []string{"organisation", "word", "role", "succession", "area"} {
				if _, err := tx.Exec(`DELETE FROM directory_`+table+` WHERE lane = ? AND code = ?`, int64(k.Version.Lane), k.Version.ID); err != nil {
					return err
				}
			}
		}
		o, ok := k.Made.(*Organisation)
		if !k.Again {
			if err := noteDeletions(tx, k, o); err != nil {
				return err
			}
		}
		if !ok {
			continue
		}
		lane, code := int64(k.Version.Lane), o.Code.String()
		primary, _ := o.Primary()
		org.add(lane, code, o.Name, search.Fold(o.Name), o.Town, search.Fold(o.Town), search.Fold(o.County), o.parts(), squeezed(o.Postcode), o.Outward(), o.Country,
			string(o.State), o.Active(), o.Site, o.Setting, primary.Code, string(primary.Span.From), string(primary.Span.To), string(o.Changed),
			k.Version.Resource.Get("meta.source").String(), k.Version.At)
		for _, w := range indexWords(o.Name) {
			words.add(lane, code, w, soundOf(w))
		}
		for i, r := range o.Roles {
			roles.add(lane, code, r.Code, i, r.Active, r.Instance, string(r.Span.From), string(r.Span.To))
		}
		var seen []string
		for _, a := range o.Areas {
			if !slices.Contains(seen, a.Kind) {
				seen = append(seen, a.Kind)
				areas.add(lane, code, a.Kind, a.Code)
			}
		}
		seen = nil
		for _, s := range o.Successions {
			if to := s.Successor.String(); !slices.Contains(seen, to) {
				seen = append(seen, to)
				successions.add(lane, code, to, string(s.On))
			}
		}
	}
	for _, r := range []rows{org, words, roles, successions, areas} {
		if err := r.write(tx); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "keeping the directory's keys")
		}
	}
	return nil
}

// parts is the address as it is searched: each part folded, with | before it.
func (o Organisation) parts() string {
	var b strings.Builder
	for _, p := range append(slices.Clone(o.Lines), o.Town, o.County, o.Postcode, o.Country) {
		if p != "" {
			b.WriteString("|" + strings.ReplaceAll(search.Fold(p), "|", " "))
		}
	}
	return b.String()
}

func keepRelations(tx *store.Tx, kept []record.Kept) error {
	list := rows{insert: `INSERT INTO directory_relation (lane, id, kind, source, target, active, opened, closed)`, width: 8}
	for _, k := range kept {
		if k.Before != nil || k.Again {
			if _, err := tx.Exec(`DELETE FROM directory_relation WHERE lane = ? AND id = ?`, int64(k.Version.Lane), k.Version.ID); err != nil {
				return err
			}
		}
		if k.Before != nil {
			if err := noteDeletion(tx, k, k.Version.Deleted, deletedRelation, k.Version.ID, ""); err != nil {
				return err
			}
		}
		if k.Before == nil && k.Version.Ver > 1 && !k.Again {
			if err := noteDeletion(tx, k, false, deletedRelation, k.Version.ID, ""); err != nil {
				return err
			}
		}
		if r, ok := k.Made.(*Relationship); ok {
			list.add(int64(k.Version.Lane), k.Version.ID, r.Type, r.From.String(), r.To.String(), r.Active, string(r.Span.From), string(r.Span.To))
		}
	}
	return list.write(tx)
}

// squeezed is a postcode as it is searched: in capitals without spaces.
func squeezed(s string) string { return strings.ToUpper(strings.ReplaceAll(s, " ", "")) }

// wordsOf are the words of a text: accents and case folded, apostrophes dropped, parted by what is neither letter nor digit.
func wordsOf(text string) []string {
	folded := search.Fold(strings.NewReplacer("'", "", "’", "", "&", " and ").Replace(text))
	return strings.FieldsFunc(folded, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r > 0x7f)
	})
}

// short are abbreviations of the register and what they stand for; a word is found by either.
var short = map[string][]string{
	"st": {"saint", "street"}, "rd": {"road"}, "ave": {"avenue"}, "dr": {"doctor"}, "drs": {"doctors"},
	"ctr": {"centre"}, "cntr": {"centre"}, "ctre": {"centre"}, "hosp": {"hospital"}, "surg": {"surgery"}, "med": {"medical"},
	"hc": {"health", "centre"}, "mc": {"medical", "centre"}, "hlth": {"health"}, "gen": {"general"}, "univ": {"university"}, "uni": {"university"},
	"comm": {"community"}, "prac": {"practice"}, "pract": {"practice"}, "gp": {"practice"}, "ft": {"foundation", "trust"},
	"ooh": {"hours"}, "wic": {"walk"}, "ccg": {"commissioning"}, "pct": {"primary", "care", "trust"}, "dept": {"department"}, "ltd": {"limited"},
}

// long are words whose abbreviation does not begin as they do.
var long = map[string][]string{
	"saint": {"st"}, "road": {"rd"}, "centre": {"ctr", "ctre"}, "doctor": {"dr"}, "doctors": {"drs"}, "health": {"hlth"}, "limited": {"ltd"},
	"department": {"dept"}, "practice": {"gp"},
}

// mostWords bounds the words of one name that it is found by.
const mostWords = 40

// indexWords are the words under which a name is found, each once: its own, what its abbreviations stand for, and the
// abbreviations of its words that do not begin the same.
func indexWords(name string) []string {
	var list []string
	for _, w := range wordsOf(name) {
		w = clip(w)
		list = append(list, w)
		list = append(list, short[w]...)
		list = append(list, long[w]...)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), mostWords)]
}

// clip bounds a word to 24 bytes at a whole character: more tells no two names apart.
func clip(w string) string {
	if len(w) <= 24 {
		return w
	}
	return strings.ToValidUTF8(w[:24], "")
}

// soundOf is how a word sounds (Soundex); a word that begins with no letter sounds as it is written.
func soundOf(w string) string {
	if w == "" || w[0] < 'a' || w[0] > 'z' {
		return w
	}
	return smetrics.Soundex(w)
}
