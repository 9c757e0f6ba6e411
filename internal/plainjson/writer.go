package plainjson

import "reflect"

// A writer appends one document.
type writer struct {
	out   []byte
	depth int
	root  []reflect.Value // see the function; nil once they are taken
}

func (w *writer) null() bool {
	w.out = append(w.out, "null"...)
	return true
}

// enter goes into a value that has others in it; leave comes out of it.
func (w *writer) enter() bool {
	w.depth++
	return w.depth <= maxDepth
}

func (w *writer) leave() bool {
	w.depth--
	return true
}
