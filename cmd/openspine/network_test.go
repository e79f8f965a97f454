package main

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// freePort sets a variable to an address of this machine that is free, and writes it into the files that name it: freeport NAME FILE…
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	address := l.Addr().String()
	ts.Check(l.Close())
	ts.Setenv(args[0], address)
	for _, f := range args[1:] {
		text := strings.ReplaceAll(ts.ReadFile(f), "${"+args[0]+"}", address)
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o600))
	}
}

// until runs a program again and again until a line of what it prints matches: until PATTERN PROGRAM WORDS…
func until(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	program, err := exec.LookPath(args[1])
	ts.Check(err)
	var out []byte
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); {
		cmd := exec.Command(program, args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		out, err = cmd.CombinedOutput()
		if err == nil && want.Match(out) {
			return
		}
	}
	ts.Fatalf("never %s; at last: %v\n%s", args[0], err, out)
}
