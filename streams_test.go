package weir_test

import (
	"context"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/topology"
)

// TestTopicsAreMadeAsTheirStreamsSay starts a topology whose streams say what their topics are like, with flags that say otherwise, and
// asks the broker what it has.
//
// Mutation seen to fail this test: describedConfigs without remote.storage.enable.
func TestTopicsAreMadeAsTheirStreamsSay(t *testing.T) {
	in := topology.Stream("sensor.read.v1", codecs.String(), topology.Partitions(3), topology.Retention(48*time.Hour), topology.Tiered(),
		topology.LocalRetention(time.Hour))
	out := topology.Stream("sensor.latest.v1", codecs.String(), topology.Compacted())
	latest := topology.Define("latest", topology.Node("pass", topology.Emits(out),
		topology.On(in, func(ctx topology.Context, key, value string) error { out.Emit(ctx, key, value); return nil })))
	c := clusterOn(t, embedded.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- weir.Execute(ctx, c.runArgs(t.TempDir()), latest) }()
	c.until("the topics are there", func() bool {
		infos, err := c.wire.Topics(ctx, []string{in.Name(), out.Name(), in.Name() + ".dlq"})
		if err != nil {
			t.Fatal(err)
		}
		return len(infos) == 3
	})
	infos, err := c.wire.Topics(ctx, []string{in.Name(), out.Name()})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]map[string]string{
		in.Name():  {"cleanup.policy": "delete", "retention.ms": "172800000", "remote.storage.enable": "true", "local.retention.ms": "3600000"},
		out.Name(): {"cleanup.policy": "compact", "retention.ms": "-1"},
	} {
		for setting, value := range want {
			if has := infos[name].Config[setting]; has != value {
				t.Errorf("%s has %s %q, want %q", name, setting, has, value)
			}
		}
	}
	if n := infos[in.Name()].Partitions; n != 3 {
		t.Errorf("the input has %d partitions", n)
	}
	if n := infos[out.Name()].Partitions; n != 4 {
		t.Errorf("the output, whose stream states no number, has %d partitions", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
