package fhirpath

import (
	"strconv"
	"strings"
)

// Bounds of what is compiled. They are far above any published expression (the longest in R4 has 1,900 bytes).
const (
	maxSource = 64 << 10
	maxDepth  = 150
	maxNodes  = 8192
)

type parser struct {
	lexer
	token token
	ahead *token
	depth int
	nodes int
}

// parse reads a whole expression.
func parse(source string) (node, error) {
	if len(source) > maxSource {
		return nil, failure(Syntax, maxSource, "an expression may have at most %d bytes", maxSource)
	}
	p := &parser{lexer: lexer{source: source}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.expression(0, true)
	if err != nil {
		return nil, err
	}
	if p.token.kind != tokenEnd {
		return nil, p.unexpected("an operator or the end")
	}
	return n, nil
}

func (p *parser) advance() error {
	if p.ahead != nil {
		p.token, p.ahead = *p.ahead, nil
		return nil
	}
	var err error
	p.token, err = p.lexer.next()
	return err
}

func (p *parser) unexpected(wanted string) error {
	if p.token.kind == tokenEnd {
		return failure(Syntax, p.token.at, "the expression ends where %s should be", wanted)
	}
	return failure(Syntax, p.token.at, "%q stands where %s should be", p.token.text, wanted)
}

func (p *parser) is(symbol string) bool {
	return p.token.kind == tokenSymbol && p.token.text == symbol
}

func (p *parser) expect(symbol string) error {
	if !p.is(symbol) {
		return p.unexpected(strconv.Quote(symbol))
	}
	return p.advance()
}

// count refuses an expression of too many parts.
func (p *parser) count() error {
	if p.nodes++; p.nodes > maxNodes {
		return failure(Syntax, p.token.at, "an expression may have at most %d parts", maxNodes)
	}
	return nil
}

// operatorLevel is how tightly the token binds as a binary operator; 0 if it is none.
func operatorLevel(t token) int {
	if t.kind != tokenSymbol && t.kind != tokenName {
		return 0
	}
	switch t.text {
	case "implies":
		return levelImplies
	case "or", "xor":
		return levelOr
	case "and":
		return levelAnd
	case "in", "contains":
		return levelMembership
	case "=", "~", "!=", "!~":
		return levelEquality
	case "<", ">", "<=", ">=":
		return levelInequality
	case "|":
		return levelUnion
	case "is", "as":
		return levelType
	case "+", "-", "&":
		return levelAdditive
	case "*", "/", "div", "mod":
		return levelMultiplicative
	}
	return 0
}

// expression reads operators that bind at least as tightly as level. start says that the first name in it stands at
// the start of a path.
func (p *parser) expression(level int, start bool) (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, failure(Syntax, p.token.at, "more than %d parts stand inside one another", maxDepth)
	}
	defer func() { p.depth-- }()
	left, err := p.polarity(start)
	for err == nil {
		op := p.token
		binds := operatorLevel(op)
		if binds == 0 || binds < level {
			return left, nil
		}
		if err = p.count(); err != nil {
			break
		}
		if err = p.advance(); err != nil {
			break
		}
		if binds == levelType {
			var spec typeSpec
			if spec, err = p.typeSpec(); err == nil {
				left = &typing{op: op.text, left: left, types: spec, at: op.at}
			}
			continue
		}
		var right node
		if right, err = p.expression(binds+1, true); err == nil {
			left = &binary{op: op.text, level: binds, left: left, right: right, at: op.at}
		}
	}
	return nil, err
}

func (p *parser) polarity(start bool) (node, error) {
	if !p.is("-") && !p.is("+") {
		return p.steps(start)
	}
	op := p.token
	if err := p.count(); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	x, err := p.expression(levelPolarity, true)
	if err != nil {
		return nil, err
	}
	return &unary{op: op.text[0], x: x, at: op.at}, nil
}

// steps reads a term and the .names, .functions() and [indexes] that follow it.
func (p *parser) steps(start bool) (node, error) {
	left, err := p.term(start)
	for err == nil {
		at := p.token.at
		switch {
		case p.is("."):
			if err = p.advance(); err != nil {
				return nil, err
			}
			var right node
			if right, err = p.invocation(false); err == nil {
				left = &path{left, right}
			}
		case p.is("["):
			if err = p.advance(); err != nil {
				return nil, err
			}
			var which node
			if which, err = p.expression(0, true); err == nil {
				err = p.expect("]")
				left = &index{of: left, which: which, at: at}
			}
		default:
			return left, nil
		}
		if err == nil {
			err = p.count()
		}
	}
	return nil, err
}

func (p *parser) term(start bool) (node, error) {
	if err := p.count(); err != nil {
		return nil, err
	}
	t := p.token
	switch {
	case t.kind == tokenSymbol && t.text == "(":
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.expression(0, start)
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case t.kind == tokenSymbol && t.text == "{":
		if err := p.advance(); err != nil {
			return nil, err
		}
		return &empty{}, p.expect("}")
	case t.kind == tokenString:
		return &literal{value: String(t.text), text: quoteString(t.text)}, p.advance()
	case t.kind == tokenNumber:
		return p.number()
	case t.kind == tokenTime:
		tmp, err := parseTemporalLiteral(t.text)
		if err != nil {
			return nil, failure(Syntax, t.at, "@%s: %s", t.text, err)
		}
		return &literal{value: Time(tmp), text: "@" + t.text}, p.advance()
	case t.kind == tokenConstant:
		return &constant{name: t.text, at: t.at}, p.advance()
	case t.kind == tokenName && (t.text == "true" || t.text == "false"):
		return &literal{value: Bool(t.text == "true"), text: t.text}, p.advance()
	}
	return p.invocation(start)
}

// number reads a number, or a quantity when a unit follows.
func (p *parser) number() (node, error) {
	t := p.token
	if err := p.advance(); err != nil {
		return nil, err
	}
	unit := p.token
	if unit.kind == tokenString || unit.kind == tokenName && isCalendarWord(unit.text) {
		d, ok := parseDecimal(t.text)
		if !ok {
			return nil, failure(Syntax, t.at, "%s has too many digits", t.text)
		}
		text := t.text + " " + unit.text
		if unit.kind == tokenString {
			text = t.text + " " + quoteString(unit.text)
		}
		return &literal{value: Quantity(d, unit.text), text: text}, p.advance()
	}
	if strings.IndexByte(t.text, '.') < 0 {
		n, err := strconv.ParseInt(t.text, 10, 32)
		if err != nil {
			return nil, failure(Syntax, t.at, "%s is over the largest integer, 2147483647", t.text)
		}
		return &literal{value: Integer(n), text: t.text}, nil
	}
	d, ok := parseDecimal(t.text)
	if !ok {
		return nil, failure(Syntax, t.at, "%s has too many digits", t.text)
	}
	return &literal{value: Decimal(d), text: t.text}, nil
}

// invocation reads a name, a function call or a $variable.
func (p *parser) invocation(start bool) (node, error) {
	t := p.token
	switch t.kind {
	case tokenVariable:
		if t.text != "$this" && t.text != "$index" && t.text != "$total" {
			return nil, failure(Syntax, t.at, "there is no %s; the variables are $this, $index and $total", t.text)
		}
		return &variable{t.text, t.at}, p.advance()
	case tokenName:
		switch t.text {
		case "and", "or", "xor", "implies", "div", "mod", "true", "false":
			return nil, p.unexpected("a name")
		}
	case tokenQuotedName:
	default:
		return nil, p.unexpected("a name, a value or an opening parenthesis")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if t.kind == tokenName && p.is("(") {
		return p.call(t, start)
	}
	return &member{name: t.text, at: t.at, start: start}, nil
}

func (p *parser) call(name token, start bool) (node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	n := &call{name: name.text, at: name.at, start: start}
	if takesType(name.text) {
		var err error
		if n.types, err = p.typeSpec(); err != nil {
			return nil, err
		}
		return n, p.expect(")")
	}
	for !p.is(")") {
		if len(n.args) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		arg, err := p.expression(0, true)
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, arg)
	}
	return n, p.advance()
}

func takesType(name string) bool { return name == "is" || name == "as" || name == "ofType" }

// typeSpec reads Name or Namespace.Name.
func (p *parser) typeSpec() (typeSpec, error) {
	first, err := p.typeName()
	if err != nil || !p.is(".") {
		return makeSpec("", first.text, first.at), err
	}
	if err := p.advance(); err != nil {
		return typeSpec{}, err
	}
	second, err := p.typeName()
	return makeSpec(first.text, second.text, first.at), err
}

func (p *parser) typeName() (token, error) {
	t := p.token
	if t.kind != tokenName && t.kind != tokenQuotedName {
		return t, p.unexpected("the name of a type")
	}
	return t, p.advance()
}

// typeSpec is the name of a type as written, and after binding the types it may stand for.
type typeSpec struct {
	namespace, name string
	text            string // canonical
	at              int
	types           []*Type
}

func makeSpec(namespace, name string, at int) typeSpec {
	var b strings.Builder
	if namespace != "" {
		printName(&b, namespace)
		b.WriteByte('.')
	}
	printName(&b, name)
	return typeSpec{namespace: namespace, name: name, text: b.String(), at: at}
}
