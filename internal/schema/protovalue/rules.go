package protovalue

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weirstream/weir/internal/jsonscan"
)

// Rules are the rules of protovalidate in a file and what it imports. A file without such has none, and costs nothing.
type Rules struct {
	file  protoreflect.FileDescriptor
	there bool
	once  sync.Once
	with  protovalidate.Validator
	costs *costs
	err   error
}

// RulesPath is the file that defines what rules are.
const RulesPath = "buf/validate/validate.proto"

// RulesText is the text of that file, as codecs register it.
func RulesText() string { return Text(validate.File_buf_validate_validate_proto) }

// ImportsRules says whether a file itself imports that one.
func ImportsRules(file protoreflect.FileDescriptor) bool {
	for i := range file.Imports().Len() {
		if file.Imports().Get(i).Path() == RulesPath {
			return true
		}
	}
	return false
}

// RulesOf are the rules of a file.
func RulesOf(file protoreflect.FileDescriptor) *Rules {
	return &Rules{file: file, there: ruled(file, map[string]bool{})}
}

// ruled says whether a file, or one that it imports, imports that of the rules. seen are the paths that were looked at.
func ruled(file protoreflect.FileDescriptor, seen map[string]bool) bool {
	if ImportsRules(file) {
		return true
	}
	for i := range file.Imports().Len() {
		in := file.Imports().Get(i)
		if !seen[in.Path()] {
			seen[in.Path()] = true
			if ruled(in, seen) {
				return true
			}
		}
	}
	return false
}

// RulesIn are the rules in the options of a message, field or oneof, each as its text in a file.
func RulesIn(options proto.Message) []string {
	return slices.DeleteFunc(protoOptions(options), func(option string) bool { return !strings.HasPrefix(option, "(buf.validate.") })
}

// prepare makes the validator. Rules that a schema defines itself, predefined ones, are extensions in the file or in what it imports.
func (r *Rules) prepare() error {
	r.once.Do(func() {
		files := &protoregistry.Files{}
		if r.err = register(files, r.file); r.err == nil {
			r.with, r.err = protovalidate.New(protovalidate.WithExtensionTypeResolver(dynamicpb.NewTypes(files)))
			r.costs = newCosts(files)
		}
		if r.err == nil {
			r.costly(r.file.Messages())
			r.costs.settle()
		}
	})
	return r.err
}

// costly finds the expressions whose steps are counted.
func (r *Rules) costly(among protoreflect.MessageDescriptors) {
	for i := range among.Len() {
		if m := among.Get(i); !m.IsMapEntry() {
			r.costs.of(m)
			r.costly(m.Messages())
		}
	}
}

// Usable says why there are messages that no value could be checked as: an expression that does not compile, a rule of another type. That is
// the schema's mistake and no value's.
func (r *Rules) Usable() error {
	if !r.there {
		return nil
	}
	if err := r.prepare(); err != nil {
		return err
	}
	return r.usable(r.file.Messages())
}

func (r *Rules) usable(among protoreflect.MessageDescriptors) error {
	for i := range among.Len() {
		m := among.Get(i)
		if m.IsMapEntry() {
			continue
		}
		var mistake *protovalidate.CompilationError
		if err := r.with.Validate(dynamicpb.NewMessage(m)); errors.As(err, &mistake) {
			return fmt.Errorf("the rules of protovalidate in message %s make no sense, so no value of it can be checked: mend and register the schema: %w", m.FullName(), err)
		}
		if err := r.usable(m.Messages()); err != nil {
			return err
		}
	}
	return nil
}

// Check says which rules a message breaks, each with its place. ErrSteps: it takes too many steps to say.
func (r *Rules) Check(m proto.Message) error { return r.checkOf(m, nil) }

// checkOf is Check of a message that was read of a document. A place has the names of fields that the document has, of which there are two.
func (r *Rules) checkOf(m proto.Message, document []byte) error {
	if !r.there {
		return nil
	}
	if err := r.prepare(); err != nil {
		return err
	}
	if err := r.costs.check(m.ProtoReflect()); err != nil {
		return err
	}
	err := r.with.Validate(m)
	var broken *protovalidate.ValidationError
	if !errors.As(err, &broken) {
		return err
	}
	var of any
	_ = json.Unmarshal(document, &of) // none: places have the names that are usual in JSON
	var all, whole jsonscan.Errors    // a mistake of a field says more of where to look than one of the whole message
	for i, v := range broken.Violations {
		if i == 10 {
			whole = append(whole, fmt.Errorf("and %d more", len(broken.Violations)-i))
			break
		}
		text := v.Proto.GetMessage()
		if text == "" {
			text = "the rule " + v.Proto.GetRuleId() + " is broken"
		}
		place := placeOf(m.ProtoReflect().Descriptor(), v.Proto.GetField(), of)
		if mistake := place.Of(errors.New(text)); len(place) > 0 {
			all = append(all, mistake)
		} else {
			whole = append(whole, mistake)
		}
	}
	return append(all, whole...)
}

// placeOf is the place of a field, by the names that its fields have in JSON: those that the document has, or the usual ones.
func placeOf(m protoreflect.MessageDescriptor, path *validate.FieldPath, document any) (place jsonscan.Place) {
	for _, e := range path.GetElements() {
		name := e.GetFieldName()
		var f protoreflect.FieldDescriptor
		if m != nil {
			f = m.Fields().ByNumber(protoreflect.FieldNumber(e.GetFieldNumber()))
		}
		if m = nil; f != nil {
			name = f.JSONName()
			object, _ := document.(map[string]any)
			if _, ok := object[f.TextName()]; ok {
				name = f.TextName()
			}
			document = object[name]
			if m = f.Message(); f.IsMap() {
				m = f.MapValue().Message()
			}
		}
		place = place.Member(name)
		key := ""
		switch at := e.GetSubscript().(type) {
		case nil:
			continue
		case *validate.FieldPathElement_Index:
			place = place.Element(int(at.Index))
			list, _ := document.([]any)
			if document = nil; at.Index < uint64(len(list)) {
				document = list[at.Index]
			}
			continue
		case *validate.FieldPathElement_BoolKey:
			key = strconv.FormatBool(at.BoolKey)
		case *validate.FieldPathElement_IntKey:
			key = strconv.FormatInt(at.IntKey, 10)
		case *validate.FieldPathElement_UintKey:
			key = strconv.FormatUint(at.UintKey, 10)
		case *validate.FieldPathElement_StringKey:
			key = at.StringKey
		}
		place, document = place.Member(key), entry(document, key)
	}
	return place
}

func entry(document any, key string) any {
	object, _ := document.(map[string]any)
	return object[key]
}
