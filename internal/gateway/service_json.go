package gateway

import (
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/schema/protovalue"
)

// serviceJSON is JSON for the Protobuf service, as Connect's own codec reads and writes it, but for its errors: they say where in the message a mistake is, and repeat
// no more of it than there is room for.
type serviceJSON struct{ name string }

// The names that Connect has for it, by the Content-Type.
var serviceJSONs = []connect.HandlerOption{connect.WithCodec(serviceJSON{"json"}), connect.WithCodec(serviceJSON{"json; charset=utf-8"}), connect.WithCodec(serviceProto{})}

// serviceProto is Connect's codec for Protobuf, but for its error, which names a type of this program.
type serviceProto struct{}

// Name implements connect.Codec.
func (serviceProto) Name() string { return "proto" }

// IsBinary says that messages are no text.
func (serviceProto) IsBinary() bool { return true }

// Marshal implements connect.Codec.
func (c serviceProto) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend is Marshal into a buffer of Connect's.
func (serviceProto) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	return proto.MarshalOptions{}.MarshalAppend(dst, m)
}

// MarshalStable is Marshal with one result for one message.
func (serviceProto) MarshalStable(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// Unmarshal implements connect.Codec.
func (serviceProto) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", message)
	}
	if err := proto.Unmarshal(data, m); err != nil {
		return fmt.Errorf("the body is not the Protobuf message %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return nil
}

// Name implements connect.Codec.
func (c serviceJSON) Name() string { return c.name }

// Marshal implements connect.Codec.
func (c serviceJSON) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

// MarshalAppend is Marshal into a buffer of Connect's.
func (serviceJSON) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", message)
	}
	return protojson.MarshalOptions{}.MarshalAppend(dst, m)
}

// Unmarshal implements connect.Codec.
func (serviceJSON) Unmarshal(document []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return fmt.Errorf("%T is no message", message)
	}
	if len(document) == 0 {
		return errors.New("the body is empty, and is to be a JSON object")
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(document, m); err != nil { // unknown: clients may be of a later build
		return fmt.Errorf("the body is not the JSON that is wanted: %w", protovalue.Located(document, err))
	}
	return nil
}
