package attach

import (
	"bytes"
	"errors"
	"io"

	"github.com/openspine/openspine/fault"
)

// headBytes is how much of a file's beginning tells what it is; a PDF may begin anywhere in it (ISO 32000-1, implementation note 13).
const headBytes = 1024

// Looking reads a file and looks at it meanwhile: what Read gives is what the file holds, and an error in place of its end when that is not of its type, or too much.
// After a failure Wrong says what it was, whoever has wrapped it since.
type Looking struct {
	r     io.Reader
	t     Type
	size  int64
	head  []byte
	tail  []byte // the end of what was read, in which a mark may have begun
	found []bool // by the number of a mark
	plain bool   // nothing but text so far
	wide  bool   // a text of two bytes to a character
	half  byte   // the first of them
	done  bool   // the head was looked at
	wrong error
}

// Look is a reader of a file of a type.
func Look(r io.Reader, t Type) *Looking {
	return &Looking{r: r, t: t, found: make([]bool, len(marks())), plain: true}
}

// Wrong is why the file was refused; nil while it was not.
func (l *Looking) Wrong() error { return l.wrong }

// Size is how many bytes were read.
func (l *Looking) Size() int64 { return l.size }

// marks are what some types must hold somewhere, and what none may.
func marks() [][]byte {
	wide := func(s string) []byte {
		var b []byte
		for _, c := range []byte(s) {
			b = append(b, c, 0)
		}
		return b
	}
	return [][]byte{[]byte("[Content_Types].xml"), []byte("word/document"), []byte("vbaProject.bin"), wide("WordDocument"), wide("_VBA_PROJECT"), []byte("META-INF/MANIFEST.MF")}
}

// The numbers of marks.
const (
	markTypes = iota
	markWord
	markMacros
	markOldWord
	markOldMacros
	markJava
)

const longestMark = 32

// Read is io.Reader's.
func (l *Looking) Read(p []byte) (int, error) {
	if l.wrong != nil {
		return 0, l.wrong
	}
	n, err := l.r.Read(p)
	l.size += int64(n)
	l.see(p[:n])
	switch {
	case l.size > MostBytes:
		l.wrong = fault.Wrap(ErrSize, fault.TooLarge, "The file is too large: at most 5 MB can be attached.")
	case !l.done && len(l.head) == headBytes:
		l.wrong = l.begins()
	}
	if l.wrong == nil && errors.Is(err, io.EOF) {
		l.wrong = l.ends()
	}
	if l.wrong != nil {
		return 0, l.wrong
	}
	return n, err
}

// see takes note of a piece.
func (l *Looking) see(p []byte) {
	if room := headBytes - len(l.head); room > 0 {
		l.head = append(l.head, p[:min(room, len(p))]...)
	}
	if !l.wide && len(l.head) >= 2 {
		l.wide = l.head[0] == 0xFF && l.head[1] == 0xFE || l.head[0] == 0xFE && l.head[1] == 0xFF
	}
	at := l.size - int64(len(p))
	for i, c := range p {
		switch at := at + int64(i); {
		case !l.wide:
			l.plain = l.plain && text(uint16(c))
		case at == 1:
			l.plain = true // the mark at the beginning itself is none of a text of single bytes
		case at > 1 && at%2 == 0:
			l.half = c
		case at > 1 && l.head[0] == 0xFF:
			l.plain = l.plain && text(uint16(c)<<8|uint16(l.half))
		case at > 1:
			l.plain = l.plain && text(uint16(l.half)<<8|uint16(c))
		}
	}
	if l.t.MIME != mimeDOC && l.t.MIME != mimeDOCX {
		return
	}
	joined := append(l.tail, p...)
	for i, m := range marks() {
		l.found[i] = l.found[i] || bytes.Contains(joined, m)
	}
	l.tail = append([]byte(nil), joined[max(0, len(joined)-longestMark):]...)
}

// text reports whether a character may stand in a text: not if it steers a machine.
func text(c uint16) bool { return c >= ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

// begins looks at the beginning of the file.
func (l *Looking) begins() error {
	l.done = true
	switch {
	case program(l.head):
		return l.other("what it holds is a program")
	case !beginsAs(l.t.MIME, l.head):
		return l.other("what it holds is not of that type")
	}
	return nil
}

// ends looks at what can be told at the end only.
func (l *Looking) ends() error {
	if l.size == 0 {
		return fault.Wrap(ErrSize, fault.Invalid, "The file is empty.")
	}
	if !l.done {
		if err := l.begins(); err != nil {
			return err
		}
	}
	switch f := l.found; {
	case (l.t.MIME == "text/plain" || l.t.MIME == "text/xml" || l.t.MIME == "text/rtf") && !l.plain:
		return l.other("what it holds is not text")
	case f[markMacros] || f[markOldMacros] || f[markJava]:
		return l.other("it carries a program (macros, or one of Java)")
	case l.t.MIME == mimeDOCX && !(f[markTypes] && f[markWord]):
		return l.other("what it holds is another kind of archive")
	case l.t.MIME == mimeDOC && !f[markOldWord]:
		return l.other("what it holds is another kind of document")
	}
	return nil
}

func (l *Looking) other(why string) error {
	return fault.Wrap(ErrHeld, fault.Unprocessable, "The name says that the file is %s (%s), but %s. It was not kept.", l.t.Name, l.t.Extensions[0], why)
}

// program reports whether a file begins as programs and what unpacks into them do: of Windows, Linux and macOS, of Java, WebAssembly and shells.
func program(head []byte) bool {
	for _, magic := range []string{"\x7fELF", "\xfe\xed\xfa\xce", "\xfe\xed\xfa\xcf", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe", "\x00asm", "#!", "MSCF", "7z\xbc\xaf\x27\x1c", "Rar!"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return bytes.HasPrefix(head, []byte("MZ")) && bytes.IndexByte(head, 0) >= 0
}

// another reports whether what stands before the beginning of a PDF is the beginning of something else: an archive, a page, a picture, of which a reader may make more than a PDF.
func another(before []byte) bool {
	if bytes.ContainsRune(before, '<') || bytes.Contains(before, []byte("PK\x03\x04")) {
		return true
	}
	for _, t := range Types() {
		if t.MIME != "application/pdf" && t.MIME != "text/plain" && beginsAs(t.MIME, before) {
			return true
		}
	}
	return false
}

// beginsAs reports whether a file begins as those of a type do. Text and XML are told by what they do not hold.
func beginsAs(mime string, head []byte) bool {
	any := func(list ...string) bool {
		for _, magic := range list {
			if bytes.HasPrefix(head, []byte(magic)) {
				return true
			}
		}
		return false
	}
	switch mime {
	case "text/plain":
		return true
	case "text/xml":
		return any("\xff\xfe", "\xfe\xff") || bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n"), []byte("<"))
	case "text/rtf":
		return any(`{\rtf`)
	case "application/pdf":
		at := bytes.Index(head, []byte("%PDF-"))
		return at >= 0 && !another(head[:at])
	case "audio/basic":
		return any(".snd")
	case "audio/mpeg":
		return any("ID3") || len(head) > 1 && head[0] == 0xFF && head[1]&0xE0 == 0xE0 && head[1] != 0xFE && head[1] != 0xFF
	case "image/png":
		return any("\x89PNG\r\n") // of the eight bytes by which one begins, those that nothing else has
	case "image/gif":
		return any("GIF87a", "GIF89a")
	case "image/jpeg":
		return any("\xff\xd8\xff")
	case "image/tiff":
		return any("II*\x00", "MM\x00*", "II+\x00", "MM\x00+")
	case "video/mpeg":
		return any("\x00\x00\x01\xba", "\x00\x00\x01\xb3")
	case mimeDOC:
		return any("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
	case mimeDOCX:
		return any("PK\x03\x04")
	case "application/dicom":
		return len(head) > 132 && string(head[128:132]) == "DICM"
	}
	return false
}
