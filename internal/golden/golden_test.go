package golden

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestBytesAreTextAndBack, whatever they are.
//
// Mutation: MarshalJSON without the look at the prefix.
func TestBytesAreTextAndBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Bytes(rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.String(), func(s string) []byte { return []byte(base64Prefix + s) })).Draw(t, "bytes"))
		data, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		var back Bytes
		if err := json.Unmarshal(data, &back); err != nil || !bytes.Equal(b, back) || (b == nil) != (back == nil) {
			t.Fatalf("%q became %s and %q: %v", b, data, back, err)
		}
	})
}

// TestADamagedFileIsNotRead, nor one outside of the folder.
//
// Mutation: Lines without Check; Check without the look at the name.
func TestADamagedFileIsNotRead(t *testing.T) {
	dir := t.TempDir()
	f, err := Create(dir, "a.jsonl", func(put func(any) error) error { return put(Entry{Key: Bytes("k"), Value: Bytes("v")}) })
	if err != nil || f.Lines != 1 {
		t.Fatal(f, err)
	}
	read := func(f File) (got string, err error) {
		err = Lines(dir, f, func(e *Entry) error { got += string(e.Key) + string(e.Value); return nil })
		return got, err
	}
	if got, err := read(f); got != "kv" || err != nil {
		t.Error(got, err)
	}
	outside := f
	outside.Name = "../" + filepath.Base(dir) + "/a.jsonl"
	if _, err := read(outside); err == nil || !strings.Contains(err.Error(), "is no file of the folder") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.jsonl"), []byte(`{"key":"k","value":"w"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := read(f); got != "" || err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Error(got, err)
	}
}
