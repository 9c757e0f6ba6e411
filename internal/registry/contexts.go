package registry

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Who names a subject without a context means that of the default one, or else one of its name in another context, the first by the contexts'
// names. So are schemas found that were brought into a context from another registry: clients go by the names of topics, which know no contexts.
// Confluent's registry looks in the same order.

// elsewhere are the subjects in other contexts that have the name of one of the default context.
func (s *state) elsewhere(subject string) (list []string) {
	context, name := contextOf(subject)
	if context != defaultContext || name == "" {
		return nil
	}
	for _, context := range slices.Sorted(maps.Keys(s.contexts)) {
		if other := qualify(context, name); s.subjects[other] != nil {
			list = append(list, other)
		}
	}
	return list
}

// anywhere asks of a subject, and of those elsewhere where that finds nothing. What is told then is of the subject itself.
func anywhere[T any](s *state, subject string, ask func(subject string) (T, error)) (T, error) {
	found, err := ask(subject)
	if err == nil || errors.Is(err, errUnstudied) {
		return found, err
	}
	for _, other := range s.elsewhere(subject) {
		if there, failed := ask(other); failed == nil || errors.Is(failed, errUnstudied) {
			return there, failed
		}
	}
	return found, err
}

// versionIn is the version that a request's path names.
func versionIn(q *http.Request, v view, deleted bool) (*Entry, error) {
	return anywhere(v.state, subjectIn(q), func(subject string) (*Entry, error) {
		return v.version(subject, q.PathValue("version"), deleted)
	})
}

// ofID are the entries of an id, those of the subject first that is asked for, the latest of them foremost. An id of the default context is one
// in another context where the subject of that name there has it and the subject itself has not.
func ofID(q *http.Request, v view) ([]*Entry, error) {
	id, err := strconv.Atoi(q.PathValue("id"))
	if err != nil {
		return nil, refuse(404, "HTTP 404 Not Found")
	}
	within := cmp.Or(strings.Trim(q.PathValue("context"), ":"), defaultContext)
	subject := qualify(within, q.URL.Query().Get("subject"))
	has := func(e *Entry) bool { return e.Subject == subject }
	for _, name := range append([]string{subject}, v.elsewhere(subject)...) {
		context, _ := contextOf(name)
		list := v.ids[idKey{context, id}]
		if slices.ContainsFunc(list, func(e *Entry) bool { return e.Subject == name }) {
			subject = name
			break
		}
	}
	context, _ := contextOf(subject)
	list := slices.Clone(v.ids[idKey{context, id}])
	if len(list) == 0 {
		return nil, noSchemaOf(id)
	}
	slices.SortFunc(list, func(a, b *Entry) int {
		switch {
		case has(a) && has(b):
			return b.Version - a.Version
		case has(a):
			return -1
		case has(b):
			return 1
		}
		return cmp.Or(strings.Compare(a.Subject, b.Subject), a.Version-b.Version)
	})
	return list, nil
}

// qualified are references with the context that they are looked for in, where they are asked for so: who has an entry by its id does not know
// in which context that is.
func qualified(q *http.Request, e *Entry) []Reference {
	context, _ := contextOf(e.Subject)
	if q.URL.Query().Get("referenceFormat") != "qualified" || context == defaultContext {
		return e.References
	}
	list := slices.Clone(e.References)
	for i := range list {
		list[i].Subject = qualify(context, list[i].Subject)
	}
	return list
}
