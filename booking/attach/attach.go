// Package attach is what may go with a referral or a question for advice: a letter, a result, a picture. Every file that comes in is looked at as it is read: its name says
// of what type it is, and what it holds must be of that type. A program that is called letter.pdf is refused, and so is a document that carries one.
//
// Source of the types and of the size: e-Referral Service FHIR API, Upload file to document store (A020).
package attach

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
)

// Limits of a file.
const (
	MostBytes = 5 << 20
	MostName  = 120 // characters
	MostFiles = 50  // that one referral or question has
)

// What can be wrong with a file; errors.Is finds which. Each comes as a fault with words for people.
var (
	ErrSize = errors.New("attach: the size is wrong")         // it is empty, or too large
	ErrType = errors.New("attach: the type is not supported") // by its name
	ErrHeld = errors.New("attach: it holds something else")   // than its name says
)

// Type is a type of file that may be attached.
type Type struct {
	Name       string // as people say it
	MIME       string
	Extensions []string // in small letters, without the full stop; the first one is the usual one
}

// Types lists them.
func Types() []Type {
	return []Type{
		{"plain text", "text/plain", []string{"txt"}},
		{"PDF", "application/pdf", []string{"pdf"}},
		{"XML", "text/xml", []string{"xml"}},
		{"rich text", "text/rtf", []string{"rtf", "rtx"}},
		{"basic audio", "audio/basic", []string{"au"}},
		{"MP3 audio", "audio/mpeg", []string{"mp3"}},
		{"PNG image", "image/png", []string{"png"}},
		{"GIF image", "image/gif", []string{"gif"}},
		{"JPEG image", "image/jpeg", []string{"jpg", "jpe", "jpeg"}},
		{"TIFF image", "image/tiff", []string{"tif", "tiff"}},
		{"MPEG video", "video/mpeg", []string{"mpg", "mpeg", "mpe"}},
		{"Word document", mimeDOC, []string{"doc"}},
		{"Word document", mimeDOCX, []string{"docx"}},
		{"DICOM", "application/dicom", []string{"dcm"}},
	}
}

const (
	mimeDOC  = "application/msword"
	mimeDOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
)

// Extensions lists all endings of names, for the people who choose a file.
func Extensions() (all []string) {
	for _, t := range Types() {
		all = append(all, t.Extensions...)
	}
	return all
}

// Known reports whether a MIME type is one of those that may be attached.
func Known(mime string) bool {
	return slices.ContainsFunc(Types(), func(t Type) bool { return t.MIME == mime })
}

// ByName is the type that a file has by its name. Error: fault.UnsupportedMedia, ErrType.
func ByName(name string) (Type, error) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		ending := strings.ToLower(name[i+1:])
		for _, t := range Types() {
			if slices.Contains(t.Extensions, ending) {
				return t, nil
			}
		}
	}
	return Type{}, fault.Wrap(ErrType, fault.UnsupportedMedia, "Files of this type cannot be attached. The name must end in one of: %s.", strings.Join(Extensions(), ", "))
}

// Name is the name under which a file is kept: without the folders that it came from, without what steers a screen or a file system (control characters, marks that turn
// the direction of writing round), and not too long. Its ending stays. Error: fault.Invalid when nothing is left.
func Name(given string) (string, error) {
	if i := strings.LastIndexAny(given, `/\`); i >= 0 {
		given = given[i+1:]
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp):
			return -1
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		case unicode.IsSpace(r):
			return ' '
		}
		return r
	}, given)
	clean = strings.Trim(strings.Join(strings.Fields(clean), " "), ". ")
	stem, ending := clean, ""
	if i := strings.LastIndexByte(clean, '.'); i > 0 {
		stem, ending = clean[:i], clean[i:]
	}
	if runes := []rune(stem); len(runes) > MostName-10 {
		stem = strings.TrimRight(string(runes[:MostName-10]), ". ")
	}
	if runes := []rune(ending); len(runes) > 10 {
		ending = string(runes[:10])
	}
	if clean = strings.Trim(stem+ending, ". "); clean == "" {
		return "", fault.New(fault.Invalid, "The file has no name.")
	}
	return clean, nil
}
