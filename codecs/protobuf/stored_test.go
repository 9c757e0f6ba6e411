package protobuf_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/protobuf"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/internal/schema/shop"
	"github.com/weirstream/weir/registry"
)

// A message whose file does not compile is read, since its name is all that is needed of the file. Where the text cannot be read at all the record waits,
// and health says why and what to do: it may be right.
//
// Mutations seen to fail it: message without NameOf; Unreadable that does not say that the value waits.
func TestWhatWasWrittenWithAFileThatDoesNotCompileIsRead(t *testing.T) {
	_, client := registrytest.Start(t)
	codec := protobuf.Bound[*shop.Parcel](client, registry.Binding{})
	name := codecs.Record{Topic: "parcel.sent.v1", Time: time.Now().Add(-time.Hour)}
	for n, c := range []struct{ text, refused string }{
		{`syntax = "proto3"; package PACKAGE; message Other {} message Parcel { reserved 50 to 70, 60; string id = 1 [(my.opt) = "x"]; Gone gone = 3; }`, ""},
		{`syntax = "proto3"; package PACKAGE; message Parcel {} message Other { reserved 5 to 7, 6; }`, "is read here"},
		{`syntax = "proto3"; massage Parcel {}`, "not understood by this program"},
	} {
		id := 920_001 + n
		pkg := string((&shop.Parcel{}).ProtoReflect().Descriptor().ParentFile().Package())
		registrytest.Imported(t, client, registry.Registered{Schema: registry.Schema{Type: registry.Protobuf, Text: strings.ReplaceAll(c.text, "PACKAGE", pkg)}, ID: id})
		value := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), "\x02\x02\x0a\x01a"...) // the message with the index 1
		got, err := codec.ParseIn(&name, value)
		switch {
		case c.refused == "":
			if err != nil || got.Id != "a" {
				t.Errorf("%s: %v, %v", c.text, got, err)
			}
		case err == nil || !strings.Contains(err.Error(), c.refused):
			t.Errorf("%s: %v, %v", c.text, got, err)
		case errors.Is(err, codecs.ErrUnavailable) != (n == 2) || n == 2 && !strings.Contains(err.Error(), "offsets reset"):
			t.Errorf("%s: it waits or not: %v", c.text, err)
		}
	}
}
