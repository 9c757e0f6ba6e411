package avrovalue

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/avro"
)

// Reader reads what was written with one schema as another schema has it, by the rules of Avro's schema resolution. It may be used from
// several goroutines.
//
// Pairs of schemas of which all values are read are the library's. It refuses the others whole, where the specification refuses single
// values: those of a union's branch, or symbols of an enum, that the reader does not have. Values of such pairs are first rewritten
// as the reader's schema has them. So are pairs with another logical type, such as another unit of time: the library would read a number
// of milliseconds as one of microseconds, and here such a value is refused.
type Reader struct {
	schema  *avro.Schema
	rewrite *step // nil: the schema reads the writer's bytes itself
}

// Resolve prepares a Reader. That no value at all can be read is no error here, but of each value.
func Resolve(writer, reader *avro.Schema) (*Reader, error) {
	resolved, refused := avro.Resolve(writer, reader)
	root, clash, err := resolve(writer, reader)
	if refused == nil && !clash {
		return &Reader{schema: resolved}, nil
	}
	return &Reader{reader, root}, err
}

// resolve prepares the rewriting of a pair. clash is whether there are values that would be others as the reader has them.
func resolve(writer, reader *avro.Schema) (root *step, clash bool, err error) {
	from, err := Compile(writer)
	if err != nil {
		return nil, false, fmt.Errorf("the schema that was written with: %w", err)
	}
	to, err := Compile(reader)
	if err != nil {
		return nil, false, fmt.Errorf("the schema that it is read with: %w", err)
	}
	r := &resolver{known: map[[2]*node]*step{}, tries: maxTries}
	root = r.step(to.root, from.root)
	return root, r.clash, nil
}

// step is how the values of one written type are rewritten as a type that is read. A pair of types that comes twice is one step.
type step struct {
	read, written *node
	refused       error   // of each value
	branches      []*step // of a written union
	branch        int64   // of the read union
	as            *step   // what follows the branch of the read union
	items         *step
	symbols       []int64 // which symbol is read for each that is written, -1 for none
	fields        []move  // of the written record
	inOrder       bool    // the fields are read in the order in which they are written, each once
}

// move is where a written field goes. None: it is skipped.
type move struct {
	written *node
	to      []int
	as      []*step
}

type resolver struct {
	known map[[2]*node]*step
	tries int
	clash bool // two logical types do not go together
}

func (r *resolver) step(read, written *node) *step {
	pair := [2]*node{read, written}
	if s := r.known[pair]; s != nil {
		return s
	}
	s := &step{read: read, written: written}
	r.known[pair] = s
	switch {
	case written.kind == "union":
		for _, b := range written.branches {
			s.branches = append(s.branches, r.step(read, b))
		}
	case read.kind == "union":
		if i := r.choose(read, written); i >= 0 {
			s.branch, s.as = int64(i), r.step(read.branches[i], written)
		} else {
			s.refused = fmt.Errorf("%s was written, and it is read as one of %s", written.called(), read.branchNames())
		}
	case !matches(read, written):
		s.refused = fmt.Errorf("%s was written, and it is read as %s", written.called(), read.called())
	case clash(read, written) != "":
		s.refused, r.clash = errors.New(clash(read, written)), true
	case written.kind == "array", written.kind == "map":
		s.items = r.step(read.items, written.items)
	case written.kind == "enum":
		s.symbols = symbols(read, written)
	case written.kind == "record":
		r.fields(s)
	}
	return s
}

func clash(read, written *node) string { return Clash(read.meaning(), written.meaning()) }

func (n *node) meaning() Logical { return Logical{n.logical, n.digits, n.scale} }

// fields resolves the fields of two records. A field is found by its name before its aliases, and one written field may be read as several.
func (r *resolver) fields(s *step) {
	s.fields, s.inOrder = make([]move, len(s.written.fields)), true
	for i := range s.written.fields {
		s.fields[i].written = s.written.fields[i].node
	}
	last := -1
	for to := range s.read.fields {
		from := s.written.sourceOf(&s.read.fields[to])
		if from < 0 {
			if !s.read.fields[to].has {
				s.refused = fmt.Errorf("the field %s is read, was not written, and has no default", s.read.fields[to].name)
				return
			}
			continue
		}
		m := &s.fields[from]
		m.to, m.as = append(m.to, to), append(m.as, r.step(s.read.fields[to].node, m.written))
		s.inOrder = s.inOrder && from > last
		last = from
	}
}

// sourceOf is which written field a field is read from, -1 for none.
func (n *node) sourceOf(f *field) int {
	for _, name := range append([]string{f.name}, f.aliases...) {
		if i, ok := n.at[name]; ok {
			return i
		}
	}
	return -1
}

func symbols(read, written *node) []int64 {
	list := make([]int64, len(written.symbols))
	for i, symbol := range written.symbols {
		at, ok := read.at[symbol]
		if !ok {
			at, ok = read.at[read.otherwise]
			ok = ok && read.defaulted
		}
		if !ok {
			at = -1
		}
		list[i] = int64(at)
	}
	return list
}

// choose finds the branch of a union that reads a written type, -1 for none: the first that takes all its values, or else the first that
// takes some, where a full name goes before the last part of a name, and the same type before a wider one.
func (r *resolver) choose(union, written *node) int {
	var found []int
	for _, same := range []func(read, written *node) bool{
		func(read, written *node) bool {
			return read.kind == written.kind && (!read.named() || read.name == written.name || slices.Contains(read.aliases, written.name))
		},
		func(read, written *node) bool { return read.kind == written.kind },
		func(read, written *node) bool { return true },
	} {
		for i, b := range union.branches {
			if matches(b, written) && same(b, written) && !slices.Contains(found, i) {
				found = append(found, i)
			}
		}
	}
	if len(found) == 0 {
		return -1
	}
	if len(found) > 1 && union.branches[found[0]].named() {
		for _, i := range found {
			if r.all(union.branches[i], written, map[[2]*node]bool{}) {
				return i
			}
		}
	}
	return found[0]
}

// all says whether all values of a written type are read. It gives up where alternatives within alternatives multiply.
func (r *resolver) all(read, written *node, seen map[[2]*node]bool) bool {
	pair := [2]*node{read, written}
	if seen[pair] {
		return true
	}
	if r.tries--; r.tries < 0 {
		return false
	}
	seen[pair] = true
	switch {
	case written.kind == "union":
		return !slices.ContainsFunc(written.branches, func(b *node) bool { return !r.all(read, b, seen) })
	case read.kind == "union":
		return slices.ContainsFunc(read.branches, func(b *node) bool { return r.all(b, written, maps.Clone(seen)) })
	case !matches(read, written), clash(read, written) != "":
		return false
	case written.items != nil:
		return r.all(read.items, written.items, seen)
	case written.kind == "enum":
		return !slices.Contains(symbols(read, written), -1)
	}
	for i := range read.fields {
		f := &read.fields[i]
		from := written.sourceOf(f)
		if from < 0 && !f.has || from >= 0 && !r.all(f.node, written.fields[from].node, seen) {
			return false
		}
	}
	return true
}

// matches says whether a written type is read as another at all, whatever their parts are. Neither is a union.
func matches(read, written *node) bool {
	switch {
	case read.kind != written.kind:
		return slices.Contains(wider[written.kind], read.kind)
	case !read.named():
		return true
	case read.kind == "fixed" && read.size != written.size:
		return false
	}
	return short(read.name) == short(written.name) || slices.Contains(read.aliases, written.name) || slices.Contains(read.aliases, short(written.name))
}

// wider are the types as which a written primitive type is read too.
var wider = map[string][]string{
	"int":    {"long", "float", "double"},
	"long":   {"float", "double"},
	"float":  {"double"},
	"string": {"bytes"},
	"bytes":  {"string"},
}

func (n *node) named() bool { return n.kind == "record" || n.kind == "enum" || n.kind == "fixed" }

// called is a type as an error has it.
func (n *node) called() string {
	switch {
	case n.kind == "fixed":
		return fmt.Sprintf("fixed %s of %d bytes", n.name, n.size)
	case n.named():
		return n.kind + " " + n.name
	case n.kind == "union":
		return "one of " + n.branchNames()
	}
	return n.kind
}

func short(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }
