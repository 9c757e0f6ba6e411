package sample

import (
	"math/big"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// fieldRules are the rules of protovalidate for a field, as far as they bound its values; the zero value is none.
type fieldRules struct {
	of       protoreflect.Message // those of its type, such as StringRules; nil for none
	required bool
	any      bool // there are some, also where they bound no values
}

func rulesOf(f protoreflect.FieldDescriptor) fieldRules {
	rules, err := protovalidate.ResolveFieldRules(f)
	if err != nil {
		return fieldRules{}
	}
	return typed(rules)
}

func typed(rules *validate.FieldRules) fieldRules {
	r, m := fieldRules{required: rules.GetRequired(), any: len(rules.GetCel())+len(rules.GetCelExpression()) > 0}, rules.ProtoReflect()
	if one := m.WhichOneof(m.Descriptor().Oneofs().ByName("type")); one != nil {
		r.of, r.any = m.Get(one).Message(), true
	}
	return r
}

// get is the value of a rule that is set.
func (r fieldRules) get(name protoreflect.Name) (v protoreflect.Value, ok bool) {
	if r.of == nil {
		return v, false
	}
	f := r.of.Descriptor().Fields().ByName(name)
	if f == nil || !r.of.Has(f) {
		return v, false
	}
	return r.of.Get(f), true
}

func (r fieldRules) has(name protoreflect.Name) bool {
	_, ok := r.get(name)
	return ok
}

// part are the rules for the items of a list, or for the keys or values of a map.
func (r fieldRules) part(name protoreflect.Name) fieldRules {
	if v, ok := r.get(name); ok {
		if rules, ok := v.Message().Interface().(*validate.FieldRules); ok {
			return typed(rules)
		}
	}
	return fieldRules{}
}

func (r fieldRules) size(name protoreflect.Name) int {
	if v, ok := r.get(name); ok {
		return int(min(v.Uint(), longest))
	}
	return 0
}

// given are the values that the rules name.
func (r fieldRules) given() (list []protoreflect.Value) {
	if v, ok := r.get("const"); ok {
		return []protoreflect.Value{v}
	}
	if v, ok := r.get("in"); ok {
		for i := range v.List().Len() {
			list = append(list, v.List().Get(i))
		}
	}
	return list
}

// text is what a text is like, or bytes.
func (r fieldRules) text() textRules {
	word := func(name protoreflect.Name) string {
		v, _ := r.get(name)
		switch t := v.Interface().(type) {
		case string:
			return t
		case []byte:
			return string(t)
		}
		return ""
	}
	t := textRules{format: r.format(), pattern: word("pattern"), prefix: word("prefix"), contains: word("contains"), suffix: word("suffix"), most: -1,
		least: max(r.size("min_len"), r.size("len"), r.size("min_bytes"), r.size("len_bytes"))}
	for _, name := range []protoreflect.Name{"max_len", "len", "max_bytes", "len_bytes"} {
		if r.has(name) && (t.most < 0 || r.size(name) < t.most) {
			t.most = r.size(name)
		}
	}
	return t
}

// format is the form of a text, by its name in protovalidate.
func (r fieldRules) format() string {
	if r.of != nil {
		if forms := r.of.Descriptor().Oneofs().ByName("well_known"); forms != nil {
			if form := r.of.WhichOneof(forms); form != nil {
				return string(form.Name())
			}
		}
	}
	return ""
}

// bounds are those of a number, or of a time in seconds.
func (r fieldRules) bounds() (b bounds) {
	for _, rule := range []struct {
		name   protoreflect.Name
		narrow func(*big.Rat, bool)
		out    bool
	}{{"gte", b.atLeast, false}, {"gt", b.atLeast, true}, {"lte", b.atMost, false}, {"lt", b.atMost, true}} {
		v, ok := r.get(rule.name)
		if !ok {
			continue
		}
		n := secondsOf(v)
		if n == nil {
			n = rat(v.String())
		}
		rule.narrow(n, rule.out)
	}
	return b
}
