package values_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/schema/framing"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

const guid = "0011aabb-ccdd-3eff-8122-334455667788"

var schemas = source{
	1: {ID: 1, GUID: guid, Schema: registry.Schema{Text: `{"type":"record","name":"Order","fields":[{"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[{"name":"amount","type":"long"}]}}}]}`}},
	2: {ID: 2, GUID: guid, Schema: registry.Schema{Type: registry.Protobuf, Text: `syntax = "proto3"; package shop; import "buf/validate/validate.proto"; import "line.proto";
message Other {}
message Order { repeated Line lines = 1; message Inner { string long_name = 1 [(buf.validate.field).string.min_len = 2]; } map<string, Inner> all = 2; }`},
		Imports: []registry.Import{{Name: "line.proto", Text: `syntax = "proto3"; package shop; import "buf/validate/validate.proto"; message Line { int64 amount = 1 [(buf.validate.field).int64.gt = 0]; }`}}},
	3: {ID: 3, GUID: guid, Schema: registry.Schema{Type: registry.JSON, Text: `{"type":"object","properties":{"lines":{"type":"array","items":{"$ref":"line.json"}}},"additionalProperties":false}`},
		Imports: []registry.Import{{Name: "line.json", Text: `{"type":"object","properties":{"amount":{"type":"integer"}},"required":["amount"]}`}}},
}

type source map[int]*registry.Registered

func (s source) ByID(_ context.Context, id int) (*registry.Registered, error) {
	if r := s[id]; r != nil {
		return r, nil
	}
	return nil, registry.NewError("get", registry.ErrNotFound, errors.New("none"))
}

func (s source) ByGUID(context.Context, string) (*registry.Registered, error) { return s[s[0].ID], nil }
func (s source) Latest(context.Context, string) (*registry.Registered, error) { return nil, nil }

// A document of each type goes to the wire in both forms and back; it names its schema, and the message of a Protobuf schema.
//
// Mutations seen to fail it: no indexes in the header; the first message always.
func TestToTheWireAndBack(t *testing.T) {
	const document = `{"lines":[{"amount":7}]}`
	for id := 1; id <= 3; id++ {
		want := strings.ReplaceAll(document, "7", map[bool]string{true: `"7"`, false: "7"}[id == 2]) // protojson's int64
		schema, err := values.Compile(schemas[id])
		if err != nil {
			t.Fatal(err)
		}
		name := map[bool]string{true: "Order"}[id == 2]
		message, err := schema.Message(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []values.Form{values.InValue, values.InHeader} {
			value, header, err := schema.Append([]byte("before"), form, message, []byte(document))
			if err != nil {
				t.Fatalf("schema %d: %v", id, err)
			}
			value = value[len("before"):]
			schemas[0] = &registry.Registered{ID: id} // what ByGUID finds
			back, r, err := values.New(schemas).JSON(t.Context(), value, header)
			if err != nil || string(back) != want || r.ID != id {
				t.Errorf("schema %d, form %d: %s, %v, %v", id, form, back, r, err)
			}
			switch {
			case form == values.InHeader && (header[0] != 1 || len(header) < 17):
				t.Errorf("schema %d: the header is %x", id, header)
			case form == values.InValue && (header != nil || !strings.HasPrefix(string(value), fmt.Sprintf("\x00\x00\x00\x00%c", id))):
				t.Errorf("schema %d: the value is %x", id, value)
			case id == 2 && form == values.InValue && !strings.HasPrefix(string(value[5:]), "\x02\x02"):
				t.Errorf("the second message has the indexes %x", value[5:])
			case id == 2 && form == values.InHeader && string(header[17:]) != "\x02\x02":
				t.Errorf("the second message has the indexes %x", header[17:])
			}
		}
	}
}

// A mistake has its place, whatever the type; rules of protovalidate are kept, also those of an import.
//
// Mutations seen to fail it: rules that are not there; places by the names in the file; numbers of any length.
func TestMistakesHaveTheirPlaces(t *testing.T) {
	for _, c := range []struct {
		id             int
		message, given string
		want           string
	}{
		{1, "", `{"lines":[{"amount":1},{"amount":"x"}]}`, `$.lines[1].amount: a number is wanted, and there is a string`},
		{2, "Order", `{"lines":[{"amount":1},{"amount":"x"}]}`, `$.lines[1].amount: invalid value for int64 field amount: "x"`},
		{2, "Order", "{\"lines\":[\n{\"amount\":1, \"é\":1}]}", `$.lines[0]["é"]: unknown field "é"`},
		{2, "Order", `{"lines":[{"amount":1},{"amount":-2}]}`, `$.lines[1].amount: must be greater than 0`},
		{2, "shop.Order", `{"all":{"k":{"longName":"x"}}}`, `$.all.k.longName: must be at least 2 characters`},
		{2, "Order.Inner", `{"longName":"x"}`, `$.longName: must be at least 2 characters`},
		{2, "Order", `{"lines":[`, `$.lines: the document ends in the middle`},
		{3, "", `{"lines":[{"amount":1},{"amount":"x"}]}`, `$.lines[1].amount: got string, want integer`},
		{3, "", `{"lines":[{}],"more":1}`, `$.lines[0].amount: the property is missing; $.more: the schema has no such property, and allows no additional ones`},
		{3, "", `{"lines":[],"lines":[]}`, `$.lines: the name comes twice`},
		{3, "", `{"lines":[{"amount":1e99999999}]}`, `$.lines[0].amount: a number has an exponent of over three digits, or over a thousand digits`},
	} {
		schema, err := values.Compile(schemas[c.id])
		if err != nil {
			t.Fatal(err)
		}
		message, err := schema.Message(c.message)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = schema.Append(nil, values.InValue, message, []byte(c.given))
		if fmt.Sprint(err) != c.want {
			t.Errorf("%d %s:\n%v\nwant\n%s", c.id, c.given, err, c.want)
		}
	}
}

// A value that names no schema, or one that is not there, or that is damaged, is told apart.
//
// Mutation seen to fail it: a frame of any first byte.
func TestWhatIsNoValue(t *testing.T) {
	v := values.New(schemas)
	for value, want := range map[string]error{"": framing.ErrNone, `{"a":1}`: framing.ErrNone, "\x00\x00\x00\x00\x09": registry.ErrNotFound} {
		if _, _, err := v.JSON(t.Context(), []byte(value), nil); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", value, err, want)
		}
	}
	for _, value := range []string{"\x00\x00", "\x00\x00\x00\x00\x01\x01", "\x00\x00\x00\x00\x02\x09", "\x00\x00\x00\x00\x02\x02\x08", "\x00\x00\x00\x00\x02\x00\x08", "\x00\x00\x00\x00\x03{"} {
		if _, _, err := v.JSON(t.Context(), []byte(value), nil); err == nil {
			t.Errorf("%q is taken", value)
		}
	}
	if _, _, err := v.JSON(t.Context(), []byte("{}"), []byte{0, 1}); err == nil || errors.Is(err, framing.ErrNone) {
		t.Errorf("a header of another form: %v", err)
	}
}

// No bytes make a panic, by any schema and header.
func FuzzValues(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x01\x02\x02\x00"), []byte{})
	f.Add([]byte("\x00\x00\x00\x00\x02\x02\x02\x0a\x02\x08\x07"), []byte{})
	f.Add([]byte("\x00\x00\x00\x00\x03{\"lines\":[]}"), []byte("\x010123456789abcdef\x00"))
	v := values.New(schemas)
	f.Fuzz(func(_ *testing.T, value, header []byte) {
		schemas[0] = &registry.Registered{ID: 2}
		_, _, _ = v.JSON(context.Background(), value, header)
	})
}
