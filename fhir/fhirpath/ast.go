package fhirpath

import (
	"strings"
)

// node is a part of a parsed expression that knows how to evaluate itself.
type node interface {
	// eval pushes the results for the focus in on the stack of r.
	eval(r *run, in []Value) error
	// print appends the canonical text, in parentheses if it binds less tightly than level.
	print(b *strings.Builder, level int)
	// check infers what the node gives for a focus of the given kind.
	check(c *checker, in static) static
}

// How tightly operators bind, from https://hl7.org/fhirpath/N1/#operator-precedence.
const (
	levelImplies = iota + 1
	levelOr
	levelAnd
	levelMembership
	levelEquality
	levelInequality
	levelUnion
	levelType
	levelAdditive
	levelMultiplicative
	levelPolarity
	levelPath
	levelTerm
)

type (
	// literal is a value written in the expression.
	literal struct {
		value Value
		text  string // canonical
	}
	// empty is {}.
	empty struct{}
	// constant is %name.
	constant struct {
		name string
		at   int
		uri  string // what it stands for, when that is known at compile time
	}
	// member is the name of an element, or at the start of a path of the focus's own type.
	member struct {
		name  string
		at    int
		start bool // nothing stands before it, so it may be the name of a type
		types []*Type
		cache memberCache
	}
	// variable is $this, $index or $total.
	variable struct {
		name string
		at   int
	}
	// call is a function with its arguments.
	call struct {
		name  string
		at    int
		start bool
		args  []node
		fn    *function
		types typeSpec // for is, as and ofType
		bound any      // what binding prepared, for example a compiled regular expression
	}
	// path is left.right.
	path struct{ left, right node }
	// index is of[at].
	index struct {
		of, which node
		at        int
	}
	// unary is +x or -x.
	unary struct {
		op byte
		x  node
		at int
	}
	// binary is left op right.
	binary struct {
		op          string
		level       int
		left, right node
		at          int
		fn          operator
	}
	// typing is left is type, or left as type.
	typing struct {
		op    string
		left  node
		types typeSpec
		at    int
	}
)

func parens(b *strings.Builder, open bool, inside func()) {
	if open {
		b.WriteByte('(')
	}
	inside()
	if open {
		b.WriteByte(')')
	}
}

func (n *literal) print(b *strings.Builder, level int) {
	b.WriteString(n.text)
}

func (n *empty) print(b *strings.Builder, _ int) { b.WriteString("{}") }

func (n *constant) print(b *strings.Builder, _ int) {
	b.WriteByte('%')
	printName(b, n.name)
}

func (n *member) print(b *strings.Builder, _ int) { printName(b, n.name) }

func (n *variable) print(b *strings.Builder, _ int) { b.WriteString(n.name) }

func (n *call) print(b *strings.Builder, _ int) {
	b.WriteString(n.name)
	b.WriteByte('(')
	if n.types.text != "" {
		b.WriteString(n.types.text)
	}
	for i, arg := range n.args {
		if i > 0 {
			b.WriteString(", ")
		}
		arg.print(b, 0)
	}
	b.WriteByte(')')
}

func (n *path) print(b *strings.Builder, level int) {
	n.left.print(b, levelPath)
	b.WriteByte('.')
	n.right.print(b, levelTerm)
}

func (n *index) print(b *strings.Builder, level int) {
	n.of.print(b, levelPath)
	b.WriteByte('[')
	n.which.print(b, 0)
	b.WriteByte(']')
}

func (n *unary) print(b *strings.Builder, level int) {
	parens(b, level > levelPolarity, func() {
		b.WriteByte(n.op)
		n.x.print(b, levelPolarity)
	})
}

func (n *binary) print(b *strings.Builder, level int) {
	parens(b, level > n.level, func() {
		n.left.print(b, n.level)
		b.WriteByte(' ')
		b.WriteString(n.op)
		b.WriteByte(' ')
		n.right.print(b, n.level+1)
	})
}

func (n *typing) print(b *strings.Builder, level int) {
	parens(b, level > levelType, func() {
		n.left.print(b, levelType)
		b.WriteByte(' ')
		b.WriteString(n.op)
		b.WriteByte(' ')
		b.WriteString(n.types.text)
	})
}

// printName writes an identifier, in back quotes when it would not be read as one otherwise.
func printName(b *strings.Builder, name string) {
	plain := name != "" && !isDigit(name[0]) && !reserved(name)
	for i := 0; plain && i < len(name); i++ {
		plain = isLetter(name[i]) || isDigit(name[i])
	}
	if plain {
		b.WriteString(name)
		return
	}
	b.WriteByte('`')
	writeEscaped(b, name, '`')
	b.WriteByte('`')
}

// writeEscaped writes s so that the lexer reads it back unchanged.
func writeEscaped(b *strings.Builder, s string, quote byte) {
	for i := range len(s) {
		switch c := s[i]; c {
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\f':
			b.WriteString(`\f`)
		case '\\', quote:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}

func quoteString(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	writeEscaped(&b, s, '\'')
	b.WriteByte('\'')
	return b.String()
}

// reserved says whether a bare word would be read as an operator or a literal.
func reserved(word string) bool {
	switch word {
	case "true", "false", "and", "or", "xor", "implies", "div", "mod", "is", "as", "in", "contains":
		return true
	}
	return isCalendarWord(word)
}
