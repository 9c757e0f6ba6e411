package cli

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What is exported is the letter, byte by byte, and is there whole or not at all.
//
// Mutations, each seen to fail it: a null for an empty value; a file that is overwritten; the part that is left behind.
func TestLettersAreExportedWhole(t *testing.T) {
	d := newLetters(t)
	dir := t.TempDir()
	bytes := "\xff\x00\n"
	odd := letter(0, 30, "odd")
	odd.Key, odd.Value = []byte(bytes), []byte(bytes)
	odd.Headers = append(odd.Headers, kgo.RecordHeader{Key: "bin", Value: []byte(bytes)}, kgo.RecordHeader{Key: "none"})
	empty, none := letter(1, 31, "empty"), letter(1, 32, "none")
	empty.Value, none.Value = []byte{}, nil
	d.must(d.client.ProduceSync(t.Context(), odd, empty, none).FirstErr())
	d.dlq(0, "discard", "--topic", lettersOf, "--key", "k3", "--execute")

	type line struct {
		Partition, Offset int64
		Open              bool
		Key, Value        *string
		Key64             []byte `json:"key_base64"`
		Value64           []byte `json:"value_base64"`
		Headers           []struct {
			Key     string
			Value   *string
			Value64 []byte `json:"value_base64"`
		}
		Origin struct {
			Topic             string
			Partition, Offset int64
		}
	}
	file := filepath.Join(dir, "letters.jsonl")
	out := d.dlq(0, "export", "--topic", lettersOf, "--file", file, "--json")
	if !strings.Contains(out, `"exported": 17`) {
		t.Errorf("%s", out)
	}
	f, err := os.Open(file)
	d.must(err)
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	lines, resolved := 0, 0
	for in := bufio.NewScanner(f); in.Scan(); {
		var l line
		d.must(json.Unmarshal(in.Bytes(), &l))
		if lines++; !l.Open {
			resolved++
		}
		switch l.Origin.Offset {
		case 30:
			if l.Key != nil || string(l.Key64) != bytes || l.Value != nil || string(l.Value64) != bytes || string(l.Headers[len(l.Headers)-2].Value64) != bytes || l.Headers[len(l.Headers)-1].Value64 != nil {
				t.Errorf("%s", in.Bytes())
			}
		case 31:
			if l.Value == nil || *l.Value != "" {
				t.Errorf("an empty value: %s", in.Bytes())
			}
		case 32:
			if l.Value != nil || l.Value64 != nil {
				t.Errorf("no value: %s", in.Bytes())
			}
		}
	}
	if lines != 17 || resolved != 2 {
		t.Errorf("%d lines, %d resolved", lines, resolved)
	}
	if out := d.dlq(exitUsage, "export", "--topic", lettersOf, "--file", file); !strings.Contains(out, "is not overwritten") {
		t.Errorf("again: %s", out)
	}
	if out := d.dlq(0, "export", "--topic", lettersOf, "--file", "-", "--partition", "0", "--offset", "0-1"); strings.Count(out, `{"topic":"order.placed.v1.dlq"`) != 2 {
		t.Errorf("standard output: %s", out)
	}
	folder := filepath.Join(dir, "letters")
	d.dlq(0, "export", "--topic", lettersOf, "--folder", folder, "--partition", "0")
	values, err := filepath.Glob(filepath.Join(folder, "0", "*.value"))
	d.must(err)
	if got, err := os.ReadFile(filepath.Join(folder, "0", "7.value")); err != nil || string(got) != bytes || len(values) != 8 {
		t.Errorf("%q, %v, %d values", got, err, len(values))
	}
	d.dlq(exitUsage, "export", "--topic", lettersOf, "--folder", folder)
	d.dlq(exitUsage, "export", "--topic", lettersOf)
	d.dlq(exitFailure, "export", "--topic", "nothing", "--file", filepath.Join(dir, "nothing"))
	left, err := os.ReadDir(dir)
	if d.must(err); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}
