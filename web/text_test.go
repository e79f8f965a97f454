package web_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/openspine/openspine/web"
)

// keyInSource finds literal keys in calls of Text and Count, with or without the package's name.
var (
	keyInSource = regexp.MustCompile(`\b(?:web\.)?(Text|Count)\((?:ctx|r\.Context\(\)|c\.ctx), "([^"]+)"((?:, [^()]*(?:\([^()]*\)[^()]*)*)?)\)`)
	plainText   = regexp.MustCompile(`>\s*[^<{}\s][^<{}]*[A-Za-z]{2,}[^<{}]*<`)
)

// sources walks every Go and templ file of the repository that is written by hand.
func sources(t *testing.T, see func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2) {
			return filepath.SkipDir
		}
		ext := filepath.Ext(path)
		if d.IsDir() || ext != ".go" && ext != ".templ" || strings.HasSuffix(path, "_templ.go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		see(path, string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryKeyHasWords(t *testing.T) {
	found := 0
	sources(t, func(path, text string) {
		for _, m := range keyInSource.FindAllStringSubmatch(text, -1) {
			if strings.HasSuffix(m[2], ".") || path == "../web/text.go" || path == "../web/web.go" && strings.HasPrefix(m[2], "find.") {
				continue
			}
			found++
			if !web.HasText(m[2]) {
				t.Errorf("%s: there are no words for %q: add them to web/messages/en.toml", path, m[2])
			}
		}
	})
	if found < 30 {
		t.Errorf("only %d keys were found: has the way they are looked up changed?", found)
	}
}

func TestNoTextInTemplates(t *testing.T) {
	sources(t, func(path, text string) {
		if filepath.Ext(path) != ".templ" {
			return
		}
		for n, line := range strings.Split(text, "\n") {
			if m := plainText.FindString(line); m != "" && !strings.Contains(m, "make web") && !strings.HasPrefix(strings.TrimSpace(line), "//") {
				t.Errorf("%s:%d: text in code: %s", path, n+1, m)
			}
		}
	})
}

func TestEveryMessageCanBeFilled(t *testing.T) {
	ctx := context.Background()
	for _, key := range web.Keys() {
		full := web.Count(ctx, key, 2, "a0", "a1", "a2", "a3")
		if strings.ContainsAny(full, "{}[]") || strings.TrimSpace(full) == "" {
			t.Errorf("%s: %q has a gap that nothing fills", key, full)
		}
	}
}

func TestAMissingKeyIsSeen(t *testing.T) {
	if got := web.Text(context.Background(), "web.no-such-words"); got != "[web.no-such-words]" {
		t.Errorf("a missing key gives %q", got)
	}
	ctx := web.WithLanguage(context.Background(), "xx")
	if got := web.Text(ctx, "web.back"); got != "Back" || web.Language(ctx) != "en" {
		t.Errorf("an unknown language gives %q in %s", got, web.Language(ctx))
	}
}

func TestCountUsesThePluralOfTheLanguage(t *testing.T) {
	ctx := context.Background()
	for n, want := range map[int]string{0: "0 people", 1: "1 person", 2: "2 people", 1204: "1,204 people", -12: "-12 people", 1000000: "1,000,000 people"} {
		if got := web.Count(ctx, "web.people", n); got != want {
			t.Errorf("%s: got %q, want %q", strconv.Itoa(n), got, want)
		}
	}
}
