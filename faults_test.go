package weir_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/oracle"
)

// trial runs processes of the reference job under load on an embedded broker, and lets the oracle judge what they leave.
type trial struct {
	*cluster
	dirs  map[string]string // state folders by instance
	alive map[string]*process
	stop  context.CancelFunc
	fed   sync.WaitGroup
	input []kafka.TopicPartition
	eyes  *oracle.Observer
}

func newTrial(t *testing.T) *trial {
	c := clusterOn(t, embedded.Options{DataDir: t.TempDir(), MinSessionTimeout: time.Second})
	tr := &trial{cluster: c, dirs: map[string]string{}, alive: map[string]*process{}}
	for p := range int32(4) {
		tr.input = append(tr.input, kafka.TopicPartition{Topic: "order.placed.v1", Partition: p})
	}
	return tr
}

// launch starts an instance, or starts it again on its state folder.
func (tr *trial) launch(name string) {
	tr.t.Helper()
	if tr.dirs[name] == "" {
		tr.dirs[name] = tr.t.TempDir()
	}
	p := start(tr.t, "run", "--brokers", tr.addr, "--state-dir", tr.dirs[name], "--create-topics", "--commit-interval", "300ms",
		"--batch.size", "1KiB", "--workers", "2", "--session.timeout.ms", "2000", "--heartbeat.interval.ms", "200", "--transaction.timeout.ms", "3000")
	p.logged("running", "instance")
	tr.alive[name] = p
}

// load feeds orders with everything that is bad about them, until the end.
func (tr *trial) load() {
	ctx, cancel := context.WithCancel(tr.t.Context())
	tr.stop = cancel
	sink, err := tr.wire.NewSink(ctx, "")
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.fed.Go(func() {
		defer sink.Close()
		g := oracle.NewGenerator(oracle.GeneratorOptions{Seed: 1, Keys: 200})
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			for _, item := range g.Take(20) {
				err := sink.Append(&kafka.Outgoing{
					TopicPartition: kafka.TopicPartition{Topic: "order.placed.v1", Partition: oracle.PartitionOf(item.Key, 4)},
					Timestamp:      time.Now().UnixMilli(), Key: item.Key, Value: item.Value,
				})
				if err != nil {
					tr.t.Error(err)
					return
				}
			}
			if err := sink.Flush(tr.t.Context()); err != nil {
				tr.t.Error(err)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	if tr.eyes, err = oracle.Observe([]string{tr.addr}, oracle.ReferenceJob, time.Second); err != nil {
		tr.t.Fatal(err)
	}
	tr.t.Cleanup(tr.eyes.Stop)
	tr.progress(500)
}

// open says whether an instance has a transaction open.
func (tr *trial) open() bool {
	open, err := tr.eyes.OpenTransactions(tr.t.Context(), "customer-totals")
	return err == nil && len(open) > 0
}

// progress waits until so many more records are committed, and some of them in each partition.
func (tr *trial) progress(n int64) {
	tr.t.Helper()
	var first map[kafka.TopicPartition]kafka.CommittedOffset
	tr.until(fmt.Sprintf("%d more records are committed", n), func() bool {
		committed, err := tr.wire.Committed(tr.t.Context(), "customer-totals", tr.input)
		if err != nil {
			return false
		}
		if first == nil {
			first = committed
		}
		sum, least := int64(0), n
		for tp, offset := range committed {
			grown := max(offset.Offset, 0) - max(first[tp].Offset, 0)
			sum += grown
			least = min(least, grown)
		}
		return sum >= n && least > 0
	})
}

// kill ends an instance with SIGKILL while a transaction is open.
func (tr *trial) kill(name string) {
	tr.t.Helper()
	tr.until("a transaction is open", tr.open)
	tr.alive[name].signal(syscall.SIGKILL)
	tr.alive[name].exit()
	delete(tr.alive, name)
}

// leave ends an instance in order.
func (tr *trial) leave(name string) {
	tr.t.Helper()
	tr.alive[name].signal(syscall.SIGTERM)
	if code := tr.alive[name].exit(); code != 0 {
		tr.t.Errorf("%s exits with %d", name, code)
	}
	delete(tr.alive, name)
}

// judge lets the load end and the work be done, and asks the oracle.
func (tr *trial) judge() {
	tr.t.Helper()
	tr.stop()
	tr.fed.Wait()
	tr.until("the end of the input", func() bool { return tr.left() == 0 })
	for name := range tr.alive {
		tr.leave(name)
	}
	// What a killed instance left open, and nobody took over, ends with its timeout.
	tr.until("no transaction is open", func() bool { return !tr.open() })
	e, err := oracle.Collect(tr.t.Context(), []string{tr.addr}, oracle.ReferenceJob)
	if err != nil {
		tr.t.Fatal(err)
	}
	for name, dir := range tr.dirs {
		stores, err := oracle.ReadStores(name, dir, oracle.ReferenceJob)
		if err != nil {
			tr.t.Fatal(err)
		}
		e.Stores = append(e.Stores, stores...)
	}
	if report := oracle.Check(e); !report.OK() {
		tr.t.Error(report)
	}
}

// Nothing is lost or doubled over kill -9, each time in the middle of a transaction: with its state folder the instance
// resumes from its checkpoint, and without it from a changelog that ends in markers and aborted records. The load has
// poison among it all the time.
//
// Mutations seen to fail this test: outputs or dead letters outside of the transaction (weirfault).
func TestKillMinus9LosesAndDoublesNothing(t *testing.T) {
	tr := newTrial(t)
	tr.launch("one")
	tr.load()
	for i := range 4 {
		tr.kill("one")
		if i%2 == 1 {
			if err := os.RemoveAll(tr.dirs["one"]); err != nil {
				t.Fatal(err)
			}
		}
		tr.launch("one")
		tr.progress(400)
	}
	tr.judge()
}

// Two instances and more share the partitions of one topology under load, whether they leave or are killed.
//
// Mutation seen to fail this test: the job forgets which orders it has seen.
func TestInstancesComeAndGoUnderLoad(t *testing.T) {
	tr := newTrial(t)
	tr.launch("one")
	tr.load()
	tr.launch("two")
	tr.progress(800)
	tr.leave("one")
	tr.progress(400)
	tr.launch("three")
	tr.launch("one")
	tr.progress(800)
	tr.kill("two")
	tr.progress(400)
	tr.judge()
}

// An instance that was stopped for longer than its session wakes up while another has its partitions: it must not commit,
// and must find its way back.
//
// Mutation seen to fail this test: fence-zombies (weirfault).
func TestAZombieCommitsNothingAndComesBack(t *testing.T) {
	tr := newTrial(t)
	tr.launch("one")
	tr.launch("two")
	tr.load()
	for range 2 {
		tr.alive["one"].signal(syscall.SIGSTOP)
		tr.progress(2000) // all partitions move on, so they are the other one's
		tr.alive["one"].signal(syscall.SIGCONT)
		tr.progress(800)
	}
	tr.judge()
}

// The broker is restarted under load, which cuts every connection and every answer under way.
func TestTheBrokerRestartsUnderLoad(t *testing.T) {
	tr := newTrial(t)
	tr.launch("one")
	tr.load()
	for range 3 {
		if err := tr.Restart(); err != nil {
			t.Fatal(err)
		}
		tr.progress(400)
	}
	tr.judge()
}

// Transactions that cannot go on are aborted and done again, from memory or from what Kafka holds.
//
// Mutation seen to fail this test: redo without rewind.
func TestAbortedTransactionsAreDoneAgain(t *testing.T) {
	tr := newTrial(t)
	tr.launch("one")
	tr.load()
	for _, key := range []kmsg.Key{kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		for _, err := range []*kerr.Error{kerr.InvalidTxnState, kerr.InvalidProducerEpoch} {
			fault := tr.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{key}, TopLevel: key != kmsg.TxnOffsetCommit, Err: err, Count: 1})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := fault.Wait(ctx, 1); err != nil {
				t.Fatalf("%s was not struck: %v", key.Name(), err)
			}
			cancel()
			tr.progress(200)
		}
	}
	tr.judge()
}
