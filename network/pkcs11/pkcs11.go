// Package pkcs11 keeps the keys of the network's authority in a device: a hardware security module, a smartcard, or whatever else has a
// PKCS #11 module. The keys are made in the device, never leave it, and sign there; the authority asks only for signatures.
//
// Where the device is, is said by a PKCS #11 URI (RFC 7512):
//
//	pkcs11:token=OpenSpine%20authority?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/openspine/pin
//
// The PIN is read from a file, so that no setting and no list of processes shows it.
//
// A module is a library in C. A program that can load one is built with a C compiler and `-tags pkcs11`; without the tag, Open says so.
package pkcs11

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
)

// Location says where a device is, and how to log in to it.
type Location struct {
	Module string // the path of its library
	Token  string // the label of the token; or
	Serial string // its serial number
	PIN    string // the path of the file that holds the user's PIN
}

// Parse reads a PKCS #11 URI (RFC 7512 section 2.3): token or serial in its path, module-path and pin-source in its query. Other
// attributes are refused, for what is not understood might have been meant to choose another key. Error: fault.Invalid.
func Parse(uri string) (Location, error) {
	var l Location
	rest, ok := strings.CutPrefix(uri, "pkcs11:")
	if !ok {
		return l, wrong("it must begin with pkcs11:")
	}
	path, query, _ := strings.Cut(rest, "?")
	known := map[string]*string{"token": &l.Token, "serial": &l.Serial}
	if err := attributes(path, ";", known); err != nil {
		return Location{}, err
	}
	known = map[string]*string{"module-path": &l.Module, "pin-source": &l.PIN}
	if err := attributes(query, "&", known); err != nil {
		return Location{}, err
	}
	if file, ok := strings.CutPrefix(l.PIN, "file:"); ok {
		l.PIN = strings.TrimPrefix(file, "//")
	}
	l.PIN, l.Module = filepath.Clean(l.PIN), filepath.Clean(l.Module)
	switch {
	case l.Token == "" && l.Serial == "":
		return Location{}, wrong("it must name the token (token=LABEL) or its serial number (serial=NUMBER)")
	case !filepath.IsAbs(l.Module):
		return Location{}, wrong("it must say where the module is, from the root on (module-path=/usr/lib/…)")
	case !filepath.IsAbs(l.PIN):
		return Location{}, wrong("it must name the file that holds the PIN, from the root on (pin-source=file:/etc/…)")
	}
	return l, nil
}

// attributes reads the attributes of one part of a URI into those that are known.
func attributes(text, separator string, known map[string]*string) error {
	if text == "" {
		return nil
	}
	var seen []string
	for item := range strings.SplitSeq(text, separator) {
		name, value, ok := strings.Cut(item, "=")
		at := known[name]
		switch {
		case name == "pin-value":
			return wrong("a PIN does not belong in a setting: put it into a file and name that (pin-source=file:/etc/…)")
		case !ok || at == nil:
			return wrong("it has %q, which is not understood here", name)
		case slices.Contains(seen, name):
			return wrong("it has %s twice", name)
		}
		var err error
		if *at, err = url.PathUnescape(value); err != nil || strings.ContainsRune(*at, 0) {
			return wrong("what it says of %s cannot be read: check what follows each percent sign", name)
		}
		seen = append(seen, name)
	}
	return nil
}

// String is the URI that Parse reads as l.
func (l Location) String() string {
	escape := func(s string) string { // what RFC 7512 does not let stand in either part
		return strings.NewReplacer("%2F", "/", "+", "%20").Replace(url.QueryEscape(s))
	}
	var path []string
	if l.Token != "" {
		path = append(path, "token="+escape(l.Token))
	}
	if l.Serial != "" {
		path = append(path, "serial="+escape(l.Serial))
	}
	return "pkcs11:" + strings.Join(path, ";") + "?module-path=" + escape(l.Module) + "&pin-source=file:" + escape(l.PIN)
}

func wrong(format string, args ...any) error {
	return fault.New(fault.Invalid, "network-keys is not the URI of a device: "+format, args...)
}
