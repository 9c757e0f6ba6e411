package protovalue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weirstream/weir/internal/jsonscan"
)

// File converts messages of a file. It may be used from several goroutines.
type File struct {
	file  protoreflect.FileDescriptor
	types *dynamicpb.Types
	rules *Rules
	whole completeness
}

// Of prepares a file that was compiled. Rules that make no sense are its error, since with them no message could be checked.
func Of(file protoreflect.FileDescriptor) (*File, error) {
	files := &protoregistry.Files{}
	if err := register(files, file); err != nil {
		return nil, err
	}
	rules := RulesOf(file)
	if err := rules.Usable(); err != nil {
		return nil, err
	}
	return &File{file: file, types: dynamicpb.NewTypes(files), rules: rules}, nil
}

// Check says which required field a message of the file lacks, and which rules it breaks.
func (f *File) Check(m proto.Message) error {
	if err := f.whole.checkRead(m); err != nil {
		return err
	}
	return f.rules.Check(m)
}

// register makes the types of a file known, by which an Any is read.
func register(files *protoregistry.Files, file protoreflect.FileDescriptor) error {
	if _, err := files.FindFileByPath(file.Path()); err == nil {
		return nil
	}
	for i := range file.Imports().Len() {
		if err := register(files, file.Imports().Get(i).FileDescriptor); err != nil {
			return err
		}
	}
	return files.RegisterFile(file)
}

// Message finds a message by its indexes, from the outermost message on. None is the first message of the file.
func (f *File) Message(indexes []int) (protoreflect.MessageDescriptor, error) {
	return MessageOf(f.file, indexes)
}

// MessageOf is Message of a file that was compiled.
func MessageOf(file protoreflect.FileDescriptor, indexes []int) (protoreflect.MessageDescriptor, error) {
	if len(indexes) == 0 {
		indexes = []int{0}
	}
	var m protoreflect.MessageDescriptor
	among := file.Messages()
	for _, i := range indexes {
		if i < 0 || i >= among.Len() {
			return nil, fmt.Errorf("the schema has no message with the indexes %v", indexes)
		}
		m = among.Get(i)
		if m.IsMapEntry() {
			if m = written(among, i); m == nil {
				return nil, fmt.Errorf("the schema has no message with the indexes %v", indexes)
			}
		}
		among = m.Messages()
	}
	return m, nil
}

// written is a message by its index among those that stand in the text, where maps have none. Confluent's client for Java counts so where
// normalize.schemas is on; all others count the messages of map fields, which are no values. So an index that leads to one is counted so.
func written(among protoreflect.MessageDescriptors, index int) protoreflect.MessageDescriptor {
	for i := range among.Len() {
		if among.Get(i).IsMapEntry() {
			continue
		}
		if index == 0 {
			return among.Get(i)
		}
		index--
	}
	return nil
}

// Named finds a message by its full name, or by its name in the file's package.
func (f *File) Named(name string) (protoreflect.MessageDescriptor, error) {
	for _, full := range []protoreflect.FullName{protoreflect.FullName(name), f.file.Package().Append(protoreflect.Name(name))} {
		if d, err := f.types.FindMessageByName(full); err == nil && d.Descriptor().ParentFile().Path() == f.file.Path() {
			return d.Descriptor(), nil
		}
	}
	return nil, fmt.Errorf("the schema has no message %q", name)
}

// Indexes are those by which Message finds a message in its file.
func Indexes(m protoreflect.MessageDescriptor) (list []int) {
	var d protoreflect.Descriptor = m
	for ; d != nil; d = d.Parent() {
		if _, ok := d.(protoreflect.MessageDescriptor); !ok {
			break
		}
		list = append(list, d.Index())
	}
	slices.Reverse(list)
	return list
}

// maxDepth is how deep messages may be nested.
const maxDepth = jsonscan.MaxDepth

// Append encodes a JSON document as a message after dst. Its error has the place in the document.
func (f *File) Append(dst []byte, m protoreflect.MessageDescriptor, document []byte) ([]byte, error) {
	v := dynamicpb.NewMessage(m)
	if err := (protojson.UnmarshalOptions{Resolver: f.types, RecursionLimit: maxDepth, AllowPartial: true}).Unmarshal(document, v); err != nil {
		if strict := jsonscan.Check(document); strict != nil { // whose words and places are better
			return dst, strict
		}
		return dst, Located(document, err)
	}
	if err := f.whole.check(v, document); err != nil {
		return dst, err
	}
	if err := f.rules.checkOf(v, document); err != nil {
		return dst, err
	}
	return proto.MarshalOptions{Deterministic: true, AllowPartial: true}.MarshalAppend(dst, v)
}

// AppendJSON writes an encoded message as JSON after dst. Fields that the schema does not know are left out.
func (f *File) AppendJSON(dst []byte, m protoreflect.MessageDescriptor, encoded []byte) ([]byte, error) {
	v := dynamicpb.NewMessage(m)
	if err := (proto.UnmarshalOptions{Resolver: f.types, RecursionLimit: maxDepth, AllowPartial: true}).Unmarshal(encoded, v); err != nil {
		return dst, jsonscan.Located(fmt.Errorf("it is no %s: %w", m.FullName(), err))
	}
	if err := f.whole.checkRead(v); err != nil {
		return dst, err
	}
	text, err := protojson.MarshalOptions{Resolver: f.types, AllowPartial: true}.Marshal(v)
	if err != nil {
		return dst, jsonscan.Located(err)
	}
	out := bytes.NewBuffer(dst)
	if err := json.Compact(out, text); err != nil { // protojson varies its white space on purpose
		return dst, jsonscan.Located(err)
	}
	return out.Bytes(), nil
}

// position is how protojson says where a mistake is; the space before it varies on purpose.
var position = regexp.MustCompile(`^proto:[\s\x{a0}]*(?:\(line (\d+):(\d+)\): )?`)

// Located gives an error of protojson its place in the document.
func Located(document []byte, err error) error {
	text := err.Error()
	m := position.FindStringSubmatch(text)
	if m == nil {
		return jsonscan.Located(err)
	}
	why := errors.New(text[len(m[0]):])
	line, err := strconv.Atoi(m[1])
	if err != nil {
		return jsonscan.Located(why)
	}
	column, _ := strconv.Atoi(m[2])
	return jsonscan.AtOffset(why, document, offsetOf(document, line, column))
}

// offsetOf is the offset of a character by its line and column, from 1.
func offsetOf(document []byte, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		next := bytes.IndexByte(document[at:], '\n')
		if next < 0 {
			return at
		}
		at += next + 1
	}
	for ; column > 1 && at < len(document); column-- {
		_, n := utf8.DecodeRune(document[at:])
		at += n
	}
	return at
}
