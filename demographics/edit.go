package demographics

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fhir"
)

// object is a JSON object as it decodes.
type object = map[string]any

// decode reads one JSON value, numbers as they are written.
func decode(text []byte) (any, error) {
	if _, err := fhir.ParseJSON(text, fhir.Limits{}); err != nil {
		return nil, err // strict, and bounded in depth
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil && err != io.EOF {
		return nil, err
	}
	return v, nil
}

// pointer takes a JSON Pointer (RFC 6901) apart; the whole document is none that a patch may touch.
func pointer(text string) ([]string, bool) {
	if !strings.HasPrefix(text, "/") || len(text) > 500 {
		return nil, false
	}
	parts := strings.Split(text[1:], "/")
	for i, p := range parts {
		if p == "" {
			return nil, false
		}
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(p)
	}
	return parts, true
}

// Lists of a patient whose items are known by their id, and those known by their url.
var (
	listsByID  = []string{"name", "address", "telecom", "contact", "generalPractitioner"}
	listsByURL = []string{"extension"}
)

// root is the list item that an edit is about, as /name/0; "" for what is in no such list.
func (e edit) root() string {
	if len(e.path) < 2 || !slices.Contains(listsByID, e.path[0]) && !slices.Contains(listsByURL, e.path[0]) {
		return ""
	}
	return "/" + e.path[0] + "/" + e.path[1]
}

// whole reports whether the edit is about a list item as such.
func (e edit) whole() bool { return len(e.path) == 2 && e.root() != "" }

// names reports whether the edit says which item it means: its id or url, or the whole item with that in it.
func (e edit) names() (key any, ok bool) {
	if e.root() == "" {
		return nil, false
	}
	field := "id"
	if e.path[0] == "extension" {
		field = "url"
	}
	if e.whole() {
		if o, is := e.value.(object); is && o[field] != nil {
			return o[field], true
		}
		return nil, false
	}
	if len(e.path) == 3 && e.path[2] == field && e.op != "remove" {
		return e.value, true
	}
	return nil, false
}

// identified refuses edits of list items that do not say, by id or url, which item they mean, and removals that no test of
// the same item stands right before.
func identified(edits []edit) error {
	named := map[string]bool{}
	for _, e := range edits {
		if _, ok := e.names(); ok && e.op != "test" || ok && !e.whole() {
			named[e.root()] = true
		}
	}
	for i, e := range edits {
		root := e.root()
		if root == "" || e.op == "test" {
			continue
		}
		if e.op == "remove" {
			if err := e.tested(edits, i); err != nil {
				return err
			}
			continue
		}
		if e.whole() && e.op == "add" {
			if e.path[1] != "-" {
				return invalidPatch("an item is added to '" + e.path[0] + "' at '-', not at '" + shown(e.path[1]) + "'")
			}
			continue
		}
		if _, own := e.names(); e.path[1] == "-" || !own && (e.whole() || !named[root]) {
			return refuse(invalidUpdate, "%s", "Invalid update with error - no id or url found for path with root "+shown(root))
		}
	}
	return nil
}

// tested refuses a removal that no test of the same item stands right before.
func (e edit) tested(edits []edit, i int) error {
	instead := "it is the first item"
	if i > 0 {
		before := edits[i-1]
		_, names := before.names()
		if before.op == "test" && before.root() == e.root() && (names || before.whole() || before.text == e.text) {
			return nil
		}
		instead = "it is preceded by " + before.op + " '" + shown(before.text) + "'"
	}
	return refuse(invalidUpdate, "%s", "Invalid update with error - removal '"+shown(e.text)+"' is not immediately preceded by equivalent test - instead "+instead)
}

// apply makes the edits one after another on a document, which changes. fresh gives a new item its id.
func applyEdits(doc object, edits []edit, fresh func(i int) string) error {
	for i, e := range edits {
		if err := e.sameItem(doc); err != nil {
			return err
		}
		if key, ok := e.names(); ok && !e.whole() && e.op != "test" && key != nil {
			continue // it says which item is meant, which sameItem has seen to
		}
		value := clone(e.value)
		if o, ok := value.(object); ok && e.op == "add" && e.whole() && slices.Contains(listsByID, e.path[0]) {
			o["id"] = fresh(i)
		}
		changed, err := e.at(doc, e.path, value)
		if err != nil {
			return err
		}
		for name, v := range changed.(object) {
			doc[name] = v
		}
	}
	return nil
}

// sameItem refuses an edit whose id or url is not that of the item at its path.
func (e edit) sameItem(doc object) error {
	key, ok := e.names()
	if !ok || e.op == "test" || e.whole() && e.op == "add" {
		return nil
	}
	list, _ := doc[e.path[0]].([]any)
	i, err := strconv.Atoi(e.path[1])
	if err != nil || i < 0 || i >= len(list) {
		return outOfBounds(e.path[1])
	}
	field := "id"
	if e.path[0] == "extension" {
		field = "url"
	}
	if item, _ := list[i].(object); item[field] == key {
		return nil
	}
	return refuse(invalidUpdate, "%s", "Invalid update with error - no '"+e.path[0]+"' resources with object id '"+shown(written(key))+"'")
}

func outOfBounds(index string) error {
	return invalidPatch("index '" + shown(index) + "' is out of bounds")
}

// at does the edit at the rest of its path below v, and gives back what v has become.
func (e edit) at(v any, path []string, value any) (any, error) {
	step, last := path[0], len(path) == 1
	switch v := v.(type) {
	case object:
		child, there := v[step]
		if last {
			return e.onMember(v, step, child, there, value)
		}
		if !there && e.op == "add" && path[1] == "-" || !there && e.op == "add" && len(path) == 2 && path[1] == "0" {
			child, there = []any{}, true
		}
		if !there {
			return nil, e.nothing(step, path)
		}
		below, err := e.at(child, path[1:], value)
		if err != nil {
			return nil, err
		}
		if list, ok := below.([]any); ok && len(list) == 0 {
			delete(v, step) // FHIR knows no empty list
			return v, nil
		}
		v[step] = below
		return v, nil
	case []any:
		return e.onItem(v, step, path, value)
	}
	return nil, e.nothing(step, path)
}

// nothing says that there is nothing at a step of the path.
func (e edit) nothing(step string, path []string) error {
	if len(path) > 1 && e.op != "add" {
		if _, err := strconv.Atoi(path[1]); err == nil && e.root() != "" && len(e.path) == len(path) {
			return outOfBounds(path[1])
		}
		return invalidPatch("can't " + e.op + " non-existent object '" + shown(path[len(path)-1]) + "'")
	}
	return invalidPatch("can't " + e.op + " non-existent object '" + shown(step) + "'")
}

func (e edit) onMember(o object, name string, child any, there bool, value any) (any, error) {
	switch e.op {
	case "add":
		o[name] = value
		return o, nil
	case "test":
		if !there || !reflect.DeepEqual(child, value) {
			return nil, e.differs()
		}
		return o, nil
	}
	if !there {
		return nil, e.nothing(name, []string{name})
	}
	if e.op == "remove" {
		delete(o, name)
		return o, nil
	}
	o[name] = value
	return o, nil
}

func (e edit) onItem(list []any, step string, path []string, value any) (any, error) {
	if step == "-" && e.op == "add" && len(path) == 1 {
		return append(list, value), nil
	}
	i, err := strconv.Atoi(step)
	inside := err == nil && i >= 0 && i < len(list)
	if len(path) > 1 {
		if !inside {
			return nil, outOfBounds(step)
		}
		below, err := e.at(list[i], path[1:], value)
		if err != nil {
			return nil, err
		}
		list[i] = below
		return list, nil
	}
	if e.op == "add" && err == nil && i >= 0 && i <= len(list) {
		return slices.Insert(list, i, value), nil
	}
	if !inside {
		return nil, outOfBounds(step)
	}
	switch e.op {
	case "remove":
		return slices.Delete(list, i, i+1), nil
	case "test":
		if !reflect.DeepEqual(list[i], value) {
			return nil, e.differs()
		}
	default:
		list[i] = value
	}
	return list, nil
}

func (e edit) differs() error {
	return invalidPatch("what is at '" + shown(e.text) + "' is not equal to the tested value")
}

// clone is a value that may be changed without changing v.
func clone(v any) any {
	switch v := v.(type) {
	case object:
		o := make(object, len(v))
		for name, child := range v {
			o[name] = clone(child)
		}
		return o
	case []any:
		list := make([]any, len(v))
		for i, child := range v {
			list[i] = clone(child)
		}
		return list
	}
	return v
}

// freshID is the id of an item that a request adds: eight hexadecimal digits that follow from the request, so that a request that is
// prepared again makes the same.
func freshID(request string, i int) string {
	sum := sha256.Sum256([]byte(request + "/" + strconv.Itoa(i)))
	return strings.ToUpper(hex.EncodeToString(sum[:4]))
}
