package processors

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/simkafka"
)

// TestOrderOfCallsInACommit holds the order in which an instance writes, commits and stores against the files in
// testdata/commit: that order is what the guarantees rest on.
//
// Commands:
//
//	start [guarantee=at_least_once] [interval=1h] [partitions=2]   begin an instance with one worker
//	produce <lines of key seq amount [refuse]>                     write orders
//	before call=<first words> [n=2] [error=<class>|rebalance]      what happens right before the n-th such call
//	join                                                           another member joins the group, and takes its share
//	wait <duration>
//	stop
//
// Each prints the calls that were made since the one before.
func TestOrderOfCallsInACommit(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "commit", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files in testdata/commit", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			dir := tempDir(t)
			synctest.Test(t, func(t *testing.T) {
				s := &commitScript{t: t, dir: dir, r: &recorder{}}
				defer func() { // a bubble must not end before its goroutines
					s.end()
					time.Sleep(2 * time.Second) // LevelDB's buffers
				}()
				datadriven.RunTest(t, file, s.run)
			})
		})
	}
}

type commitScript struct {
	t       *testing.T
	dir     string
	r       *recorder
	cluster *simkafka.Cluster
	other   *simkafka.Group
	cancel  context.CancelFunc
	done    chan error
}

func (s *commitScript) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "start":
		s.start(d)
	case "produce":
		for line := range strings.Lines(d.Input) {
			var key, refuse string
			var o simOrder
			_, _ = fmt.Sscan(line, &key, &o.Seq, &o.Amount, &refuse)
			o.Refuse = refuse
			tp := kafka.TopicPartition{Topic: simPlaced, Partition: s.partition(key)}
			s.cluster.Produce(tp, kafka.Record{Key: []byte(key), Value: []byte(asJSON(o))})
		}
	case "before":
		s.before(d)
		return ""
	case "join":
		// A member that takes what it is given and does nothing with it.
		other, err := s.cluster.Process("other").Join(kafka.GroupConfig{Group: simGroup, Copartitioned: [][]string{{simPlaced}}}, idleMember{})
		if err != nil {
			t.Fatal(err)
		}
		s.other = other
	case "wait":
		wait, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait)
	case "stop":
		s.cancel()
		if err := <-s.done; err != nil {
			s.r.add("ended with: "+err.Error(), nil)
		}
		s.cancel = nil
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	synctest.Wait()
	return s.r.take()
}

func (s *commitScript) partition(key string) int32 {
	p := s.cluster.Partitions(simPlaced)
	return partitioner.Murmur2.Partition([]byte(key), p)
}

func (s *commitScript) start(d *datadriven.TestData) {
	guarantee, interval, partitions := string(ExactlyOnce), "100ms", 1
	d.MaybeScanArgs(s.t, "guarantee", &guarantee)
	d.MaybeScanArgs(s.t, "interval", &interval)
	d.MaybeScanArgs(s.t, "partitions", &partitions)
	every, err := time.ParseDuration(interval)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cluster = simkafka.New(simkafka.Config{Refuse: simRefuse})
	createSimTopics(s.t, s.cluster, int32(partitions), int32(partitions))
	plan, err := simTopology((&simWorld{calls: newSimCalls()}).tries("i"), simPlaced).Plan(plan.Names{})
	if err != nil {
		s.t.Fatal(err)
	}
	recordStores(plan, s.r)
	inst, err := New(plan, Options{
		Wire: recordedWire{simWire{s.cluster.Process("i")}, s.r}, Guarantee: Guarantee(guarantee), CommitInterval: every,
		Workers: 1, StateDir: s.dir, InstanceID: "m",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.done = cancel, make(chan error, 1)
	go func() { s.done <- inst.Run(ctx) }()
	time.Sleep(3 * time.Second)
}

// before arranges for one call to fail, or for a rebalance right before it.
func (s *commitScript) before(d *datadriven.TestData) {
	var call, fails string
	n := 1
	d.ScanArgs(s.t, "call", &call)
	d.ScanArgs(s.t, "error", &fails)
	d.MaybeScanArgs(s.t, "n", &n)
	call = strings.ReplaceAll(call, "-", " ")
	s.r.step(func(made string) error {
		if made != call {
			return nil
		}
		if n--; n != 0 {
			return nil
		}
		s.r.add("("+fails+")", nil)
		for class := kafka.Fatal; class <= kafka.Indefinite; class++ {
			if class.String() == fails {
				return &kafka.Error{Class: class, Op: made, Err: errors.New("as the test wants it")}
			}
		}
		switch fails {
		case "rebalance":
			s.cluster.Rebalance(simGroup)
			time.Sleep(3 * time.Second) // the member has noticed and joined again
			return nil
		case "full":
			return errors.New("no space left on device")
		}
		s.t.Errorf("unknown error %q", fails)
		return nil
	})
}

func (s *commitScript) end() {
	if s.cancel != nil {
		s.cancel()
		<-s.done
	}
	if s.other != nil {
		_ = s.other.Leave(context.Background())
	}
}

// idleMember takes part in a group and does nothing.
type idleMember struct{}

func (idleMember) Assigned([]kafka.TopicPartition) {}
func (idleMember) Revoked([]kafka.TopicPartition)  {}
func (idleMember) Lost([]kafka.TopicPartition)     {}
func (idleMember) Failed(error)                    {}
