package protovalue

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// NameOf is the name of a message by its indexes, in a file that need not compile: numbers, options and imports may be wrong. Its error is that the text
// cannot be read at all, or that there is no such message.
func NameOf(text string, indexes []int) (protoreflect.FullName, error) {
	file, err := outline(text)
	if err != nil {
		return "", err
	}
	if len(indexes) == 0 {
		indexes = []int{0}
	}
	names := slices.DeleteFunc([]string{file.GetPackage()}, func(s string) bool { return s == "" })
	among := file.MessageType
	for _, i := range indexes {
		if i >= 0 && i < len(among) && ofMap(among[i]) { // see written
			among = slices.DeleteFunc(slices.Clone(among), ofMap)
		}
		if i < 0 || i >= len(among) {
			return "", fmt.Errorf("the schema has no message with the indexes %v", indexes)
		}
		names = append(names, among[i].GetName())
		among = among[i].NestedType
	}
	return protoreflect.FullName(strings.Join(names, ".")), nil
}

func ofMap(m *descriptorpb.DescriptorProto) bool { return m.GetOptions().GetMapEntry() }

// outline is what a file declares, as it is written. What stands at a place where the grammar does not have it is an error, because messages around it could
// be missing.
func outline(text string) (*descriptorpb.FileDescriptorProto, error) {
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil {
		file := &descriptorpb.FileDescriptorProto{}
		return file, proto.Unmarshal(raw, file)
	}
	tree, err := parser.Parse(mainProto, strings.NewReader(text), reporter.NewHandler(nil))
	if err != nil {
		return nil, err
	}
	passed := reporter.NewHandler(reporter.NewReporter(func(reporter.ErrorWithPos) error { return nil }, nil))
	parsed, _ := parser.ResultFromAST(tree, false, passed)
	file := parsed.FileDescriptorProto()
	for _, m := range file.MessageType {
		markEntries(m)
	}
	return file, nil
}
