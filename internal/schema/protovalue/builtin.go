package protovalue

import (
	"bytes"
	"embed"
	"strings"

	"github.com/bufbuild/protocompile"
)

// builtin has the files that Confluent's registry has beside Google's well-known types, by their paths. Its clients never register these.
//
//go:embed builtin
var builtin embed.FS

// BuiltIn says whether every registry has a file, so that a schema that imports it refers to no subject.
func BuiltIn(path string) bool {
	if strings.HasPrefix(path, "google/protobuf/") {
		return true
	}
	_, found := builtIn(path)
	return found
}

func builtIn(path string) (protocompile.SearchResult, bool) {
	text, err := builtin.ReadFile("builtin/" + path)
	return protocompile.SearchResult{Source: bytes.NewReader(text)}, err == nil
}
