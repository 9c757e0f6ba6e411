package protovalue

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirstream/weir/internal/jsonscan"
)

// completeness finds what readers in other languages refuse or lose, and this runtime passes over: a required field of an edition that is missing, of
// which it sees those of proto2 alone, and a number that a closed enum does not have.
type completeness struct {
	asks sync.Map // by the name of a message: whether it, or one within it, has such fields
}

// check is of a message that was written as a document: see incomplete.
func (c *completeness) check(m proto.Message, document []byte) error {
	v := m.ProtoReflect()
	if !c.asksFor(v.Descriptor()) || c.incomplete(v, nil, true) == nil {
		return nil
	}
	var of any
	_ = json.Unmarshal(document, &of) // none: places have the names that are usual in JSON
	return jsonscan.Located(c.incomplete(v, of, true))
}

// checkRead says which required field a message lacks that someone else has written.
func (c *completeness) checkRead(m proto.Message) error {
	return jsonscan.Located(c.incomplete(m.ProtoReflect(), nil, false))
}

func (c *completeness) asksFor(m protoreflect.MessageDescriptor) bool {
	if known, ok := c.asks.Load(m.FullName()); ok {
		return known.(bool)
	}
	found := asks(m, map[protoreflect.FullName]bool{})
	c.asks.Store(m.FullName(), found)
	return found
}

func asks(m protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[m.FullName()] {
		return false
	}
	seen[m.FullName()] = true
	if m.ExtensionRanges().Len() > 0 {
		return true
	}
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.Cardinality() == protoreflect.Required || f.Enum() != nil && f.Enum().IsClosed() || f.Message() != nil && asks(f.Message(), seen) {
			return true
		}
	}
	return false
}

// incomplete says which required field is missing in a message or in one within it, with its place, and with enums also which number a closed enum does
// not have: who reads such a number has no value. document is what the message was read of, by whose names of fields the place is told.
func (c *completeness) incomplete(m protoreflect.Message, document any, enums bool) (err error) {
	if !c.asksFor(m.Descriptor()) {
		return nil
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Cardinality() == protoreflect.Required && !m.Has(f) {
			return jsonscan.Below(errors.New("the required field is missing"), f.JSONName())
		}
	}
	value := func(f protoreflect.FieldDescriptor, v protoreflect.Value, document any) error {
		switch {
		case f.Message() != nil:
			return c.incomplete(v.Message(), document, enums)
		case enums && f.Enum() != nil && f.Enum().IsClosed() && f.Enum().Values().ByNumber(v.Enum()) == nil:
			return fmt.Errorf("the enum %s has no value with the number %d, and takes no others", f.Enum().FullName(), v.Enum())
		}
		return nil
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := f.JSONName()
		object, _ := document.(map[string]any)
		if _, ok := object[f.TextName()]; ok {
			name = f.TextName()
		}
		of := object[name]
		switch {
		case f.IsMap():
			v.Map().Range(func(key protoreflect.MapKey, v protoreflect.Value) bool {
				err = value(f.MapValue(), v, entry(of, key.String()))
				if err != nil {
					err = jsonscan.Below(err, key.String())
				}
				return err == nil
			})
		case f.IsList():
			list, _ := of.([]any)
			for n := 0; n < v.List().Len() && err == nil; n++ {
				var part any
				if n < len(list) {
					part = list[n]
				}
				if err = value(f, v.List().Get(n), part); err != nil {
					err = jsonscan.At(err, n)
				}
			}
		default:
			err = value(f, v, of)
		}
		if err != nil {
			err = jsonscan.Below(err, name)
		}
		return err == nil
	})
	return err
}
