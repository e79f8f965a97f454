package web

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

//go:embed messages/*.toml
var messageFiles embed.FS

// wording is the words of one language, by key.
type wording struct {
	tag      language.Tag
	messages map[string]message
}

// message is a text, or for something counted one text per plural category of the language (CLDR).
type message struct {
	text    string
	plurals map[plural.Form]string
}

// The words are read once; they never change while the program runs.
var languages = sync.OnceValue(loadMessages)

// loadMessages reads every language. A file that cannot be read is a defect of the build, which a test finds.
func loadMessages() map[string]*wording {
	all := map[string]*wording{}
	files, err := messageFiles.ReadDir("messages")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".toml")
		text, err := messageFiles.ReadFile("messages/" + f.Name())
		if err != nil {
			panic(err)
		}
		c, err := parseMessages(name, string(text))
		if err != nil {
			panic(err)
		}
		all[name] = c
	}
	return all
}

func parseMessages(name, text string) (*wording, error) {
	tag, err := language.Parse(name)
	if err != nil {
		return nil, fmt.Errorf("messages/%s.toml: %w", name, err)
	}
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		return nil, fmt.Errorf("messages/%s.toml: %w", name, err)
	}
	c := &wording{tag: tag, messages: map[string]message{}}
	return c, c.flatten("", tree)
}

func (c *wording) flatten(prefix string, tree map[string]any) error {
	for k, v := range tree {
		key := strings.TrimPrefix(prefix+"."+k, ".")
		switch v := v.(type) {
		case string:
			c.messages[key] = message{text: v}
		case map[string]any:
			if p, ok := pluralsOf(v); ok {
				c.messages[key] = message{text: p[plural.Other], plurals: p}
				continue
			}
			if err := c.flatten(key, v); err != nil {
				return err
			}
		default:
			return fmt.Errorf("message %s is a %T, not a text", key, v)
		}
	}
	return nil
}

// pluralForm names CLDR's categories as they are written in a message file.
var pluralForm = map[string]plural.Form{
	"zero": plural.Zero, "one": plural.One, "two": plural.Two, "few": plural.Few, "many": plural.Many, "other": plural.Other,
}

func pluralsOf(v map[string]any) (map[plural.Form]string, bool) {
	if _, ok := v["other"].(string); !ok {
		return nil, false
	}
	p := map[plural.Form]string{}
	for name, text := range v {
		form, known := pluralForm[name]
		s, isText := text.(string)
		if !known || !isText {
			return nil, false
		}
		p[form] = s
	}
	return p, true
}

// WithLanguage chooses the words, for example "en" or "cy". A language without a file falls back to English.
func WithLanguage(ctx context.Context, lang string) context.Context {
	return context.WithValue(ctx, languageKey, lang)
}

// Language is the language of the page, for the lang attribute.
func Language(ctx context.Context) string {
	if l, ok := ctx.Value(languageKey).(string); ok {
		if _, known := languages()[l]; known {
			return l
		}
	}
	return "en"
}

func lookup(ctx context.Context, key string) (*wording, message, bool) {
	c := languages()[Language(ctx)]
	if m, ok := c.messages[key]; ok {
		return c, m, true
	}
	c = languages()["en"]
	m, ok := c.messages[key]
	return c, m, ok
}

// Text is the message with that key, with {0}, {1} … replaced by args in order. A key is package.name, as in
// messages/en.toml. A key that does not exist is shown in brackets, and fails the test that walks the source for keys.
func Text(ctx context.Context, key string, args ...any) string {
	_, m, ok := lookup(ctx, key)
	if !ok {
		return "[" + key + "]"
	}
	return fill(m.text, args)
}

// Count is the message with that key in the plural form for n: {n} is the number, {0}, {1} … are args.
func Count(ctx context.Context, key string, n int, args ...any) string {
	c, m, ok := lookup(ctx, key)
	if !ok {
		return "[" + key + "]"
	}
	form := plural.Cardinal.MatchPlural(c.tag, operand(n), 0, 0, 0, 0)
	text, ok := m.plurals[form]
	if !ok {
		text = m.text
	}
	return strings.ReplaceAll(fill(text, args), "{n}", Number(n))
}

// HasText reports whether a key has words, for keys that are made at run time.
func HasText(key string) bool {
	_, ok := languages()["en"].messages[key]
	return ok
}

// Keys lists every key of the English messages, sorted, for tests.
func Keys() []string {
	var keys []string
	for k := range languages()["en"].messages {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func fill(text string, args []any) string {
	if len(args) == 0 {
		return text
	}
	pairs := make([]string, 0, 2*len(args))
	for i, a := range args {
		pairs = append(pairs, "{"+strconv.Itoa(i)+"}", fmt.Sprint(a))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// Number writes 12345 as 12,345.
func Number(n int) string {
	s := strconv.Itoa(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// operand is n as the plural rules take it: not negative and under ten million, with the same last six digits.
func operand(n int) int {
	if n < 0 {
		n = -(n % 1e12)
	}
	if n >= 1e7 {
		n = 1e6 + n%1e6
	}
	return n
}
