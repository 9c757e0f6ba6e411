package schema

import (
	"fmt"
	"testing"
)

// Messages of imported files are compared too, since an import may be of another version; in what package they are means nothing. What
// moves into the file itself, or refers to itself, is compared as any other.
//
// Mutations seen to fail it: messageField without importedChanged; importedChanged that remembers no result; localName with the package.
func TestImportedMessagesAreCompared(t *testing.T) {
	home := func(pkg, number string) string {
		return fmt.Sprintf(`syntax = "proto3"; package %s; message Outer { message Home { %s number = 1; Home next = 2; } }`, pkg, number)
	}
	person := func(pkg string) string {
		return fmt.Sprintf(`syntax = "proto3"; import "home.proto"; message Person { %s.Outer.Home first = 1; map<string, %s.Outer.Home> others = 2; }`, pkg, pkg)
	}
	within := `syntax = "proto3"; message Person { Outer.Home first = 1; map<string, Outer.Home> others = 2; } message Outer { message Home { int32 number = 1; Home next = 2; } }`
	const changed = "FIELD_SCALAR_KIND_CHANGED /Outer/Home/1, FIELD_NAMED_TYPE_CHANGED /Person/1, FIELD_NAMED_TYPE_CHANGED /Person/2/value"
	for name, c := range map[string]struct{ old, oldImport, next, nextImport, want string }{
		"the same":                     {person("a"), home("a", "int32"), person("a"), home("a", "int32"), ""},
		"a compatible change":          {person("a"), home("a", "int32"), person("a"), home("a", "int64"), ""},
		"another package":              {person("a"), home("a", "int32"), person("b.c"), home("b.c", "int32"), ""},
		"another type":                 {person("a"), home("a", "int32"), person("a"), home("a", "string"), changed},
		"another type and package":     {person("a"), home("a", "int32"), person("b"), home("b", "string"), changed},
		"from an import into the file": {person("a"), home("a", "int32"), within, "", ""},
		"another type in the file":     {person("a"), home("a", "string"), within, "", changed},
	} {
		parse := func(text, in string) *Schema {
			src := Source{Type: Protobuf, Text: text}
			if in != "" {
				src.Imports = []Import{{Name: "home.proto", Text: in}}
			}
			s, err := Parse(src)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return s
		}
		got := ""
		for n, d := range Read(parse(c.next, c.nextImport), parse(c.old, c.oldImport)) {
			if n > 0 {
				got += ", "
			}
			got += d.Rule + " " + d.Path
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
