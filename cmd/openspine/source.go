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

// found is one resource in a file, or why what stands there is none.
type found struct {
	file string
	line int // from 1 in NDJSON; 0 otherwise
	res  *fhir.Resource
	err  error
}

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

// resources reads every resource of a file: each line of NDJSON, each entry of a Bundle that carries resources, or the
// one resource that the file is.
func resources(path string, defs *definition.Set, yield func(found) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "cannot read %s: %v", path, err)
	}
	defer f.Close()
	if strings.EqualFold(filepath.Ext(path), ".ndjson") {
		return lines(path, f, yield)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLine+1))
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "cannot read %s: %v", path, err)
	}
	if len(text) > maxLine {
		return yield(found{file: path, err: fault.New(fault.TooLarge, "over %d MB", maxLine>>20)})
	}
	var res *fhir.Resource
	if strings.EqualFold(filepath.Ext(path), ".xml") {
		res, err = fhirxml.Decode(text, defs)
	} else {
		res, err = fhir.Parse(text)
	}
	if err != nil {
		return yield(found{file: path, err: err})
	}
	return unpack(path, res, yield)
}

func lines(path string, r io.Reader, yield func(found) error) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 1<<16), maxLine)
	n := 0
	for in.Scan() {
		n++
		text := bytes.TrimSpace(in.Bytes())
		if len(text) == 0 {
			continue
		}
		res, err := fhir.Parse(bytes.Clone(text))
		if err := yield(found{file: path, line: n, res: res, err: err}); err != nil {
			return err
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return yield(found{file: path, line: n + 1, err: fault.New(fault.TooLarge, "a line over %d MB; the rest of the file was not read", maxLine>>20)})
	}
	return in.Err()
}

// unpack is the resources that a Bundle carries; another resource is itself.
func unpack(path string, res *fhir.Resource, yield func(found) error) error {
	kind := res.Get("type").String()
	if res.Type() != "Bundle" || !slices.Contains([]string{"transaction", "batch", "collection", "searchset", "history"}, kind) {
		return yield(found{file: path, res: res})
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
			if err := yield(found{file: path, err: err}); err != nil {
				return err
			}
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
		if err := yield(found{file: path, res: part, err: err}); err != nil {
			return err
		}
	}
	return nil
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
