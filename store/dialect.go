package store

import (
	"strings"
)

// section keeps the lines of a migration that are for engine: those under no marker, `-- both`, or its own.
func section(migration, engine string) string {
	var b strings.Builder
	keep := true
	for line := range strings.Lines(migration) {
		switch mark := strings.TrimSpace(line); mark {
		case "-- both":
			keep = true
		case "-- sqlite", "-- postgres":
			keep = mark == "-- "+engine
		default:
			if keep {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

// strict makes each table of a SQLite script STRICT, so that a column takes only what it says.
func strict(script string) string {
	var b strings.Builder
	for _, st := range statements(script) {
		if !st.begins("CREATE", "TABLE") || st.has("AS") || st.has("STRICT") {
			b.WriteString(st.text())
			continue
		}
		word := " STRICT"
		if st.has("WITHOUT") {
			word = ", STRICT"
		}
		last := st.lastSolid()
		for i, t := range st {
			b.WriteString(t.s)
			if i == last {
				b.WriteString(word)
			}
		}
	}
	return b.String()
}

// postgres translates a SQLite script: see the package comment.
func postgres(script string) string {
	var b strings.Builder
	for _, st := range statements(script) {
		if !st.begins("CREATE", "TABLE") && !st.begins("ALTER", "TABLE") {
			b.WriteString(st.text())
			continue
		}
		st.toPostgres(&b)
	}
	return b.String()
}

func (st statement) toPostgres(b *strings.Builder) {
	for i := 0; i < len(st); i++ {
		t := st[i]
		if t.kind != word {
			b.WriteString(t.s)
			continue
		}
		switch strings.ToUpper(t.s) {
		case "WITHOUT":
			if j := st.solidAfter(i); j > 0 && strings.EqualFold(st[j].s, "ROWID") {
				i = j
				continue
			}
			b.WriteString(t.s)
		case "INTEGER", "INT":
			b.WriteString("BIGINT")
		case "BLOB":
			b.WriteString("BYTEA")
		case "REAL":
			b.WriteString("DOUBLE PRECISION")
		case "TEXT":
			b.WriteString(`TEXT COLLATE "C"`)
		default:
			b.WriteString(t.s)
		}
	}
}

// token is a piece of SQL: a word, something that means nothing (space, a comment), or anything else.
type token struct {
	kind tokenKind
	s    string
}

type tokenKind uint8

const (
	other tokenKind = iota
	word
	blankSpace
)

// statement is the tokens up to and with a semicolon.
type statement []token

func (st statement) text() string {
	var b strings.Builder
	for _, t := range st {
		b.WriteString(t.s)
	}
	return b.String()
}

// begins reports whether the statement's first words are these.
func (st statement) begins(words ...string) bool {
	i := -1
	for _, w := range words {
		i = st.solidAfter(i)
		if i < 0 || !strings.EqualFold(st[i].s, w) {
			return false
		}
	}
	return true
}

func (st statement) has(w string) bool {
	for _, t := range st {
		if t.kind == word && strings.EqualFold(t.s, w) {
			return true
		}
	}
	return false
}

// solidAfter is the first token after i that means something, or -1.
func (st statement) solidAfter(i int) int {
	for i++; i < len(st); i++ {
		if st[i].kind != blankSpace {
			return i
		}
	}
	return -1
}

// lastSolid is the last token that means something, the semicolon aside.
func (st statement) lastSolid() int {
	for i := len(st) - 1; i >= 0; i-- {
		if st[i].kind != blankSpace && st[i].s != ";" {
			return i
		}
	}
	return -1
}

func statements(script string) []statement {
	var all []statement
	var st statement
	for script != "" {
		t := nextToken(script)
		script = script[len(t.s):]
		st = append(st, t)
		if t.s == ";" {
			all = append(all, st)
			st = nil
		}
	}
	if len(st) > 0 {
		all = append(all, st)
	}
	return all
}

// nextToken cuts the first token off s, which is not empty.
func nextToken(s string) token {
	switch c := s[0]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		n := 1
		for n < len(s) && strings.IndexByte(" \t\n\r", s[n]) >= 0 {
			n++
		}
		return token{blankSpace, s[:n]}
	case strings.HasPrefix(s, "--"):
		if n := strings.IndexByte(s, '\n'); n >= 0 {
			return token{blankSpace, s[:n+1]}
		}
		return token{blankSpace, s}
	case strings.HasPrefix(s, "/*"):
		if n := strings.Index(s[2:], "*/"); n >= 0 {
			return token{blankSpace, s[:n+4]}
		}
		return token{blankSpace, s}
	case c == '\'' || c == '"' || c == '`':
		return token{other, s[:quoted(s, c)]}
	case isWord(c):
		n := 1
		for n < len(s) && isWord(s[n]) {
			n++
		}
		return token{word, s[:n]}
	default:
		return token{other, s[:1]}
	}
}

// quoted is the length of the quoted piece that s starts with; a doubled quote stands for one.
func quoted(s string, q byte) int {
	for i := 1; i < len(s); i++ {
		if s[i] != q {
			continue
		}
		if i+1 < len(s) && s[i+1] == q {
			i++
			continue
		}
		return i + 1
	}
	return len(s)
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// blank is s without leading and trailing space, comments and semicolons: empty when it holds no statement.
func blank(s string) string {
	for s != "" {
		t := nextToken(s)
		if t.kind != blankSpace && t.s != ";" {
			return s
		}
		s = s[len(t.s):]
	}
	return ""
}
