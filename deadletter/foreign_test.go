package deadletter

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func h(pairs ...string) (headers []Header) {
	for i := 0; i < len(pairs); i += 2 {
		headers = append(headers, Header{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return headers
}

// springLetter has what DeadLetterPublishingRecoverer adds.
func springLetter() []Header {
	return h("shop", "7", "kafka_dlt-original-topic", "order.placed.v1", "kafka_dlt-original-partition", "\x00\x00\x00\x03", "kafka_dlt-original-offset", "\x00\x00\x00\x00\x00\x01\x00\x00",
		"kafka_dlt-original-timestamp", "\x00\x00\x01\x8b\xcf\xe5\x68\x00", "kafka_dlt-original-timestamp-type", "CREATE_TIME", "kafka_dlt-original-consumer-group", "billing",
		"kafka_dlt-exception-fqcn", "org.springframework.kafka.listener.ListenerExecutionFailedException", "kafka_dlt-exception-cause-fqcn", "java.lang.IllegalStateException",
		"kafka_dlt-exception-message", "Listener failed; order 4711", "kafka_dlt-exception-stacktrace", "at x")
}

// Letters of other systems tell what they know, in the forms in which their systems write it.
//
// Mutations, each seen to fail it: Spring's numbers as text; the exception in the place of its cause; its own headers that stay; a fingerprint without the class;
// the first dialect that fits in the place of the last one.
func TestLettersOfOtherSystemsAreRead(t *testing.T) {
	streams := h("weir.errors.topology", "forged", "__streams.errors.exception", "java.lang.E", "__streams.errors.stacktrace", "s", "__streams.errors.message", "m 1",
		"__streams.errors.topic", "in", "__streams.errors.partition", "2", "__streams.errors.offset", "9")
	connect := h("__connect.errors.topic", "in", "__connect.errors.partition", "2", "__connect.errors.offset", "9", "__connect.errors.connector.name", "sink", "__connect.errors.task.id", "0",
		"__connect.errors.stage", "VALUE_CONVERTER", "__connect.errors.class.name", "c", "__connect.errors.exception.class.name", "java.lang.E", "__connect.errors.exception.message", "m 2",
		"__connect.errors.exception.stacktrace", "s")
	share := h("__dlq.errors.topic", "in", "__dlq.errors.partition", "2", "__dlq.errors.offset", "9", "__dlq.errors.group", "g", "__dlq.errors.delivery.count", "5", "__dlq.errors.message", "Offset rejected by client.")
	rule := h("__rule.name", "checkAmount", "__rule.mode", "WRITE", "__rule.subject", "in-value", "__rule.topic", "in", "__rule.exception", "Rule failed")
	again := append(springLetter(), h("kafka_dlt-original-topic", "order.retry", "kafka_dlt-original-partition", "\x00\x00\x00\x01", "kafka_dlt-original-offset", "\x00\x00\x00\x00\x00\x00\x00\x05")...)
	for name, c := range map[string]struct {
		headers []Header
		want    string
	}{
		"spring":         {springLetter(), "spring order.placed.v1/3@65536 first order.placed.v1/3@65536 at 1700000000000 java.lang.IllegalStateException|Listener failed; order 4711|at x|billing||0 [shop]"},
		"spring twice":   {again, "spring order.retry/1@5 first order.placed.v1/3@65536 at 1700000000000 java.lang.IllegalStateException|Listener failed; order 4711|at x|billing||0 [shop]"},
		"kafka streams":  {streams, "kafka-streams in/2@9 first in/2@9 at 0 java.lang.E|m 1|s|||0 [weir.errors.topology]"},
		"connect":        {connect, "kafka-connect in/2@9 first in/2@9 at 0 java.lang.E|m 2|s||sink|0 []"},
		"share group":    {share, "share-group in/2@9 first in/2@9 at 0 |Offset rejected by client.||g||5 []"},
		"rule":           {rule, "confluent-rule in/-1@-1 first in/-1@-1 at 0 |Rule failed|||checkAmount|0 []"},
		"the last one":   {append(springLetter(), share...), "share-group in/2@9 first in/2@9 at 0 |Offset rejected by client.||g||5 [shop kafka_dlt-original-topic"},
		"the last one 2": {append(streams, springLetter()...), "spring order.placed.v1/3@65536"},
	} {
		l, err := ReadAny(c.headers)
		var kept []string
		for _, h := range l.Headers {
			kept = append(kept, h.Key)
		}
		got := fmt.Sprintf("%s %s@%d first %s@%d at %d %s|%s|%s|%s|%s|%d %v", l.System, l.Position.TopicPartition, l.Position.Offset, l.First.TopicPartition, l.First.Offset, l.Timestamp,
			l.Exception, l.Message, l.Stack, l.Group, l.Node, l.Attempts, kept)
		if err != nil || !strings.HasPrefix(got, c.want) || l.Topology != "" {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, c.want)
		}
		if want := Fingerprint("", l.Exception, l.Message); l.Fingerprint != want {
			t.Errorf("%s: fingerprint %s, want %s", name, l.Fingerprint, want)
		}
	}
	own := Headers(springLetter(), Cause{Topology: "t", Node: "n", Topic: "in", Partition: 2, Offset: 9, At: 5, Err: errors.New("e")})
	if l, err := ReadAny(own); err != nil || l.System != Weir || l.Topology != "t" || l.Position.Offset != 9 {
		t.Errorf("Weir's own: %+v, %v", l, err)
	}
	for _, form := range [][]Header{Minimal(nil, Cause{Topic: "in", Offset: 9, At: 5}), Bare(nil, Cause{Topic: "in", Offset: 9, At: 5}), Timed(Minimal(nil, Cause{Topic: "in"}), 7)} {
		if l, err := ReadAny(form); err != nil || l.System != Weir {
			t.Errorf("a short form of Weir's: %+v, %v", l, err)
		}
	}
	if _, err := ReadAny(h("shop", "7")); !errors.Is(err, ErrNoEnvelope) {
		t.Errorf("no letter: %v", err)
	}
}

// An earlier failure that says no place is not told from the last one.
//
// Mutation, seen to fail it: First as an earlier header says it, whatever that is.
func TestAnEarlierFailureWithoutAPlaceIsNone(t *testing.T) {
	l, err := ReadAny([]Header{
		{Key: "__streams.errors.topic"}, {Key: "__streams.errors.partition", Value: []byte("7")},
		{Key: "__streams.errors.topic", Value: []byte("a.b.v1")}, {Key: "__streams.errors.partition", Value: []byte("2")}, {Key: "__streams.errors.offset", Value: []byte("5")},
	})
	if err != nil || l.First != l.Position || l.First.Topic != "a.b.v1" || l.First.Partition != 2 {
		t.Errorf("%+v, %v", l.First, err)
	}
}

// What is damaged is said to be so, and taken for nothing that it is not.
//
// Mutations, each seen to fail it: number without a look at the length; a topic of any name; text that is not cut; a negative number that is kept.
func TestHostileLettersOfOtherSystems(t *testing.T) {
	with := func(name, value string) []Header {
		headers := springLetter()
		for i := range headers {
			if headers[i].Key == "kafka_dlt-"+name {
				headers[i].Value = []byte(value)
			}
		}
		return headers
	}
	for _, c := range []struct {
		name, value string
		bad         bool
		want        string
	}{
		{"original-partition", "", true, "order.placed.v1/-1@65536"},
		{"original-partition", "\x00\x03", true, "order.placed.v1/-1@65536"},
		{"original-partition", "\x00\x00\x00\x00\x03", true, "order.placed.v1/-1@65536"},
		{"original-partition", "\xff\xff\xff\xff", true, "order.placed.v1/-1@65536"},
		{"original-partition", "12", false, "order.placed.v1/12@65536"},
		{"original-partition", "1234", false, "order.placed.v1/1234@65536"},
		{"original-offset", "\x80\x00\x00\x00\x00\x00\x00\x00", true, "order.placed.v1/3@-1"},
		{"original-offset", "99999999999999999999", true, "order.placed.v1/3@-1"},
		{"original-topic", "", true, "/3@65536"},
		{"original-topic", "..", true, "/3@65536"},
		{"original-topic", "a/../b", true, "/3@65536"},
		{"original-topic", strings.Repeat("a", 250), true, "/3@65536"},
		{"original-topic", "a\x1b[2J", true, "/3@65536"},
		{"original-timestamp", "x", true, "order.placed.v1/3@65536"},
		{"exception-message", strings.Repeat("\xff", 1<<20), false, "order.placed.v1/3@65536"},
	} {
		l, err := ReadAny(with(c.name, c.value))
		if got := fmt.Sprintf("%s/%d@%d", l.First.Topic, l.First.Partition, l.First.Offset); got != c.want || (err != nil) != c.bad || l.Timestamp < 0 || len(l.Message) > MaxMessage {
			t.Errorf("%s %.40q: %s, %v, %d", c.name, c.value, got, err, len(l.Message))
		}
	}
	names := []string{"x"}
	for _, d := range dialects {
		for _, n := range append([]string{d.topic, d.partition, d.offset, d.timestamp, d.message, d.attempts}, d.exceptions...) {
			names = append(names, d.prefix+n)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var headers []Header
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			headers = append(headers, Header{Key: rapid.SampledFrom(names).Draw(t, "name"), Value: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "value")})
		}
		if l, err := ReadAny(headers); err == nil && l.System != Weir && (l.First.Topic == "" || l.First.Partition < -1 || l.First.Offset < -1) {
			t.Fatalf("%+v", l)
		}
	})
}
