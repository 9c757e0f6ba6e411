package protovalue

import (
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// explicitEntries reads a file that has the messages of its map fields written out, each with the option map_entry. Confluent's client for
// Java sends the schemas of generated classes so; the compiler refuses the option, which only it may set.
func explicitEntries(tree *ast.FileNode) (protocompile.SearchResult, error) {
	parsed, err := parser.ResultFromAST(tree, false, reporter.NewHandler(nil))
	if err != nil {
		return protocompile.SearchResult{}, err
	}
	file := proto.CloneOf(parsed.FileDescriptorProto())
	for _, m := range file.MessageType {
		markEntries(m)
	}
	return protocompile.SearchResult{Proto: file}, checkEntries(file)
}

// markEntries does for the option map_entry what the compiler does where a map is declared.
func markEntries(m *descriptorpb.DescriptorProto) {
	var left []*descriptorpb.UninterpretedOption
	for _, o := range m.GetOptions().GetUninterpretedOption() {
		if name := o.GetName(); len(name) == 1 && name[0].GetNamePart() == "map_entry" && !name[0].GetIsExtension() && o.GetIdentifierValue() == "true" {
			m.Options.MapEntry = proto.Bool(true)
			continue
		}
		left = append(left, o)
	}
	if m.Options != nil {
		m.Options.UninterpretedOption = left
	}
	for _, nested := range m.NestedType {
		markEntries(nested)
	}
}

// checkEntries refuses a message that is marked as that of a map field and is not what the declaration of one makes.
func checkEntries(file *descriptorpb.FileDescriptorProto) error {
	for _, m := range file.MessageType {
		if m.GetOptions().GetMapEntry() {
			return fmt.Errorf("message %s has the option map_entry, and is in no message that could have the map", m.GetName())
		}
		if err := checkEntriesOf(m); err != nil {
			return err
		}
	}
	return nil
}

func checkEntriesOf(m *descriptorpb.DescriptorProto) error {
	for _, entry := range m.NestedType {
		if !entry.GetOptions().GetMapEntry() {
			if err := checkEntriesOf(entry); err != nil {
				return err
			}
			continue
		}
		fields := 0
		for _, f := range m.Field {
			of := f.GetTypeName()
			if of = of[strings.LastIndexByte(of, '.')+1:]; of == entry.GetName() && f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED && entryName(f.GetName()) == of {
				fields++
			}
		}
		if fields != 1 || !isEntry(entry) {
			return fmt.Errorf("message %s in %s has the option map_entry, and is not what a map field has: declare the field as map<KEY, VALUE>", entry.GetName(), m.GetName())
		}
	}
	return nil
}

// isEntry says whether a message has the fields of a map's entry, and nothing else.
func isEntry(m *descriptorpb.DescriptorProto) bool {
	if len(m.Field) != 2 || len(m.NestedType)+len(m.EnumType)+len(m.OneofDecl)+len(m.Extension)+len(m.ExtensionRange) > 0 {
		return false
	}
	for i, name := range []string{"key", "value"} {
		f := m.Field[i]
		if f.GetName() != name || int(f.GetNumber()) != i+1 || f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED || f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REQUIRED {
			return false
		}
	}
	return true
}

// entryName is what the message of a map field is called.
func entryName(field string) string { return jsonName("_"+field) + "Entry" }
