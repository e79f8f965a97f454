package ers

import (
	"sync"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// locks are the requests that calls are changing now. Two calls about one request would end well, for they are put in order by the database; but the second would find another version than it
// named. As published it is told at once that the request is locked (423), and reads it again.
type locks struct {
	mu   sync.Mutex
	held map[ident.UBRN]bool
}

// take locks a request until release is called. Error: errLocked while another call has it.
func (l *locks) take(u ident.UBRN) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[u] {
		return nil, fault.Wrap(errLocked, fault.Conflict, "Another call is changing this request: read it again, then decide.")
	}
	l.held[u] = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, u)
	}, nil
}

// alone does something to a request while no other call changes it.
func alone[T any](c *call, u ident.UBRN, do func() (T, error)) (t T, err error) {
	release, err := c.a.locks.take(u)
	if err != nil {
		return t, err
	}
	defer release()
	return do()
}
