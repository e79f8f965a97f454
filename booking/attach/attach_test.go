package attach_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/openspine/openspine/booking/attach"
)

// examples are files by name: each is of its type, as short as one can be.
func examples() map[string]string {
	wide := func(s string) string { return strings.Join(strings.Split(s, ""), "\x00") + "\x00" }
	return map[string]string{
		"letter.txt": "Dear colleague,\r\nplease see her.", "café.TXT": "\xff\xfeD\x00\r\x00\n\x00", "big.txt": "\xfe\xff\x00D\x00\n\x04\x13", "result.xml": "\xef\xbb\xbf <result/>", "letter.rtf": `{\rtf1 Dear}`, "letter.pdf": "%PDF-1.7\n1 0 obj", "late.pdf": "\n\n%PDF-1.4",
		"heart.au": ".snd\x00\x00", "heart.mp3": "ID3\x04\x00", "frame.mp3": "\xff\xfb\x90\x44", "mole.png": "\x89PNG\r\n\x1a\n\x00", "mole.gif": "GIF89a\x01", "mole.jpeg": "\xff\xd8\xff\xe0", "scan.tif": "II*\x00\x08",
		"gait.mpg": "\x00\x00\x01\xba\x44", "letter.doc": "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 600) + wide("WordDocument"), "letter.docx": "PK\x03\x04\x14\x00[Content_Types].xml" + strings.Repeat("x", 2000) + "word/document.xml",
		"chest.dcm": strings.Repeat("\x00", 128) + "DICM\x02\x00",
	}
}

func read(name string, r io.Reader) ([]byte, error) {
	t, err := attach.ByName(name)
	if err != nil {
		return nil, err
	}
	l := attach.Look(r, t)
	got, err := io.ReadAll(l)
	if err != nil && !errors.Is(err, l.Wrong()) {
		return got, errors.New("Wrong says something else than Read")
	}
	return got, err
}

func TestEachTypeIsTakenForWhatItIs(t *testing.T) {
	for name, holds := range examples() {
		for kind, r := range map[string]io.Reader{"whole": strings.NewReader(holds), "in bytes": iotest.OneByteReader(strings.NewReader(holds)), "with its end": iotest.DataErrReader(strings.NewReader(holds))} {
			if got, err := read(name, r); err != nil || string(got) != holds {
				t.Errorf("%s, %s: %d bytes, %v", name, kind, len(got), err)
			}
		}
	}
}

func TestWhatIsNotWhatItsNameSaysIsRefused(t *testing.T) {
	word := examples()["letter.docx"]
	for name, c := range map[string]struct {
		holds string
		why   error
		says  string
	}{
		"letter.exe":   {"MZ", attach.ErrType, "cannot be attached"},
		"letter":       {"Dear", attach.ErrType, "cannot be attached"},
		"letter.html":  {"<html>", attach.ErrType, "cannot be attached"},
		"letter.pdf":   {"MZ\x90\x00\x03\x00", attach.ErrHeld, "is a program"},
		"linux.png":    {"\x7fELF\x02", attach.ErrHeld, "is a program"},
		"script.txt":   {"#!/bin/sh\nrm -r /\n", attach.ErrHeld, "is a program"},
		"mole.jpg":     {"\x89PNG\r\n\x1a\n", attach.ErrHeld, "not of that type"},
		"binary.txt":   {strings.Repeat("a", 3000) + "\x00", attach.ErrHeld, "not text"},
		"page.xml":     {"{}", attach.ErrHeld, "not of that type"},
		"things.docx":  {"PK\x03\x04\x14\x00evil.exe", attach.ErrHeld, "another kind of archive"},
		"macros.docx":  {word + "word/vbaProject.bin", attach.ErrHeld, "macros"},
		"installs.doc": {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 M\x00s\x00i\x00", attach.ErrHeld, "another kind of document"},
		"zip.pdf":      {"PK\x03\x04\x14\x00page.html\n%PDF-1.7\n", attach.ErrHeld, "not of that type"},
		"page.pdf":     {"<script>alert(1)</script>\n%PDF-1.7\n", attach.ErrHeld, "not of that type"},
		"picture.pdf":  {"\xff\xd8\xff\xe0 %PDF-1.7\n", attach.ErrHeld, "not of that type"},
		"java.docx":    {word + "META-INF/MANIFEST.MF", attach.ErrHeld, "carries a program"},
		"preamble.dcm": {"MZ\x90\x00" + strings.Repeat("\x00", 124) + "DICM\x02\x00", attach.ErrHeld, "is a program"},
		"wide.txt":     {"\xff\xfeM\x00Z\x00\x90\x00\x03\x00\x00\x00", attach.ErrHeld, "not text"},
		"empty.pdf":    {"", attach.ErrSize, "empty"},
		"large.txt":    {strings.Repeat("a", attach.MostBytes+1), attach.ErrSize, "5 MB"},
	} {
		if _, err := read(name, strings.NewReader(c.holds)); !errors.Is(err, c.why) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := read("scanned.pdf", strings.NewReader("\x1b%-12345X@PJL SET JOBNAME=scan\n%PDF-1.4\n")); err != nil {
		t.Errorf("a PDF that a scanner has written: %v", err)
	}
	if _, err := read("full.txt", strings.NewReader(strings.Repeat("a", attach.MostBytes))); err != nil {
		t.Errorf("5 MB: %v", err)
	}
}

func TestNamesAreCleaned(t *testing.T) {
	for given, want := range map[string]string{
		`C:\Users\amara\letter.pdf`: "letter.pdf", "../../etc/passwd": "passwd", "a\u202efdp.exe": "afdp.exe", "tab\tand\x00nul.txt": "tabandnul.txt", " two  spaces .txt": "two spaces .txt",
		`what?<>.png`: "what___.png", "Überweisung.docx": "Überweisung.docx", strings.Repeat("é", 300) + ".pdf": strings.Repeat("é", attach.MostName-10) + ".pdf",
	} {
		if got, err := attach.Name(given); err != nil || got != want {
			t.Errorf("%q became %q, %v", given, got, err)
		}
	}
	for _, given := range []string{"", "...", "/", "\u202e", " . "} {
		if got, err := attach.Name(given); err == nil {
			t.Errorf("%q became %q", given, got)
		}
	}
}

// FuzzName: a cleaned name is clean, stays as it is when cleaned again, and is of the same type.
func FuzzName(f *testing.F) {
	for _, s := range []string{"a.pdf", `C:\x.txt`, "a\u202efdp.exe", strings.Repeat("x", 500) + ".jpeg", "..", "a. .pdf"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, given string) {
		name, err := attach.Name(given)
		if err != nil {
			return
		}
		again, err := attach.Name(name)
		if err != nil || again != name || !utf8.ValidString(name) || utf8.RuneCountInString(name) > attach.MostName || strings.ContainsAny(name, "/\\\x00\n") {
			t.Errorf("%q became %q and then %q, %v", given, name, again, err)
		}
	})
}

// FuzzLook: however a file comes, in pieces of any size, it is judged alike, and what is taken is what came.
func FuzzLook(f *testing.F) {
	for name, holds := range examples() {
		f.Add(name, []byte(holds))
	}
	f.Add("letter.pdf", []byte("MZ\x00"))
	f.Fuzz(func(t *testing.T, name string, holds []byte) {
		whole, err := read(name, bytes.NewReader(holds))
		pieces, again := read(name, iotest.OneByteReader(bytes.NewReader(holds)))
		if (err == nil) != (again == nil) || err == nil && (!bytes.Equal(whole, holds) || !bytes.Equal(pieces, holds)) {
			t.Errorf("%s: whole %v, in bytes %v", name, err, again)
		}
	})
}
