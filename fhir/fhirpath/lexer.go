package fhirpath

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokenEnd        tokenKind = iota
	tokenName                 // an identifier, or a word operator
	tokenQuotedName           // `an identifier`
	tokenString               // 'text', unescaped
	tokenNumber               // 1 or 1.5
	tokenTime                 // @2020, @2020-01-01T10, @T10:30
	tokenSymbol               // an operator or punctuation
	tokenVariable             // $this, $index, $total
	tokenConstant             // %name, %`name`, %'name'
)

type token struct {
	kind tokenKind
	text string
	at   int
}

type lexer struct {
	source string
	at     int
}

// next is the next token. Comments and space are skipped.
func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	start := l.at
	if start >= len(l.source) {
		return token{kind: tokenEnd, at: start}, nil
	}
	switch c := l.source[start]; {
	case isLetter(c):
		return token{tokenName, l.word(), start}, nil
	case isDigit(c):
		return l.number(), nil
	case c == '\'':
		text, err := l.quoted('\'')
		return token{tokenString, text, start}, err
	case c == '`':
		text, err := l.quoted('`')
		return token{tokenQuotedName, text, start}, err
	case c == '@':
		return l.temporal()
	case c == '$':
		l.at++
		return token{tokenVariable, "$" + l.word(), start}, nil
	case c == '%':
		return l.constant()
	}
	return l.symbol()
}

func (l *lexer) skip() error {
	for l.at < len(l.source) {
		rest := l.source[l.at:]
		switch {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\n' || rest[0] == '\r':
			l.at++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexAny(rest, "\r\n")
			if end < 0 {
				end = len(rest)
			}
			l.at += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return failure(Syntax, l.at, "this comment is never closed")
			}
			l.at += end + 4
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) word() string {
	start := l.at
	for l.at < len(l.source) && (isLetter(l.source[l.at]) || isDigit(l.source[l.at])) {
		l.at++
	}
	return l.source[start:l.at]
}

func (l *lexer) digits() int {
	start := l.at
	for l.at < len(l.source) && isDigit(l.source[l.at]) {
		l.at++
	}
	return l.at - start
}

func (l *lexer) number() token {
	start := l.at
	l.digits()
	if l.at+1 < len(l.source) && l.source[l.at] == '.' && isDigit(l.source[l.at+1]) {
		l.at++
		l.digits()
	}
	return token{tokenNumber, l.source[start:l.at], start}
}

func (l *lexer) constant() (token, error) {
	start := l.at
	l.at++
	if l.at < len(l.source) && (l.source[l.at] == '`' || l.source[l.at] == '\'') {
		text, err := l.quoted(l.source[l.at])
		return token{tokenConstant, text, start}, err
	}
	text := l.word()
	if text == "" || isDigit(text[0]) {
		return token{}, failure(Syntax, start, "a name must follow %%")
	}
	return token{tokenConstant, text, start}, nil
}

// temporal reads what follows an @ greedily; what it means is decided by the parser.
func (l *lexer) temporal() (token, error) {
	start := l.at
	l.at++
	if l.at < len(l.source) && l.source[l.at] == 'T' {
		l.at++
		l.clock()
		return token{tokenTime, l.source[start+1 : l.at], start}, nil
	}
	if l.digits() != 4 {
		return token{}, failure(Syntax, start, "a date has a year of four digits after the @")
	}
	for range 2 {
		if !l.shape("-00") {
			break
		}
	}
	if l.at < len(l.source) && l.source[l.at] == 'T' {
		l.at++
		if l.clock() {
			_ = l.shape("Z") || l.shape("+00:00") || l.shape("-00:00")
		}
	}
	return token{tokenTime, l.source[start+1 : l.at], start}, nil
}

// clock reads hh, hh:mm, hh:mm:ss or hh:mm:ss.fff, if it is there.
func (l *lexer) clock() bool {
	if !l.shape("00") {
		return false
	}
	if !l.shape(":00") { // minutes
		return true
	}
	if l.shape(":00") && l.shape(".0") { // seconds and their fraction
		l.digits()
	}
	return true
}

// shape steps over text of the given form, in which 0 stands for any digit, if it is there.
func (l *lexer) shape(form string) bool {
	if len(l.source)-l.at < len(form) {
		return false
	}
	for i := range len(form) {
		c := l.source[l.at+i]
		if form[i] == '0' && !isDigit(c) || form[i] != '0' && form[i] != c {
			return false
		}
	}
	l.at += len(form)
	return true
}

func (l *lexer) symbol() (token, error) {
	start := l.at
	rest := l.source[start:]
	for _, two := range [...]string{"<=", ">=", "!=", "!~"} {
		if strings.HasPrefix(rest, two) {
			l.at += 2
			return token{tokenSymbol, two, start}, nil
		}
	}
	if strings.IndexByte("().,[]{}+-*/&|<>=~", rest[0]) >= 0 {
		l.at++
		return token{tokenSymbol, rest[:1], start}, nil
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, failure(Syntax, start, "%q has no meaning here", r)
}

// quoted reads text up to the closing quote and replaces the escapes.
func (l *lexer) quoted(quote byte) (string, error) {
	start := l.at
	l.at++
	for i := l.at; i < len(l.source); i++ {
		switch l.source[i] {
		case quote:
			text := l.source[l.at:i]
			l.at = i + 1
			return text, nil
		case '\\':
			return l.escaped(start, quote)
		}
	}
	return "", failure(Syntax, start, "this text is never closed")
}

func (l *lexer) escaped(start int, quote byte) (string, error) {
	var b strings.Builder
	for l.at < len(l.source) {
		c := l.source[l.at]
		switch {
		case c == quote:
			l.at++
			return b.String(), nil
		case c != '\\':
			b.WriteByte(c)
			l.at++
		default:
			if err := l.escape(&b); err != nil {
				return "", err
			}
		}
	}
	return "", failure(Syntax, start, "this text is never closed")
}

func (l *lexer) escape(b *strings.Builder) error {
	at := l.at
	if at+1 >= len(l.source) {
		return failure(Syntax, at, "this text is never closed")
	}
	c := l.source[at+1]
	l.at += 2
	switch c {
	case 'n':
		b.WriteByte('\n')
	case 'r':
		b.WriteByte('\r')
	case 't':
		b.WriteByte('\t')
	case 'f':
		b.WriteByte('\f')
	case '\\', '/', '\'', '"', '`':
		b.WriteByte(c)
	case 'u':
		r, ok := hexRune(l.source[l.at:])
		if !ok {
			return failure(Syntax, at, "\\u must be followed by four hexadecimal digits")
		}
		l.at += 4
		if low, ok := hexRune(strings.TrimPrefix(l.source[l.at:], `\u`)); ok && r>>10 == 0x36 && low>>10 == 0x37 && strings.HasPrefix(l.source[l.at:], `\u`) {
			r = (r-0xD800)<<10 + (low - 0xDC00) + 0x10000
			l.at += 6
		}
		b.WriteRune(r)
	default:
		return failure(Syntax, at, "\\%c is not an escape", c)
	}
	return nil
}

func hexRune(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 32)
	return rune(n), err == nil
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
