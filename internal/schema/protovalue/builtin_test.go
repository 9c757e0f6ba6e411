package protovalue

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema/source"
)

// Each file that is built in can be imported without a reference, sent as text and as a descriptor, and a reference of its name goes before it.
//
// Mutations seen to fail it: no look at builtIn; it goes before what is given.
func TestFilesThatAreBuiltInNeedNoReference(t *testing.T) {
	count := 0
	err := fs.WalkDir(builtin, "builtin", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		count++
		name := strings.TrimPrefix(path, "builtin/")
		if !BuiltIn(name) {
			t.Errorf("%s is not built in", name)
		}
		text := `syntax = "proto3"; import "` + name + `"; message M { string some_text = 1; int32 b = 2; }`
		file, err := Compile(text, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		samePrinted(t, file, nil)
		samePacked(t, file, nil)
		samePrinted(t, file.Imports().Get(0).FileDescriptor, nil)
		return nil
	})
	if err != nil || count < 20 {
		t.Errorf("%d files, %v", count, err)
	}
	own := []source.Import{{Name: "google/type/money.proto", Text: `syntax = "proto3"; package google.type; message Money { int64 cents = 1; }`}}
	file, err := Compile(`syntax = "proto3"; import "google/type/money.proto"; message M { google.type.Money price = 1; }`, own)
	if err != nil || file.Messages().Get(0).Fields().Get(0).Message().Fields().ByName("cents") == nil {
		t.Errorf("a reference is not preferred: %v", err)
	}
	const marked = `syntax = "proto3"; import "confluent/meta.proto"; message M { option (confluent.message_meta).tags = "PII"; bytes d = 1 [(confluent.field_meta) = { params: [{ key: "scale", value: "2" }] }]; }`
	if file, err = Compile(marked, nil); err != nil {
		t.Fatal(err)
	}
	if text := Text(file); !strings.Contains(text, "PII") || !strings.Contains(text, `"scale"`) {
		t.Errorf("Confluent's options are lost:\n%s", text)
	}
	for _, name := range []string{"google/rpc/status.proto", "google/api/annotations.proto", "buf/validate/validate.proto", "", "google", "google/type", "../builtin.go"} {
		if BuiltIn(name) {
			t.Errorf("%q is built in", name)
		}
	}
}
