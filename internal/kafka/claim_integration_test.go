//go:build integration

package kafka

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// A process that writes on after another has claimed the partition is refused, and what it wrote is nowhere in the log, also
// where the cluster knows the other by another producer id: one whose epochs ran out, or that was forgotten.
//
// Mutation seen to fail it: a claim of no epoch; Claim that does not fence the producer before.
func TestAPartitionHasOneWriter(t *testing.T) {
	c := dial(t, Config{Brokers: oneBroker(t).Addrs()})
	tp := TopicPartition{Topic: fmt.Sprint("claimed-", time.Now().UnixNano()), Partition: 0}
	if err := c.CreateTopics(t.Context(), []TopicSpec{{Name: tp.Topic, Partitions: 1, ReplicationFactor: 1}}); err != nil {
		t.Fatal(err)
	}
	var want []string
	var last Producer
	claim := func(name, value string) *Claim {
		t.Helper()
		if last != (Producer{}) && name != tp.Topic {
			want = append(want, value) // once more, in the name of the producer before
		}
		claim, offset, err := c.Claim(t.Context(), name, tp, last, func(p Producer) Outgoing {
			last = p
			return Outgoing{Timestamp: 1000, Value: []byte(value)}
		})
		if err != nil || offset != int64(len(want)) {
			t.Fatalf("claim at %d, want %d: %v", offset, len(want), err)
		}
		want = append(want, value)
		return claim
	}
	write := func(by *Claim, value string) {
		t.Helper()
		if offset, err := by.Append(t.Context(), Outgoing{Timestamp: 1000, Value: []byte(value)}); err != nil || offset != int64(len(want)) {
			t.Fatalf("%s at %d, want %d: %v", value, offset, len(want), err)
		}
		want = append(want, value)
	}
	refused := func(by *Claim, value string) {
		t.Helper()
		if _, err := by.Append(t.Context(), Outgoing{Timestamp: 1000, Value: []byte(value)}); !errors.Is(err, ErrClaimLost) {
			t.Fatalf("%s: %v", value, err)
		}
	}
	a := claim(tp.Topic, "a claims")
	for i := range 3 {
		write(a, fmt.Sprint("a ", i))
	}
	b := claim(tp.Topic, "b claims")
	write(b, "b 0")
	refused(a, "a too late")
	a.void = nil // it may try as often as it likes
	refused(a, "a again")
	write(b, "b 1")

	other := claim(tp.Topic+"-other", "c claims")
	refused(b, "b too late")
	write(other, "c 0")

	f := c.NewFetcher(1 << 20)
	defer f.Close()
	r := newReading(t, tp.Topic, 0)
	f.Start(r.tp, At(0), r.deliver)
	r.position(int64(len(want)))
	if got := r.values(); !slices.Equal(got, want) {
		t.Errorf("the log has %q, want %q", got, want)
	}
}

// A batch that the topic does not take leaves the claim as it was: what is written next is there, once.
//
// Mutation seen to fail it: Append that counts the sequence numbers of such a batch.
func TestAClaimOutlivesABatchThatIsTooLarge(t *testing.T) {
	c := dial(t, Config{Brokers: oneBroker(t).Addrs()})
	tp := TopicPartition{Topic: fmt.Sprint("small-", time.Now().UnixNano()), Partition: 0}
	if err := c.CreateTopics(t.Context(), []TopicSpec{{Name: tp.Topic, Partitions: 1, ReplicationFactor: 1, Config: map[string]string{"max.message.bytes": "1000"}}}); err != nil {
		t.Fatal(err)
	}
	claim, _, err := c.Claim(t.Context(), tp.Topic, tp, Producer{}, func(Producer) Outgoing { return Outgoing{Timestamp: 1000} })
	if err != nil {
		t.Fatal(err)
	}
	for want := int64(1); want < 4; want++ {
		_, err := claim.Append(t.Context(), Outgoing{Timestamp: 1000, Value: make([]byte, 1000)})
		if large, ok := errors.AsType[*TooLargeError](err); !ok || large.Size <= 1000 || large.Limit != "max.message.bytes" {
			t.Errorf("%v", err)
		}
		if offset, err := claim.Append(t.Context(), Outgoing{Timestamp: 1000, Value: []byte("small")}); err != nil || offset != want {
			t.Errorf("at %d, want %d: %v", offset, want, err)
		}
	}
}
