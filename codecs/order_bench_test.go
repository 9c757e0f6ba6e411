package codecs_test

import (
	"bytes"
	"encoding/json"
	"testing"

	santhosh "github.com/santhosh-tekuri/jsonschema/v6"
	twmb "github.com/twmb/avro"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/codecs/jsonschema"
	"github.com/weirstream/weir/codecs/protobuf"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/shop"
	"github.com/weirstream/weir/registry"
)

type benchLine struct {
	SKU    string  `avro:"sku" json:"sku"`
	Amount int64   `avro:"amount" json:"amount"`
	Price  float64 `avro:"price" json:"price"`
}

type benchOrder struct {
	ID       string      `avro:"id" json:"id"`
	Customer string      `avro:"customer" json:"customer"`
	Lines    []benchLine `avro:"lines" json:"lines"`
}

const (
	benchAvro = `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"customer","type":"string"},{"name":"lines","type":{"type":"array","items":
{"type":"record","name":"Line","fields":[{"name":"sku","type":"string"},{"name":"amount","type":"long"},{"name":"price","type":"double"}]}}}]}`
	benchJSON = `{"title":"Order","type":"object","required":["id","customer"],"properties":{"id":{"type":"string"},"customer":{"type":"string"},"lines":{"type":"array","items":
{"type":"object","required":["sku"],"properties":{"sku":{"type":"string"},"amount":{"type":"integer","minimum":1},"price":{"type":"number"}}}}}}`
)

// BenchmarkOrder encodes and decodes one order of two lines by each codec, bound to a registry where it can be, and by the library of
// that format alone.
func BenchmarkOrder(b *testing.B) {
	order := benchOrder{"0b5e8a4e-6a8e-4b29-8f0e", "customer-000042", []benchLine{{"sku-0001", 2, 12.5}, {"sku-0002", 1, 3.25}}}
	message := &shop.Order{Id: order.ID, Customer: order.Customer}
	for _, l := range order.Lines {
		message.Lines = append(message.Lines, &shop.Order_Line{Sku: l.SKU, Amount: l.Amount, Price: l.Price})
	}
	_, client := registrytest.Start(b)
	ours(b, "JSON", codecs.JSON[benchOrder](), order)
	raw(b, "JSON", func(dst []byte) ([]byte, error) { return json.Marshal(&order) },
		func(data []byte) error { return json.Unmarshal(data, new(benchOrder)) })

	ours(b, "Avro", avro.Bound[benchOrder](client, registry.Binding{Subject: "avro"}, avro.Schema(benchAvro)), order)
	schema := twmb.MustParse(benchAvro)
	raw(b, "Avro", func(dst []byte) ([]byte, error) { return schema.AppendEncode(dst, &order) },
		func(data []byte) error { _, err := schema.Decode(data, new(benchOrder)); return err })

	ours(b, "Protobuf", protobuf.Bound[*shop.Order](client, registry.Binding{Subject: "protobuf"}), message)
	raw(b, "Protobuf", func(dst []byte) ([]byte, error) { return proto.MarshalOptions{}.MarshalAppend(dst, message) },
		func(data []byte) error { return proto.Unmarshal(data, new(shop.Order)) })

	ours(b, "JSONSchema", jsonschema.Bound[benchOrder](client, registry.Binding{Subject: "json"}, benchJSON), order)
	compiler := santhosh.NewCompiler()
	document, err := santhosh.UnmarshalJSON(bytes.NewReader([]byte(benchJSON)))
	if err == nil {
		err = compiler.AddResource("order.json", document)
	}
	if err != nil {
		b.Fatal(err)
	}
	rules := compiler.MustCompile("order.json")
	check := func(data []byte) error {
		v, err := santhosh.UnmarshalJSON(bytes.NewReader(data))
		if err == nil {
			err = rules.Validate(v)
		}
		return err
	}
	raw(b, "JSONSchema", func([]byte) ([]byte, error) {
		data, err := json.Marshal(&order)
		if err == nil {
			err = check(data)
		}
		return data, err
	}, func(data []byte) error {
		if err := check(data); err != nil {
			return err
		}
		return json.Unmarshal(data, new(benchOrder))
	})
}

func ours[T any](b *testing.B, name string, c codecs.Codec[T], v T) {
	r := &codecs.Record{Topic: "order.placed.v1"}
	encode, decode := c.Append, c.Parse
	if in, ok := c.(codecs.InRecord[T]); ok {
		if err := c.(codecs.Prepared).Prepare(codecs.Preparation{Context: b.Context(), Record: *r, Register: true}); err != nil {
			b.Fatal(err)
		}
		encode = func(dst []byte, v T) ([]byte, error) { out, _, err := in.AppendIn(r, dst, v); return out, err }
		decode = func(data []byte) (T, error) { return in.ParseIn(r, data) }
	}
	measured(b, name+"/weir", func(dst []byte) ([]byte, error) { return encode(dst, v) }, func(data []byte) error { _, err := decode(data); return err })
}

func raw(b *testing.B, name string, encode func([]byte) ([]byte, error), decode func([]byte) error) {
	measured(b, name+"/library", encode, decode)
}

func measured(b *testing.B, name string, encode func([]byte) ([]byte, error), decode func([]byte) error) {
	data, err := encode(nil)
	if err == nil {
		err = decode(data) // what is made once is no cost of a value
	}
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 512)
	b.Run(name+"/encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := encode(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
