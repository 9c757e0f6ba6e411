// Package jsonvalue checks JSON documents against JSON schemas and says where in the document each mistake is.
package jsonvalue

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/schema/source"
)

// base is where a schema and its references are said to be, so that a relative $ref finds a reference by its name.
const base = "weir:///schemas/"

// noLoader keeps a schema from naming files and addresses that would be read.
type noLoader struct{}

func (noLoader) Load(at string) (any, error) {
	name := strings.TrimPrefix(at, base)
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	return nil, fmt.Errorf("no reference is named %q", name)
}

// located is where a reference is by its name: what a $ref of that name comes to, so ./a.json is a.json, and urn:a is itself.
func located(name string) string {
	at, err1 := url.Parse(base)
	ref, err2 := url.Parse(name)
	switch {
	case strings.Contains(name, "://"):
		return name
	case errors.Join(err1, err2) != nil || ref.Fragment != "" || name == main:
		return base + name
	}
	return at.ResolveReference(ref).String()
}

// Parse compiles a schema with what it refers to, for those who look at what it says. One that names no draft is of draft 7. See Compile for
// checking documents.
func Parse(text string, imports []source.Import) (*jsonschema.Schema, error) {
	c, err := compiler(text, imports)
	if err != nil {
		return nil, err
	}
	return compile(c, main)
}

// main is what the schema itself is called.
const main = "%00schema"

func compile(c *jsonschema.Compiler, name string) (*jsonschema.Schema, error) {
	s, err := c.Compile(base + name)
	if err == nil {
		refsAlone(s, map[*jsonschema.Schema]bool{})
		err = circle(s)
	}
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(why(err), base+main, ""))
	}
	return s, nil
}

// compiler has read a schema, as main, and what it refers to.
func compiler(text string, imports []source.Import) (*jsonschema.Compiler, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(compilePattern)
	added := map[string]bool{}
	add := func(name, text string) error {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		enumsOnce(v, InSchema)
		name = located(name)
		added[name] = true
		return c.AddResource(name, v)
	}
	from := []string{idOf(text)}
	for _, in := range imports {
		if err := add(in.Name, in.Text); err != nil {
			return nil, fmt.Errorf("reference %s: %w", in.Name, err)
		}
		from = append(from, idOf(in.Text), located(in.Name))
	}
	for _, in := range imports { // a relative $ref is one to the schema's own $id, or to where that is
		for _, id := range from {
			if at := resolved(id, in.Name); at != "" && !added[at] {
				if err := add(at, in.Text); err != nil {
					return nil, fmt.Errorf("reference %s: %w", in.Name, err)
				}
			}
		}
	}
	return c, add(main, text)
}

// idOf is the $id of a schema, "" for none.
func idOf(text string) string {
	var schema struct {
		ID string `json:"$id"`
	}
	_ = json.Unmarshal([]byte(text), &schema) // what is no object has none
	return schema.ID
}

// resolved is what the relative name of a reference comes to in a schema that has an absolute $id, "" for none (JSON Schema core, 8.2).
func resolved(schema, name string) string {
	id, err := url.Parse(schema)
	if err != nil || !id.IsAbs() {
		return ""
	}
	ref, err := url.Parse(name)
	if err != nil || ref.IsAbs() {
		return ""
	}
	at := id.ResolveReference(ref)
	at.Fragment = ""
	return at.String()
}

// enumsOnce takes repeated values out of enums. The specification advises against them, and the library refuses the schema.
func enumsOnce(v any, part Part) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			enumsOnce(e, part)
		}
	case map[string]any:
		for name, below := range v {
			if list, ok := below.([]any); ok && part == InSchema && name == "enum" {
				v[name] = once(list)
			} else if next := part.Below(name); next != InValue {
				enumsOnce(below, next)
			}
		}
	}
}

func once(list []any) (left []any) {
	seen := map[string]bool{}
	for _, v := range list {
		if key := string(appendKey(nil, v)); !seen[key] {
			seen[key] = true
			left = append(left, v)
		}
	}
	return left
}

// decoded is a document as a value, with json.Number for numbers. A document that RFC 8259 does not describe, or in which a name comes twice,
// is none. long says that it has numbers that it is work to calculate with.
func decoded(document []byte) (v any, long bool, err error) {
	d := decoder{Scanner: jsonscan.New(document)}
	v, err = d.value()
	if err == nil {
		err = d.End()
	}
	if err != nil {
		return nil, false, jsonscan.Located(err)
	}
	return v, d.long, nil
}

// decoder makes values of a document, as jsonschema wants them.
type decoder struct {
	jsonscan.Scanner
	long bool
}

func (d *decoder) value() (any, error) {
	switch d.Peek() {
	case '{':
		object := map[string]any{}
		return object, d.Object(func(name []byte) error {
			v, err := d.value()
			object[string(name)] = v
			return err
		})
	case '[':
		list := []any{}
		err := d.Array(func(int) error {
			v, err := d.value()
			list = append(list, v)
			return err
		})
		return list, err
	case '"':
		s, err := d.String()
		return string(s), err
	case '0':
		n, err := d.Number()
		if err == nil && Expensive(string(n)) {
			err = errors.New("a number has an exponent of over three digits, or over a thousand digits")
		}
		d.long = d.long || weightOfNumber(json.Number(n)) > 0
		return json.Number(n), err
	case 't', 'f':
		return d.Bool()
	case 'n':
		return nil, d.Null()
	}
	return nil, d.Skip() // it says what there is instead of a value
}

// Expensive says whether a number is expensive to calculate with.
func Expensive(n string) bool {
	at := strings.IndexAny(n, "eE")
	return len(n) > 1000 || at >= 0 && len(strings.TrimLeft(n[at+1:], "+-0")) > 3
}
