package job

import (
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/weirstream/weir/internal/oracle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter counts what a client was given to write.
type counter struct{ atomic.Int64 }

func (c *counter) OnProduceRecordBuffered(*kgo.Record) { c.Add(1) }

// A feed has written nothing more after Pause, continues after Resume, with a new client too, and loses nothing.
//
// Mutations seen to fail it: Pause without its wait; ResumeAfresh that keeps the old client; the rate doubled.
func TestAFeedWritesWhatItSays(t *testing.T) {
	const topic, partitions = "in", 3
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	var clients []*kgo.Client
	var produced counter
	wrote := make(chan *kgo.Record, 1_000_000)
	began := time.Now()
	f, err := StartFeed(FeedOptions{
		Generator: oracle.NewGenerator(oracle.GeneratorOptions{Seed: 1, Keys: 10}), Topic: topic, Partitions: partitions, PerSecond: 1010,
		Dial: func() (*kgo.Client, error) {
			client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(100*time.Millisecond), kgo.WithHooks(&produced))
			clients = append(clients, client)
			return client, err
		},
		Wrote: func(r *kgo.Record) { wrote <- r },
	})
	if err != nil {
		t.Fatal(err)
	}
	for f.Acked() < 200 || produced.Load() == f.Acked() {
		time.Sleep(time.Millisecond)
	}
	f.Pause()
	paused := f.Acked()
	if most := int64(1010 * (time.Since(began).Seconds() + 0.04)); paused > most {
		t.Errorf("%d records, more than %d", paused, most)
	}
	if n := int64(len(wrote)); n != paused || produced.Load() != paused {
		t.Errorf("%d records acknowledged, %d reported, %d produced", paused, n, produced.Load())
	}
	f.Resume()
	for f.Acked() == paused {
		time.Sleep(time.Millisecond)
	}
	f.Pause()
	if err := f.ResumeAfresh(); err != nil || len(clients) != 2 || clients[0].Ping(t.Context()) == nil {
		t.Errorf("%v, %d clients", err, len(clients))
	}
	paused = f.Acked()
	for f.Acked() == paused {
		time.Sleep(time.Millisecond)
	}
	if err := f.Stop(); err != nil || f.Acked() != int64(len(wrote)) {
		t.Errorf("%v; %d acknowledged, %d reported", err, f.Acked(), len(wrote))
	}
	for range len(wrote) {
		if r := <-wrote; r.Topic != topic || r.Partition != oracle.PartitionOf(r.Key, partitions) {
			t.Fatalf("a record in %s/%d", r.Topic, r.Partition)
		}
	}
}

// Mutations seen to fail it: Running after the end; Code of a signal as 0.
func TestAProcessIsWaitedFor(t *testing.T) {
	var p Process
	p.Kill()
	if p.Started() || p.Running() {
		t.Error("it runs before it was started")
	}
	for _, c := range []struct {
		script string
		end    func()
		code   int
	}{
		{"exit 3", func() { p.Ended(time.Minute) }, 3},
		{"sleep 600", p.Kill, -1},
	} {
		if err := p.Start(exec.Command("sh", "-c", c.script)); err != nil {
			t.Fatal(err)
		}
		c.end()
		if p.Running() || p.Code != c.code {
			t.Errorf("%s: running %v, exit code %d", c.script, p.Running(), p.Code)
		}
	}
}

// Mutations seen to fail it: a metric taken for one whose name begins alike; words left out of account.
func TestSamplesAreAddedByTheirLabels(t *testing.T) {
	const text = "# HELP a x\na{x=\"1\",y=\"2\"} 3\na{x=\"2\",y=\"2\"} 4.5\na_total{x=\"1\"} 100\nb 7"
	for _, c := range []struct {
		name  string
		words []string
		want  float64
	}{{"a", nil, 7.5}, {"a", []string{`x="1"`}, 3}, {"a", []string{`x="1"`, `y="2"`}, 3}, {"a", []string{`x="3"`}, 0}, {"b", nil, 7}, {"c", nil, 0}} {
		if got, err := Sum(text, c.name, c.words...); got != c.want || err != nil {
			t.Errorf("%s %q: %v (%v), want %v", c.name, c.words, got, err, c.want)
		}
	}
	if _, err := Sum("a{} x", "a"); err == nil {
		t.Error("x is a number")
	}
}
