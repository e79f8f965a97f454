package record

import (
	"sync"

	"github.com/openspine/openspine/store"
)

// wakers tells those who watch the feed that a lane is about to have something for them. It is a hint: the write may
// yet fail, and another process's writes are not heard.
type wakers struct {
	mu   sync.Mutex
	list []func(store.Lane)
}

func (w *wakers) wake(lane store.Lane) {
	w.mu.Lock()
	list := w.list
	w.mu.Unlock()
	for _, f := range list {
		f(lane)
	}
}

// add registers f, which must return at once.
func (w *wakers) add(f func(store.Lane)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list[:len(w.list):len(w.list)], f)
}
