//go:build integration && unix

package bound_test

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/codecs/jsonschema"
	"github.com/weirstream/weir/codecs/protobuf"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/internal/schema/shop"
	"github.com/weirstream/weir/registry"
)

//go:embed testdata/confluent.py
var python string

// question and answer are those of testdata/confluent.py.
type question struct {
	Do         string               `json:"do"`
	Type       registry.Type        `json:"type"`
	Topic      string               `json:"topic"`
	Key        bool                 `json:"key"`
	InHeader   bool                 `json:"in_header"`
	Schema     string               `json:"schema,omitempty"`
	References []registry.Reference `json:"references,omitempty"`
	Files      [][]byte             `json:"files,omitempty"`
	Message    string               `json:"message,omitempty"`
	Value      string               `json:"value"`
	Wire       []byte               `json:"wire"`
	Headers    map[string][]byte    `json:"headers,omitempty"`
}

type answer struct {
	Error   string            `json:"error"`
	Wire    []byte            `json:"wire"`
	Headers map[string][]byte `json:"headers"`
	Same    bool              `json:"same"`
	Got     string            `json:"got"`
}

// confluent is a process of Python with Confluent's client.
type confluent struct {
	in  io.Writer
	out *bufio.Scanner
	err bytes.Buffer
}

func startConfluent(t *testing.T, url string) *confluent {
	t.Helper()
	cmd := registrytest.Confluent(t, python, url)
	p := &confluent{}
	cmd.Stderr = &p.err
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, p.err.Bytes())
		}
	})
	p.in, p.out = in, bufio.NewScanner(out)
	p.out.Buffer(nil, 1<<20)
	return p
}

func (p *confluent) ask(t *testing.T, q question) (a answer) {
	t.Helper()
	if err := json.NewEncoder(p.in).Encode(q); err != nil {
		t.Fatalf("%v\n%s", err, p.err.Bytes())
	}
	if !p.out.Scan() {
		t.Fatalf("no answer: %v\n%s", p.out.Err(), p.err.Bytes())
	}
	if err := json.Unmarshal(p.out.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if a.Error != "" {
		t.Errorf("Confluent's client cannot %s: %s", q.Do, a.Error)
	}
	return a
}

// exchange is a value that a codec and Confluent's client write for each other.
type exchange struct {
	name string
	run  func(t *testing.T, p *confluent, topic string, key bool, form registry.Form)
}

// values are one value as Go and Python have it.
type values[T any] struct {
	written T      // by the codec
	read    *T     // by the codec, where that is another value
	python  string // that Python writes
	sees    string // that Python reads, where that is another value
	codec   func(registry.Binding) codec[T]
	ask     question
	apart   bool // the schemas differ, and so do their ids
	oneWay  bool // only the codec can read what the other wrote
}

type codec[T any] interface {
	codecs.InRecord[T]
	codecs.Prepared
}

func exchanged[T any](name string, v values[T]) exchange {
	return exchange{name, func(t *testing.T, p *confluent, topic string, key bool, form registry.Form) {
		c := v.codec(registry.Binding{Form: form, Wait: time.Minute})
		r := codecs.Record{Topic: topic, Key: key}
		if err := c.Prepare(codecs.Preparation{Context: t.Context(), Record: r, Register: true}); err != nil {
			t.Fatal(err)
		}
		wire, headers, err := c.AppendIn(&r, nil, v.written)
		if err != nil {
			t.Fatal(err)
		}
		q := v.ask
		q.Topic, q.Key, q.InHeader = topic, key, form == registry.InHeader
		write := q
		write.Do, write.Value = "write", v.python
		theirs := p.ask(t, write)

		read := q
		read.Do, read.Value, read.Wire = "read", v.python, wire
		if v.sees != "" {
			read.Value = v.sees
		}
		read.Headers = map[string][]byte{}
		for _, h := range headers {
			read.Headers[h.Key] = h.Value
		}
		// Confluent's client takes five bytes for the least that a value may have, even after a header.
		if v.oneWay || len(wire) <= 5 {
		} else if a := p.ask(t, read); !a.Same {
			t.Errorf("Confluent's client reads %s, want %s", a.Got, read.Value)
		}

		for name, value := range theirs.Headers {
			r.Headers = append(r.Headers, codecs.Header{Key: name, Value: value})
		}
		if form == registry.InHeader && len(theirs.Headers) != 1 {
			t.Errorf("Confluent's client wrote headers %v", theirs.Headers)
		}
		want := v.written
		if v.read != nil {
			want = *v.read
		}
		if got, err := c.ParseIn(&r, theirs.Wire); err != nil || !equal(got, want) {
			t.Errorf("what Confluent's client wrote is read as %+v, %v, want %+v", got, err, want)
		}
		if same := bytes.Equal(frame(wire, read.Headers), frame(theirs.Wire, theirs.Headers)); same == v.apart {
			t.Errorf("the same schema: %t, by %x and %x", same, frame(wire, read.Headers), frame(theirs.Wire, theirs.Headers))
		}
	}}
}

// frame is what says which schema a value is of.
func frame(wire []byte, headers map[string][]byte) []byte {
	for _, value := range headers {
		return value
	}
	return wire[:min(5, len(wire))]
}

func equal(a, b any) bool {
	if m, ok := a.(proto.Message); ok {
		return proto.Equal(m, b.(proto.Message))
	}
	return reflect.DeepEqual(a, b)
}

func avroOf[T any](c *registry.Client, schema string) func(registry.Binding) codec[T] {
	return func(b registry.Binding) codec[T] { return avro.Bound[T](c, b, avro.Schema(schema)) }
}

func askAvro(schema string) question { return question{Type: registry.Avro, Schema: schema} }

type plain struct {
	Yes    bool             `avro:"yes"`
	Small  int32            `avro:"small"`
	Large  int64            `avro:"large"`
	Half   float32          `avro:"half"`
	Full   float64          `avro:"full"`
	Raw    []byte           `avro:"raw"`
	Text   string           `avro:"text"`
	List   []string         `avro:"list"`
	Map    map[string]int64 `avro:"map"`
	Fixed  [4]byte          `avro:"fixed"`
	Enum   string           `avro:"enum"`
	Absent *string          `avro:"absent"`
}

const plainSchema = `{"type":"record","name":"Plain","namespace":"a.b","fields":[{"name":"yes","type":"boolean"},{"name":"small","type":"int"},{"name":"large","type":"long"},
{"name":"half","type":"float"},{"name":"full","type":"double"},{"name":"raw","type":"bytes"},{"name":"text","type":"string"},
{"name":"list","type":{"type":"array","items":"string"}},{"name":"map","type":{"type":"map","values":"long"}},{"name":"fixed","type":{"type":"fixed","name":"Four","size":4}},
{"name":"enum","type":{"type":"enum","name":"Colour","symbols":["RED","BLUE"]}},{"name":"absent","type":["null","string"],"default":null}]}`

type logical struct {
	Cents  *big.Rat      `avro:"cents"`
	Fixed  *big.Rat      `avro:"fixed"`
	UUID   string        `avro:"uuid"`
	Date   time.Time     `avro:"date"`
	TimeMs time.Duration `avro:"time_ms"`
	TimeUs time.Duration `avro:"time_us"`
	Ms     time.Time     `avro:"ms"`
	Us     time.Time     `avro:"us"`
	Local  time.Time     `avro:"local"`
}

const logicalSchema = `{"type":"record","name":"Logical","fields":[{"name":"cents","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}},
{"name":"fixed","type":{"type":"fixed","name":"Eight","size":8,"logicalType":"decimal","precision":18,"scale":3}},
{"name":"uuid","type":{"type":"string","logicalType":"uuid"}},{"name":"date","type":{"type":"int","logicalType":"date"}},
{"name":"time_ms","type":{"type":"int","logicalType":"time-millis"}},{"name":"time_us","type":{"type":"long","logicalType":"time-micros"}},
{"name":"ms","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"us","type":{"type":"long","logicalType":"timestamp-micros"}},
{"name":"local","type":{"type":"long","logicalType":"local-timestamp-micros"}}]}`

type chosen struct {
	Of any `avro:"of"`
}

const unionSchema = `{"type":"record","name":"Chosen","fields":[{"name":"of","type":["null","long","string",{"type":"record","name":"Cat","fields":[{"name":"name","type":"string"}]},
{"type":"record","name":"Dog","fields":[{"name":"name","type":"string"}]},{"type":"array","items":"double"}]}]}`

type link struct {
	N    int32 `avro:"n"`
	Next *link `avro:"next"`
}

const linkSchema = `{"type":"record","name":"Link","fields":[{"name":"n","type":"int"},{"name":"next","type":["null","Link"],"default":null}]}`

func rat(text string) *big.Rat {
	r, _ := new(big.Rat).SetString(text)
	return r
}

func avroExchanges(c *registry.Client) []exchange {
	at := time.Date(1969, 7, 20, 20, 17, 40, 123_000_000, time.UTC) // before 1970, where divisions round the other way
	union := func(name string, written, read any, python, sees string) exchange {
		return exchanged("Avro: a union of "+name, values[chosen]{written: chosen{written}, read: &chosen{read}, python: python, sees: sees, codec: avroOf[chosen](c, unionSchema), ask: askAvro(unionSchema)})
	}
	return []exchange{
		exchanged("Avro: all types", values[plain]{
			written: plain{true, math.MinInt32, math.MaxInt64, 0.5, -1e300, []byte{0, 255}, "naïve \U0001F980", []string{"", "b"}, map[string]int64{"k": -1}, [4]byte{1, 2, 3, 4}, "BLUE", nil},
			python: `{"yes": True, "small": -2**31, "large": 2**63-1, "half": 0.5, "full": -1e300, "raw": b"\x00\xff", "text": "naïve \U0001F980",
				"list": ["", "b"], "map": {"k": -1}, "fixed": b"\x01\x02\x03\x04", "enum": "BLUE", "absent": None}`,
			codec: avroOf[plain](c, plainSchema), ask: askAvro(plainSchema)}),
		exchanged("Avro: logical types", values[logical]{
			written: logical{rat("-123456789012345.67"), rat("0.125"), "550e8400-e29b-41d4-a716-446655440000", time.Date(1969, 7, 20, 0, 0, 0, 0, time.UTC), 3*time.Hour + 5*time.Millisecond,
				3*time.Hour + 5*time.Microsecond, at, at.Add(456 * time.Microsecond), at},
			python: `{"cents": Decimal("-123456789012345.67"), "fixed": Decimal("0.125"), "uuid": UUID("550e8400-e29b-41d4-a716-446655440000"), "date": datetime.date(1969, 7, 20),
				"time_ms": datetime.time(3, 0, 0, 5000), "time_us": datetime.time(3, 0, 0, 5), "ms": datetime.datetime(1969, 7, 20, 20, 17, 40, 123000, utc),
				"us": datetime.datetime(1969, 7, 20, 20, 17, 40, 123456, utc), "local": datetime.datetime(1969, 7, 20, 20, 17, 40, 123000)}`,
			codec: avroOf[logical](c, logicalSchema), ask: askAvro(logicalSchema)}),
		union("null", nil, nil, `{"of": None}`, ""),
		union("a number", int64(5), int64(5), `{"of": 5}`, ""),
		union("a text", "x", "x", `{"of": "x"}`, ""),
		union("numbers", []any{0.5}, []any{0.5}, `{"of": [0.5]}`, ""),
		union("the second of two records", map[string]any{"Dog": map[string]any{"name": "rex"}}, map[string]any{"name": "rex"}, `{"of": ("Dog", {"name": "rex"})}`, `{"of": {"name": "rex"}}`),
		exchanged("Avro: a type in itself", values[link]{written: link{1, &link{2, nil}}, python: `{"n": 1, "next": {"n": 2, "next": None}}`, codec: avroOf[link](c, linkSchema), ask: askAvro(linkSchema)}),
		exchanged("Avro: a text alone", values[string]{written: "a key", python: `"a key"`, codec: avroOf[string](c, `"string"`), ask: askAvro(`{"type": "string"}`)}),
		exchanged("Avro: a number alone", values[int64]{written: math.MinInt64, python: `-2**63`, codec: avroOf[int64](c, `"long"`), ask: askAvro(`{"type": "long"}`)}),
	}
}

type person struct {
	Name  string   `json:"name"`
	Born  string   `json:"born"`
	Ratio float64  `json:"ratio"`
	Large int64    `json:"large"`
	Tags  []string `json:"tags"`
	Home  *home    `json:"home"`
}

type home struct {
	City string `avro:"city" json:"city"`
}

const personSchema = `{"$schema":"http://json-schema.org/draft-07/schema#","title":"Person","type":"object","required":["name"],"additionalProperties":false,"properties":{
"name":{"type":"string","minLength":1},"born":{"type":"string","format":"date"},"ratio":{"type":"number"},"large":{"type":"integer"},
"tags":{"type":"array","items":{"enum":["a","b"]}},"home":{"anyOf":[{"type":"null"},{"$ref":"#/definitions/home"}]}},
"definitions":{"home":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}`

func jsonExchanges(c *registry.Client) []exchange {
	ofPerson := func(b registry.Binding) codec[person] { return jsonschema.Bound[person](c, b, personSchema) }
	ask := question{Type: registry.JSON, Schema: personSchema}
	return []exchange{
		exchanged("JSON: an object", values[person]{written: person{"naïve <&>\u2028", "1969-07-20", 0.1, math.MaxInt64, []string{"b", "a"}, &home{"Köln"}},
			python: `{"name": "naïve <&>\u2028", "born": "1969-07-20", "ratio": 0.1, "large": 2**63-1, "tags": ["b", "a"], "home": {"city": "Köln"}}`, codec: ofPerson, ask: ask}),
		exchanged("JSON: null", values[person]{written: person{Name: "n", Born: "2000-02-29", Tags: []string{}}, python: `{"name": "n", "born": "2000-02-29", "ratio": 0, "large": 0, "tags": [], "home": None}`, codec: ofPerson, ask: ask}),
	}
}

// ofMessage asks Python for messages of a Go type, whose files it is sent.
func ofMessage(m proto.Message) question {
	q := question{Type: registry.Protobuf, Message: string(m.ProtoReflect().Descriptor().FullName())}
	q.Files = filesOf(m.ProtoReflect().Descriptor().ParentFile(), map[string]bool{})
	return q
}

// filesOf are descriptors of a file and what it imports, each after its own.
func filesOf(file protoreflect.FileDescriptor, have map[string]bool) (list [][]byte) {
	if have[file.Path()] {
		return nil
	}
	have[file.Path()] = true
	for i := range file.Imports().Len() {
		list = append(list, filesOf(file.Imports().Get(i).FileDescriptor, have)...)
	}
	described := protodesc.ToFileDescriptorProto(file)
	if strings.Contains(file.Path(), "\x00") { // as Compile calls a file without a name
		described.Name = proto.String("schema.proto")
	}
	raw, _ := proto.Marshal(described)
	return append(list, raw)
}

func protobufOf[T proto.Message](c *registry.Client, name string, m T) exchange {
	text, _ := protojson.Marshal(m)
	return exchanged("Protobuf: "+name, values[T]{written: m, python: string(text), codec: func(b registry.Binding) codec[T] { return protobuf.Bound[T](c, b) }, ask: ofMessage(m)})
}

func protobufExchanges(c *registry.Client) []exchange {
	at := timestamppb.New(time.Date(1969, 7, 20, 20, 17, 40, 123456789, time.UTC))
	parcel := &shop.Parcel{Id: "naïve", Speed: shop.Speed_FAST, Weight: proto.Int32(0), Seal: []byte{0, 255}, Stops: []int64{-1, math.MaxInt64}, Boxes: map[string]*shop.Box_Size{"a": {Width: 3}, "b": {}},
		Destination: &shop.Parcel_Place{Place: &shop.Place{City: "Köln", North: -50, Code: math.MaxUint64}}, Sent: at, Within: durationpb.New(-time.Second - 1), Note: wrapperspb.String(""), Value: math.Inf(1), Insured: true,
		Tried: []shop.Speed{shop.Speed_SLOW, 99}, Returned: &shop.Parcel{Destination: &shop.Parcel_Locker{Locker: "l"}}}
	return []exchange{
		protobufOf(c, "the first message", &shop.Box{Size: &shop.Box_Size{Width: 1}}),
		protobufOf(c, "all types, files and messages within others", parcel),
		protobufOf(c, "no field", &shop.Parcel{}),
		protobufOf(c, "the third message of a nest", &shop.Box_Label_Mark{Text: "x"}),
		protobufOf(c, "a nested message of a file with rules", &shop.Order_Line{Sku: "s", Amount: 2}),
	}
}

// older and newer are versions of one record, of which each can be read as the other.
type older struct {
	ID   string `avro:"id"`
	Kind string `avro:"kind"`
	Gone string `avro:"gone"`
}

const (
	olderSchema = `{"type":"record","name":"Versioned","fields":[{"name":"id","type":"string"},
{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["A","OTHER"],"default":"OTHER"}},{"name":"gone","type":"string","default":"-"}]}`
	newerSchema = `{"type":"record","name":"Versioned","fields":[{"name":"id","type":"string"},
{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["NEW","A","OTHER"],"default":"OTHER"}},{"name":"more","type":{"type":"array","items":"long"},"default":[7]}]}`
	narrowSchema = `{"type":"record","name":"Amount","fields":[{"name":"n","type":"int"},{"name":"old","type":"float"}]}`
	wideSchema   = `{"type":"record","name":"Total","aliases":["Amount"],"fields":[{"name":"n","type":"long"},{"name":"new","aliases":["old"],"type":"double"}]}`
	homeSchema   = `{"type":"record","name":"Home","namespace":"a","fields":[{"name":"city","type":"string"}]}`
	ownerSchema  = `{"type":"record","name":"Owner","namespace":"a","fields":[{"name":"home","type":%s},{"name":"second","type":["null","Home"],"default":null}]}`
)

type wide struct {
	N   int64   `avro:"n"`
	New float64 `avro:"new"`
}

type owner struct {
	Home   home  `avro:"home" json:"home"`
	Second *home `avro:"second" json:"second,omitempty"`
}

// versioned are values of other versions of a schema, and of schemas that are made of several.
func versioned(t *testing.T, c *registry.Client) []exchange {
	refer := func(name, subject string, kind registry.Type, text string) registry.Reference {
		if _, err := c.Register(t.Context(), subject, registry.Schema{Type: kind, Text: text}); err != nil {
			t.Fatal(err)
		}
		return registry.Reference{Name: name, Subject: subject, Version: 1}
	}
	referring := func(kind registry.Type, text string, to ...registry.Reference) question {
		return question{Type: kind, Schema: text, References: to}
	}
	koeln := owner{Home: home{"Köln"}}
	avroHome := refer("a.Home", "home", registry.Avro, homeSchema)
	amount := refer("Amount", "amount", registry.Avro, narrowSchema)
	jsonHome := refer("home.json", "home.json", registry.JSON, `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`)
	whole := fmt.Sprintf(ownerSchema, homeSchema)
	const ownerJSON = `{"title":"Owner","type":"object","properties":{"home":{"$ref":"home.json"}}}`

	var total any = map[string]any{"n": int64(-5), "new": 0.5}
	receipt := &shop.Receipt{Id: "a receipt"}
	more := proto.CloneOf(receipt)
	more.ProtoReflect().SetUnknown([]byte{2 << 3, 5})
	file, err := protovalue.Compile(`syntax = "proto3"; package shop; message Order {} message Receipt { string id = 1; int32 more = 2; }`, nil)
	if err != nil {
		t.Fatal(err)
	}
	return []exchange{
		exchanged("Avro: another version", values[older]{written: older{"an id", "A", "gone"}, python: `{"id": "an id", "kind": "NEW", "more": []}`, read: &older{"an id", "OTHER", "-"},
			sees: `{"id": "an id", "kind": "A", "more": [7]}`, codec: avroOf[older](c, olderSchema), ask: askAvro(newerSchema), apart: true}),
		exchanged("Avro: wider numbers and other names", values[wide]{read: &wide{-5, 0.5}, python: `{"n": -5, "old": 0.5}`, codec: avroOf[wide](c, wideSchema), ask: askAvro(narrowSchema), apart: true, oneWay: true}),
		exchanged("Avro: a reference", values[owner]{written: koeln, read: &owner{home{"Köln"}, &home{""}}, python: `{"home": {"city": "Köln"}, "second": {"city": ""}}`,
			sees:  `{"home": {"city": "Köln"}, "second": None}`,
			codec: avroOf[owner](c, whole), ask: referring(registry.Avro, fmt.Sprintf(ownerSchema, `"Home"`), avroHome), apart: true}),
		exchanged("Avro: a union of references", values[any]{written: map[string]any{"a.Home": map[string]any{"city": ""}}, read: &total, python: `("Amount", {"n": -5, "old": 0.5})`,
			codec: avroOf[any](c, "["+homeSchema+","+wideSchema+"]"),
			ask:   referring(registry.Avro, `["a.Home", "Amount"]`, avroHome, amount), apart: true, oneWay: true}),
		exchanged("JSON: a reference", values[owner]{written: koeln, python: `{"home": {"city": "Köln"}}`,
			codec: func(b registry.Binding) codec[owner] { return jsonschema.Bound[owner](c, b, `{"type":"object"}`) }, ask: referring(registry.JSON, ownerJSON, jsonHome), apart: true}),
		exchanged("Protobuf: another version", values[*shop.Receipt]{written: receipt, python: `{"id": "a receipt", "more": 5}`, read: &more, sees: `{"id": "a receipt"}`,
			codec: func(b registry.Binding) codec[*shop.Receipt] { return protobuf.Bound[*shop.Receipt](c, b) },
			ask:   question{Type: registry.Protobuf, Message: "shop.Receipt", Files: filesOf(file, map[string]bool{})}, apart: true}),
	}
}

// What Weir's codecs write Confluent's serializers for Python read, and the other way round: values of all three types, as keys and as
// values, with the id before the value and with the GUID in a header. The same schema is one in the registry, whoever sends it.
//
// Mutations seen to fail it: AppendIndexes that writes no zigzag; the headers of keys and values changed; a GUID after the magic byte 0.
func TestConfluentsSerializersAndTheCodecsReadEachOther(t *testing.T) {
	kafkatest.Require(t) // which is how machines say that they have what integration tests need
	web, c := registrytest.Start(t)
	p := startConfluent(t, web.URL)
	if err := c.SetLevel(t.Context(), "", "NONE"); err != nil { // since either may register first
		t.Fatal(err)
	}
	all := slices.Concat(avroExchanges(c), jsonExchanges(c), protobufExchanges(c), versioned(t, c))
	for n, e := range all {
		for _, key := range []bool{false, true} {
			for _, form := range []registry.Form{registry.InValue, registry.InHeader} {
				t.Run(fmt.Sprintf("%s, key %t, form %d", e.name, key, form), func(t *testing.T) {
					e.run(t, p, fmt.Sprintf("exchange.n%d.v%d", n, form+1), key, form)
				})
			}
		}
	}
}
