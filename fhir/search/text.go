package search

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/openspine/openspine/fhir"
)

// alike are characters that people type for one another and that Unicode's decomposition does not bring together.
var alike = strings.NewReplacer(
	"ø", "o", "đ", "d", "ð", "d", "ł", "l", "ħ", "h", "ŧ", "t", "ı", "i", "æ", "ae", "œ", "oe", "þ", "th", "ß", "ss", "ς", "σ",
	"’", "'", "‘", "'", "ʼ", "'", "ʻ", "'", "`", "'", "´", "'",
	"‐", "-", "‑", "-", "‒", "-", "–", "-", "—", "-",
)

// Fold is text as a search compares it: without accents and case, with runs of white space made one space and none at
// the ends, and with the many apostrophes and hyphens made one of each. "  O’Neill  Siân " becomes "o'neill sian".
func Fold(s string) string {
	if folded, ok := foldASCII(s); ok {
		return folded
	}
	s = norm.NFKD.String(strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r):
			return -1
		case unicode.IsSpace(r):
			return ' '
		}
		return unicode.ToLower(r)
	}, s)
	s = alike.Replace(s)
	return strings.Join(strings.Fields(s), " ")
}

// foldASCII folds text that is ASCII only, without a copy if nothing changes.
func foldASCII(s string) (string, bool) {
	same := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf || c == '`' {
			return "", false
		}
		if c >= 'A' && c <= 'Z' || c < ' ' || c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ') {
			same = false
		}
	}
	if same {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == ' ' || c >= '\t' && c <= '\r':
			if len(b) == 0 || b[len(b)-1] == ' ' {
				continue
			}
			c = ' '
		}
		b = append(b, c)
	}
	if len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return string(b), true
}

// Narrative is the folded text of the resource's narrative, tags left out: what _text looks in.
func Narrative(r *fhir.Resource) string {
	var b strings.Builder
	plainText(&b, r.Get("text.div").String())
	return Fold(b.String())
}

// Content is the folded text of every string in the resource, narrative included: what _content looks in.
func Content(r *fhir.Resource) string {
	var b strings.Builder
	content(&b, r.Root())
	return Fold(b.String())
}

func content(b *strings.Builder, n fhir.Node) {
	switch n.Kind() {
	case fhir.Object:
		for name, member := range n.Fields() {
			switch name {
			case "resourceType", "data":
			case "div":
				plainText(b, member.String())
			default:
				content(b, member)
			}
		}
	case fhir.Array:
		for item := range n.Items() {
			content(b, item)
		}
	case fhir.String:
		b.WriteString(n.String())
		b.WriteByte(' ')
	}
}

// plainText writes the text of a piece of XHTML; every tag parts words.
func plainText(b *strings.Builder, div string) {
	for div != "" {
		text, rest, tag := strings.Cut(div, "<")
		b.WriteString(html.UnescapeString(text))
		b.WriteByte(' ')
		if !tag {
			return
		}
		end := strings.IndexByte(rest, '>')
		if strings.HasPrefix(rest, "!--") {
			if end = strings.Index(rest, "-->"); end >= 0 {
				end += 2
			}
		}
		if end < 0 {
			return
		}
		div = rest[end+1:]
	}
}
