package fhirpath

import (
	"reflect"
)

// SameTree says whether two expressions are parsed alike, places in the text and bindings aside.
func SameTree(a, b *Expression) bool { return sameTree(a.root, b.root) }

func sameTree(a, b node) bool {
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return false
	}
	switch x := a.(type) {
	case *literal:
		y := b.(*literal)
		return x.text == y.text && x.value.typ == y.value.typ && x.value.text() == y.value.text()
	case *constant:
		return x.name == b.(*constant).name
	case *member:
		y := b.(*member)
		return x.name == y.name && x.start == y.start
	case *variable:
		return x.name == b.(*variable).name
	case *path:
		y := b.(*path)
		return sameTree(x.left, y.left) && sameTree(x.right, y.right)
	case *index:
		y := b.(*index)
		return sameTree(x.of, y.of) && sameTree(x.which, y.which)
	case *unary:
		y := b.(*unary)
		return x.op == y.op && sameTree(x.x, y.x)
	case *binary:
		y := b.(*binary)
		return x.op == y.op && sameTree(x.left, y.left) && sameTree(x.right, y.right)
	case *typing:
		y := b.(*typing)
		return x.op == y.op && x.types.text == y.types.text && sameTree(x.left, y.left)
	case *call:
		y := b.(*call)
		if x.name != y.name || x.types.text != y.types.text || len(x.args) != len(y.args) {
			return false
		}
		for i := range x.args {
			if !sameTree(x.args[i], y.args[i]) {
				return false
			}
		}
	}
	return true
}
