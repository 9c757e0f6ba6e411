//go:build integration && unix

package bound_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/protovalue"
)

//go:embed testdata/generated.py
var generated string

// A producer in Python sends its schema as protoc has generated it: the registry takes each file that is installed with Confluent's client, of
// Google's APIs for the most part, under one id, and has what was sent. Those that Confluent's clients
// do not register, because every registry has them, are built in as they are there.
//
// Mutations seen to fail it: protovalue's unpacked without nameFields; its Compile that compiles once; a field of a file in builtin changed.
func TestTheRegistryTakesWhatProtocGenerates(t *testing.T) {
	kafkatest.Require(t) // which is how machines say that they have what integration tests need
	web, _ := registrytest.Start(t)
	answers := json.NewDecoder(registrytest.Ask(t, registrytest.Confluent(t, generated, web.URL), []int{}))
	count, builtIn := 0, 0
	for answers.More() {
		var a struct{ Name, File, Error string }
		if err := answers.Decode(&a); err != nil {
			t.Fatal(err)
		}
		if count++; a.Error != "" {
			t.Errorf("%s: %s", a.Name, a.Error)
		}
		if !protovalue.BuiltIn(a.Name) || strings.HasPrefix(a.Name, "google/protobuf/") {
			continue
		}
		builtIn++
		sent, err1 := protovalue.Compile(a.File, nil)
		imports, err2 := protovalue.Compile(fmt.Sprintf(`syntax = "proto3"; import %q;`, a.Name), nil)
		if err1 != nil || err2 != nil {
			t.Errorf("%s: %v, %v", a.Name, err1, err2)
		} else if is, want := printed(imports.Imports().Get(0).FileDescriptor), printed(sent); is != want {
			t.Errorf("what is built in as %s is\n%s\nand the client's is\n%s", a.Name, is, want)
		}
	}
	if count < 50 || builtIn < 20 {
		t.Errorf("%d files, %d built in: too few", count, builtIn)
	}
}

func printed(file protoreflect.FileDescriptor) string {
	return protovalue.Print(protodesc.ToFileDescriptorProto(file), file, false)
}
