package gateway

import (
	"bytes"
	"encoding/json"
	"testing"
)

// The field of a document is the same whether it is found at a glance or by taking the document apart.
//
// Mutation seen to fail it: plainField that ends at the first name, though another object follows.
func FuzzField(f *testing.F) {
	for _, document := range []string{`{"a":"x"}`, `{"a":{"b":7}}`, `{"a":{"b":"1"},"b":2}`, `{"b":{"b":1},"a":{"c":1,"b":"é\n"}}`, `{"a":1,"a":2}`, `{"a":true}`, `{"a":""}`, `{"a":{}}`, `{"a":1}}`, `[1]`, `{`, `{"a":1e5}`} {
		for _, path := range []string{"a", "a.b", "b.b", ""} {
			f.Add([]byte(document), path)
		}
	}
	f.Fuzz(func(t *testing.T, document []byte, path string) {
		plain := plainField(document, path)
		if len(plain) == 0 || !json.Valid(document) {
			return
		}
		if text, p := anyField(document, path); p != nil || !bytes.Equal(text, plain) {
			t.Errorf("%s in %s: %q at a glance, %q %v", path, document, plain, text, p)
		}
	})
}

// A plain document is not taken apart for its key.
func TestAPlainFieldIsFoundAtAGlance(t *testing.T) {
	for path, want := range map[string]string{"id": "o1", "lines.n": "", "customer.id": "7", "customer": "", "none": ""} {
		if got := plainField([]byte(`{"lines":[{"n":1}],"customer":{"id":7,"name":"x"},"id":"o1"}`), path); string(got) != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
