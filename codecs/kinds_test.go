package codecs_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/avro"
	"github.com/weirstream/weir/codecs/jsonschema"
	"github.com/weirstream/weir/codecs/protobuf"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/shop"
	"github.com/weirstream/weir/registry"
)

// A value whose schema is of another type than the codec's is an error that says both, and no record that waits.
//
// Seen to fail: an error of the message indexes in place of the type of the schema.
func TestAValueOfAnotherTypeOfSchemaIsRefused(t *testing.T) {
	_, client := registrytest.Start(t)
	binding := func(subject string) registry.Binding { return registry.Binding{Subject: subject} }
	r := codecs.Record{Topic: "order.placed.v1"}
	parse := map[string]func(data []byte) error{}
	values := map[string][]byte{}
	add := func(kind string, prepare func(codecs.Preparation) error, read func([]byte) error, write func() ([]byte, []codecs.Header, error)) {
		if err := prepare(codecs.Preparation{Context: t.Context(), Record: r, Register: true}); err != nil {
			t.Fatal(err)
		}
		value, _, err := write()
		if err != nil {
			t.Fatal(err)
		}
		parse[kind], values[kind] = read, value
	}
	a := avro.Bound[benchOrder](client, binding("a"), avro.Schema(benchAvro))
	add("Avro", a.Prepare, func(data []byte) error { _, err := a.ParseIn(&r, data); return err }, func() ([]byte, []codecs.Header, error) { return a.AppendIn(&r, nil, benchOrder{}) })
	p := protobuf.Bound[*shop.Order](client, binding("p"))
	add("Protobuf", p.Prepare, func(data []byte) error { _, err := p.ParseIn(&r, data); return err }, func() ([]byte, []codecs.Header, error) { return p.AppendIn(&r, nil, &shop.Order{Id: "a"}) })
	j := jsonschema.Bound[benchOrder](client, binding("j"), benchJSON)
	add("JSON", j.Prepare, func(data []byte) error { _, err := j.ParseIn(&r, data); return err }, func() ([]byte, []codecs.Header, error) {
		return j.AppendIn(&r, nil, benchOrder{ID: "a", Lines: []benchLine{}})
	})
	for reader, read := range parse {
		for writer, value := range values {
			err := read(value)
			if reader == writer {
				if err != nil {
					t.Errorf("%s: %v", reader, err)
				}
				continue
			}
			want := fmt.Sprintf("is %s, and no %s", strings.ToUpper(writer), reader)
			if err == nil || !strings.HasSuffix(err.Error(), want) || errors.Is(err, codecs.ErrUnavailable) {
				t.Errorf("%s read as %s: %v, want %s", writer, reader, err, want)
			}
		}
	}
}
