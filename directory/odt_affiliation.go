package directory

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

const (
	includeSource = "OrganizationAffiliation:primary-organization"
	includeTarget = "OrganizationAffiliation:participating-organization"
)

// odtRelations finds relationships (ODT, get-organizationAffiliation-resources).
func (d *Directory) odtRelations(w http.ResponseWriter, r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The parameters cannot be read: check what follows each percent sign.")
	}
	page, err := readPaging(values)
	if err != nil {
		return err
	}
	var q where
	for name, list := range values {
		for _, value := range list {
			if err := q.relation(name, value); err != nil {
				return err
			}
		}
	}
	reads, err := d.reads(r.Context(), "Organization", "OrganizationAffiliation")
	if err != nil {
		return err
	}
	set := searchset{base: d.k.BaseURL() + odtBase, typ: "OrganizationAffiliation", values: values, page: page}
	err = d.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		set.matches, set.included = nil, nil
		if err := tx.QueryRow(`SELECT count(*) FROM directory_relation o WHERE `+q.sql(), q.args...).Scan(&set.total); err != nil || page.summary {
			return err
		}
		found, err := texts(tx, `SELECT id, source, target FROM directory_relation o WHERE `+q.sql()+` ORDER BY id LIMIT ? OFFSET ?`, 3,
			append(q.args[:len(q.args):len(q.args)], page.count, page.offset)...)
		if err != nil {
			return err
		}
		if err := set.read(tx, reads, found, nil); err != nil {
			return err
		}
		return set.include(tx, reads, found)
	})
	if err != nil {
		return err
	}
	return d.sendSet(w, r, set)
}

// include adds the organisations at either end, each once, where the directory has them.
func (s *searchset) include(tx *store.Tx, reads reader, found [][]string) error {
	seen := map[string]bool{}
	for _, f := range found {
		for i, by := range []string{includeSource, includeTarget} {
			code := f[i+1]
			if !slices.Contains(s.page.include, by) || seen[code] {
				continue
			}
			seen[code] = true
			v, err := reads.version(tx, "Organization", code)
			if fault.Is(err, fault.NotFound) {
				continue
			}
			if err != nil {
				return err
			}
			s.included = append(s.included, v)
		}
	}
	return nil
}

// relation adds one parameter of the OrganizationAffiliation search.
func (q *where) relation(name, value string) error {
	switch name {
	case "_count", "_offset", "_summary", "_format", "_pretty":
		return nil
	case "_include":
		if value != includeSource && value != includeTarget {
			return fault.New(fault.Invalid, "_include is %s or %s.", includeSource, includeTarget)
		}
		return nil
	case "_id":
		var conds []string
		var args []any
		for v := range strings.SplitSeq(value, ",") {
			conds, args = append(conds, `o.id = ?`), append(args, v)
		}
		q.any(conds, args)
		return nil
	case "primary-organization", "participating-organization":
		column := map[string]string{"primary-organization": "o.source", "participating-organization": "o.target"}[name]
		var conds []string
		var args []any
		for v := range strings.SplitSeq(value, ",") {
			conds, args = append(conds, column+` = ?`), append(args, strings.ToUpper(strings.TrimPrefix(v, "Organization/")))
		}
		q.any(conds, args)
		return nil
	case "active":
		if value != "true" && value != "false" {
			return fault.New(fault.Invalid, "HAPI-1940: Invalid boolean format: active is true or false.")
		}
		q.and(`o.active = ?`, value == "true")
		return nil
	}
	return spineError{fault.New(fault.Invalid, "Unknown argument found - %s", harmlessName(name)), "INVALID_PARAMETER", "Invalid parameter"}
}
