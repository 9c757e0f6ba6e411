package event

import (
	"encoding/base64"
	"math"
	"strconv"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// ofMessage makes up a message as JSON; least has the fields alone that are required, and those with rules.
func ofMessage(m protoreflect.MessageDescriptor, least bool, depth int) any {
	switch m.FullName() {
	case "google.protobuf.Timestamp":
		return texts["date-time"]
	case "google.protobuf.Duration":
		return "1s"
	}
	value := map[string]any{}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		rules := rulesOf(f)
		if one := f.ContainingOneof(); one != nil && !one.IsSynthetic() {
			if needs, err := protovalidate.ResolveOneofRules(one); err != nil || !needs.GetRequired() || one.Fields().Get(0) != f {
				continue // one of several, or none
			}
		}
		switch items, pairs := rules.size("min_items"), rules.size("min_pairs"); {
		case f.IsMap():
			if pairs > 0 {
				value[f.JSONName()] = map[string]any{keyText(f.MapKey()): ofField(f.MapValue(), rules.part("values"), least, depth)}
			}
		case f.IsList():
			list := []any{}
			for len(list) < items {
				list = append(list, ofField(f, rules.part("items"), least, depth))
			}
			if items > 0 {
				value[f.JSONName()] = list
			}
		case f.Message() != nil && depth >= deepestSample, least && rules.of == nil && f.Cardinality() != protoreflect.Required:
		default:
			value[f.JSONName()] = ofField(f, rules, least, depth)
		}
	}
	return value
}

func keyText(f protoreflect.FieldDescriptor) string {
	switch f.Kind() {
	case protoreflect.StringKind:
		return "a"
	case protoreflect.BoolKind:
		return "true"
	}
	return "1"
}

// ofField makes up one value of a field.
func ofField(f protoreflect.FieldDescriptor, rules fieldRules, least bool, depth int) any {
	if v, ok := rules.given(); ok && f.Kind() != protoreflect.BytesKind && f.Message() == nil {
		if f.Enum() != nil {
			return v.Int()
		}
		return v.Interface()
	}
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return ofMessage(f.Message(), least, depth+1)
	case protoreflect.EnumKind:
		all := f.Enum().Values()
		return string(all.Get(min(1, all.Len()-1)).Name()) // the first one says mostly that it is not set
	case protoreflect.StringKind:
		return withLength(texts[rules.format()], max(rules.size("min_len"), rules.size("len"), rules.size("min_bytes")), math.MaxInt32)
	case protoreflect.BytesKind:
		text := withLength("", max(rules.size("min_len"), rules.size("len")), math.MaxInt32)
		return base64.StdEncoding.EncodeToString([]byte(text))
	case protoreflect.BoolKind:
		return true
	}
	return within(rules.bounds())
}

// fieldRules are the rules of protovalidate for a field, as far as they bound its values; the zero value is none.
type fieldRules struct{ of protoreflect.Message } // those of its type, such as StringRules

func rulesOf(f protoreflect.FieldDescriptor) fieldRules {
	rules, err := protovalidate.ResolveFieldRules(f)
	if err != nil {
		return fieldRules{}
	}
	return typed(rules)
}

func typed(rules *validate.FieldRules) fieldRules {
	m := rules.ProtoReflect()
	if one := m.WhichOneof(m.Descriptor().Oneofs().ByName("type")); one != nil {
		return fieldRules{m.Get(one).Message()}
	}
	return fieldRules{}
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

// part are the rules for the items of a list, or for the values of a map.
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
		return int(min(v.Uint(), 100))
	}
	return 0
}

// given is a value that the rules name.
func (r fieldRules) given() (protoreflect.Value, bool) {
	if v, ok := r.get("const"); ok {
		return v, true
	}
	if v, ok := r.get("in"); ok {
		return v.List().Get(0), true
	}
	return protoreflect.Value{}, false
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

// bounds are those of a number, by their names in JSON Schema.
func (r fieldRules) bounds() map[string]any {
	bounds := map[string]any{}
	for name, as := range map[protoreflect.Name]string{"gte": "minimum", "gt": "exclusiveMinimum", "lte": "maximum", "lt": "exclusiveMaximum"} {
		if v, ok := r.get(name); ok {
			if n, err := strconv.ParseFloat(v.String(), 64); err == nil {
				bounds[as] = n
			}
		}
	}
	return bounds
}
