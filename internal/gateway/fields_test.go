package gateway

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/registry"
)

// The declared fields are read of a Protobuf message in whatever form it comes, and the same entity has the same key in each.
//
// Mutations seen to fail it: fields read of documents only; JSON's text of a number in place of the message's.
func TestDeclaredFieldsOfAMessage(t *testing.T) {
	r := newRig(t, func(c *Config) {
		c.Schemas = source{orders + "-value": {ID: 9, Schema: registry.Schema{Type: registry.Protobuf,
			Text: `syntax = "proto3"; message Order { string order_id = 1; Customer customer = 2; message Customer { int64 customer_no = 1; } } message Other {}`}}}
		declare(t, c.Client, declared.Event{Version: 1, Topic: orders, Key: "customer.customer_no", ID: "order_id"})
	})
	id := func(n int) string { return fmt.Sprintf("o%d", n) }
	wire := func(n int) string { return "\x0a\x02" + id(n) + "\x12\x02\x08\x07" }
	framed := func(n int) string { return "\x00\x00\x00\x00\x09\x00" + wire(n) }
	const path, proto = "/topics/" + orders + "/events", "application/x-protobuf"
	for n, c := range []struct{ path, body, form string }{
		{path, wire(0), proto},
		{path, `{"order_id":"o1","customer":{"customerNo":"7"}}`, jsonType},
		{path, `{"orderId":"o2","customer":{"customer_no":7.0}}`, jsonType},
		{"/topics/" + orders, `{"records":[{"value":"` + base64.StdEncoding.EncodeToString([]byte(framed(3))) + `"}]}`, "application/vnd.kafka.binary.v2+json"},
	} {
		if status, body, _ := r.post(c.path, c.body, "Content-Type", c.form); status != 200 || strings.Contains(body, `"error_code":4`) {
			t.Errorf("%d: %d %s", n, status, body)
		}
	}
	records, _ := r.read(orders)
	for n, rec := range records {
		if string(rec.Key) != "7" || string(rec.Value) != framed(n) || len(rec.Headers) == 0 || string(rec.Headers[0].Value) != id(n) {
			t.Errorf("record %d: key %q, value %q, headers %q", n, rec.Key, rec.Value, rec.Headers)
		}
	}
	if len(records) != 4 {
		t.Errorf("%d records, want 4", len(records))
	}
	for name, c := range map[string]struct{ body, form, want string }{
		"no customer":      {"\x0a\x02o1", proto, "the field customer is not set"},
		"customer 0":       {"\x0a\x02o1\x12\x00", proto, "the field customer_no is not set, or 0 or empty"},
		"no id":            {"\x12\x02\x08\x07", proto, "takes order_id as key or id: the field order_id is not set"},
		"another message":  {"", "application/x-protobuf;messageType=Other", "the message Other has no field customer"},
		"a document":       {`{"orderId":"o1","customer":{}}`, jsonType, "the field customer_no is not set, or 0 or empty"},
		"neither of these": {"\xff", proto, "invalid-event"},
	} {
		status, body, _ := r.post(path, c.body, "Content-Type", c.form)
		if status != 422 || !strings.Contains(body, c.want) {
			t.Errorf("%s: %d %s, want %s", name, status, body, c.want)
		}
	}
	if status, body, _ := r.post(path+"?key=0", "\x0a\x02o9\x12\x00", "Content-Type", proto); status != 200 {
		t.Errorf("a key in the request: %d %s", status, body)
	}
}

// A number is one key, however it is written, and so is a time.
//
// Mutations seen to fail it: numbers as they are written; ManyForms that is always false.
func TestAValueIsOneKeyHoweverItIsWritten(t *testing.T) {
	for want, all := range map[string]string{
		"0":       `0 -0 0.0 0e7 -0.00`,
		"1":       `1 1.0 1e0 10e-1 0.1E1`,
		"-120":    `-120 -120.0 -1.2e2 -1.2e+2`,
		"0.05":    `0.05 5e-2 0.0500 50E-3`,
		"12.5":    `12.5 12.50 125e-1`,
		"1e400":   `1e400 10e399 0.1e401`,
		"-15e-99": `-15e-99 -1.5e-98`,
	} {
		for number := range strings.FieldsSeq(all) {
			for _, document := range []string{`{"n":` + number + `}`, `{"n":` + number + `,"x":1,"x":2}`} { // the quick way, and the other one
				if key, p := fieldIn([]byte(document), "n"); p != nil || string(key) != want {
					t.Errorf("%s: %q, %v, want %q", document, key, p, want)
				}
			}
		}
	}
	r := newRig(t, func(c *Config) {
		c.Schemas = source{orders + "-value": {ID: 9, Schema: registry.Schema{Type: registry.Avro,
			Text: `{"type":"record","name":"R","fields":[{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}]},{"name":"x","type":"int"}]}`}}}
		declare(t, c.Client, declared.Event{Version: 1, Topic: orders, Key: "at"})
	})
	for _, document := range []string{`{"at":"1970-01-01T00:00:01.5Z","x":-0}`, `{"x":0,"at":1500}`} {
		if status, body, _ := r.post("/topics/"+orders+"/events", document, "Content-Type", jsonType); status != 200 {
			t.Errorf("%s: %d %s", document, status, body)
		}
	}
	records, _ := r.read(orders)
	for _, rec := range records {
		if string(rec.Key) != "1500" {
			t.Errorf("key %q", rec.Key)
		}
	}
	if len(records) != 2 {
		t.Errorf("%d records, want 2", len(records))
	}
}
