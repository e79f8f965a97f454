package store

import (
	"context"
	"reflect"
	"runtime"
)

type inWrite struct{}

const nestedWrite = "store: a Write inside a Write's function would wait for itself; do it all in one, with all its lanes"

// refuseNested panics when the caller is already inside a function of Write: by the context (Tx.Context), or because
// its own stack shows the call of such a function.
func refuseNested(ctx context.Context) {
	if ctx.Value(inWrite{}) != nil || underCall() {
		panic(nestedWrite)
	}
}

// farthest is more than the size of call's code: what lies farther from its entry need not be looked up.
const farthest = 1024

func underCall() bool {
	entry := reflect.ValueOf(call).Pointer()
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		for _, pc := range pcs[:n] {
			if pc-entry >= farthest { // also when pc is below entry: the difference is unsigned
				continue
			}
			if f := runtime.FuncForPC(pc - 1); f != nil && f.Entry() == entry {
				return true
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}

// call runs a written function; its frame on the stack is what underCall looks for.
//
//go:noinline
func call(fn func(*Tx) error, tx *Tx) error { return fn(tx) }
