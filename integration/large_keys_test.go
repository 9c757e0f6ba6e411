//go:build integration

package integration

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/kafkatest"
)

// TestLargeKeysThatCompressWellStopNobody writes bad records whose keys fit into no dead-letter topic once they are
// decompressed: zeros that compress to nothing, below and above the limits of a record. Each has a dead letter that says which
// key it was, or which limit it is over, and the orders after it are counted.
//
// Mutation: form.after that ends with bare.
func TestLargeKeysThatCompressWellStopNobody(t *testing.T) {
	r := newWorldRig(t)
	r.inst.launch(t)
	r.until(2*time.Minute, "the topics are there", func() (bool, string) {
		topics, err := r.admin.ListTopics(kafkatest.Uncached(r.context(10*time.Second)), worldIn, worldDead)
		return err == nil && topics.Has(worldIn) && topics.Has(worldDead), fmt.Sprint(err)
	})
	large, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.Addrs()...), kgo.ProducerBatchCompression(kgo.ZstdCompression()),
		kgo.ProducerBatchMaxBytes(256<<20), kgo.BrokerMaxWriteBytes(300<<20), kgo.MaxBufferedBytes(300<<20), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	r.must(err)
	defer large.Close()
	r.send(20, 0)
	sizes := []int{100_000, 7 << 20, 20 << 20, 40 << 20}
	offsets := map[int64]int{}
	for _, size := range sizes {
		res := large.ProduceSync(r.context(2*time.Minute), &kgo.Record{Topic: worldIn, Key: make([]byte, size), Value: []byte("not json")})
		r.must(res.FirstErr())
		offsets[res[0].Record.Offset] = size
		r.send(20, 0)
	}
	r.done(3 * time.Minute)
	letters := r.read(worldDead)
	if len(letters) != len(sizes) {
		t.Errorf("%d dead letters of %d", len(letters), len(sizes))
	}
	for _, l := range letters {
		var headers []kafka.Header
		for _, h := range l.Headers {
			headers = append(headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		letter, err := deadletter.Read(headers)
		size := offsets[letter.Position.Offset]
		delete(offsets, letter.Position.Offset)
		hash := fmt.Sprintf("%x", sha256.Sum256(make([]byte, size)))
		switch {
		case err != nil || letter.Position.Topic != worldIn || size == 0:
			t.Errorf("a letter of %+v: %v", letter.Position, err)
		case letter.Excess != nil:
			if int(letter.Excess.Size) < size && letter.Excess.Size <= letter.Excess.Max || len(l.Key) == size {
				t.Errorf("a key of %d bytes: %+v", size, letter.Excess)
			}
		case len(l.Key) != size && (letter.KeySize != int64(size) || letter.KeyHash != hash || len(l.Key) != 0):
			t.Errorf("a key of %d bytes: the letter has %d, and says %d, %s", size, len(l.Key), letter.KeySize, letter.KeyHash)
		}
		t.Logf("a key of %d bytes: %d bytes in its letter, size %d, over a limit: %v", size, len(l.Key), letter.KeySize, letter.Excess)
	}
	if code, body := r.health(); code != 200 {
		t.Errorf("health: %d %.300s", code, body)
	}
}
