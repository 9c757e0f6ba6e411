package avrovalue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// HasText says whether a value of the schema may have a text or a number at a path, which is the names of the fields that lead to it, with dots
// between them. A union has it where a branch has.
func (s *Schema) HasText(path string) error { return s.root.hasText(path) }

var errNoText = errors.New("it is neither a text nor a number")

func (n *node) hasText(path string) error {
	if n.kind == "union" {
		err := errNoText
		for _, branch := range n.branches {
			if branch.kind == "null" {
				continue
			}
			if err = branch.hasText(path); err == nil {
				return nil
			}
		}
		return err
	}
	name, rest, _ := strings.Cut(path, ".")
	switch {
	case path == "" && slices.Contains([]string{"string", "bytes", "fixed", "enum", "int", "long", "float", "double"}, n.kind):
		return nil
	case path == "":
		return errNoText
	case n.kind == "map":
		return n.items.hasText(rest)
	case n.kind != "record":
		return fmt.Errorf("%s has no fields, so no field %s", n.kind, name)
	}
	i, ok := n.at[name]
	if !ok {
		names := make([]string, len(n.fields))
		for i := range n.fields {
			names[i] = n.fields[i].name
		}
		return fmt.Errorf("the record %s has no field %s, but %s", n.name, name, strings.Join(names, ", "))
	}
	return n.fields[i].node.hasText(rest)
}

// ManyForms says whether JSON has several forms of a field: a time as a text and as a number, a UUID as a text and as bytes.
func (s *Schema) ManyForms(path string) bool { return s.root.manyForms(path) }

func (n *node) manyForms(path string) bool {
	if n.kind == "union" {
		return slices.ContainsFunc(n.branches, func(b *node) bool { return b.manyForms(path) })
	}
	name, rest, _ := strings.Cut(path, ".")
	switch {
	case path == "":
		return n.logical != "" && n.kind != "string"
	case n.kind == "map":
		return n.items.manyForms(rest)
	}
	i, ok := n.at[name]
	return ok && n.kind == "record" && n.fields[i].node.manyForms(rest)
}
