package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirxml"
)

// maxLine bounds one line of NDJSON and one document, in bytes.
const maxLine = 16 << 20

// spot is where a resource stands.
type spot struct {
	file string
	line int   // from 1 in NDJSON; 0 otherwise
	at   int64 // in bytes, of a line
	size int
	nth  int // in a document, from 0
}

// found is one resource in a file, or why what stands there is none.
type found struct {
	spot
	res *fhir.Resource
	err error
}

// piece is as much of a file as is read at once: some lines of NDJSON, or one document, which is not read yet.
type piece struct {
	spot
	text []byte
	err  error
}

// pieceSize is from how many bytes on a piece of NDJSON ends with its line.
const pieceSize = 128 << 10

// files lists what is below paths, in order: .json, .ndjson and .xml.
func files(paths []string) ([]string, error) {
	var all []string
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			switch strings.ToLower(filepath.Ext(path)) {
			case ".json", ".ndjson", ".xml":
				if !d.IsDir() {
					all = append(all, path)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fault.Wrap(err, fault.NotFound, "cannot read %s: %v", root, err)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// pieces reads files in their order.
func pieces(paths []string, yield func(piece) error) error {
	for _, path := range paths {
		var err error
		if isLines(path) {
			err = blocks(path, yield)
		} else {
			err = yield(piece{spot: spot{file: path}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func isLines(path string) bool { return strings.EqualFold(filepath.Ext(path), ".ndjson") }

// blocks reads NDJSON some lines at a time.
func blocks(path string, yield func(piece) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "cannot read %s: %v", path, err)
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<16)
	next := spot{file: path, line: 1}
	for {
		p := piece{spot: next}
		for len(p.text) < pieceSize && err == nil {
			begin := len(p.text)
			for more := true; more; {
				var part []byte
				part, err = in.ReadSlice('\n')
				p.text = append(p.text, part...)
				if more = errors.Is(err, bufio.ErrBufferFull); len(p.text)-begin > maxLine {
					p.text = p.text[:begin]
					return errors.Join(yield(p), yield(piece{spot: next, err: fault.New(fault.TooLarge, "a line over %d MB; the rest of the file was not read", maxLine>>20)}))
				}
			}
			next.line++
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fault.Wrap(err, fault.Unavailable, "cannot read %s: %v", path, err)
		}
		next.at += int64(len(p.text))
		if yerr := yield(p); yerr != nil || err != nil {
			return yerr
		}
	}
}

// resources are those of a piece: each line of NDJSON, each entry of a Bundle that carries resources, or the one that a file is.
func (p piece) resources(defs *definition.Set) []found {
	switch {
	case p.err != nil:
		return []found{{spot: p.spot, err: p.err}}
	case p.line == 0:
		return document(p.file, defs)
	}
	var all []found
	for text := range bytes.Lines(p.text) {
		where := p.spot
		where.size = len(text)
		p.line, p.at = p.line+1, p.at+int64(len(text))
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		res, err := fhir.Parse(text)
		all = append(all, found{where, res, err})
	}
	return all
}

// document reads a file that is not NDJSON.
func document(path string, defs *definition.Set) []found {
	text, err := readAtMost(path)
	if err != nil {
		return []found{{spot: spot{file: path}, err: err}}
	}
	var res *fhir.Resource
	if strings.EqualFold(filepath.Ext(path), ".xml") {
		res, err = fhirxml.Decode(text, defs)
	} else {
		res, err = fhir.Parse(text)
	}
	if err != nil {
		return []found{{spot: spot{file: path}, err: err}}
	}
	all := unpack(path, res)
	for i := range all {
		all[i].nth = i
	}
	return all
}

// readAtMost reads a file of at most maxLine bytes.
func readAtMost(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "cannot read %s: %v", path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxLine+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "cannot read %s: %v", path, err)
	}
	if len(text) > maxLine {
		return nil, fault.New(fault.TooLarge, "over %d MB", maxLine>>20)
	}
	return text, nil
}

// again reads what stands at spots once more, in their order. What is no longer there as it was is an error.
func again(spots []spot, defs *definition.Set) ([]found, error) {
	all := make([]found, len(spots))
	var path string
	var f *os.File
	var inside []found
	defer func() { f.Close() }() // of a nil file it is an error that nobody waits for
	for i, at := range spots {
		if at.file != path {
			f.Close()
			path, f, inside = at.file, nil, nil
			var err error
			if at.line == 0 {
				inside = document(path, defs)
			} else if f, err = os.Open(path); err != nil {
				return nil, changed(path)
			}
		}
		if at.line == 0 {
			if at.nth >= len(inside) {
				return nil, changed(path)
			}
			all[i] = inside[at.nth]
			continue
		}
		text := make([]byte, at.size)
		if _, err := f.ReadAt(text, at.at); err != nil {
			return nil, changed(path)
		}
		res, err := fhir.Parse(bytes.TrimSpace(text))
		all[i] = found{at, res, err}
	}
	return all, nil
}

func changed(path string) error {
	return fault.New(fault.Conflict, "%s has changed while it was imported; start again", path)
}

// unpack is the resources that a Bundle carries; another resource is itself.
func unpack(path string, res *fhir.Resource) (all []found) {
	where := spot{file: path}
	kind := res.Get("type").String()
	if res.Type() != "Bundle" || !slices.Contains([]string{"transaction", "batch", "collection", "searchset", "history"}, kind) {
		return []found{{spot: where, res: res}}
	}
	moved := map[string]string{}
	var inside []*fhir.Resource
	for e := range res.Get("entry").Items() {
		n := e.Field("resource")
		if !n.Exists() {
			continue
		}
		part, err := fhir.Parse(n.Raw())
		if err != nil {
			all = append(all, found{spot: where, err: err})
			continue
		}
		part = named(part)
		if url := e.Field("fullUrl").String(); strings.HasPrefix(url, "urn:") {
			moved[url] = part.Type() + "/" + part.ID()
		}
		inside = append(inside, part)
	}
	for _, part := range inside {
		part, err := pointed(part, moved)
		all = append(all, found{where, part, err})
	}
	return all
}

// named gives a resource without an id one that follows from its content, so that importing it again changes nothing.
func named(res *fhir.Resource) *fhir.Resource {
	if res.ID() != "" {
		return res
	}
	sum := sha256.Sum256(res.JSON())
	return res.WithID("i" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:25])
}

// pointed replaces references to a Bundle's urn: addresses by those that the resources now have.
func pointed(res *fhir.Resource, to map[string]string) (*fhir.Resource, error) {
	if len(to) == 0 {
		return res, nil
	}
	edit, changed := res.Edit(), false
	var walk func(n fhir.Node)
	walk = func(n fhir.Node) {
		switch n.Kind() {
		case fhir.Object:
			for _, child := range n.Fields() {
				walk(child)
			}
		case fhir.Array:
			for child := range n.Items() {
				walk(child)
			}
		case fhir.String:
			if address, ok := to[n.String()]; ok {
				edit.Replace(n, fhir.Of(address))
				changed = true
			}
		}
	}
	walk(res.Root())
	if !changed {
		return res, nil
	}
	return edit.Done()
}
