// Package avrovalue turns JSON documents into Avro's binary encoding and back, by a schema, in one pass and with the place of a mistake.
//
// It reads JSON as people write it and as Avro's specification does: the value of a union stands alone where only one branch takes it,
// or as {"branch": value}; bytes are a string of the characters up to U+00FF; a decimal may be a number; dates and times may be texts
// of RFC 3339. A field that is left out has its default, or null where its type admits it; a field that the schema does not have is a
// mistake. What it writes, it reads.
//
// Resolve reads what was written with another version of a schema.
package avrovalue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/avro"

	"github.com/weirstream/weir/internal/schema/source"
)

// Parse has the library understand a schema that values are read with, and what it refers to, each import after its own. Logical types that
// cannot be are ignored, as the specification has it.
func Parse(text string, imports []source.Import) (*avro.Schema, error) {
	s, err := parseAll(text, imports, &parser{})
	if err != nil && strings.Contains(err.Error(), "collides with another field name or alias") {
		err = fmt.Errorf("%w: readers in Go take no alias that is the name or an alias of another field, since they could not tell which of the two was written: take the alias out", err)
	}
	return s, err
}

// ParseWritten is Parse of a new schema that values are written with, where aliases mean nothing. The library refuses those that two fields share,
// which Java and Python do not; they are left out. What it refers to is registered already: see ParseStored.
func ParseWritten(text string, imports []source.Import) (*avro.Schema, error) {
	return parseAll(text, imports, &parser{written: true, references: true})
}

// ParseStored is ParseWritten of a schema that a registry has already. Other registries took, and read, what they refuse of new schemas today: names
// with other characters, such as the dashes of Debezium's namespaces, and defaults that are none, which no writer needs. They are left out.
func ParseStored(text string, imports []source.Import) (*avro.Schema, error) {
	return parseAll(text, imports, &parser{written: true, references: true, stored: true})
}

func parseAll(text string, imports []source.Import, p *parser) (*avro.Schema, error) {
	p.defaults.types = map[string]definition{}
	for _, in := range imports {
		if _, err := p.parse(in.Text, p.stored || p.references); err != nil {
			return nil, fmt.Errorf("reference %s: %w", in.Name, err)
		}
	}
	return p.parse(text, p.stored)
}

// Schema converts values of one schema. It may be used from several goroutines.
type Schema struct{ root *node }

// Compile prepares a schema that the library has understood.
func Compile(s *avro.Schema) (*Schema, error) {
	c := &compiler{names: map[string]*node{}}
	root, err := c.node(s.Root(), "")
	if err != nil {
		return nil, err
	}
	for _, fill := range c.later {
		if err := fill(); err != nil {
			return nil, err
		}
	}
	return &Schema{root}, nil
}

// node is a type. A named type that is used twice is one node.
type node struct {
	kind     string // record, enum, array, map, union, fixed, or a primitive type
	name     string // as a branch of a union is called: the full name, or the kind
	logical  string // "" where the type cannot have what the schema says
	scale    int
	digits   int // a decimal's precision
	size     int
	fields   []field
	at       map[string]int // fields and symbols
	symbols  []string
	aliases  []string // full names, and as they are written
	items    *node    // of an array, or the values of a map
	branches []*node
	null     int // which branch is null, -1 for none
	only     int // which branch is the only one but null, -1 for none

	otherwise string // the symbol that is read for those that an enum does not have
	defaulted bool   // there is one
}

type field struct {
	name    string
	node    *node
	aliases []string
	encoded []byte // its default
	has     bool
}

type compiler struct {
	names map[string]*node
	later []func() error
}

var primitives = []string{"null", "boolean", "int", "long", "float", "double", "bytes", "string"}

func (c *compiler) node(s *avro.SchemaNode, space string) (n *node, err error) {
	logical := LogicalOf(s.Type, s.Size, Logical{s.LogicalType, s.Precision, s.Scale})
	n = &node{kind: s.Type, name: s.Type, logical: logical.Name, scale: logical.Scale, digits: logical.Digits, size: s.Size, null: -1, only: -1}
	switch s.Type {
	case "record", "error", "enum", "fixed":
		n.name = fullName(s)
		if known := c.names[n.name]; known != nil {
			return known, nil
		}
		c.names[n.name] = n
		space = n.name[:max(0, strings.LastIndexByte(n.name, '.'))]
		n.aliases = aliases(s.Aliases, space)
	}
	switch s.Type {
	case "record", "error":
		n.kind, n.at = "record", map[string]int{}
		for i := range s.Fields {
			f := &s.Fields[i]
			made := field{name: f.Name, aliases: f.Aliases}
			if made.node, err = c.node(&f.Type, space); err != nil {
				return nil, err
			}
			n.at[f.Name] = i
			n.fields = append(n.fields, made)
			if f.HasDefault {
				c.later = append(c.later, func() error { return n.fields[i].fill(f) })
			}
		}
	case "enum":
		n.symbols, n.at, n.otherwise, n.defaulted = s.Symbols, map[string]int{}, s.EnumDefault, s.HasEnumDefault
		for i, symbol := range s.Symbols {
			n.at[symbol] = i
		}
	case "array":
		n.items, err = c.node(s.Items, space)
	case "map":
		n.items, err = c.node(s.Values, space)
	case "union":
		for i := range s.Branches {
			branch, err := c.node(&s.Branches[i], space)
			if err != nil {
				return nil, err
			}
			n.branches = append(n.branches, branch)
		}
		n.null = slices.IndexFunc(n.branches, func(b *node) bool { return b.kind == "null" })
		if len(n.branches) == 1 && n.null < 0 || len(n.branches) == 2 && n.null >= 0 {
			n.only = slices.IndexFunc(n.branches, func(b *node) bool { return b.kind != "null" })
		}
	case "fixed":
	default:
		if !slices.Contains(primitives, s.Type) {
			return c.named(s, space)
		}
	}
	return n, err
}

// named finds the type of a name; one of an import is defined elsewhere.
func (c *compiler) named(s *avro.SchemaNode, space string) (*node, error) {
	for _, name := range []string{space + "." + s.Type, s.Type} {
		if n := c.names[name]; n != nil {
			return n, nil
		}
	}
	defined, err := s.Schema(anyNames)
	if err != nil {
		return nil, fmt.Errorf("type %q is not defined: %w", s.Type, err)
	}
	root := defined.Root()
	if root.Type == s.Type {
		return nil, fmt.Errorf("type %q is not defined", s.Type)
	}
	return c.node(root, "")
}

func fullName(s *avro.SchemaNode) string {
	if s.Namespace == "" || strings.Contains(s.Name, ".") {
		return s.Name
	}
	return s.Namespace + "." + s.Name
}

// aliases are the names that a type had, in full where they are of its namespace, and as they are written.
func aliases(written []string, space string) []string {
	list := slices.Clone(written)
	for _, a := range written {
		if space != "" && !strings.Contains(a, ".") {
			list = append(list, space+"."+a)
		}
	}
	return list
}

// fill encodes a default. A union's is of the first branch that takes it.
func (f *field) fill(s *avro.SchemaField) error {
	of, err := s.Type.Schema(anyNames)
	if err == nil {
		f.encoded, err = of.Encode(s.Default)
	}
	if err != nil {
		return fmt.Errorf("the default of field %s: %w", f.name, err)
	}
	f.has = true
	return nil
}
