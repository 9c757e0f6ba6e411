package protovalue

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	pvcel "buf.build/go/protovalidate/cel"
	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weirstream/weir/internal/jsonscan"
)

// ErrSteps is the error of a message that takes too many steps to check by its rules.
var ErrSteps = errors.New("too many steps")

// mostSteps is how many steps the dear expressions of a message may take together. A list of nearly a thousand elements may be compared each with
// each. Tests have fewer.
var mostSteps = 5_000_000

// costs count what expressions take. protovalidate evaluates without a bound, and nothing that could stop it reaches through it. So expressions
// whose steps may grow faster than the message, the dear ones, are evaluated here first, with a bound, where the message is large enough for
// that to matter. A file without dear expressions, which most are, costs nothing.
type costs struct {
	turn     sync.Mutex // of whom the meter counts for
	meter    meter
	env      *cel.Env
	known    *protoregistry.Files
	messages map[protoreflect.FullName]*messageCosts
}

// messageCosts are the dear expressions of a message, its fields, and those below.
type messageCosts struct {
	self   []dear
	fields []fieldCosts
	degree int // the largest of an expression in it or below, 0 for none
}

type fieldCosts struct {
	field                      protoreflect.FieldDescriptor
	self, items, keys, entries []dear
	below                      *messageCosts // of the message that it holds, or each of its elements
}

// dear is an expression whose steps may grow with a power of the message's size, the degree.
type dear struct {
	id          string
	program     cel.Program
	adapter     types.Adapter
	degree      int
	rules, rule any // of a predefined rule
}

func newCosts(known *protoregistry.Files) *costs {
	return &costs{known: known, messages: map[protoreflect.FullName]*messageCosts{}}
}

// of are the costs of a message. What makes no sense in its rules has none: protovalidate says that of the schema.
func (c *costs) of(m protoreflect.MessageDescriptor) *messageCosts {
	if have, ok := c.messages[m.FullName()]; ok {
		return have
	}
	costs := &messageCosts{}
	c.messages[m.FullName()] = costs
	rules, _ := protovalidate.ResolveMessageRules(m)
	costs.self = c.dear(expressions(rules.GetCel(), rules.GetCelExpression()), nil, nil, cel.Types(dynamicpb.NewMessage(m)), cel.Variable("this", cel.ObjectType(string(m.FullName()))))
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		of := fieldCosts{field: f}
		if rules, _ := protovalidate.ResolveFieldRules(f); rules.GetIgnore() != validate.Ignore_IGNORE_ALWAYS {
			of.self = c.value(f, rules, false)
			switch {
			case f.IsMap():
				of.keys = c.value(f.MapKey(), rules.GetMap().GetKeys(), false)
				of.entries = c.value(f.MapValue(), rules.GetMap().GetValues(), false)
			case f.IsList():
				of.items = c.value(f, rules.GetRepeated().GetItems(), true)
			}
		}
		below := f.Message()
		if f.IsMap() {
			below = f.MapValue().Message()
		}
		if below != nil {
			of.below = c.of(below)
		}
		costs.fields = append(costs.fields, of)
	}
	return costs
}

// settle says of each message how dear it is with what is below it, and forgets what is not dear.
func (c *costs) settle() {
	for changed := true; changed; {
		changed = false
		for _, m := range c.messages {
			degree := degreeOf(m.self)
			for _, f := range m.fields {
				degree = max(degree, degreeOf(f.self), degreeOf(f.items), degreeOf(f.keys), degreeOf(f.entries))
				if f.below != nil {
					degree = max(degree, f.below.degree)
				}
			}
			changed = changed || degree != m.degree
			m.degree = degree
		}
	}
	for _, m := range c.messages {
		m.fields = slices.DeleteFunc(m.fields, func(f fieldCosts) bool {
			return len(f.self)+len(f.items)+len(f.keys)+len(f.entries) == 0 && (f.below == nil || f.below.degree == 0)
		})
	}
}

func degreeOf(list []dear) (degree int) {
	for _, d := range list {
		degree = max(degree, d.degree)
	}
	return degree
}

func expressions(rules []*validate.Rule, plain []string) (list []*validate.Rule) {
	for _, text := range plain {
		list = append(list, validate.Rule_builder{Id: &text, Expression: &text}.Build())
	}
	return append(list, rules...)
}

// value are the dear expressions in the rules of a field, or of its elements.
func (c *costs) value(f protoreflect.FieldDescriptor, rules *validate.FieldRules, item bool) []dear {
	if rules == nil {
		return nil
	}
	types := pvcel.RequiredEnvOptions(f)
	list := c.dear(expressions(rules.GetCel(), rules.GetCelExpression()), nil, nil, append(slices.Clone(types), cel.Variable("this", pvcel.ProtoFieldToType(f, false, item)))...)
	kind := rules.ProtoReflect().WhichOneof(rules.ProtoReflect().Descriptor().Oneofs().ByName("type"))
	if kind == nil {
		return list
	}
	set := proto.Clone(rules.ProtoReflect().Get(kind).Message().Interface())
	if unknown := set.ProtoReflect().GetUnknown(); len(unknown) > 0 { // rules that the schema defines
		set.ProtoReflect().SetUnknown(nil)
		if err := (proto.UnmarshalOptions{Merge: true, Resolver: dynamicpb.NewTypes(c.known)}).Unmarshal(unknown, set); err != nil {
			return list
		}
	}
	set.ProtoReflect().Range(func(defined protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if defined.IsExtension() { // protovalidate's own are not dear
			by, _ := protovalidate.ResolvePredefinedRules(defined)
			list = append(list, c.dear(by.GetCel(), set, v.Interface(), append(slices.Clone(types), cel.Types(set), cel.Variable("this", pvcel.ProtoFieldToType(f, true, item)),
				cel.Variable("rules", cel.ObjectType(string(set.ProtoReflect().Descriptor().FullName()))), cel.Variable("rule", pvcel.ProtoFieldToType(defined, true, false)))...)...)
		}
		return true
	})
	return list
}

// dear are those expressions that are dear.
func (c *costs) dear(all []*validate.Rule, rules, rule any, opts ...cel.EnvOption) (list []dear) {
	if len(all) == 0 {
		return nil
	}
	var err error
	if c.env == nil {
		if c.env, err = cel.NewEnv(cel.Lib(pvcel.NewLibrary())); err != nil {
			return nil
		}
	}
	env, err := c.env.Extend(opts...)
	if err != nil {
		return nil
	}
	for _, r := range all {
		ast, issues := env.Compile(r.GetExpression())
		if issues.Err() != nil {
			continue
		}
		degree := degreeOfExpression(ast)
		if degree < 2 {
			continue
		}
		if program, err := env.Program(ast, cel.CustomDecoratorV2(c.meter.count)); err == nil {
			list = append(list, dear{r.GetId(), program, env.CELTypeAdapter(), degree, rules, rule})
		}
	}
	return list
}

// check is the error of a message whose rules take too many steps.
func (c *costs) check(v protoreflect.Message) error {
	m := c.messages[v.Descriptor().FullName()]
	if m == nil || m.degree == 0 || math.Pow(float64(proto.Size(v.Interface())), float64(m.degree)) < float64(mostSteps)/10 {
		return nil
	}
	c.turn.Lock()
	defer c.turn.Unlock()
	c.meter.left = mostSteps
	return (&count{timestamppb.Now(), &c.meter}).message(m, v, nil)
}

// count evaluates the expressions of a message.
type count struct {
	now *timestamppb.Timestamp
	*meter
}

func (c *count) message(m *messageCosts, v protoreflect.Message, path jsonscan.Place) error {
	if m == nil || m.degree == 0 {
		return nil
	}
	if err := c.all(m.self, func(types.Adapter) any { return v.Interface() }, path); err != nil {
		return err
	}
	for _, f := range m.fields {
		if !v.Has(f.field) {
			continue
		}
		if err := c.field(f, v.Get(f.field), path.Member(f.field.JSONName())); err != nil {
			return err
		}
	}
	return nil
}

func (c *count) field(f fieldCosts, v protoreflect.Value, path jsonscan.Place) (err error) {
	switch {
	case f.field.IsMap():
		entries := func(adapter types.Adapter) any {
			all := map[ref.Val]ref.Val{}
			v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
				all[adapter.NativeToValue(key.Interface())] = adapter.NativeToValue(native(v))
				return true
			})
			return types.NewRefValMap(adapter, all)
		}
		if err := c.all(f.self, entries, path); err != nil {
			return err
		}
		v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
			if err = c.all(f.keys, func(types.Adapter) any { return key.Interface() }, path); err == nil {
				err = c.element(f.entries, f.below, v, path.Member(key.String()))
			}
			return err == nil
		})
		return err
	case f.field.IsList():
		list := func(adapter types.Adapter) any { return types.NewProtoList(adapter, v.List()) }
		if err := c.all(f.self, list, path); err != nil {
			return err
		}
		for i := range v.List().Len() {
			if err := c.element(f.items, f.below, v.List().Get(i), path.Element(i)); err != nil {
				return err
			}
		}
		return nil
	}
	return c.element(f.self, f.below, v, path)
}

func (c *count) element(rules []dear, below *messageCosts, v protoreflect.Value, path jsonscan.Place) error {
	if below != nil {
		if err := c.message(below, v.Message(), path); err != nil {
			return err
		}
	}
	return c.all(rules, func(types.Adapter) any { return native(v) }, path)
}

// native is a value as cel takes it.
func native(v protoreflect.Value) any {
	if m, ok := v.Interface().(protoreflect.Message); ok {
		return m.Interface()
	}
	return v.Interface()
}

func (c *count) all(rules []dear, this func(types.Adapter) any, path jsonscan.Place) error {
	for _, r := range rules {
		of := map[string]any{"this": this(r.adapter), "now": c.now}
		if r.rules != nil {
			maps.Copy(of, map[string]any{"rules": r.rules, "rule": r.rule})
		}
		r.program.Eval(of) // what else is wrong is protovalidate's to say
		if c.left < 0 {
			return path.Of(fmt.Errorf("%w: the rule %s of protovalidate takes over %d for this value, because it looks at a list or a text again for each element of one; "+
				"send fewer elements in one value, or have the schema say the rule without a loop in a loop, as with this.unique()", ErrSteps, r.id, mostSteps))
		}
	}
	return nil
}

// meter is how many steps are left. cel's own bound of costs is of no use: what it keeps for each step makes a long loop take time that grows
// with the square of its length. So each part of an expression is given one that counts before it, which is what interpreter.InterpretableDecoratorV2 is for.
type meter struct{ left int }

func (m *meter) spend(steps uint64) {
	if m.left -= int(min(steps, uint64(mostSteps)+1)); m.left < 0 {
		panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "too many steps"})
	}
}

func (m *meter) count(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	switch i := i.(type) {
	case *counted, *countedAttribute, interpreter.InterpretableConst:
		return i, nil
	case interpreter.InterpretableAttribute:
		return &countedAttribute{i, m}, nil
	case interpreter.InterpretableConstructor:
		return i, nil
	case interpreter.InterpretableCall:
		return &counted{i, m, i, nil}, nil
	}
	return &counted{i, m, nil, nil}, nil
}

type countedAttribute struct {
	interpreter.InterpretableAttribute
	*meter
}

func (c *countedAttribute) Eval(vars interpreter.Activation) ref.Val {
	c.spend(1)
	return c.InterpretableAttribute.Eval(vars)
}

func (c *countedAttribute) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	c.spend(1)
	return c.InterpretableAttribute.Exec(frame)
}

type counted struct {
	interpreter.InterpretableV2
	*meter
	call interpreter.InterpretableCall // nil where it is none
	held ref.Val                       // what it is, for the call that has counted it as an argument
}

func (c *counted) Eval(vars interpreter.Activation) ref.Val { return c.Exec(interpreter.AsFrame(vars)) }

func (c *counted) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	if held := c.held; held != nil {
		c.held = nil
		return held
	}
	c.spend(1)
	if c.call == nil || !looks(c.call.Function()) {
		return c.InterpretableV2.Exec(frame)
	}
	args := c.call.Args()
	values := make([]ref.Val, len(args))
	for i, a := range args {
		values[i] = a.Exec(frame)
	}
	c.spend(stepsOf(c.call.Function(), values))
	for i, a := range args {
		if a, ok := a.(*counted); ok {
			a.held = values[i]
			defer func() { a.held = nil }()
		}
	}
	return c.InterpretableV2.Exec(frame)
}

// looks says whether a function looks at more of its arguments than a step is for.
func looks(function string) bool {
	switch function {
	case "!_", "_[_]", "_-_", "_*_", "_/_", "_%_", "-_", "@not_strictly_false", "getField":
		return false
	}
	return true
}

// stepsOf are the steps of a call, of some tens of nanoseconds each.
func stepsOf(function string, args []ref.Val) uint64 {
	const text = 32 // bytes a step
	switch function {
	case "_==_", "_!=_":
		if m, ok := args[0].Value().(proto.Message); ok {
			return 5 + uint64(proto.Size(m))/2 // field by field, by reflection
		}
		return min(deep(args[0]), deep(args[1])) / text
	case "@in":
		if list, ok := args[1].(traits.Lister); ok {
			return size(list) + min(deep(args[0])*size(list), deep(args[1]))/text
		}
		return 1
	case "matches":
		return (size(args[0]) + 1) * (size(args[1]) + 1) / text
	case "indexOf", "lastIndexOf", "replace", "split":
		return (size(args[0]) + 1) * (size(args[1]) + 1) / text
	}
	steps := uint64(0)
	for _, a := range args {
		if _, list := a.(traits.Lister); !list || function != "size" && function != "_+_" {
			steps += size(a) / text
		}
	}
	if function == "unique" {
		return steps * text // a map of all
	}
	return steps
}

// size is how many bytes or elements a value has.
func size(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v))
	case types.Bytes:
		return uint64(len(v))
	case traits.Sizer:
		if n, ok := v.Size().(types.Int); ok {
			return uint64(n)
		}
	}
	return 1
}

// deep is the size of a value with what it holds, of a list by its first element.
func deep(v ref.Val) uint64 {
	if m, ok := v.Value().(proto.Message); ok {
		return uint64(proto.Size(m))
	}
	n := size(v)
	if list, ok := v.(traits.Lister); ok && n > 0 {
		n *= max(deep(list.Get(types.Int(0))), 1)
	}
	return n
}
