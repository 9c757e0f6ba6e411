//go:build integration && unix

package identity

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/kafkatest"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// A changelog loses its end in an unclean leader election, and grows past the store's checkpoint with other records. Offsets alone do not
// show that: the leader epoch in the checkpoint does. The store is rebuilt from the changelog as it is.
//
// Mutation: unfit without EpochEnds (fault rule check-epochs).
func TestAChangelogThatLostItsEndAndGrewAgainIsNoticed(t *testing.T) {
	kafkatest.Require(t)
	if os.Getenv("WEIR_KAFKA_BROKERS") != "" {
		t.Skip("kills brokers, and WEIR_KAFKA_BROKERS is set")
	}
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Options{Brokers: 3, Config: map[string]string{
		"min.insync.replicas": "1", "transaction.state.log.min.isr": "1",
	}})
	p := placeOn(t, c)
	p.parts = 1
	p.create(p.in(), nil)
	p.create(p.name+".out.v1", nil)
	p.create(p.name+".in.v1.dlq", nil)
	// The changelog has a leader and one follower.
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = p.log(), -1, -1
	assignment := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	assignment.Replicas = []int32{1, 2}
	topic.ReplicaAssignment = append(topic.ReplicaAssignment, assignment)
	for name, value := range map[string]string{"cleanup.policy": "compact", "unclean.leader.election.enable": "true", "min.insync.replicas": "1"} {
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = name, &value
		topic.Configs = append(topic.Configs, cfg)
	}
	create.Topics, create.TimeoutMillis = append(create.Topics, topic), 30_000
	res, err := create.RequestWith(p.context(), p.client)
	p.must(err)
	if code := res.Topics[0].ErrorCode; code != 0 {
		t.Fatalf("create the changelog: error code %d", code)
	}
	leads := func(id int32) {
		p.until("broker "+itoa(int64(id))+" leads the changelog", func() (bool, string) {
			ctx, cancel := context.WithTimeout(p.context(), bound)
			defer cancel()
			n, err := c.Leader(ctx, p.log(), 0)
			return err == nil && n.ID == id, ""
		})
	}
	leads(1)
	p.begun(100)
	p.until("the follower has all", func() (bool, string) {
		isr, err := c.ISR(p.context(), p.log(), 0)
		return err == nil && len(isr) == 2, fmt.Sprint(isr, err)
	})
	p.must(c.Node(2).Kill())
	p.until("the follower is out of sync", func() (bool, string) {
		isr, err := c.ISR(p.context(), p.log(), 0)
		return err == nil && len(isr) == 1, ""
	})
	l := p.start()
	p.send(100) // in the changelog of broker 1 only
	p.done()
	l.stop()
	p.counts(200)
	checkpoint := p.ends(p.log())[0]
	p.must(c.Node(1).Kill())
	p.must(c.Node(2).Start(p.context()))
	leads(2)
	p.counts(100)
	short := p.ends(p.log())[0]
	if short >= checkpoint {
		t.Fatalf("the changelog has lost nothing: it ends at %d, the checkpoint is %d", short, checkpoint)
	}
	// It grows past the checkpoint.
	for n := short; n < checkpoint+10; n++ {
		p.must(p.client.ProduceSync(p.context(), &kgo.Record{Topic: p.log(), Key: []byte("0-0"), Value: []byte("1000")}).FirstErr())
	}
	l = p.start()
	l.logs("lost its end and has grown again")
	p.send(10) // one of each key
	p.done()
	l.stop()
	got := map[string]string{}
	for _, r := range p.read(p.name + ".out.v1") {
		got[string(r.Key)] = string(r.Value)
	}
	for key, want := range map[string]string{"0-0": "1001", "0-1": "11", "0-9": "11"} {
		if got[key] != want {
			t.Errorf("the output of %s is %s, want %s", key, got[key], want)
		}
	}
	p.counts(1001 + 9*11)
}
