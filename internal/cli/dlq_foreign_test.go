package cli

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// foreign is a letter of another system: its headers are names and values in turn.
func foreign(key string, headers ...string) *kgo.Record {
	r := &kgo.Record{Topic: lettersOf, Key: []byte(key), Value: []byte("v of " + key), Headers: []kgo.RecordHeader{{Key: "shop", Value: []byte("7")}}}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

func spring(key, topic string, partition uint32, cause, message string) *kgo.Record {
	return foreign(key, "kafka_dlt-original-topic", topic, "kafka_dlt-original-partition", string(binary.BigEndian.AppendUint32(nil, partition)),
		"kafka_dlt-original-offset", string(binary.BigEndian.AppendUint64(nil, 5)), "kafka_dlt-exception-fqcn", "o.s.ListenerExecutionFailedException",
		"kafka_dlt-exception-cause-fqcn", cause, "kafka_dlt-exception-message", message, "kafka_dlt-exception-stacktrace", strings.Repeat("at x\n", 100_000))
}

// Letters of other systems are listed, shown and sent to where their records stood, without what those systems added. One that lies about that
// comes nowhere, or to where its key belongs.
//
// Mutations, each seen to fail it: a letter of another system that is read by Read; Internal that is not asked; a partition that the origin does not have
// as an error; control characters that reach the terminal.
func TestLettersOfOtherSystemsAreRedriven(t *testing.T) {
	d := newDesk(t, -1)
	_, err := d.admin.CreateTopics(t.Context(), 2, 1, nil, "order.placed.v1", lettersOf)
	d.must(err)
	d.must(d.client.ProduceSync(t.Context(),
		spring("a", "order.placed.v1", 1, "java.lang.E", "order 1 is bad"), spring("b", "order.placed.v1", 1, "java.lang.E", "order 2 is bad"),
		spring("c", "order.placed.v1", 1, "java.lang.F", "order 2 is bad"),
		foreign("d", "__connect.errors.topic", "order.placed.v1", "__connect.errors.partition", "0", "__connect.errors.offset", "9", "__connect.errors.connector.name", "sink",
			"__connect.errors.exception.class.name", "org.E", "__connect.errors.exception.message", "\x1b[2Jgone"),
		foreign("e", "__dlq.errors.topic", "order.placed.v1", "__dlq.errors.partition", "0", "__dlq.errors.offset", "9", "__dlq.errors.message", "Offset rejected by client."),
		foreign("f", "__rule.name", "r", "__rule.topic", "order.placed.v1", "__rule.exception", "Rule failed"),
		spring("g", "__consumer_offsets", 0, "java.lang.G", "x"), spring("h", "order.placed.v1", 1_000_000, "java.lang.H", "x"), spring("i", "_weir.jobs", 0, "java.lang.G", "y"),
	).FirstErr())
	var groups []struct {
		System, Class, Reason, Node string
		Count                       int
	}
	d.data(d.dlq(0, "list", "--topic", lettersOf, "--json"), &groups)
	seen := map[string]int{}
	for _, g := range groups {
		seen[g.System+" "+g.Class+" "+g.Node] += g.Count
	}
	if got := fmt.Sprint(seen); got != "map[confluent-rule  r:1 kafka-connect org.E sink:1 share-group  :1 spring java.lang.E :2 spring java.lang.F :1 spring java.lang.G :2 spring java.lang.H :1]" {
		t.Errorf("listed: %s", got)
	}
	out := d.dlq(0, "list", "--topic", lettersOf) + d.dlq(0, "show", "--topic", lettersOf, "--limit", "0")
	if strings.Contains(out, "\x1b") || !strings.Contains(out, "order.placed.v1/1 offset 5") || !strings.Contains(out, "as spring says") || len(out) > 200_000 {
		t.Errorf("shown in %d bytes: %.3000s", len(out), out)
	}
	var r struct {
		Selected, Done, Open int
		Refused, Into        map[string]int
	}
	d.data(d.dlq(1, "redrive", "--topic", lettersOf, "--all", "--execute", "--json"), &r)
	if r.Done != 0 || len(r.Refused) != 1 {
		t.Errorf("without a destination: %+v", r)
	}
	d.data(d.dlq(1, "redrive", "--topic", lettersOf, "--all", "--to", "origin", "--execute", "--json"), &r)
	if r.Selected != 7 || r.Done != 7 || r.Open != 2 || len(r.Into) != 1 {
		t.Errorf("to the origin: %+v", r)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(d.addr), kgo.DisableFetchSessions(), kgo.ConsumeTopics("order.placed.v1"), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	d.must(err)
	defer reader.Close()
	at := map[string]int32{}
	for len(at) < 7 {
		reader.PollFetches(t.Context()).EachRecord(func(rec *kgo.Record) {
			at[string(rec.Key)] = rec.Partition
			if len(rec.Headers) != 1 || rec.Headers[0].Key != "shop" || string(rec.Value) != "v of "+string(rec.Key) {
				t.Errorf("%s: %v", rec.Key, rec.Headers)
			}
		})
	}
	if at["a"] != 1 || at["b"] != 1 || at["c"] != 1 || at["d"] != 0 || at["e"] != 0 {
		t.Errorf("by partition: %v", at)
	}
}
