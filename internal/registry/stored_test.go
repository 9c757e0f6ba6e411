package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/kafka"
)

// foreign are schemas that other registries took and Weir does not take as new ones, each with what may follow it.
var foreign = []struct {
	what, kind, text, next string
	understood             bool // it is compared
}{
	{"a dash in a namespace", "AVRO", `{"type":"record","name":"Envelope","namespace":"abc-123.inv","fields":[{"name":"a","type":"int"}]}`,
		`{"type":"record","name":"Envelope","namespace":"abc_123.inv","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}`, true},
	{"a digit first in a namespace", "AVRO", `{"type":"record","name":"example.1.0.R","fields":[{"name":"a","type":"int"}]}`,
		`{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}`, true},
	{"a dash in a symbol and a field", "AVRO", `{"type":"record","name":"R","fields":[{"name":"a-b","type":{"type":"enum","name":"E","symbols":["X-Y"]}}]}`,
		`{"type":"record","name":"R","fields":[]}`, true},
	{"null as the default of an enum", "AVRO", `{"type":"record","name":"Old","fields":[{"name":"suit","type":{"type":"enum","name":"Suit","symbols":["A","B"]},"default":null}]}`,
		`{"type":"record","name":"Old","fields":[{"name":"suit","type":{"type":"enum","name":"Suit","symbols":["A","B"]},"default":"A"}]}`, true},
	{"a default of another type, as Java writes the schema", "AVRO", `{"type": "record", "name": "Old", "fields": [{"name": "n", "type": "int", "default": "0"}]}`,
		`{"type":"record","name":"Old","fields":[{"name":"n","type":"int","default":0}]}`, true},
	{"reserved numbers that overlap", "PROTOBUF", "syntax = \"proto3\";\nmessage M {\n  reserved 5 to 7, 6;\n  string f = 1;\n}\n", "syntax = \"proto3\"; message M { string f = 1; string g = 2; }", false},
	{"an option that is not imported", "PROTOBUF", "syntax = \"proto3\";\nmessage M {\n  string f = 1 [(my.opt) = \"x\"];\n}\n", "syntax = \"proto3\"; message M { string f = 1; string g = 2; }", false},
	{"a back-reference", "JSON", `{"type":"object","properties":{"a":{"type":"string","pattern":"(?<y>\\d+)\\k<y>"}},"additionalProperties":false}`, `{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`, false},
	{"an unknown $schema", "JSON", `{"$schema":"https://example.com/my-meta","type":"object"}`, `{"type":"object"}`, false},
	{"a $ref that leads nowhere", "JSON", `{"type":"object","properties":{"a":{"$ref":"#/definitions/gone"}}}`, `{"type":"object"}`, false},
}

// decided has a registration decided on.
func decided(t *testing.T, r *Registry, subject string, q Request) (*Entry, []kafka.Outgoing, error) {
	t.Helper()
	var e *Entry
	var records []kafka.Outgoing
	study := r.newStudy()
	err := study.settle(t.Context(), func() (err error) {
		given := q
		e, records, err = view{r.log.state, study}.register(subject, &given, false)
		return err
	})
	return e, records, err
}

func stored(subject string, version, id int, kind, text string) [2]string {
	value := map[string]any{"subject": subject, "version": version, "id": id, "schema": text, "deleted": false}
	if kind != "AVRO" {
		value["schemaType"] = kind
	}
	return [2]string{fmt.Sprintf(`{"keytype":"SCHEMA","subject":%q,"version":%d,"magic":1}`, subject, version), string(plain(value))}
}

// A text that stands in the topic is found by who sends it, whatever it is and however strict new schemas are judged, so that producers go on after the
// topic was taken over. The next version is compared with what can be understood, and where it cannot the answer says what to do.
//
// Mutations seen to fail it: identical that finds none; old without Stored; find without the lenient reading; the remedy left out of check.
func TestASchemaThatAnotherRegistryTookIsFoundAndFollowed(t *testing.T) {
	for _, c := range foreign {
		t.Run(c.what, func(t *testing.T) {
			r := loaded(t, stored("s", 1, 7, c.kind, c.text))
			request := func(text string) Request { return Request{Schema: text, SchemaType: c.kind} }
			if got := ask(r, "POST", "/subjects/s", string(plain(request(c.text)))); !strings.Contains(got, `"version":1,"id":7`) {
				t.Errorf("looked up it is %s", got)
			}
			if e, records, err := decided(t, r, "s", request(c.text)); err != nil || e.ID != 7 || len(records) > 0 {
				t.Errorf("registered again it is %+v, %d records, %v", e, len(records), err)
			}
			if _, _, err := decided(t, r, "other", request(c.text)); err == nil {
				t.Error("it is taken as a new schema")
			}
			compatible := ask(r, "POST", "/compatibility/subjects/s/versions?verbose=true", string(plain(request(c.next))))
			_, _, err := decided(t, r, "s", request(c.next))
			if c.understood {
				if !strings.Contains(compatible, `"is_compatible":true`) || err != nil {
					t.Errorf("what follows it: %s, %v", compatible, err)
				}
				// Written in another form it is the same schema still.
				var tree any
				if err := json.Unmarshal([]byte(c.text), &tree); err != nil {
					t.Fatal(err)
				}
				indented, _ := json.MarshalIndent(tree, "", "  ")
				if e, records, err := decided(t, r, "s", request(string(indented))); err != nil || e.ID != 7 || len(records) > 0 {
					t.Errorf("in another form it is %+v, %v", e, err)
				}
				if got := ask(r, "POST", "/compatibility/subjects/s/versions", string(plain(request(c.text)))); !strings.Contains(got, `"is_compatible":true`) {
					t.Errorf("compared with itself: %s", got)
				}
				return
			}
			for _, got := range []string{compatible, fmt.Sprint(err)} {
				if !strings.Contains(got, "version 1 of s, which is stored") || !strings.Contains(got, "NONE") || !strings.Contains(got, "delete version 1") {
					t.Errorf("what follows it: %s", got)
				}
			}
			r.log.state.configs["s"] = Config{CompatibilityLevel: "NONE"}
			if _, records, err := decided(t, r, "s", request(c.next)); err != nil || len(records) != 1 {
				t.Errorf("as the answer advises: %d records, %v", len(records), err)
			}
		})
	}
}

// A default that is none is none for a reader: what lacks the field cannot be read with it.
//
// Mutation seen to fail it: fields that keep their default whatever it is.
func TestADefaultThatIsNoneIsNone(t *testing.T) {
	r := loaded(t, stored("s", 1, 7, "AVRO", foreign[3].text), [2]string{`{"keytype":"CONFIG","subject":"s","magic":0}`, `{"compatibilityLevel":"FORWARD"}`})
	if _, _, err := decided(t, r, "s", Request{Schema: `{"type":"record","name":"Old","fields":[]}`}); err == nil || !strings.Contains(err.Error(), "READER_FIELD_MISSING_DEFAULT_VALUE") {
		t.Error(err)
	}
}

// A new schema may refer to one with a name that is not taken any more.
//
// Mutation seen to fail it: references read as strictly as what refers to them.
func TestANewSchemaMayReferToOneThatIsStored(t *testing.T) {
	r := loaded(t, stored("e", 1, 7, "AVRO", foreign[0].text))
	text := `{"type":"record","name":"R","fields":[{"name":"e","type":"abc-123.inv.Envelope"}]}`
	e, _, err := decided(t, r, "s", Request{Schema: text, References: []Reference{{Name: "abc-123.inv.Envelope", Subject: "e", Version: 1}}})
	if err != nil || e.Schema != text {
		t.Error(e, err)
	}
}

// An import brings what another registry took, and has its id, though nobody here understands it; only what is no text of its type at all is refused, and
// what refers to schemas that are not there.
//
// Mutations seen to fail it: asItIs that takes texts of no type; one that takes what refers to what is not there.
func TestAnImportBringsWhatIsNotUnderstood(t *testing.T) {
	for _, c := range foreign {
		r := loaded(t, [2]string{`{"keytype":"MODE","subject":"s","magic":0}`, `{"mode":"IMPORT"}`})
		e, records, err := decided(t, r, "s", Request{Schema: c.text, SchemaType: c.kind, ID: 41, Version: 3})
		if err != nil || e.ID != 41 || e.Version != 3 || len(records) != 1 || !c.understood && e.Schema != c.text {
			t.Errorf("%s: %+v, %d records, %v", c.what, e, len(records), err)
		}
		if _, _, err := decided(t, r, "s", Request{Schema: c.text, SchemaType: c.kind}); err == nil {
			t.Errorf("%s is imported without an id", c.what)
		}
	}
	r := loaded(t, [2]string{`{"keytype":"MODE","subject":"s","magic":0}`, `{"mode":"IMPORT"}`})
	for _, q := range []Request{
		{Schema: " "}, {Schema: `{"type":`}, {Schema: `{`, SchemaType: "JSON"}, {Schema: `{}`, SchemaType: "XML"},
		{Schema: "syntax = \"proto3\";", SchemaType: "PROTOBUF", References: []Reference{{Name: "a", Subject: "gone", Version: 1}}},
	} {
		q.ID, q.Version = 41, 3
		var refused *Error
		if _, _, err := decided(t, r, "s", q); !errors.As(err, &refused) || refused.Code != 42201 {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// The key of a schema that Confluent's registry does not take names nothing here either, and its id is not given again. A contract that is null is none.
//
// Mutations seen to fail it: unknown that says nothing; passOver left out; null as metadata kept.
func TestKeysThatNoRegistryWritesNameNothing(t *testing.T) {
	r := loaded(t)
	for n, key := range []string{`{"keytype":"SCHEMA","version":1,"magic":1}`, `{"keytype":"SCHEMA","subject":null,"version":1,"magic":1}`, `{"keytype":"SCHEMA","subject":"s","version":1,"magic":7}`} {
		value := fmt.Sprintf(`{"subject":"s","version":1,"id":%d,"schema":"\"int\""}`, 60+n)
		if err := r.log.state.apply(&kafka.Record{Key: []byte(key), Value: []byte(value)}); err == nil {
			t.Errorf("%s is taken", key)
		}
	}
	if s := r.log.state; len(s.subjects)+len(s.ids) > 0 {
		t.Errorf("there are %v, with the ids %v", s.subjects, s.ids)
	}
	if e, _, err := decided(t, r, "new", Request{Schema: `"int"`}); err != nil || e.ID <= 62 {
		t.Errorf("the next schema is %+v, %v", e, err)
	}
	r = loaded(t, [2]string{`{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}`, `{"subject":"s","version":1,"id":1,"schema":"\"int\"","references":null,"metadata":null,"ruleSet":null}`})
	for _, path := range []string{"/schemas/ids/1", "/subjects/s/versions/1", "/schemas"} {
		if got := ask(r, http.MethodGet, path, ""); strings.Contains(got, "null") {
			t.Errorf("%s: %s", path, got)
		}
	}
}
