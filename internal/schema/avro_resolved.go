package schema

import "slices"

// Resolved is an Avro schema with what it refers to written out: each named type where it is used first, with all names in full. It is the
// same for a schema that refers to others and for one that has them in its text, as clients have it that make schemas of classes.
func Resolved(s Source) (string, error) {
	r := resolver{known: map[string]namedType{}, done: map[string]bool{}}
	for _, in := range s.Imports {
		doc, err := decodeOrdered(in.Text)
		if err != nil {
			return "", err
		}
		r.know(canonicalAvro(doc, ""), "")
	}
	doc, err := decodeOrdered(s.Text)
	if err != nil {
		return "", err
	}
	return encodeOrdered(sortedProperties(r.resolve(canonicalAvro(doc, ""), "")), false), nil
}

// definedFirst is a schema with each of its types defined where it is used first, which the specification asks for. Avro's library for Java takes
// one that is defined later, and writes the schema so.
func definedFirst(doc any) any {
	r := resolver{known: map[string]namedType{}, done: map[string]bool{}}
	doc = canonicalAvro(doc, "")
	r.know(doc, "")
	return r.resolve(doc, "")
}

// namedType is a definition and the namespace that it stands in.
type namedType struct {
	of    object
	space string
}

type resolver struct {
	known map[string]namedType // of references, by their full names
	done  map[string]bool      // those that are written out
	space string               // in which what is written out stands
}

// know notes the named types in a schema.
func (r *resolver) know(v any, space string) {
	switch v := v.(type) {
	case []any:
		for _, branch := range v {
			r.know(branch, space)
		}
	case object:
		inside := space
		if slices.Contains(avroNamed, v.text("type")) {
			full, own := nameOf(v, space)
			r.known[full], inside = namedType{v, space}, own
		}
		for _, m := range v {
			switch m.key {
			case "items", "values", "type":
				r.know(m.value, inside)
			case "fields":
				fields, _ := m.value.([]any)
				for _, f := range fields {
					r.know(f, inside)
				}
			}
		}
	}
}

var avroNamed = []string{"record", "error", "enum", "fixed"}

func (r *resolver) resolve(v any, space string) any {
	switch v := v.(type) {
	case string:
		if slices.Contains(avroPrimitives, v) {
			return v
		}
		for _, name := range []string{fullName(v, space), v} {
			if r.done[name] {
				return name
			}
			if t, ok := r.known[name]; ok {
				return r.resolve(t.of, t.space)
			}
		}
		return fullName(v, space)
	case []any:
		list := make([]any, len(v))
		for i, branch := range v {
			list[i] = r.resolve(branch, space)
		}
		return list
	case object:
		return r.complex(v, space)
	}
	return v
}

func (r *resolver) complex(o object, space string) any {
	full, inside, bare := "", space, false
	if slices.Contains(avroNamed, o.text("type")) {
		if full, inside = nameOf(o, space); r.done[full] {
			return full
		}
		r.done[full] = true
		outer := r.space
		defer func() { r.space = outer }()
		if r.space = inside; inside == "" && outer != "" { // else it would be in that of the type around it
			bare = true
		}
	}
	var out object
	for _, m := range o {
		switch {
		case m.key == "namespace" && full != "":
			continue
		case m.key == "name" && full != "":
			m.value = full
		case m.key == "items" || m.key == "values":
			m.value = r.resolve(m.value, inside)
		case m.key == "fields":
			fields, _ := m.value.([]any)
			list := make([]any, len(fields))
			for i, f := range fields {
				fo, _ := f.(object)
				fo = slices.Clone(fo)
				for j := range fo {
					if fo[j].key == "type" {
						fo[j].value = r.resolve(fo[j].value, inside)
					}
				}
				list[i] = fo
			}
			m.value = list
		case m.key == "aliases" && full != "":
			aliases := textsOf(o, "aliases")
			list := make([]any, len(aliases))
			for i, a := range aliases {
				list[i] = fullName(a, inside)
			}
			m.value = list
		}
		if out = append(out, m); m.key == "name" && bare {
			out = append(out, member{"namespace", ""})
		}
	}
	return out
}
