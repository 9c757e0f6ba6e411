//go:build unix

package command_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/kafka"
)

// ofATopic are settings of a topic that both brokers of the tests know, with a value that is not the default, and another one.
var ofATopic = map[string][2]string{
	"cleanup.policy":      {"compact,delete", "delete"},
	"compression.type":    {"lz4", "zstd"},
	"max.message.bytes":   {"200000", "300000"},
	"min.insync.replicas": {"1", "1"},
	"retention.bytes":     {"1000000", "-1"},
	"retention.ms":        {"86400000", "-1"},
	"segment.bytes":       {"20000000", "30000000"},
	"segment.ms":          {"3600000", "7200000"},

	"delete.retention.ms":             {"60000", "70000"},
	"max.compaction.lag.ms":           {"7200000", "10800000"},
	"message.timestamp.type":          {"LogAppendTime", "CreateTime"},
	"min.cleanable.dirty.ratio":       {"0.25", "0.75"},
	"min.compaction.lag.ms":           {"1000", "2000"},
	"unclean.leader.election.enable":  {"true", "false"},
	"file.delete.delay.ms":            {"30000", "40000"},
	"message.timestamp.after.max.ms":  {"600000", "700000"},
	"message.timestamp.before.max.ms": {"86400000", "90000000"},
}

// tryTopicSettings has a file with settings applied on brokers, read back, and called as it is; then each of them changed.
func tryTopicSettings(t *testing.T, brokers, registry string, settings map[string][2]string) {
	t.Helper()
	wire, err := kafka.Dial(t.Context(), kafka.Config{Brokers: strings.Split(brokers, ",")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = wire.Close() })
	t.Chdir(t.TempDir())
	const topic = "order.placed.v1"
	at := []string{topic + ".yaml", "--brokers", brokers, "--registry", registry}
	run := func(args ...string) string {
		t.Helper()
		out, code := execute(t.Context(), append([]string{"event"}, args...)...)
		if code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, out)
		}
		return out
	}
	run("new", topic, "--owner", "x")
	page, err := os.ReadFile(topic + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		lines := "settings:\n"
		for _, name := range slices.Sorted(maps.Keys(settings)) {
			lines += "    " + name + ": " + settings[name][n] + "\n"
		}
		write(t, topic+".yaml", strings.Replace(string(page), "settings:\n    retention.ms: \"604800000\"\n", lines, 1))
		run(append([]string{"apply"}, at...)...)
		infos, err := wire.Topics(t.Context(), []string{topic})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range settings {
			if have := infos[topic].Config[name]; !kafka.SameSetting(have, want[n]) {
				t.Errorf("%s is %q, want %q", name, have, want[n])
			}
		}
		if out := run(append([]string{"plan", "--exit-code"}, at...)...); !strings.Contains(out, "nothing is missing") {
			t.Errorf("planned again: %s", out)
		}
	}
}

// A file's settings of a topic are made, read back, and changed.
//
// Mutations, each seen to fail it: describedConfigs without segment.ms; SetTopicConfig that sets one; spec without the settings.
func TestATopicHasTheSettingsOfItsFile(t *testing.T) {
	brokers, registry := start(t)
	tryTopicSettings(t, brokers, registry, ofATopic)
}
