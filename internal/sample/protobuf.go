package sample

import (
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// protoSampler makes up messages as JSON.
type protoSampler struct {
	*choices
	open []protoreflect.FullName // messages that the value is made up within
}

const google = "google.protobuf."

// message is a message with all its fields that are no alternatives; the least one has those alone that are required, and those with rules.
func (s *protoSampler) message(m protoreflect.MessageDescriptor, w *want, nth int) any {
	if len(s.open) > deepestAll || s.spent() {
		return map[string]any{}
	}
	s.open = append(s.open, m.FullName())
	defer func() { s.open = s.open[:len(s.open)-1] }()
	value := map[string]any{}
	left := s.leftOut(m, w)
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		below := wantOf(w, f)
		if left[f.Name()] && below == nil {
			continue
		}
		if v, ok := s.field(f, below, nth); ok {
			value[f.JSONName()] = v
		}
	}
	return value
}

// wantOf is what a field must have, which is named as the file or as JSON names it.
func wantOf(w *want, f protoreflect.FieldDescriptor) *want {
	if below := w.at(f.TextName()); below != nil {
		return below
	}
	return w.at(f.JSONName())
}

// leftOut are the fields that give way to an alternative.
func (s *protoSampler) leftOut(m protoreflect.MessageDescriptor, w *want) map[protoreflect.Name]bool {
	left := map[protoreflect.Name]bool{}
	alternatives := func(fields []protoreflect.FieldDescriptor, required bool) {
		keep := -1
		if at := slices.IndexFunc(fields, func(f protoreflect.FieldDescriptor) bool { return wantOf(w, f) != nil }); at >= 0 {
			keep = at
		} else if required {
			keep = s.one(len(fields))
		}
		for i, f := range fields {
			left[f.Name()] = i != keep || left[f.Name()]
		}
	}
	for i := range m.Oneofs().Len() {
		one := m.Oneofs().Get(i)
		if one.IsSynthetic() {
			continue
		}
		var fields []protoreflect.FieldDescriptor
		for j := range one.Fields().Len() {
			fields = append(fields, one.Fields().Get(j))
		}
		rules, err := protovalidate.ResolveOneofRules(one)
		alternatives(fields, err == nil && rules.GetRequired())
	}
	rules, err := protovalidate.ResolveMessageRules(m)
	if err != nil {
		return left
	}
	for _, one := range rules.GetOneof() {
		var fields []protoreflect.FieldDescriptor
		for _, name := range one.GetFields() {
			if f := m.Fields().ByName(protoreflect.Name(name)); f != nil {
				fields = append(fields, f)
			}
		}
		if len(fields) > 0 {
			alternatives(fields, one.GetRequired())
		}
	}
	return left
}

// field makes up the value of a field; not ok leaves it out.
func (s *protoSampler) field(f protoreflect.FieldDescriptor, w *want, nth int) (v any, ok bool) {
	rules := rulesOf(f)
	switch {
	case f.IsMap():
		pairs := map[string]any{}
		for i := 0; len(pairs) < rules.size("min_pairs") && i < 2*rules.size("min_pairs"); i++ {
			pairs[s.mapKey(f.MapKey(), rules.part("keys"), i)] = s.value(f.MapValue(), rules.part("values"), nil, nth)
		}
		return pairs, len(pairs) > 0
	case f.IsList():
		list := []any{}
		for n := max(rules.size("min_items"), boolInt(rules.required)); len(list) < n && s.parts < mostParts; {
			list = append(list, s.value(f, rules.part("items"), nil, len(list)))
		}
		return list, len(list) > 0
	}
	needed := w != nil || rules.required || f.Cardinality() == protoreflect.Required
	if m := f.Message(); !needed && m != nil {
		if m.FullName() == google+"Any" && rules.of == nil || slices.Contains(s.open, m.FullName()) || len(s.open) > deepest {
			return nil, false
		}
	}
	if !needed && s.least && !rules.any || len(s.open) > deepestAll {
		return nil, false
	}
	return s.value(f, rules, w, nth), true
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *protoSampler) mapKey(f protoreflect.FieldDescriptor, rules fieldRules, nth int) string {
	if f.Kind() == protoreflect.BoolKind {
		return []string{"true", "false"}[nth%2]
	}
	switch v := s.value(f, rules, nil, nth).(type) {
	case string:
		return v
	case interface{ String() string }:
		return v.String()
	}
	return "1"
}

// value makes up one value of a field.
func (s *protoSampler) value(f protoreflect.FieldDescriptor, rules fieldRules, w *want, nth int) any {
	if m := f.Message(); m != nil {
		if v, ok := s.known(m, rules, w, nth); ok {
			return v
		}
		return s.message(m, w, nth)
	}
	if given := rules.given(); len(given) > 0 && f.Kind() != protoreflect.BytesKind {
		v := given[(s.one(len(given))+nth)%len(given)]
		if f.Enum() != nil {
			return v.Int()
		}
		return v.Interface()
	}
	switch f.Kind() {
	case protoreflect.EnumKind:
		if text, ok := s.wanted(w); ok {
			return text
		}
		all := f.Enum().Values() // the first one says mostly that it is not set
		return string(all.Get((min(1, all.Len()-1) + nth + s.one(all.Len())) % all.Len()).Name())
	case protoreflect.StringKind:
		if text, ok := s.wanted(w); ok {
			return text
		}
		r := rules.text()
		if w.isText() {
			r.least = max(r.least, 1)
		}
		return s.text(r, nth)
	case protoreflect.BytesKind:
		return base64.StdEncoding.EncodeToString(s.bytes(rules, nth))
	case protoreflect.BoolKind:
		return (nth+s.one(2))%2 == 0
	}
	if n, ok := s.wantedNumber(w); ok {
		return n
	}
	b := rules.bounds()
	b.whole = f.Kind() != protoreflect.FloatKind && f.Kind() != protoreflect.DoubleKind
	return decimal(b.within(s.usual(), nth))
}

func (s *protoSampler) bytes(rules fieldRules, nth int) []byte {
	if given := rules.given(); len(given) > 0 {
		return given[(s.one(len(given))+nth)%len(given)].Bytes()
	}
	r := rules.text()
	size := map[string]int{"ip": 4, "ipv4": 4, "ipv6": 16, "uuid": 16}[r.format]
	r.format, r.least = "", max(r.least, size)
	return []byte(s.text(r, nth))
}

// known makes up a value of those messages of Google's that are no objects in JSON.
func (s *protoSampler) known(m protoreflect.MessageDescriptor, rules fieldRules, w *want, nth int) (any, bool) {
	name, ok := strings.CutPrefix(string(m.FullName()), google)
	if !ok {
		return nil, false
	}
	switch name {
	case "Timestamp":
		if text, ok := s.wanted(w); ok {
			return text, true
		}
		seconds := s.seconds(rules, s.moment(rules), nth)
		whole := new(big.Int).Div(seconds.Num(), seconds.Denom())
		rest := new(big.Rat).Sub(seconds, new(big.Rat).SetInt(whole))
		nanos, _ := rest.Mul(rest, big.NewRat(1e9, 1)).Float64()
		return time.Unix(whole.Int64(), int64(nanos)).UTC().Format(time.RFC3339Nano), true
	case "Duration":
		if text, ok := s.wanted(w); ok {
			return text, true
		}
		return strings.TrimSuffix(strings.TrimRight(s.seconds(rules, 1, nth).FloatString(9), "0"), ".") + "s", true
	case "FieldMask":
		if given := rules.given(); len(given) > 0 {
			return given[0].String(), true
		}
		return "a", true
	case "Any":
		kind := string(s.open[0]) // which is known
		if given := rules.given(); len(given) > 0 {
			kind = given[s.one(len(given))].String()
		}
		if !strings.Contains(kind, "/") {
			kind = "type.googleapis.com/" + kind
		}
		return map[string]any{"@type": kind}, true
	case "Struct", "Empty":
		return map[string]any{}, true
	case "Value":
		return "a", true
	case "ListValue":
		return []any{"a"}, true
	}
	if strings.HasSuffix(name, "Value") && m.Fields().Len() == 1 { // a wrapper
		return s.value(m.Fields().Get(0), rules, w, nth), true
	}
	return nil, false
}

// seconds are a time or a length of time within its rules.
func (s *protoSampler) seconds(rules fieldRules, prefer int64, nth int) *big.Rat {
	if given := rules.given(); len(given) > 0 {
		if n := secondsOf(given[(s.one(len(given))+nth)%len(given)]); n != nil {
			return n
		}
	}
	b := rules.bounds()
	return b.within(prefer, nth+s.one(3))
}

// moment is the time that is made up, in seconds, where no bound is in the way.
func (s *protoSampler) moment(rules fieldRules) int64 {
	usual := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	now := time.Now().Unix()
	switch {
	case rules.has("within"), rules.has("lt_now") && usual >= now:
		return now - 1
	case rules.has("gt_now"):
		return now + 365*24*3600
	}
	return usual
}

// secondsOf is a message of Google's with seconds and nanos, nil for another one.
func secondsOf(v protoreflect.Value) *big.Rat {
	m, ok := v.Interface().(protoreflect.Message)
	if !ok {
		return nil
	}
	seconds, nanos := m.Descriptor().Fields().ByName("seconds"), m.Descriptor().Fields().ByName("nanos")
	if seconds == nil || nanos == nil {
		return nil
	}
	return new(big.Rat).Add(big.NewRat(m.Get(seconds).Int(), 1), big.NewRat(m.Get(nanos).Int(), 1e9))
}
