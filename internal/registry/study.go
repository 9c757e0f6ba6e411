package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/weirstream/weir/internal/schema"
)

// view is the state as one request sees it, with what the request has found out about schemas.
type view struct {
	*state
	*study
}

// study is what one request has found out about schemas. Parsing and comparing them may take long, and whoever holds the lock of
// the state keeps everybody else from it. So nothing is parsed with the state at hand: a question that meets a schema which nobody
// has parsed yet notes it and ends with errUnstudied, and is asked again when that is done.
type study struct {
	parsed *parsed
	known  map[string]studied
	todo   map[string]func() (any, error)
}

type studied struct {
	result any
	err    error
}

var errUnstudied = errors.New("schemas are to be parsed first")

func (r *Registry) newStudy() *study {
	return &study{parsed: &r.parsed, known: map[string]studied{}, todo: map[string]func() (any, error){}}
}

// settle calls try, which has the state locked at times, until it needs to know nothing more, and does in between what it noted.
func (w *study) settle(ctx context.Context, try func() error) error {
	for {
		err := try()
		if !errors.Is(err, errUnstudied) {
			return err
		}
		for name, do := range w.todo {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			result, err := do()
			w.known[name] = studied{result, err}
		}
		clear(w.todo)
	}
}

// learn is what do returns, or errUnstudied where it was not called yet.
func learn[T any](w *study, name string, do func() (T, error)) (T, error) {
	if s, ok := w.known[name]; ok {
		result, _ := s.result.(T)
		return result, s.err
	}
	w.todo[name] = func() (any, error) { return do() }
	var none T
	return none, errUnstudied
}

// understood is a schema that was parsed, under a name that is that of its source.
type understood struct {
	*schema.Schema
	name string
}

// parse understands a source. What is understood as a new schema is the same where it is stored.
func (w *study) parse(src schema.Source) (*understood, error) {
	name := nameOf(src)
	as := name
	s := w.parsed.get(name)
	if s == nil && src.Stored {
		as = "stored " + name
		s = w.parsed.get(as)
	}
	if s != nil {
		return &understood{s, name}, nil
	}
	s, err := learn(w, as, func() (*schema.Schema, error) {
		s, err := w.parsed.parse(src)
		if err == nil {
			w.parsed.put(as, s, sizeOf(src))
		}
		return s, err
	})
	return &understood{s, name}, err
}

// compare is what schema.Check says.
func (w *study) compare(level schema.Level, old []*understood, next *understood) ([]schema.Incompatibility, error) {
	name := string(level) + next.name
	all := make([]*schema.Schema, len(old))
	for i, o := range old {
		name += o.name
		all[i] = o.Schema
	}
	return learn(w, name, func() ([]schema.Incompatibility, error) { return schema.Check(level, all, next.Schema), nil })
}

// pack is schema.Packed.
func (w *study) pack(s *understood) (string, error) { return learn(w, "packed"+s.name, s.Packed) }

// resolve is schema.Resolved.
func (w *study) resolve(src schema.Source) (string, error) {
	return learn(w, "resolved"+nameOf(src), func() (string, error) { return schema.Resolved(src) })
}

// nameOf is a source's name: those with another text, type or imports have another one. That it is stored is not in it.
func nameOf(src schema.Source) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d %s", src.Type, len(src.Text), src.Text)
	for _, in := range src.Imports {
		fmt.Fprintf(h, " %d %s %d %s", len(in.Name), in.Name, len(in.Text), in.Text)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sizeOf(src schema.Source) int {
	n := len(src.Text)
	for _, in := range src.Imports {
		n += len(in.Text)
	}
	return n
}

// parsed are schemas that were parsed, since the versions of a subject are compared again and again.
type parsed struct {
	parse func(schema.Source) (*schema.Schema, error)

	mu   sync.Mutex
	all  map[string]*schema.Schema
	size int // of their sources
}

// mostParsed bounds the text of what is kept parsed; a schema takes about ten times its text.
const mostParsed = 8 << 20

func (p *parsed) get(name string) *schema.Schema {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[name]
}

func (p *parsed) put(name string, s *schema.Schema, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil || p.size+size > mostParsed {
		p.all, p.size = map[string]*schema.Schema{}, 0
	}
	if p.all[name] == nil {
		p.all[name] = s
		p.size += size
	}
}
