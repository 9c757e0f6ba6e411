// Command generate makes the Go code of events.proto. It needs nothing but Go: the compiler is a library, and the plugins are of the
// modules that the code uses.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const file = "events.proto"

var plugins = []struct{ path, parameter string }{
	{"google.golang.org/protobuf/cmd/protoc-gen-go", "paths=source_relative"},
	{"connectrpc.com/connect/cmd/protoc-gen-connect-go", "paths=source_relative,package_suffix="},
}

func main() {
	if err := generate(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate() error {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}, SourceInfoMode: protocompile.SourceInfoStandard}
	files, err := compiler.Compile(context.Background(), file)
	if err != nil {
		return err
	}
	for _, p := range plugins {
		in, err := proto.Marshal(&pluginpb.CodeGeneratorRequest{
			FileToGenerate: []string{file}, Parameter: proto.String(p.parameter), ProtoFile: []*descriptorpb.FileDescriptorProto{protoutil.ProtoFromFileDescriptor(files[0])},
		})
		if err != nil {
			return err
		}
		plugin := exec.Command("go", "run", p.path)
		plugin.Stdin, plugin.Stderr = bytes.NewReader(in), os.Stderr
		out, err := plugin.Output()
		if err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		var made pluginpb.CodeGeneratorResponse
		if err := proto.Unmarshal(out, &made); err != nil {
			return fmt.Errorf("%s: %w", p.path, err)
		}
		if made.GetError() != "" {
			return fmt.Errorf("%s: %s", p.path, made.GetError())
		}
		for _, f := range made.GetFile() {
			if err := os.WriteFile(f.GetName(), []byte(f.GetContent()), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
