//go:build integration && unix

package avrovalue_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/fetched"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/avrovalue"
)

var (
	pairs = flag.Int("pairs", 4000, "how many pairs of schemas Apache Avro for Java is asked about")
	seed  = flag.Int("seed", 1, "what the schemas and values are made from; 0: the time")
)

var (
	//go:embed testdata/pom.xml
	pom []byte
	//go:embed testdata/Peer.java
	program []byte
)

// pair is a value of a schema that is to be read as another.
type pair struct {
	writer, reader string
	document       string // the value in Avro's JSON encoding
	value          []byte
}

// verdict is how a pair is read. All three are empty for a value that is read as nothing, such as null.
type verdict struct {
	Schema  string `json:"schema"`  // why a schema is none
	Refused string `json:"refused"` // why the value is not read
	Value   []byte `json:"value"`   // as the reader's schema encodes it
}

func (v verdict) kind() string {
	switch {
	case v.Schema != "":
		return "no schema"
	case v.Refused != "":
		return "refused"
	}
	return "read"
}

// askJava has Apache Avro read values by its own resolution.
func askJava(t *testing.T, all []pair) []verdict {
	t.Helper()
	kafkatest.Require(t) // which is how machines say that they have Java and Maven
	sum := sha256.Sum256(pom)
	dir, have := fetched.Folder("avro", "1.12.1", sum[:])
	if !have {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		err := fetched.Make(dir, func(part string) (string, error) {
			if err := os.WriteFile(filepath.Join(part, "pom.xml"), pom, 0o600); err != nil {
				return "", err
			}
			libs := filepath.Join(part, "libs")
			return libs, fetched.Maven(ctx, part, "dependency:copy-dependencies", "-DoutputDirectory="+libs)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	source := filepath.Join(t.TempDir(), "Peer.java")
	if err := os.WriteFile(source, program, 0o600); err != nil {
		t.Fatal(err)
	}
	var questions [][]any
	for _, p := range all {
		questions = append(questions, []any{p.writer, p.reader, p.value})
	}
	out := registrytest.Ask(t, exec.Command("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(dir, "*"), source), questions)
	var answers []verdict
	for line := range bytes.Lines(out.Bytes()) {
		var v verdict
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, v)
	}
	if len(answers) != len(all) {
		t.Fatalf("%d answers to %d questions", len(answers), len(all))
	}
	return answers
}

// read has the package read a pair. The value is what Decode has left in an any.
func (p *pair) read() (v verdict, value any) {
	writer, err := avrovalue.Parse(p.writer, nil)
	if err != nil {
		return verdict{Schema: err.Error()}, nil
	}
	reader, err := avrovalue.Parse(p.reader, nil)
	if err != nil {
		return verdict{Schema: err.Error()}, nil
	}
	r, err := avrovalue.Resolve(writer, reader)
	if err != nil {
		return verdict{Schema: err.Error()}, nil
	}
	rest, err := r.Decode(p.value, &value)
	switch {
	case err != nil:
		return verdict{Refused: err.Error()}, nil
	case len(rest) > 0:
		return verdict{Refused: "bytes follow the value"}, nil
	}
	return verdict{}, value
}

// differs says how the package and Java differ about a pair, "" if they do not. Values are compared as the reader's schema decodes them,
// since the entries of a map have no order.
func differs(p *pair, java verdict) string {
	ours, got := p.read()
	if ours.kind() == "refused" && java.kind() == "read" && strings.Contains(ours.Refused, ": record ") {
		return "" // see javaNames
	}
	if ours.kind() != java.kind() {
		return "here it is " + ours.kind() + " (" + ours.Schema + ours.Refused + "), in Java " + java.kind() + " (" + java.Schema + java.Refused + ")"
	}
	if ours.kind() != "read" {
		return ""
	}
	reader, err := avrovalue.Parse(p.reader, nil)
	if err != nil {
		return err.Error()
	}
	var want any
	if rest, err := reader.Decode(java.Value, &want); err != nil || len(rest) > 0 {
		return "Java's value is not read: " + err.Error()
	}
	if !reflect.DeepEqual(got, want) && fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) { // which takes NaN for the same as NaN
		text := func(v any) string {
			raw, _ := json.Marshal(v)
			return string(raw)
		}
		return "here it is read as " + text(got) + ", in Java as " + text(want)
	}
	return ""
}

// evolving makes up a schema, another version of it, and a value of the first.
var evolving = rapid.Custom(func(t *rapid.T) pair {
	d := &drawn{}
	of, value := d.draw(t, 3, false)
	for kindOf(of) == "null" {
		of, value = d.draw(t, 3, false)
	}
	if name, ok := of.(map[string]any); ok && name["name"] != nil && rapid.IntRange(0, 2).Draw(t, "twice") == 0 {
		first, second := d.name("f"), d.name("f")
		one := value
		of = map[string]any{"type": "record", "name": d.name("R"), "fields": []any{
			map[string]any{"name": first, "type": of}, map[string]any{"name": second, "type": name["name"]}}}
		value = func() any { return map[string]any{first: one(), second: one()} }
	}
	p := pair{writer: text(t, of)}
	p.document = text(t, value())
	p.reader = text(t, renamed(t, d, other(t, d, of, false)))
	s, err := avrovalue.Parse(p.writer, nil)
	if err != nil {
		t.Fatalf("%s: %v", p.writer, err)
	}
	compiled, err := avrovalue.Compile(s)
	if err != nil {
		t.Fatalf("%s: %v", p.writer, err)
	}
	if p.value, err = compiled.Append([]byte{}, []byte(p.document)); err != nil {
		t.Fatalf("%s of %s: %v", p.document, p.writer, err)
	}
	return p
})

func text(t *rapid.T, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// added are fields that were not written, each with a default.
func added(t *rapid.T, d *drawn) []any {
	if rapid.IntRange(0, 3).Draw(t, "added") > 0 {
		return nil
	}
	type typed struct{ of, value any }
	one := rapid.SampledFrom([]typed{
		{"boolean", true}, {"long", 1 << 53}, {"float", 0.5}, {"double", 3}, {"double", -1e300}, {"string", "é\u2028"}, {"bytes", "\u00ff\u0000"},
		{map[string]any{"type": "fixed", "name": d.name("AddedFixed"), "size": 2}, "\u00ff\u0001"},
		{map[string]any{"type": "enum", "name": d.name("AddedEnum"), "symbols": []string{"X", "Y"}}, "Y"},
		{map[string]any{"type": "array", "items": []any{"int", "string"}}, []any{7}},
		{map[string]any{"type": "map", "values": "double"}, map[string]any{"k": 1}},
		{map[string]any{"type": "record", "name": d.name("AddedRecord"), "fields": []any{map[string]any{"name": "a", "type": "int"}, map[string]any{"name": "b", "type": "string", "default": "own"}}}, map[string]any{"a": -1}},
		{[]any{"null", "int"}, nil}, {[]any{"string", "null"}, "s"}, {[]any{"null", "int"}, 5},
		{map[string]any{"type": "int", "logicalType": "date"}, 19000},
		{"int", 1 << 31}, {"int", "1"}, {"int", nil}, {"float", "NaN"},
	}).Draw(t, "default")
	return []any{map[string]any{"name": "added", "type": one.of, "default": one.value}}
}

// renamed gives some types another name with the old one as alias, and some fixed types another size.
func renamed(t *rapid.T, d *drawn, of any) any {
	switch of := of.(type) {
	case []any:
		list := make([]any, len(of))
		for i := range of {
			list[i] = renamed(t, d, of[i])
		}
		return list
	case map[string]any:
		m := maps.Clone(of)
		for _, key := range []string{"items", "values"} {
			if m[key] != nil {
				m[key] = renamed(t, d, m[key])
			}
		}
		if fields, ok := m["fields"].([]any); ok {
			list := make([]any, len(fields))
			for i := range fields {
				f := maps.Clone(fields[i].(map[string]any))
				f["type"] = renamed(t, d, f["type"])
				list[i] = f
			}
			m["fields"] = append(list, added(t, d)...)
		}
		name, named := m["name"].(string)
		switch n := rapid.IntRange(0, 9).Draw(t, "rename"); {
		case named && n == 0:
			m["name"], m["aliases"] = "New"+name, []string{name}
		case n == 1 && m["type"] == "fixed":
			m["size"] = 5
		}
		return m
	}
	return of
}

// The specification says that the names of records match. Java's resolver does not look at them, "to pass regression tests", and takes any
// record whose fields fit, also of a union. Weir's registry refuses such a schema, as Confluent's does.
const javaNames = "Java compares no names of records."

// apart are pairs about which the two differ, or which the random ones do not have.
var apart = []struct {
	name           string
	writer, reader string
	document       string
	here, java     string // "" is the same as here
	why            string // they differ
}{
	{name: "a record of another name", writer: `{"type":"record","name":"A","fields":[]}`, reader: `{"type":"record","name":"B","fields":[]}`, document: `{}`, here: "refused", java: "read", why: javaNames},
	{name: "a record of another name, in a field", writer: in(`{"type":"record","name":"A","fields":[]}`), reader: in(`{"type":"record","name":"B","fields":[]}`), document: `{"f":{},"end":1}`, here: "refused", java: "read", why: javaNames},
	{name: "a record of another namespace", writer: `{"type":"record","name":"a.A","fields":[]}`, reader: `{"type":"record","name":"b.A","fields":[]}`, document: `{}`, here: "read"},
	{name: "an enum of another namespace", writer: `{"type":"enum","name":"a.E","symbols":["A"]}`, reader: `{"type":"enum","name":"b.E","symbols":["A"]}`, document: `"A"`, here: "read"},
	{name: "a fixed of another namespace", writer: `{"type":"fixed","name":"a.F","size":1}`, reader: `{"type":"fixed","name":"b.F","size":1}`, document: `"a"`, here: "read"},
	{name: "a fixed with an alias", writer: `{"type":"fixed","name":"a.F","size":1}`, reader: `{"type":"fixed","name":"b.G","size":1,"aliases":["a.F"]}`, document: `"a"`, here: "read"},
	{name: "a decimal of another scale", writer: `{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}`, reader: `{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}`, document: `1.5`, here: "refused", java: "read", why: "The specification has a reader with another scale refuse. Java's generic reader leaves that to who converts the number."},
	{name: "a decimal as bytes", writer: `{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}`, reader: `"bytes"`, document: `1.5`, here: "read"},
	{name: "millis as micros", writer: `{"type":"long","logicalType":"timestamp-millis"}`, reader: `{"type":"long","logicalType":"timestamp-micros"}`, document: `1500`, here: "refused", java: "read", why: "Java's generic reader leaves that to who converts the number, who then has another time."},
	{name: "bytes that are no text", writer: `"bytes"`, reader: `"string"`, document: `"\u00ff"`, here: "read"},
	{name: "bytes that are no text, in a union", writer: `["null","bytes"]`, reader: `"string"`, document: `{"bytes":"\u00ff"}`, here: "read"},
	{name: "a field by its alias and by its name", writer: `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}`,
		reader: `{"type":"record","name":"R","fields":[{"name":"b","type":"int","aliases":["a"]}]}`, document: `{"a":1,"b":2}`, here: "read", java: "refused", why: "A field is read by its name before its aliases. Java renames the written field to one that is there already."},
	{name: "a field twice", writer: `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`,
		reader: `{"type":"record","name":"R","fields":[{"name":"b","type":"int","aliases":["a"]},{"name":"a","type":"int"}]}`, document: `{"a":1}`, here: "no schema", java: "refused", why: "Both refuse; Java only when there is a value."},
	{name: "the short name in a union", writer: `{"type":"record","name":"a.P","fields":[{"name":"n","type":"int"}]}`, reader: `["null",{"type":"record","name":"b.P","fields":[{"name":"n","type":"int"}]}]`, document: `{"n":1}`, here: "read"},
	{name: "another name in a union", writer: `{"type":"record","name":"a.P","fields":[{"name":"n","type":"int"}]}`, reader: `["null",{"type":"record","name":"b.Q","fields":[{"name":"n","type":"int"}]}]`, document: `{"n":1}`, here: "refused", java: "read", why: javaNames},
	{name: "a type defined twice, each time the same", writer: `{"type":"record","name":"R","fields":[]}`,
		reader:   `{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"enum","name":"E","symbols":["X"]},"default":"X"},{"name":"b","type":{"type":"enum","name":"E","symbols":["X"]},"default":"X"}]}`,
		document: `{}`, here: "no schema", java: "read", why: "The specification has a name defined once. Java takes it again since 1.12 if nothing differs."},
	{name: "a list in itself", writer: `{"type":"record","name":"L","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","L"]}]}`,
		reader:   `{"type":"record","name":"L","fields":[{"name":"next","type":["L","null"]},{"name":"v","type":"double"},{"name":"w","type":"int","default":9}]}`,
		document: `{"v":1,"next":{"L":{"v":2,"next":{"L":{"v":3,"next":null}}}}}`, here: "read"},
	{name: "a default that is no value of its type", writer: `{"type":"record","name":"R","fields":[]}`, reader: `{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}`, document: `{}`, here: "no schema"},
}

// Apache Avro for Java reads what this package reads, as the same value, and refuses what it refuses: over schemas that are made up,
// another version of each, and values.
//
// Mutations seen to fail it: fields without aliases; a fixed of another size that matches.
func TestJavaReadsTheSame(t *testing.T) {
	if *seed == 0 {
		*seed = int(time.Now().UnixNano() >> 10)
	}
	all := make([]pair, 0, len(apart)+*pairs)
	for _, a := range apart {
		_, s := compile(t, a.writer)
		value, err := s.Append([]byte{}, []byte(a.document))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pair{a.writer, a.reader, a.document, value})
	}
	for i := range *pairs {
		all = append(all, evolving.Example(*seed+i))
	}
	answers := askJava(t, all)
	for i, a := range apart {
		ours, _ := all[i].read()
		java := cmp.Or(a.java, a.here)
		if ours.kind() != a.here || answers[i].kind() != java || (java != a.here) != (a.why != "") {
			t.Errorf("%s: here it is %s, %s, in Java %+v", a.name, ours.kind(), ours.Refused, answers[i])
		}
		if why := differs(&all[i], answers[i]); a.why == "" && why != "" {
			t.Errorf("%s: %s", a.name, why)
		}
	}
	count, differ := map[string]int{}, 0
	for i := len(apart); i < len(all); i++ {
		count[answers[i].kind()]++
		if why := differs(&all[i], answers[i]); why != "" {
			if differ++; differ <= 10 {
				t.Errorf("%s\nwritten with %s\nread with %s\n%s", all[i].document, all[i].writer, all[i].reader, why)
			}
		}
	}
	t.Logf("seed %d: %v, %d differ", *seed, count, differ)
	if count["read"] < *pairs/4 || count["refused"] < *pairs/20 {
		t.Errorf("%v: nothing is shown by pairs of which nearly all are read, or none", count)
	}
}
