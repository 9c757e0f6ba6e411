// Package protovalue turns JSON documents into Protobuf messages and back, by the text of a .proto file, and enforces the rules of
// protovalidate that the file states.
package protovalue

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/weirstream/weir/internal/schema/source"
)

// mainProto is what a schema is called among its imports; a file cannot import itself, and no import has such a name.
const mainProto = "\x00schema.proto"

// Compile compiles a file with what it imports. What is BuiltIn and buf/validate/validate.proto are there, unless imports has others of their names.
// Clients in Python send the descriptor of the file in base64 in place of its text.
func Compile(text string, imports []source.Import) (protoreflect.FileDescriptor, error) {
	c := compilation{extensions: &protoregistry.Types{}}
	file, err := c.compile(text, imports)
	if err != nil || !c.packed {
		return file, err
	}
	if c.unread { // the options of a descriptor are values of extensions, which are known when it is compiled
		types := &protoregistry.Files{}
		if err := register(types, file); err != nil {
			return nil, err
		}
		c.extensions = dynamicpb.NewTypes(types)
		if file, err = c.compile(text, imports); err != nil {
			return nil, err
		}
	}
	return inSource(file, imports)
}

type compilation struct {
	extensions extensions // that the options of descriptors are read with
	packed     bool       // there is a descriptor
	unread     bool       // one has options that extensions does not know
}

func (c *compilation) compile(text string, imports []source.Import) (protoreflect.FileDescriptor, error) {
	files := map[string]protocompile.SearchResult{
		validate.File_buf_validate_validate_proto.Path(): {Desc: validate.File_buf_validate_validate_proto},
	}
	main, err := c.parse(text)
	if err != nil {
		return nil, err
	}
	files[mainProto] = main
	for _, in := range imports {
		if files[in.Name], err = c.parse(in.Text); err != nil {
			return nil, fmt.Errorf("reference %s: %w", in.Name, err)
		}
	}
	compiler := protocompile.Compiler{
		MaxParallelism: 1,
		Resolver: protocompile.WithStandardImports(protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
			if found, ok := files[path]; ok {
				if found.Proto != nil { // it is named by who imports it
					named := proto.CloneOf(found.Proto)
					named.Name = &path
					found.Proto = named
				}
				return found, nil
			}
			if found, ok := builtIn(path); ok {
				return found, nil
			}
			return protocompile.SearchResult{}, fmt.Errorf("no reference is named %q", path)
		})),
	}
	compiled, err := compiler.Compile(context.Background(), mainProto)
	if err != nil {
		text := strings.ReplaceAll(strings.ReplaceAll(err.Error(), mainProto+":", ""), mainProto, "the schema")
		if strings.Contains(text, "edition") && strings.Contains(text, "should be one of") {
			text += ": the compiler that Weir has does not know that edition yet: write the file in proto3 or in edition 2023"
		}
		return nil, errors.New(text)
	}
	return compiled[0], nil
}

func (c *compilation) parse(text string) (protocompile.SearchResult, error) {
	if packed := strings.TrimSpace(text); packed != "" && !strings.ContainsAny(packed, " ;{\n\t") {
		if raw, err := base64.StdEncoding.DecodeString(packed); err == nil {
			c.packed = true
			file, err := c.unpacked(raw)
			return protocompile.SearchResult{Proto: file}, err
		}
	}
	if entries := strings.Contains(text, "map_entry"); entries || quotedInEdition(text) {
		tree, err := parser.Parse(mainProto, strings.NewReader(text), reporter.NewHandler(nil))
		if err != nil {
			return protocompile.SearchResult{}, err
		}
		unquote(tree)
		if !entries {
			return protocompile.SearchResult{AST: tree}, nil
		}
		return explicitEntries(tree)
	}
	return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
}
