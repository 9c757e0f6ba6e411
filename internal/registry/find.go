package registry

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema"
)

// lookup finds the version of a subject that a schema is.
func (v view) lookup(subject string, q *Request, normalize, deleted bool) (*Entry, error) {
	all, live := v.versions(subject, deleted), v.versions(subject, false)
	if len(all) == 0 {
		return nil, noSubject(subject)
	}
	// A client that registered it need not have sent its contract.
	among := among{v, all, live, func(*Entry) bool { return true }, true, len(live) > 0}
	_, _, same, err := v.find(subject, q, normalize, true, among)
	if err == nil && same == nil {
		err = noSchema()
	}
	return same, err
}

// among are the versions among which a schema is looked for.
type among struct {
	view
	versions, live []*Entry
	allowed        func(*Entry) bool
	asSent         bool // with the contract that was sent
	completed      bool // with the one that it has when what was left out is filled in
}

// find finds the version that a request's schema is, or else says what it is in canonical form. A text that is stored is found as it is: it may be one
// that this program does not understand, or would not take as a new schema. stored says that the request's is one that a registry has.
func (v view) find(subject string, q *Request, normalize, stored bool, in among) (e *Entry, next *understood, same *Entry, err error) {
	sent, err := v.sent(subject, q)
	if err != nil {
		return nil, nil, nil, err
	}
	identical := func() *Entry {
		text := *sent
		same, _ := in.look(&text, in.identical)
		return same
	}
	if !normalize && !v.normalizes(subject) {
		if same := identical(); same != nil {
			return nil, nil, same, nil
		}
	}
	e, next, err = v.understand(subject, q, normalize, stored)
	if err == nil {
		same, err = in.look(e, in.same)
		return e, next, same, err
	}
	if same := identical(); same != nil {
		return nil, nil, same, nil
	}
	if !stored && !errors.Is(err, errUnstudied) {
		old, _, refused := v.understand(subject, q, normalize, true)
		if errors.Is(refused, errUnstudied) {
			return nil, nil, nil, refused
		}
		if refused == nil {
			if same, refused := in.look(old, in.same); refused != nil || same != nil {
				return nil, nil, same, refused
			}
		}
	}
	return nil, nil, nil, err
}

// look looks for an entry, and leaves it with the contract that it would be registered with.
func (a *among) look(e *Entry, is func(*Entry) (*Entry, error)) (*Entry, error) {
	sent := e.content
	if a.asSent {
		if same, err := is(e); err != nil || same != nil {
			return same, err
		}
	}
	if a.completed {
		if a.complete(e, a.live); !a.asSent || e.content != sent {
			return is(e)
		}
	}
	return nil, nil
}

// identical finds the version with the same text.
func (a *among) identical(e *Entry) (*Entry, error) {
	for _, old := range slices.Backward(a.versions) {
		if old.Schema == e.Schema && old.SchemaType == e.SchemaType && sameReferences(old.References, e.References) && a.allowed(old) && sameContract(e, old) {
			return old, nil
		}
	}
	return nil, nil
}

// has says whether the text of a request is that of a version.
func (v view) has(subject string, q *Request) bool {
	all := v.versions(subject, false)
	in := among{v, all, all, func(*Entry) bool { return true }, true, true}
	e, err := v.sent(subject, q)
	if err == nil {
		e, _ = in.look(e, in.identical)
	}
	return err == nil && e != nil
}

// same finds the version that means the same.
func (a *among) same(e *Entry) (*Entry, error) { return a.view.same(a.versions, e, a.allowed) }

// asItIs is the entry of a schema that an import brings with its id and that is not understood here: records were written with it elsewhere. What it
// refers to must be there, and others must be able to take it for a schema of its type.
func (v view) asItIs(subject string, q *Request, why error) (*Entry, error) {
	e, err := v.sent(subject, q)
	if err != nil {
		return nil, err
	}
	if _, err := v.source(e); err != nil {
		return nil, why
	}
	if strings.TrimSpace(e.Schema) == "" || e.SchemaType != string(schema.Protobuf) && !json.Valid([]byte(e.Schema)) {
		return nil, why
	}
	return e, nil
}

// same finds the version that is a schema. Other registries store another form of it than this one, Karapace with its members in
// the order of their names: what is meant counts. A schema that is sent without references may be a version with them whose text is the same, or
// that of Avro with what it refers to written out.
func (v view) same(versions []*Entry, e *Entry, allowed func(*Entry) bool) (*Entry, error) {
	for _, old := range slices.Backward(versions) {
		if old.content == e.content && allowed(old) {
			return old, nil
		}
	}
	unstudied := false
	for _, old := range slices.Backward(versions) {
		within := len(e.References) == 0 && len(old.References) > 0
		if old.SchemaType != e.SchemaType || !allowed(old) || !sameContract(e, old) || !within && !sameReferences(e.References, old.References) {
			continue
		}
		parsed, err := v.old(old)
		is := err == nil && (old.Schema == e.Schema || parsed.Text == e.Schema || parsed.Normal == e.Schema)
		if err == nil && !is && within && e.SchemaType == "" {
			is, err = v.writtenOut(e, old)
		}
		if errors.Is(err, errUnstudied) {
			unstudied = true
		}
		if is && !unstudied { // one that this server does not understand is another one
			return old, nil
		}
	}
	if unstudied {
		return nil, errUnstudied
	}
	return nil, nil
}

func byName(a, b Reference) int { return strings.Compare(a.Name, b.Name) }

// sameReferences says whether two lists refer to the same: their order, which normalizing changes, means nothing.
func sameReferences(a, b []Reference) bool {
	return slices.Equal(slices.SortedStableFunc(slices.Values(a), byName), slices.SortedStableFunc(slices.Values(b), byName))
}

// writtenOut says whether two Avro schemas are the same with all that they refer to in their texts.
func (v view) writtenOut(e, old *Entry) (bool, error) {
	var texts [2]string
	unstudied := false
	for i, one := range []*Entry{e, old} {
		src, err := v.source(one)
		if err == nil {
			texts[i], err = v.resolve(src)
		}
		if errors.Is(err, errUnstudied) {
			unstudied = true // the other one is noted as well
		} else if err != nil {
			return false, err
		}
	}
	if unstudied {
		return false, errUnstudied
	}
	return texts[0] == texts[1], nil
}
