package kafka

import (
	"strings"
	"testing"
)

// Lines of Kafka's own tools in messages name the cluster, and a file of settings where the tool needs one to be let in.
//
// Mutations: the protocol is not looked at; it is "" that counts as secured.
func TestLinesOfKafkasToolsReachTheCluster(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"plaintext by default", Config{Brokers: []string{"a:1", "b:2"}}, "kafka-x.sh --bootstrap-server a:1,b:2"},
		{"plaintext", Config{Brokers: []string{"a:1"}, Security: Security{Protocol: "PLAINTEXT"}}, "kafka-x.sh --bootstrap-server a:1"},
		{"authenticated", Config{Brokers: []string{"a:1"}, Security: Security{Protocol: "SASL_PLAINTEXT"}}, "kafka-x.sh --bootstrap-server a:1 --command-config FILE"},
		{"encrypted", Config{Brokers: []string{"a:1"}, Security: Security{Protocol: "SSL"}}, "kafka-x.sh --bootstrap-server a:1 --command-config FILE"},
		{"not known", Config{}, "kafka-x.sh --bootstrap-server BROKERS"},
	} {
		if got := c.cfg.Tool("kafka-x.sh"); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	for kind, want := range map[string]string{
		"share":    "kafka-share-groups.sh --bootstrap-server a:1 --delete --group totals",
		"streams":  "kafka-streams-groups.sh --bootstrap-server a:1 --delete --group totals",
		"consumer": "kafka-consumer-groups.sh --bootstrap-server a:1 --describe --group totals",
	} {
		err := &StrangerError{Group: "totals", Kind: kind, at: Config{Brokers: []string{"a:1"}}}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
