package demographics

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
)

// editsBetween are the edits that make one record of another, as a program would send them: lists item by item, an item known by its id, an
// extension by its url. What is replaced comes first, then what is removed, from the end, each after a test of what it removes.
func editsBetween(before, after Document) []edit {
	var edits []edit
	for _, name := range amended {
		switch {
		case slices.Contains(listsByID, name):
			edits = append(edits, listEdits(name, "id", before[name], after[name])...)
		case slices.Contains(listsByURL, name):
			edits = append(edits, listEdits(name, "url", before[name], after[name])...)
		case reflect.DeepEqual(before[name], after[name]):
		case after[name] == nil:
			edits = append(edits, editAt("remove", nil, name))
		case before[name] == nil:
			edits = append(edits, editAt("add", after[name], name))
		default:
			edits = append(edits, editAt("replace", after[name], name))
		}
	}
	return edits
}

func editAt(op string, value any, path ...string) edit {
	e := edit{op: op, path: path, value: value}
	for _, p := range path {
		e.text += "/" + p
	}
	return e
}

// listEdits are the edits of one list. An item that has no key, or one that was not there, is new.
func listEdits(name, key string, before, after any) []edit {
	was, _ := before.([]any)
	now, _ := after.([]any)
	at := func(k string) int {
		return slices.IndexFunc(was, func(v any) bool { o, _ := v.(object); return k != "" && textIn(o, key) == k })
	}
	var replaced, removed, added []edit
	keeps := map[int]bool{}
	for _, v := range now {
		o, _ := v.(object)
		i := at(textIn(o, key))
		if i < 0 {
			added = append(added, editAt("add", v, name, "-"))
			continue
		}
		keeps[i] = true
		if !reflect.DeepEqual(was[i], v) {
			replaced = append(replaced, editAt("replace", v, name, strconv.Itoa(i)))
		}
	}
	for i := len(was) - 1; i >= 0; i-- {
		o, _ := was[i].(object)
		if k := textIn(o, key); !keeps[i] && k != "" {
			removed = append(removed, editAt("test", k, name, strconv.Itoa(i), key), editAt("remove", nil, name, strconv.Itoa(i)))
		}
	}
	slices.SortStableFunc(replaced, func(a, b edit) int { return cmp.Compare(a.text, b.text) })
	return slices.Concat(replaced, removed, added)
}
