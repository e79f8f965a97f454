package definition

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/openspine/openspine/fault"
)

// tree is a conformance resource as read from either format: enough of it to draw facts from, with narrative left
// out. A JSON array is a run of children of one name, as in XML.
type tree struct {
	name     string
	value    string
	resource string // the resource type, on a root and inside "resource" and "contained"
	kids     []*tree
}

// maxDepth bounds nesting in what Load reads.
const maxDepth = 100

func (t *tree) get(name string) *tree {
	if t != nil {
		for _, k := range t.kids {
			if k.name == name {
				return k
			}
		}
	}
	return nil
}

// val is the value at a dotted path, "" when absent.
func (t *tree) val(path string) string {
	for name := range strings.SplitSeq(path, ".") {
		t = t.get(name)
	}
	if t == nil {
		return ""
	}
	return t.value
}

// all lists the children of a name.
func (t *tree) all(name string) []*tree {
	var out []*tree
	if t != nil {
		for _, k := range t.kids {
			if k.name == name {
				out = append(out, k)
			}
		}
	}
	return out
}

// vals lists the values of the children of a name.
func (t *tree) vals(name string) []string {
	var out []string
	for _, k := range t.all(name) {
		out = append(out, k.value)
	}
	return out
}

// extension is the value of the extension of a URL, whatever its type.
func (t *tree) extension(url string) string {
	for _, e := range t.all("extension") {
		if e.val("url") == url {
			for _, k := range e.kids {
				if strings.HasPrefix(k.name, "value") {
					return k.value
				}
			}
		}
	}
	return ""
}

// prefixed finds the first child whose name starts with prefix, such as fixed[x].
func (t *tree) prefixed(prefix string) *tree {
	for _, k := range t.kids {
		if len(k.name) > len(prefix) && strings.HasPrefix(k.name, prefix) {
			return k
		}
	}
	return nil
}

// readTree reads one resource in JSON or XML, told apart by its first character.
func readTree(b []byte) (*tree, error) {
	b = bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\ufeff")), " \t\r\n")
	if len(b) > 0 && b[0] == '<' {
		return readXML(b)
	}
	return readJSON(b)
}

func readXML(b []byte) (*tree, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	root := &tree{}
	stack := []*tree{root}
	for {
		tok, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the XML of this definition cannot be read")
		}
		switch el := tok.(type) {
		case xml.StartElement:
			if len(stack) > maxDepth {
				return nil, fault.New(fault.Invalid, "this definition is nested more than %d deep", maxDepth)
			}
			n := &tree{name: el.Name.Local}
			for _, a := range el.Attr {
				switch a.Name.Local {
				case "value":
					n.value = a.Value
				case "url":
					n.kids = append(n.kids, &tree{name: "url", value: a.Value})
				}
			}
			top := stack[len(stack)-1]
			top.kids = append(top.kids, n)
			stack = append(stack, n)
		case xml.EndElement:
			if len(stack) < 2 || stack[len(stack)-1].name != el.Name.Local {
				return nil, fault.New(fault.Invalid, "the XML of this definition closes %s where it is not open", el.Name.Local)
			}
			closing := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			tidyXML(closing)
		}
	}
	if len(stack) != 1 || len(root.kids) != 1 {
		return nil, fault.New(fault.Invalid, "the XML of this definition is cut short")
	}
	r := root.kids[0]
	r.resource, r.name = r.name, ""
	return r, nil
}

// tidyXML drops narrative and folds <resource><Patient>…</Patient></resource> into one node.
func tidyXML(n *tree) {
	switch n.name {
	case "div":
		n.kids = nil
	case "resource", "contained":
		if len(n.kids) == 1 && n.kids[0].name != "" && n.kids[0].name[0] < 'a' {
			n.resource, n.kids = n.kids[0].name, n.kids[0].kids
		}
	}
}

func readJSON(b []byte) (*tree, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	root := &tree{}
	if err := readValue(d, root, "", 0); err != nil {
		return nil, err
	}
	if len(root.kids) != 1 || root.kids[0].resource == "" {
		return nil, fault.New(fault.Invalid, "this JSON is not a FHIR resource: it has no resourceType")
	}
	return root.kids[0], nil
}

func readValue(d *json.Decoder, parent *tree, name string, depth int) error {
	tok, err := d.Token()
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the JSON of this definition cannot be read")
	}
	if depth > maxDepth {
		return fault.New(fault.Invalid, "this definition is nested more than %d deep", maxDepth)
	}
	delim, nested := tok.(json.Delim)
	if !nested {
		parent.kids = append(parent.kids, &tree{name: name, value: scalar(tok)})
		return nil
	}
	if delim == '[' {
		for d.More() {
			if err := readValue(d, parent, name, depth+1); err != nil {
				return err
			}
		}
	} else {
		n := &tree{name: name}
		parent.kids = append(parent.kids, n)
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return fault.Wrap(err, fault.Invalid, "the JSON of this definition cannot be read")
			}
			if err := readValue(d, n, key.(string), depth+1); err != nil {
				return err
			}
		}
		n.resource = n.val("resourceType")
	}
	if _, err := d.Token(); err != nil {
		return fault.Wrap(err, fault.Invalid, "the JSON of this definition is cut short")
	}
	return nil
}

func scalar(tok json.Token) string {
	switch v := tok.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}
