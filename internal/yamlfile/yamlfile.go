// Package yamlfile reads files of YAML that people write: what is wrong in one is said in their words, with its line and what may stand there,
// and not in those of the types that it is read into.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/weirstream/weir/internal/settings"
)

// Decode reads a file into a struct whose fields have tags of YAML. A name that the struct does not have is an error, and so is a second
// document, which would be passed over. An empty file is none.
func Decode(data []byte, into any) error {
	var root yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&root); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return plain(err)
	}
	var second yaml.Node
	switch err := d.Decode(&second); {
	case err == nil:
		return fmt.Errorf("line %d: a second document, and a file has one: write it into a file of its own", max(1, second.Line))
	case !errors.Is(err, io.EOF):
		return plain(err)
	}
	var errs []error
	for _, n := range root.Content {
		check(n, reflect.TypeOf(into).Elem(), "the file", &errs)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return plain(root.Decode(into))
}

// check compares a part of a file with the type that it is read into.
func check(n *yaml.Node, t reflect.Type, name string, errs *[]error) {
	wrong := func(format string, args ...any) {
		*errs = append(*errs, fmt.Errorf("line %d: %s", n.Line, fmt.Sprintf(format, args...)))
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if n.Kind == yaml.AliasNode || n.Tag == "!!null" {
		return // decoded where it stands, or nothing
	}
	switch t.Kind() {
	case reflect.Struct:
		if n.Kind != yaml.MappingNode {
			wrong("%s has the fields %s, each on a line with its value", name, strings.Join(fields(t), ", "))
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if f, ok := field(t, key.Value); ok {
				check(n.Content[i+1], f, key.Value, errs)
			} else if key.Tag != "!!merge" {
				*errs = append(*errs, fmt.Errorf("line %d: %s", key.Line, unknown(key.Value, name, fields(t))))
			}
		}
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			wrong("%s is a list: write [a, b], or each on a line that begins with -", name)
			return
		}
		for _, c := range n.Content {
			check(c, t.Elem(), "each of "+name, errs)
		}
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			wrong("%s has names with a value each, such as {a: b}", name)
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			check(n.Content[i+1], t.Elem(), n.Content[i].Value, errs)
		}
	default:
		if n.Kind != yaml.ScalarNode || n.Decode(reflect.New(t).Interface()) != nil {
			wrong("%s is %s", name, kind(t))
		}
	}
}

func unknown(key, in string, known []string) string {
	if len(key) > 100 {
		key = key[:100] + "..."
	}
	text := fmt.Sprintf("%s has no field %q", in, key)
	if near := settings.Nearest(key, known); near != "" {
		return fmt.Sprintf("%s: did you mean %q?", text, near)
	}
	return text + ", but " + strings.Join(known, ", ")
}

// kind is a type in words.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a text"
	}
	return "a whole number, and not a too large one"
}

// fields are the names of a struct in a file.
func fields(t reflect.Type) (list []string) {
	for i := range t.NumField() {
		if f := t.Field(i); inline(f) {
			list = append(list, fields(f.Type)...)
		} else if name := nameOf(f); name != "" {
			list = append(list, name)
		}
	}
	return list
}

func field(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if nameOf(f) == name && name != "" {
			return f.Type, true
		}
		if inline(f) {
			if in, ok := field(f.Type, name); ok {
				return in, true
			}
		}
	}
	return nil, false
}

// inline says whether the fields of a struct stand in the file beside those of the one that it is in.
func inline(f reflect.StructField) bool { return f.Tag.Get("yaml") == ",inline" }

func nameOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

var atFirst = regexp.MustCompile(`^yaml: (?:unmarshal errors:\n\s*)?`)

// plain leaves out that it is the library which says it.
func plain(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(atFirst.ReplaceAllString(err.Error(), ""))
}
