package avrovalue

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/schema/source"
)

// defaults judges the defaults of fields as Avro's library for Java does, which another one is made with than that of this program.
type defaults struct {
	types   map[string]definition // by their full names
	unsized []string              // fixed types whose size is no number
	whole   bool                  // 1.0 is a whole number
	steps   int                   // that judging them may still take: a record with itself as a default takes more and more
}

// definition is a named type, and the namespace that its parts are in.
type definition struct {
	of    map[string]any
	inner string
}

var namedKinds = []string{"record", "error", "enum", "fixed"}

// place is a field of a record, and the namespace that it stands in.
type place struct {
	of            map[string]any
	record, space string
}

// walk notes the named types of a schema, and calls field for each field.
func (d *defaults) walk(v any, space string, field func(place)) {
	switch v := v.(type) {
	case []any:
		for _, branch := range v {
			d.walk(branch, space, field)
		}
	case map[string]any:
		record := ""
		kind, isName := v["type"].(string)
		if !isName {
			d.walk(v["type"], space, field)
		} else if slices.Contains(namedKinds, kind) {
			record, space = inSpace(v, space)
			d.types[record] = definition{v, space}
			if _, number := v["size"].(json.Number); kind == "fixed" && !number {
				d.unsized = append(d.unsized, record)
			}
		}
		d.walk(v["items"], space, field)
		d.walk(v["values"], space, field)
		fields, _ := v["fields"].([]any)
		for _, f := range fields {
			if f, ok := f.(map[string]any); ok {
				d.walk(f["type"], space, field)
				field(place{f, record, space})
			}
		}
	}
}

// inSpace is the full name of a named type, and the namespace that its parts are in.
func inSpace(t map[string]any, space string) (full, inner string) {
	name, _ := t["name"].(string)
	if at := strings.LastIndexByte(name, '.'); at >= 0 {
		return name, name[:at]
	}
	if own, ok := t["namespace"]; ok {
		space, _ = own.(string)
	}
	if space == "" {
		return name, ""
	}
	return space + "." + name, space
}

// none are the fields of a schema with a default that is none.
func (d *defaults) none(doc any) (fields []place) {
	var all []place
	d.unsized, d.steps = nil, mostSteps
	d.walk(doc, "", func(p place) {
		if _, has := p.of["default"]; has {
			all = append(all, p)
		}
	})
	for _, p := range all { // types may be defined after they are used
		if !d.fits(p.of["type"], p.space, p.of["default"], 0) {
			fields = append(fields, p)
		}
	}
	return fields
}

// Field is a field of a record, which has its full name.
type Field struct{ Record, Name string }

// NoDefaults are the fields with a default that is none, in a schema that ParseStored takes and in what it refers to.
func NoDefaults(text string, imports []source.Import) map[Field]bool {
	d, all := defaults{types: map[string]definition{}, whole: true}, map[Field]bool{}
	for _, in := range append(slices.Clip(imports), source.Import{Text: text}) {
		doc, _ := decoded(in.Text)
		for _, p := range d.none(doc) {
			name, _ := p.of["name"].(string)
			all[Field{p.record, name}] = true
		}
	}
	return all
}

// fits says whether a value is a default of a type. Types that are not known take everything, and so does what is too much work: the library
// judges it.
func (d *defaults) fits(t any, space string, v any, depth int) bool {
	if d.steps--; depth > mostDefault || d.steps < 0 {
		return true
	}
	switch t := t.(type) {
	case string:
		for _, name := range []string{space + "." + t, t} {
			if def, ok := d.types[name]; ok {
				return d.complex(def.of, def.inner, v, depth)
			}
		}
		return d.primitive(t, v)
	case []any:
		return slices.ContainsFunc(t, func(branch any) bool { return d.fits(branch, space, v, depth+1) })
	case map[string]any:
		if kind, ok := t["type"].(string); ok && slices.Contains(namedKinds, kind) {
			_, space = inSpace(t, space)
		}
		return d.complex(t, space, v, depth)
	}
	return true
}

const (
	mostDefault = 50
	mostSteps   = 1_000_000
)

func (d *defaults) complex(t map[string]any, space string, v any, depth int) bool {
	switch t["type"] {
	case "array":
		list, ok := v.([]any)
		return ok && !slices.ContainsFunc(list, func(e any) bool { return !d.fits(t["items"], space, e, depth+1) })
	case "map":
		table, ok := v.(map[string]any)
		for _, e := range table {
			ok = ok && d.fits(t["values"], space, e, depth+1)
		}
		return ok
	case "enum":
		text, ok := v.(string)
		symbols, _ := t["symbols"].([]any)
		return ok && slices.Contains(symbols, any(text))
	case "fixed":
		text, ok := v.(string)
		return ok && fmt.Sprint(t["size"]) == strconv.Itoa(utf8.RuneCountInString(text))
	case "record", "error":
		given, ok := v.(map[string]any)
		fields, _ := t["fields"].([]any)
		for _, f := range fields {
			f, _ := f.(map[string]any)
			name, _ := f["name"].(string)
			of, has := given[name]
			if !has {
				of, has = f["default"]
			}
			ok = ok && has && d.fits(f["type"], space, of, depth+1)
		}
		return ok
	}
	return d.fits(t["type"], space, v, depth+1)
}

func (d *defaults) primitive(kind string, v any) bool {
	n, number := v.(json.Number)
	_, text := v.(string)
	switch kind {
	case "null":
		return v == nil
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "int", "long":
		bits := map[string]int{"int": 32, "long": 64}[kind]
		_, err := strconv.ParseInt(n.String(), 10, bits)
		if err != nil && d.whole {
			f, wrong := strconv.ParseFloat(n.String(), 64)
			if err = wrong; f != math.Trunc(f) || math.Abs(f) >= math.Ldexp(1, bits-1) {
				return false
			}
		}
		return number && err == nil
	case "float", "double":
		return number || slices.Contains([]any{"NaN", "Infinity", "-Infinity", "INF", "-INF"}, v)
	case "bytes", "string":
		return text
	}
	return true
}

// question replaces the characters beyond U+00FF in the default of a field of bytes, which stand for no byte: Java reads question marks there.
func question(f map[string]any) (changed bool) {
	text, ok := f["default"].(string)
	if !ok || !hasBytes(f["type"]) {
		return false
	}
	f["default"] = strings.Map(func(c rune) rune {
		if c > 0xff {
			return '?'
		}
		return c
	}, text)
	return f["default"] != text
}

// hasBytes says whether a text is bytes in a type, and no string.
func hasBytes(t any) bool {
	switch t := t.(type) {
	case []any:
		return slices.ContainsFunc(t, hasBytes) && !slices.Contains(t, any("string"))
	case map[string]any:
		return t["type"] == "bytes"
	}
	return t == "bytes"
}
