package fhirpath

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"regexp"
	"strings"
	"unicode/utf8"
)

// textWith evaluates a function of the input and one text argument; it is empty when either is.
func (r *run) textWith(n *call, in []Value, f func(s, argument string)) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	argument, ok, err := r.stringArgument(n, 0)
	if err == nil && ok {
		f(s, argument)
	}
	return err
}

func (r *run) fnStartsWith(n *call, in []Value) error {
	return r.textWith(n, in, func(s, arg string) { r.push(Bool(strings.HasPrefix(s, arg))) })
}

func (r *run) fnEndsWith(n *call, in []Value) error {
	return r.textWith(n, in, func(s, arg string) { r.push(Bool(strings.HasSuffix(s, arg))) })
}

func (r *run) fnContains(n *call, in []Value) error {
	return r.textWith(n, in, func(s, arg string) { r.push(Bool(strings.Contains(s, arg))) })
}

func (r *run) fnIndexOf(n *call, in []Value) error {
	return r.textWith(n, in, func(s, arg string) { r.pushPosition(s, strings.Index(s, arg)) })
}

func (r *run) fnLastIndexOf(n *call, in []Value) error {
	return r.textWith(n, in, func(s, arg string) { r.pushPosition(s, strings.LastIndex(s, arg)) })
}

// pushPosition pushes a place in bytes as a place in characters.
func (r *run) pushPosition(s string, at int) {
	if at > 0 {
		at = utf8.RuneCountInString(s[:at])
	}
	r.push(Integer(int64(at)))
}

func (r *run) fnSubstring(n *call, in []Value) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	start, ok, err := r.integerArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	length := int64(len(s))
	if len(n.args) == 2 {
		given, ok, err := r.integerArgument(n, 1)
		if err != nil {
			return err
		}
		if ok {
			length = max(0, given)
		}
	}
	if start < 0 || start >= int64(utf8.RuneCountInString(s)) {
		return nil
	}
	from := skipRunes(s, start)
	s = s[from:]
	r.push(String(s[:skipRunes(s, length)]))
	return nil
}

// skipRunes is how many bytes the first n characters of s have.
func skipRunes(s string, n int64) int {
	at := 0
	for ; n > 0 && at < len(s); n-- {
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}

// text evaluates a function of the input alone.
func (r *run) text(n *call, in []Value, f func(s string) string) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	return r.pushString(f(s))
}

func (r *run) fnUpper(n *call, in []Value) error { return r.text(n, in, strings.ToUpper) }
func (r *run) fnLower(n *call, in []Value) error { return r.text(n, in, strings.ToLower) }
func (r *run) fnTrim(n *call, in []Value) error  { return r.text(n, in, strings.TrimSpace) }

func (r *run) fnLength(n *call, in []Value) error {
	s, ok, err := n.stringInput(in)
	if ok {
		r.push(Integer(int64(utf8.RuneCountInString(s))))
	}
	return err
}

func (r *run) fnToChars(n *call, in []Value) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	for s != "" {
		_, size := utf8.DecodeRuneInString(s)
		r.push(String(s[:size]))
		s = s[size:]
		if err := r.tick(1); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) fnReplace(n *call, in []Value) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	old, ok, err := r.stringArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	with, ok, err := r.stringArgument(n, 1)
	if err != nil || !ok {
		return err
	}
	if (strings.Count(s, old)+1)*len(with) > 1<<24 {
		return failure(Limit, n.at, "a text grew over 16 MB")
	}
	return r.pushString(strings.ReplaceAll(s, old, with))
}

// preparePattern compiles a pattern that is written in the expression itself.
func preparePattern(n *call) error {
	if lit, ok := n.args[0].(*literal); ok && lit.value.typ == typeString {
		p, err := n.compile(lit.value.str)
		if err != nil {
			err.Phase = Semantic
			return err
		}
		n.bound = p
	}
	return nil
}

// compile reads a pattern. A dot matches every character, the end of a line too.
func (n *call) compile(pattern string) (*regexp.Regexp, *Error) {
	if len(pattern) > 4096 {
		return nil, n.fail("a pattern may have at most 4096 bytes")
	}
	if n.name == "matchesFull" {
		pattern = `\A(?:` + pattern + `)\z`
	}
	p, err := regexp.Compile("(?s)" + pattern)
	if err != nil {
		return nil, n.fail("%s", err)
	}
	return p, nil
}

// pattern is the first argument as a compiled pattern; nil when it is empty.
func (r *run) pattern(n *call) (*regexp.Regexp, error) {
	if p, ok := n.bound.(*regexp.Regexp); ok {
		return p, nil
	}
	s, ok, err := r.stringArgument(n, 0)
	if err != nil || !ok {
		return nil, err
	}
	if err := r.tick(100); err != nil {
		return nil, err
	}
	p, failed := n.compile(s)
	if failed != nil {
		return nil, failed
	}
	return p, nil
}

func (r *run) fnMatches(n *call, in []Value) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	p, err := r.pattern(n)
	if err != nil || p == nil {
		return err
	}
	r.push(Bool(p.MatchString(s)))
	return r.tick(len(s) >> 4)
}

func (r *run) fnReplaceMatches(n *call, in []Value) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	p, err := r.pattern(n)
	if err != nil || p == nil {
		return err
	}
	with, ok, err := r.stringArgument(n, 1)
	if err != nil || !ok {
		return err
	}
	if p.String() == "(?s)" {
		return r.pushString(s)
	}
	if len(s)*(len(with)+1) > 1<<24 {
		return failure(Limit, n.at, "a text could grow over 16 MB")
	}
	return r.pushString(p.ReplaceAllString(s, goTemplate(with)))
}

// goTemplate turns the $1 and ${name} of a replacement into Go's, in which $1x would name a group 1x.
func goTemplate(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			if s[i] == '$' {
				b.WriteByte('$')
			}
			b.WriteByte(s[i])
		case s[i] == '$' && i+1 < len(s) && isDigit(s[i+1]):
			b.WriteString("${" + s[i+1:i+2] + "}")
			i++
		case s[i] == '$' && (i+1 == len(s) || s[i+1] != '{'):
			b.WriteString("$$")
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func (r *run) fnSplit(n *call, in []Value) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	by, ok, err := r.stringArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	for part := range strings.SplitSeq(s, by) {
		r.push(String(part))
		if err := r.tick(1); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) fnJoin(n *call, in []Value) error {
	if len(in) == 0 {
		return nil
	}
	by := ""
	if len(n.args) == 1 {
		var err error
		if by, _, err = r.stringArgument(n, 0); err != nil {
			return err
		}
	}
	var b strings.Builder
	for i := range in {
		s, ok, err := oneString(in[i:i+1], n.at, "an item that join() joins")
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if i > 0 {
			b.WriteString(by)
		}
		if b.WriteString(s); b.Len() > 1<<24 {
			return failure(Limit, n.at, "a text grew over 16 MB")
		}
	}
	return r.pushString(b.String())
}

func (r *run) fnEncode(n *call, in []Value) error {
	return r.coded(n, in, map[string]func(string) (string, bool){
		"hex":       func(s string) (string, bool) { return hex.EncodeToString([]byte(s)), true },
		"base64":    func(s string) (string, bool) { return base64.StdEncoding.EncodeToString([]byte(s)), true },
		"urlbase64": func(s string) (string, bool) { return base64.URLEncoding.EncodeToString([]byte(s)), true },
	})
}

func (r *run) fnDecode(n *call, in []Value) error {
	text := func(b []byte, err error) (string, bool) { return string(b), err == nil && utf8.Valid(b) }
	return r.coded(n, in, map[string]func(string) (string, bool){
		"hex":       func(s string) (string, bool) { return text(hex.DecodeString(s)) },
		"base64":    func(s string) (string, bool) { return text(base64.StdEncoding.DecodeString(s)) },
		"urlbase64": func(s string) (string, bool) { return text(base64.URLEncoding.DecodeString(s)) },
	})
}

func (r *run) fnEscape(n *call, in []Value) error {
	quotes := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")
	return r.coded(n, in, map[string]func(string) (string, bool){
		"html": func(s string) (string, bool) { return quotes.Replace(s), true },
		"json": func(s string) (string, bool) {
			var b strings.Builder
			writeEscaped(&b, s, '"')
			return b.String(), true
		},
	})
}

func (r *run) fnUnescape(n *call, in []Value) error {
	return r.coded(n, in, map[string]func(string) (string, bool){
		"html": func(s string) (string, bool) { return html.UnescapeString(s), true },
		"json": unescapeJSON,
	})
}

// coded applies the one of the codings that the argument names; an unknown one gives nothing.
func (r *run) coded(n *call, in []Value, codings map[string]func(string) (string, bool)) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	name, ok, err := r.stringArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	if f := codings[name]; f != nil {
		if out, ok := f(s); ok {
			return r.pushString(out)
		}
	}
	return nil
}

// unescapeJSON replaces the escapes of a JSON text; a bare quote is left as it is.
func unescapeJSON(s string) (string, bool) {
	var b strings.Builder
	l := lexer{source: s}
	for l.at < len(s) {
		if s[l.at] != '\\' {
			b.WriteByte(s[l.at])
			l.at++
			continue
		}
		if strings.HasPrefix(s[l.at:], `\b`) {
			b.WriteByte('\b')
			l.at += 2
		} else if l.escape(&b) != nil {
			return "", false
		}
	}
	return b.String(), true
}
