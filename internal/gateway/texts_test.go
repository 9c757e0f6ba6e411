package gateway

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/weirstream/weir/gateway/rpc"
	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/registry"
)

// count is how many records were ever written to a topic.
func (r *rig) count(topic string) (n int) {
	r.t.Helper()
	var list []kafka.TopicPartition
	for p := range int32(4) {
		list = append(list, kafka.TopicPartition{Topic: topic, Partition: p})
	}
	ends, err := r.client.Ends(r.t.Context(), list)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, end := range ends {
		n += int(end)
	}
	return n
}

// A text is taken as it was sent or not at all, wherever an event has one, in each form. Half of a surrogate pair, and bytes that are not UTF-8, would
// become U+FFFD, so that two ids, keys or names would be one.
//
// Mutations seen to fail it: the texts of an envelope not looked at; textOf by encoding/json; the data of a CloudEvent, data of type STRING, or a declared
// field by it; no look at the query's key, at the headers' key and id; all U+FFFD refused.
func TestATextIsTakenAsItWasSentOrNotAtAll(t *testing.T) {
	const fields = "order.state.v1"
	r := newRig(t, func(c *Config) {
		declare(t, c.Client, declared.Event{Version: 1, Topic: fields, Key: "of.key", ID: "id"})
	})
	const batch, structured, common = "application/cloudevents-batch+json", "application/cloudevents+json", `"specversion":"1.0","type":"t","partitionkey":"k"`
	events, lines, v3 := "/topics/"+orders+"/events", "/topics/"+fields+"/events", "/v3/clusters/"+r.cluster()+"/topics/"+orders+"/records"
	written := func() int { return r.count(orders) + r.count(fields) }
	number := 0
	send := func(path, form, body, text string) (int, string) {
		number++
		status, answer, _ := r.post(path, strings.NewReplacer("TEXT", text, "NUMBER", strconv.Itoa(number)).Replace(body), "Content-Type", form)
		return status, answer
	}
	const v3Value = `"value":{"type":"JSON","data":1}`
	for _, place := range []struct{ path, form, body string }{
		{events, structured, `{` + common + `,"source":"s","id":"TEXT","data":1}`},
		{events, structured, `{` + common + `,"source":"TEXT","id":"1NUMBER","data":1}`},
		{events, structured, `{"specversion":"1.0","partitionkey":"k","type":"TEXT","source":"s","id":"2NUMBER","data":1}`},
		{events, structured, `{"specversion":"1.0","partitionkey":"TEXT","type":"t","source":"s","id":"3NUMBER","data":1}`},
		{events, structured, `{` + common + `,"source":"s","id":"4NUMBER","subject":"TEXT","data":1}`},
		{events, structured, `{` + common + `,"source":"s","id":"6NUMBER","ext":"TEXT","data":1}`},
		{events, structured, `{` + common + `,"source":"s","id":"7NUMBER","datacontenttype":"text/plain","data":"TEXT"}`},
		{events, batch, `[{` + common + `,"source":"s","id":"TEXT/b","data":1}]`},
		{lines, jsonType, `{"of":{"key":"TEXT"},"id":"1NUMBER"}`},
		{lines, jsonType, `{"of":{"key":"k"},"id":"TEXT"}`},
		{lines, jsonType, `[{"of":{"key":"k"},"id":"TEXT/a"}]`},
		{lines, ndjsonType, `{"of":{"key":"k"},"id":"TEXT/l"}`},
		{v3, jsonType, `{"key":{"type":"STRING","data":"TEXT"},` + v3Value + `}`},
		{v3, jsonType, `{"key":{"type":"STRING","data":"k"},"value":{"type":"STRING","data":"TEXT"}}`},
		{v3, jsonType, `{"key":{"type":"STRING","data":"k"},"headers":[{"name":"TEXT","value":"aaaa"}],` + v3Value + `}`},
		{v3 + ":batch", jsonType, `{"entries":[{"id":"TEXT","key":{"type":"STRING","data":"k"},` + v3Value + `}]}`},
		{v3 + ":batch", jsonType, `{"entries":[{"id":"1NUMBER","key":{"type":"STRING","data":"TEXT"},` + v3Value + `}]}`},
		{v3 + ":batch", jsonType, `{"entries":[{"id":"1NUMBER","key":{"type":"STRING","data":"k"},"headers":[{"name":"TEXT"}],` + v3Value + `}]}`},
		{rpcPath + "Publish", jsonType, `{"topic":"` + orders + `","event":{"key":"aaaa","id":"TEXT/r","json":"1"}}`},
		{rpcPath + "Publish", jsonType, `{"topic":"` + orders + `","event":{"key":"aaaa","headers":{"TEXT":"aaaa"},"json":"1"}}`},
	} {
		before := written()
		for _, bad := range []string{`\ud800`, `\uD801`, `\udc00`, `\ud800A`, `\ud800\ud800`, `\udc00\ud800`, `\\\udfff`, "\xff", "\xc0\xaf", "a\xed\xa0\x80", `\ufffd\ud800`} {
			if status, answer := send(place.path, place.form, place.body, bad); written() != before {
				t.Errorf("%s: %q is taken: %d %s", place.body, bad, status, answer)
				before = written()
			}
		}
		good := []string{`\ud83d\ude00`, `\ufffd`, "\uFFFD.", `\\ud800`}
		for _, text := range good {
			if status, answer := send(place.path, place.form, place.body, text); status/100 != 2 {
				t.Errorf("%s: %q is refused: %d %s", place.body, text, status, answer)
			}
		}
		if now := written(); now != before+len(good) {
			t.Errorf("%s: %d written", place.body, now-before)
		}
	}
}

// So are keys and ids beside the body, strings of messages, and bytes that are to be a text by a schema.
//
// Mutations seen to fail it: no look at the query's key, at the headers' key and id, at a key that has a schema.
func TestTextsBesideTheBodyAreUTF8(t *testing.T) {
	r := newRig(t, func(c *Config) {
		text := registry.Schema{Type: registry.Avro, Text: `"string"`}
		c.Schemas = source{"order.state.v1-key": {ID: 5, Schema: text}, "order.state.v1-value": {ID: 6, Schema: text}}
		declare(t, c.Client, declared.Event{Version: 1, Topic: orders, Keyless: true})
	})
	path := "/topics/" + orders + "/events"
	for name, status := range map[string]int{"a\xff": 400, "a\xe2\x82": 400, "a\uFFFD": 200, "€": 200} {
		for _, one := range []struct{ query, header string }{{"?key=" + url.QueryEscape(name), ""}, {"", "Weir-Key"}, {"", "Idempotency-Key"}} {
			q, err := http.NewRequest("POST", r.server.URL+path+one.query, strings.NewReader(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			if one.header != "" {
				q.Header[one.header] = []string{name}
			}
			res, err := r.server.Client().Do(q)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != status {
				t.Errorf("%s %s %q: %d, want %d", one.query, one.header, name, res.StatusCode, status)
			}
		}
	}
	event := func(members string) string {
		return "\x0a\x0f" + orders + "\x12" + string(rune(len(members))) + members
	}
	for members, status := range map[string]int{"\x0a\x01k\x12\x01i\x22\x011": 200, "\x0a\x01k\x12\x01\xff\x22\x011": 400, "\x0a\x01k\x22\x011\x1a\x06\x0a\x01\xff\x12\x01v": 400} {
		if got, answer, _ := r.post(rpcPath+"Publish", event(members), "Content-Type", "application/proto"); got != status {
			t.Errorf("%q: %d %s, want %d", members, got, answer, status)
		}
	}
	written := func() int { return r.count("order.state.v1") }
	for key, wanted := range map[string]int{"\xff": 0, "k": 1} {
		before := written()
		_, answer, _ := r.post(rpcPath+"Publish", `{"topic":"order.state.v1","event":{"key":"`+base64.StdEncoding.EncodeToString([]byte(key))+`","json":"\"v\""}}`, "Content-Type", jsonType)
		if n := written() - before; n != wanted {
			t.Errorf("%q: %d written: %s", key, n, answer)
		}
	}
	for value, wanted := range map[string]int{"\x00\x00\x00\x00\x06\x02\xff": 0, "\x00\x00\x00\x00\x06\x02v": 1} {
		before := written()
		for _, result := range r.results(&rpc.PublishStreamRequest{Topic: "order.state.v1", Event: &rpc.Event{Key: []byte("k"), Value: &rpc.Event_Record{Record: []byte(value)}}}) {
			if n := written() - before; n != wanted {
				t.Errorf("%q: %d written: %v", value, n, result)
			}
		}
	}
}
