package plainjson

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
)

// Names that belong to no field are learned up to this many, and no longer than this, for each struct: what names there are is up to
// those who write documents.
const (
	maxLearned     = 64
	maxLearnedSize = 64
)

// names are the names that documents of a struct have, in the order in which they mostly come. At first these are the names of its
// fields; those that no field has are learned from the documents, because to find out that a name is no field's, not even in
// another case, takes a look at all of them.
type names struct {
	now     atomic.Pointer[sequence]
	learns  sync.Mutex
	learned int
}

type sequence struct {
	names []named
	index map[string]int
}

type named struct {
	label string // see the function
	field int    // -1 if no field has it
}

func newSequence(list []named) *sequence {
	s := &sequence{list, make(map[string]int, len(list))}
	for i, n := range list {
		s.index[n.label[2:len(n.label)-2]] = i
	}
	return s
}

// learn puts a name that no field has behind the one at in the sequence that a document is read by. A document teaches one name: to the
// next, at is that of another sequence.
func (n *names) learn(in *sequence, at int, text []byte) {
	if len(text) > maxLearnedSize || !n.learns.TryLock() {
		return
	}
	defer n.learns.Unlock()
	if n.now.Load() != in || n.learned == maxLearned {
		return
	}
	n.learned++
	n.now.Store(newSequence(slices.Insert(slices.Clone(in.names), at+1, named{label(text), -1})))
}

// label is a name as it is in a document without white space, after another one.
func label(name []byte) string { return `,"` + string(name) + `":` }

// before is how much of a label is not there: the first name has no comma.
func before(first bool) int {
	if first {
		return len(",")
	}
	return 0
}

// next passes the comma, the name and the colon that mostly come after the name at, which becomes that of this one.
func (s *sequence) next(r *reader, first bool, at *int) (field int, ok bool) {
	next := *at + 1
	if next == len(s.names) {
		return 0, false
	}
	n := &s.names[next]
	if !r.word(n.label[before(first):]) {
		return 0, false
	}
	r.space()
	*at = next
	return n.field, true
}

// name passes the name in an object and the colon, and returns the field, or -1 if there is none.
func (st *structure) name(r *reader, s *sequence, at *int) (field int, ok bool) {
	text, ok := r.key()
	if !ok {
		return 0, false
	}
	if i, ok := s.index[string(text)]; ok {
		*at = i
		return s.names[i].field, true
	}
	for i := range st.fields {
		// The Kelvin sign is a k, too.
		if bytes.EqualFold(st.fields[i].name, text) {
			return 0, false
		}
	}
	st.names.learn(s, *at, text)
	return -1, true
}
