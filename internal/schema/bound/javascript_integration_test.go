//go:build integration && unix

package bound_test

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/jsonschema"
	"github.com/weirstream/weir/codecs/protobuf"
	"github.com/weirstream/weir/internal/fetched"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/shop"
	"github.com/weirstream/weir/registry"
)

//go:embed testdata/confluent.js
var javascript []byte

const javascriptVersion = "1.10.1"

// scripted is a question to testdata/confluent.js, and what it answers.
type scripted struct {
	Do      string        `json:"do"`
	Type    registry.Type `json:"type"`
	Topic   string        `json:"topic"`
	Key     bool          `json:"key"`
	Message string        `json:"message,omitempty"`
	Set     []byte        `json:"set,omitempty"`
	Value   string        `json:"value,omitempty"`
	Wire    []byte        `json:"wire,omitempty"`
}

type scriptedAnswer struct {
	Error string `json:"error"`
	Wire  []byte `json:"wire"`
	Got   string `json:"got"`
}

// askJavaScript has Confluent's client for JavaScript, which npm fetches once, answer questions.
func askJavaScript(t *testing.T, url string, questions []scripted) []scriptedAnswer {
	t.Helper()
	sum := sha256.Sum256([]byte(javascriptVersion))
	dir, have := fetched.Folder("confluent-javascript", javascriptVersion, sum[:])
	if !have {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		err := fetched.Make(dir, func(part string) (string, error) {
			return part, fetched.Npm(ctx, part, "@confluentinc/schemaregistry@"+javascriptVersion)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(t.TempDir(), "confluent.js")
	if err := os.WriteFile(program, javascript, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", program, url)
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
	answers := make([]scriptedAnswer, len(questions))
	d := json.NewDecoder(registrytest.Ask(t, cmd, questions))
	for i := range answers {
		if err := d.Decode(&answers[i]); err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

type ordered struct {
	ID    string   `avro:"id" json:"id"`
	Cents int64    `avro:"cents" json:"cents"`
	Note  *string  `avro:"note" json:"note"`
	Tags  []string `avro:"tags" json:"tags"`
	Ratio float64  `avro:"ratio" json:"ratio"`
	Yes   bool     `avro:"yes" json:"yes"`
}

const (
	orderedAvro = `{"type":"record","name":"Ordered","namespace":"a.b","fields":[{"name":"id","type":"string"},{"name":"cents","type":"long"},{"name":"note","type":["null","string"],"default":null},
{"name":"tags","type":{"type":"array","items":"string"}},{"name":"ratio","type":"double"},{"name":"yes","type":"boolean"}]}`
	orderedJSON = `{"type":"object","title":"Ordered","properties":{"id":{"type":"string"},"cents":{"type":"integer"},"note":{"type":["null","string"]},"tags":{"type":"array","items":{"type":"string"}},
"ratio":{"type":"number"},"yes":{"type":"boolean"}},"required":["id"],"additionalProperties":false}`
)

// scriptedExchange is a value that a codec and JavaScript write for each other.
type scriptedExchange struct {
	ask   scripted
	wrote func(wire []byte) error // looks at what JavaScript wrote
}

func inJavaScript[T any](t *testing.T, c codec[T], ask scripted, v T) scriptedExchange {
	t.Helper()
	r := codecs.Record{Topic: ask.Topic, Key: ask.Key}
	if err := c.Prepare(codecs.Preparation{Context: t.Context(), Record: r, Register: true}); err != nil {
		t.Fatal(err)
	}
	wire, _, err := c.AppendIn(&r, nil, v)
	if err != nil {
		t.Fatal(err)
	}
	ask.Wire = wire
	return scriptedExchange{ask, func(theirs []byte) error {
		got, err := c.ParseIn(&r, theirs)
		if err == nil && !equal(got, v) {
			err = fmt.Errorf("it is read as %+v, want %+v", got, v)
		}
		return err
	}}
}

// What Weir's codecs write Confluent's serializers for JavaScript read, and the other way round, by schemas that Weir's registry has.
//
// Mutation seen to fail it: AppendIndexes that writes no zigzag.
func TestConfluentsSerializersForJavaScriptAndTheCodecsReadEachOther(t *testing.T) {
	kafkatest.Require(t) // which is how machines say that they have what integration tests need
	web, c := registrytest.Start(t)
	note := "naïve \U0001F980"
	plain := ordered{"o1", -1 << 52, &note, []string{"", "b"}, 0.1, true}
	empty := ordered{Tags: []string{}}
	text := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	var all []scriptedExchange
	for n, v := range []ordered{plain, empty} {
		for _, key := range []bool{false, true} {
			all = append(all,
				inJavaScript(t, avroOf[ordered](c, orderedAvro)(registry.Binding{}), scripted{Type: registry.Avro, Topic: fmt.Sprintf("script.avro.v%d", n+1), Key: key, Value: text(v)}, v),
				inJavaScript(t, codec[ordered](jsonschema.Bound[ordered](c, registry.Binding{}, orderedJSON)), scripted{Type: registry.JSON, Topic: fmt.Sprintf("script.json.v%d", n+1), Key: key, Value: text(v)}, v))
		}
	}
	all = append(all,
		scriptedMessage(t, c, 1, &shop.Box{Size: &shop.Box_Size{Width: 1}}),
		scriptedMessage(t, c, 2, &shop.Parcel{Id: note, Speed: shop.Speed_FAST, Stops: []int64{-1, math.MaxInt64}, Boxes: map[string]*shop.Box_Size{"a": {Width: 3}}, Destination: &shop.Parcel_Place{Place: &shop.Place{City: "Köln"}}}),
		scriptedMessage(t, c, 3, &shop.Box_Label_Mark{Text: "x"}))
	var questions []scripted
	for _, e := range all {
		read, write := e.ask, e.ask
		read.Do, write.Do, write.Wire = "read", "write", nil
		questions = append(questions, read, write)
	}
	answers := askJavaScript(t, web.URL, questions)
	for i, e := range all {
		what := fmt.Sprintf("%s as %s, key %t", e.ask.Value, e.ask.Type, e.ask.Key)
		read, wrote := answers[2*i], answers[2*i+1]
		var got, want any
		if read.Error != "" || json.Unmarshal([]byte(read.Got), &got) != nil || json.Unmarshal([]byte(e.ask.Value), &want) != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: JavaScript reads %s %s", what, read.Got, read.Error)
		}
		if wrote.Error != "" {
			t.Errorf("%s: JavaScript does not write it: %s", what, wrote.Error)
		} else if err := e.wrote(wrote.Wire); err != nil {
			t.Errorf("%s: what JavaScript wrote, %x: %v", what, wrote.Wire, err)
		}
	}
}

func scriptedMessage[T proto.Message](t *testing.T, c *registry.Client, n int, m T) scriptedExchange {
	t.Helper()
	set := &descriptorpb.FileDescriptorSet{}
	for _, raw := range filesOf(m.ProtoReflect().Descriptor().ParentFile(), map[string]bool{}) {
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(raw, file); err != nil {
			t.Fatal(err)
		}
		set.File = append(set.File, file)
	}
	raw, err1 := proto.Marshal(set)
	value, err2 := protojson.Marshal(m)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	ask := scripted{Type: registry.Protobuf, Topic: fmt.Sprintf("script.message.v%d", n), Message: string(m.ProtoReflect().Descriptor().FullName()), Set: raw, Value: string(value)}
	return inJavaScript[T](t, protobuf.Bound[T](c, registry.Binding{}), ask, m)
}
