//go:build integration && unix

package avrovalue_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema"
)

// What the rules of compatibility call readable, Apache Avro for Java reads, whatever the names and aliases of fields; and what Java does not read they refuse.
// Beyond that they refuse what readers disagree about: a field that two written ones may be (READER_FIELD_AMBIGUOUS).
//
// Mutations seen to fail it: renamed without takes; renamed that does it once; aliases that mean nothing in a record that has not changed, as the rules were.
func TestJavaReadsFieldsByTheirAliases(t *testing.T) {
	r := rand.New(rand.NewPCG(uint64(*seed), 1))
	record := func(outer string, aliases bool) (text string, names []string) {
		var fields []string
		for _, n := range r.Perm(4)[:1+r.IntN(3)] {
			name := string(rune('a' + n))
			names = append(names, name)
			f := fmt.Sprintf(`{"name":%q,"type":"int"`, name)
			if aliases && r.IntN(2) == 0 {
				f += fmt.Sprintf(`,"aliases":[%q]`, string(rune('a'+r.IntN(4))))
			}
			if r.IntN(2) == 0 {
				f += `,"default":-1`
			}
			fields = append(fields, f+"}")
		}
		text = `{"type":"record","name":"R","fields":[` + strings.Join(fields, ",") + `]}`
		return fmt.Sprintf(outer, text), names
	}
	outer := []string{`%s`, `{"type":"record","name":"O","fields":[{"name":"r","type":%s}]}`, `{"type":"record","name":"O","fields":[{"name":"r","type":%s},{"name":"n","type":"int","default":1}]}`}
	var all []pair
	for range *pairs {
		from := outer[r.IntN(len(outer))]
		to := from
		if from == outer[1] {
			to = outer[1+r.IntN(2)]
		}
		p := pair{}
		var names []string
		p.writer, names = record(from, r.IntN(2) == 0)
		if p.reader, _ = record(to, true); r.IntN(4) == 0 {
			p.reader = strings.Replace(p.writer, `%s`, "", 1)
			if from == outer[1] {
				p.reader = strings.TrimSuffix(p.reader, "]}") + `,{"name":"n","type":"int","default":1}]}`
			}
		}
		for i := range names {
			p.value = append(p.value, byte(2*(i+1)))
		}
		if from == outer[2] {
			p.value = append(p.value, 2)
		}
		all = append(all, p)
	}
	count := map[string]int{}
	for i, java := range askJava(t, all) {
		written, err1 := schema.Parse(schema.Source{Type: schema.Avro, Text: all[i].writer})
		read, err2 := schema.Parse(schema.Source{Type: schema.Avro, Text: all[i].reader})
		if err1 != nil || err2 != nil {
			t.Fatalf("%v, %v", err1, err2)
		}
		broken, ambiguous := schema.Read(read, written), false
		for _, b := range broken {
			ambiguous = ambiguous || b.Rule == "READER_FIELD_AMBIGUOUS"
		}
		count[fmt.Sprintf("%s, and %t", java.kind(), len(broken) == 0)]++
		if (java.kind() == "read") != (len(broken) == 0) && !(java.kind() == "read" && ambiguous) {
			t.Errorf("written with %s\nread with %s\nin Java it is %s %s; %v", all[i].writer, all[i].reader, java.kind(), java.Refused, broken)
		}
	}
	t.Log(count)
	if count["read, and true"] < *pairs/10 || count["refused, and false"] < *pairs/10 {
		t.Errorf("%v: nothing is shown by pairs of which nearly all are read, or none", count)
	}
}
