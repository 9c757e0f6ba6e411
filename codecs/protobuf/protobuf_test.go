package protobuf_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/protobuf"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/shop"
	"github.com/weirstream/weir/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func example() *shop.Order {
	return &shop.Order{Id: "a", Lines: []*shop.Order_Line{{Sku: "s", Amount: 2, Price: 1.5}}, At: timestamppb.New(timestamppb.Now().AsTime())}
}

func register(t *testing.T, codec codecs.Prepared, topic string) {
	t.Helper()
	if err := codec.Prepare(codecs.Preparation{Context: t.Context(), Record: codecs.Record{Topic: topic}, Register: true}); err != nil {
		t.Fatal(err)
	}
}

// A message goes to the wire in both forms and back, with its indexes; fields that the reader does not know are kept.
func TestToTheWireAndBack(t *testing.T) {
	_, client := registrytest.Start(t)
	unknown := example()
	unknown.ProtoReflect().SetUnknown([]byte("\xfa\x06\x01x"))
	for _, form := range []registry.Form{registry.InValue, registry.InHeader} {
		codec := protobuf.Bound[*shop.Order](client, registry.Binding{Form: form, Wait: time.Minute})
		register(t, codec, "order.placed.v1")
		r := codecs.Record{Topic: "order.placed.v1"}
		value, headers, err := codec.AppendIn(&r, nil, unknown)
		if err != nil {
			t.Fatal(err)
		}
		if form == registry.InValue && !strings.HasPrefix(string(value[5:]), "\x02\x02") || form == registry.InHeader && !strings.HasSuffix(string(headers[0].Value), "\x02\x02") {
			t.Errorf("form %d: %x, %v", form, value, headers)
		}
		r.Headers = headers
		got, err := codec.ParseIn(&r, value)
		if err != nil || !proto.Equal(got, unknown) || len(got.ProtoReflect().GetUnknown()) == 0 {
			t.Errorf("form %d: %v, %v", form, got, err)
		}
	}
	// What the file imports is registered too, in subjects of its own.
	names, err := client.Subjects(t.Context(), false)
	if err != nil || strings.Join(names, " ") != "buf/validate/validate.proto order.placed.v1-value" {
		t.Errorf("subjects %q, %v", names, err)
	}
	plain := protobuf.Of[*shop.Order]()
	data, err := plain.Append(nil, example())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := plain.Parse(data); err != nil || got.Id != "a" {
		t.Errorf("%v, %v", got, err)
	}
}

// A start that checks, and one that registers what others write, do not need the imports of a type in the registry.
//
// Mutation seen to fail it: prepare with the error of an import that is not there.
func TestAFirstStartIsNotRefusedForItsImports(t *testing.T) {
	_, client := registrytest.Start(t)
	codec := protobuf.Bound[*shop.Order](client, registry.Binding{})
	if err := codec.Prepare(codecs.Preparation{Context: t.Context(), Record: codecs.Record{Topic: "order.placed.v1"}}); !errors.Is(err, codecs.ErrUnregistered) {
		t.Error(err)
	}
	names, err := client.Subjects(t.Context(), true)
	if err != nil || len(names) > 0 {
		t.Errorf("subjects %q, %v", names, err)
	}
}

// A message of another type is not taken for one of this.
func TestAnotherMessageIsRefused(t *testing.T) {
	_, client := registrytest.Start(t)
	receipts := protobuf.Bound[*shop.Receipt](client, registry.Binding{Wait: time.Minute})
	register(t, receipts, "order.placed.v1")
	r := codecs.Record{Topic: "order.placed.v1"}
	value, _, err := receipts.AppendIn(&r, nil, &shop.Receipt{Id: "a"})
	if err != nil || value[5] != 0 {
		t.Fatalf("%x, %v", value, err)
	}
	_, err = protobuf.Bound[*shop.Order](client, registry.Binding{Wait: time.Minute}).ParseIn(&r, value)
	if err == nil || !strings.Contains(err.Error(), "the value is a message shop.Receipt, and shop.Order is read here") {
		t.Errorf("%v", err)
	}
}

// A message that breaks a rule of its file is neither written nor read, and a nil message is none.
func TestRulesAreEnforced(t *testing.T) {
	codec := protobuf.Of[*shop.Order]()
	broken := example()
	broken.Lines[0].Amount = 0
	const want = "$.lines[0].amount: must be greater than 0"
	if _, err := codec.Append(nil, broken); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("written: %v", err)
	}
	data, _ := proto.Marshal(broken)
	if _, err := codec.Parse(data); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("read: %v", err)
	}
	if _, err := codec.Append(nil, nil); err == nil {
		t.Error("nil is written")
	}
	if _, err := codec.Parse([]byte("\x0a\xff")); err == nil {
		t.Error("damaged bytes are read")
	}
}
