//go:build integration

package kafka

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/weirstream/weir/internal/kafkatest"
)

func TestRealKafkaAnswersAdminCalls(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Options{Brokers: 3})
	c := dial(t, Config{Brokers: cluster.Addrs()})
	ctx := t.Context()
	prefix := "admin-" + time.Now().Format("150405.000000") + "-"
	a, b := prefix+"a", prefix+"b"

	t.Run("every broker knows the id of the cluster", func(t *testing.T) {
		want, err := c.ClusterID(ctx)
		if err != nil || want == "" {
			t.Fatalf("%q, %v", want, err)
		}
		for _, addr := range cluster.Addrs() {
			if id, err := dial(t, Config{Brokers: []string{addr}}).ClusterID(ctx); err != nil || id != want {
				t.Errorf("%s says %q, %v, want %q", addr, id, err, want)
			}
		}
	})
	t.Run("topics are there with leaders when CreateTopics returns", func(t *testing.T) {
		for range 2 { // the second time they exist
			err := c.CreateTopics(ctx, []TopicSpec{
				{Name: a, Partitions: 3, ReplicationFactor: 3, Config: map[string]string{"cleanup.policy": "compact", "max.message.bytes": "2000"}},
				{Name: b, Partitions: 2, ReplicationFactor: -1},
			})
			if err != nil {
				t.Fatal(err)
			}
			// Every broker knows them: ask each.
			for _, addr := range cluster.Addrs() {
				one := dial(t, Config{Brokers: []string{addr}})
				infos, err := one.describe(ctx, []string{a, b})
				if err != nil || len(infos) != 2 {
					t.Errorf("%s knows %v, %v", addr, infos, err)
				}
			}
		}
		infos, err := c.Topics(ctx, []string{a, b, prefix + "absent"})
		if err != nil || len(infos) != 2 {
			t.Fatalf("got %v, %v", infos, err)
		}
		got := infos[a]
		if got.Partitions != 3 || got.ReplicationFactor != 3 || len(got.ID) != 22 || got.Config["cleanup.policy"] != "compact" || got.Config["max.message.bytes"] != "2000" || got.Config["min.insync.replicas"] != "2" {
			t.Errorf("got %+v", got)
		}
		if infos, err = c.Topics(ctx, []string{prefix + "absent"}); err != nil || len(infos) != 0 {
			t.Errorf("asking made it: %v, %v", infos, err)
		}
	})

	t.Run("refusals are told in the broker's words", func(t *testing.T) {
		for _, tc := range []struct {
			spec TopicSpec
			want []string
		}{
			{TopicSpec{Name: prefix + "rf", Partitions: 1, ReplicationFactor: 9}, []string{"create topic " + prefix + "rf: replication factor 9: ", "only 3 broker(s) are registered"}},
			{TopicSpec{Name: prefix + "p", Partitions: 0, ReplicationFactor: 1}, []string{"create topic " + prefix + "p: 0 partitions: "}},
			{TopicSpec{Name: "no spaces", Partitions: 1, ReplicationFactor: 1}, []string{"no spaces"}},
			{TopicSpec{prefix + "cfg", 1, 1, map[string]string{"cleanup.policy": "shred"}}, []string{"create topic " + prefix + "cfg: settings map[cleanup.policy:shred]: ", "Invalid value shred"}},
			{TopicSpec{prefix + "cfg", 1, 1, map[string]string{"shred": "yes"}}, []string{"Unknown topic config name: shred"}},
			{TopicSpec{Name: a, Partitions: 4, ReplicationFactor: 3}, []string{"create topic " + a + ": it exists with 3 partitions, not 4"}},
		} {
			err := c.CreateTopics(ctx, []TopicSpec{tc.spec})
			if ClassOf(err) != Fatal {
				t.Errorf("class %v", ClassOf(err))
			}
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is missing in %v", want, err)
				}
			}
		}
	})

	t.Run("several instances create the same topics", func(t *testing.T) {
		errs := make(chan error)
		for range 4 {
			one := dial(t, Config{Brokers: cluster.Addrs()})
			go func() {
				errs <- one.CreateTopics(ctx, []TopicSpec{{Name: prefix + "same", Partitions: 2, ReplicationFactor: 3}})
			}()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})

	t.Run("committed offsets wait for their transaction", func(t *testing.T) {
		tp := TopicPartition{Topic: b, Partition: 0}
		group := prefix + "group"
		if got, err := c.Committed(ctx, group, []TopicPartition{tp}); err != nil || got[tp].Offset != -1 {
			t.Fatalf("of an unknown group: %v, %v", got, err)
		}
		if got, err := c.Committed(ctx, group, []TopicPartition{{Topic: prefix + "absent", Partition: 0}}); err != nil || got[TopicPartition{Topic: prefix + "absent", Partition: 0}].Offset != -1 {
			t.Fatalf("of an unknown topic: %v, %v", got, err)
		}
		coordinator, err := c.admin.coordinator(ctx, sarama.CoordinatorTransaction, prefix+"tx")
		if err != nil {
			t.Fatal(err)
		}
		groups, err := c.admin.coordinator(ctx, sarama.CoordinatorGroup, group)
		if err != nil {
			t.Fatal(err)
		}
		producer := newTestProducerAt(t, coordinator.addr, groups.addr, prefix+"tx")
		producer.commitOffset(group, b, 0, 42)
		read := make(chan int64)
		var returned atomic.Bool
		go func() {
			got, err := c.Committed(ctx, group, []TopicPartition{tp})
			if err != nil {
				t.Error(err)
			}
			returned.Store(true)
			read <- got[tp].Offset
		}()
		// Lag does not wait, and shows the group without the offset. It takes several round trips.
		for range 3 {
			if lag, err := c.Lag(ctx, group, []string{b}); err != nil || lag[tp].Committed != -1 {
				t.Errorf("lag %v, %v", lag[tp], err)
			}
		}
		if returned.Load() {
			t.Error("it did not wait")
		}
		producer.end(true)
		if got := <-read; got != 42 {
			t.Errorf("committed %d", got)
		}
	})

	t.Run("calls outlast the loss of any broker", func(t *testing.T) {
		cluster.NeedNodes(t)
		tps := []TopicPartition{{Topic: a, Partition: 0}, {Topic: a, Partition: 1}, {Topic: a, Partition: 2}}
		for i, node := range cluster.Brokers() {
			for _, fault := range []struct{ down, up func() error }{
				{node.Kill, func() error { return node.Start(ctx) }},
				{node.Pause, node.Continue},
			}[i%2 : i%2+1] {
				quick := dial(t, Config{Brokers: cluster.Addrs(), RequestTimeout: 3 * time.Second, ConnectTimeout: time.Second, Fetch: FetchTuning{MaxWait: time.Second}, Sink: SinkTuning{DeliveryTimeout: 10 * time.Second}})
				if _, err := quick.Ends(ctx, tps); err != nil { // connects
					t.Fatal(err)
				}
				if err := fault.down(); err != nil {
					t.Fatal(err)
				}
				for name, call := range map[string]func() error{
					"topics":    func() error { _, err := quick.Topics(ctx, []string{a, b}); return err },
					"ends":      func() error { _, err := quick.Ends(ctx, tps); return err },
					"starts":    func() error { _, err := quick.Starts(ctx, tps); return err },
					"committed": func() error { _, err := quick.Committed(ctx, prefix+"group", tps); return err },
					"create": func() error {
						return quick.CreateTopics(ctx, []TopicSpec{{Name: prefix + "during", Partitions: 1, ReplicationFactor: 2}})
					},
				} {
					began := time.Now()
					if err := call(); err != nil {
						t.Errorf("%s without broker %d: %v", name, node.ID, err)
					}
					took := time.Since(began).Round(time.Millisecond)
					t.Logf("%s without broker %d: %v", name, node.ID, took)
					if took > 50*time.Second { // some requests of 3 s, where the machine is not busy; a call that hangs takes a minute
						t.Error("that is too long")
					}
				}
				if err := fault.up(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})

	t.Run("with no broker left the reason is told in time", func(t *testing.T) {
		cluster.NeedNodes(t)
		quick := dial(t, Config{Brokers: cluster.Addrs(), APITimeout: time.Second})
		for _, node := range cluster.Brokers() {
			if err := node.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		_, err := quick.Topics(ctx, []string{a})
		if err == nil || ClassOf(err) != Retriable || !strings.Contains(err.Error(), "describe topics "+a) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("got %v", err)
		}
		if errors.Is(err, errClosed) {
			t.Error(err)
		}
	})
}
