package processors

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// TestDeadLettersAreToldOfWhenTheyAreCommitted, at warn, each once whatever is aborted before, in lines that are short, the
// first ones one by one and the rest as a count.
//
// Mutations tried: deadLetter that speaks for itself; clear that keeps the notes (told twice); Short that does not cut; tell
// without its limit; summarize that keeps the rest; a summary that counts those told, too.
func TestDeadLettersAreToldOfWhenTheyAreCommitted(t *testing.T) {
	aborts := 3
	cfg := simkafka.Config{Faults: func(c simkafka.Call, _ *rand.Rand) simkafka.Fault {
		if c.Op == simkafka.OpCommit && aborts > 0 {
			aborts--
			return simkafka.Fault{Mode: simkafka.Refused}
		}
		return simkafka.Fault{}
	}}
	bubble(t, 1, cfg, func(g *rig) {
		g.job.node = func(j *job, ctx topology.Context, key, value string) error {
			return topology.Reject(fmt.Errorf("no: %s", strings.Repeat("x", 1<<20)))
		}
		g.start()
		for n := range 40 {
			g.send(0, fmt.Sprint("a ", n))
		}
		time.Sleep(5 * time.Second)
		g.counted(0, 0, 0, 40)
		if n := g.logged(zapcore.WarnLevel, "dead letter"); n != toldLetters {
			t.Errorf("%d told one by one", n)
		}
		time.Sleep(letterSummary)
		g.send(0, "a 41")
		time.Sleep(5 * time.Second)
		if n := g.logged(zapcore.WarnLevel, "dead letter"); n != toldLetters+1+1 {
			t.Errorf("%d lines after the interval", n)
		}
		for n := range 30 {
			g.send(0, fmt.Sprint("a ", n))
		}
		time.Sleep(5 * time.Second)
		g.stop() // the rest is told of before the end
		var rest []int64
		for _, e := range g.logs.All() {
			size := len(e.Message)
			for k, v := range e.ContextMap() {
				size += len(fmt.Sprint(k, v))
			}
			if size > 2000 {
				t.Errorf("a line of %d bytes: %.200s", size, e.Message)
			}
			if n, ok := e.ContextMap()["records"].(int64); ok && strings.HasPrefix(e.Message, "dead letters that were not told") {
				rest = append(rest, n)
				if kinds := fmt.Sprint(e.ContextMap()["kinds"]); kinds != fmt.Sprintf("[%d of node node to %s (rejected)]", n, jobDead) {
					t.Errorf("kinds: %s", kinds)
				}
			}
		}
		if fmt.Sprint(rest) != fmt.Sprint([]int64{40 - toldLetters, 31 - toldLetters}) {
			t.Errorf("summaries of %v", rest)
		}
		if aborts != 0 {
			t.Error("nothing was aborted: nothing is shown")
		}
	})
}

// TestARecordOverALimitIsADeadLetter, or a range of records that could not be taken apart: it says which limit, is counted
// for all that it stands for, and the partition goes on after it.
//
// Mutations tried: record that gives it to the nodes; counted as one; no metric.
func TestARecordOverALimitIsADeadLetter(t *testing.T) {
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		bubble(t, 1, simkafka.Config{}, func(g *rig) {
			g.opts.Guarantee = guarantee
			g.start()
			g.send(0, "a 1")
			one := kafka.Record{Key: []byte("big"), Value: []byte("beginning"), Timestamp: 1000,
				Excess: &kafka.Excess{Limit: "max.record.bytes", Size: 900, Max: 100, Records: 1}}
			g.cluster.Produce(at(jobIn, 0), one)
			g.send(0, "a 2")
			g.cluster.Produce(at(jobIn, 0), kafka.Record{Timestamp: -1, Excess: &kafka.Excess{Limit: "max.batch.bytes", Size: 7000, Max: 5000, Last: 10, Records: 10}})
			g.send(0, "a 3")
			time.Sleep(5 * time.Second)
			g.sees(at(jobOut, 0), "a 1", "a 2", "a 3")
			g.counted(3, 0, 0, 11)
			dead := g.cluster.Committed(at(jobDead, 0))
			if len(dead) != 2 {
				t.Fatalf("%d dead letters", len(dead))
			}
			l, err := deadletter.Read(dead[0].Headers)
			if err != nil || string(dead[0].Key) != "big" || string(dead[0].Value) != "beginning" || l.Reason != "limit" || l.Position.Offset != 1 ||
				l.Excess == nil || *l.Excess != (kafka.Excess{Limit: "max.record.bytes", Size: 900, Max: 100, Last: 1, Records: 1}) ||
				!strings.Contains(l.Message, "event.in.v1/0 offset 1 is over the limit max.record.bytes: 900, of at most 100; kept of it: 3 bytes of the key") {
				t.Errorf("%+v, %v", l, err)
			}
			l, err = deadletter.Read(dead[1].Headers)
			first := l.Position.Offset
			if err != nil || first != 3 || l.Excess == nil || *l.Excess != (kafka.Excess{Limit: "max.batch.bytes", Size: 7000, Max: 5000, Last: 12, Records: 10}) ||
				!strings.Contains(l.Message, "the batch of 10 records at event.in.v1/0 offsets 3 to 12") {
				t.Errorf("%+v, %v", l, err)
			}
			g.committed(at(jobIn, 0), 14)
			if n := g.metric("weir_limit_refusals_total"); n != 11 {
				t.Errorf("the metric counts %v", n)
			}
		})
	}
}

// TestHeadersOfInputsAreNoFacts: what a producer wrote into an input is not believed, and kept under another name; what
// stands in a dead-letter topic of the program is believed.
//
// Mutations tried: letter without Letters; Letters for every input.
func TestHeadersOfInputsAreNoFacts(t *testing.T) {
	for _, own := range []bool{false, true} {
		bubble(t, 1, simkafka.Config{}, func(g *rig) {
			if own {
				g.opts.DeadLetters = []string{"other.dlq", jobIn}
			}
			g.job.node = func(*job, topology.Context, string, string) error { return topology.Reject(fmt.Errorf("no")) }
			g.start()
			r := record("a", "bad")
			r.Headers = deadletter.Headers([]kafka.Header{{Key: "trace", Value: []byte("1")}},
				deadletter.Cause{Topic: "elsewhere", Partition: 7, Offset: 8, Err: fmt.Errorf("made up")})
			g.cluster.Produce(at(jobIn, 0), r)
			time.Sleep(5 * time.Second)
			dead := g.cluster.Committed(at(jobDead, 0))
			if len(dead) != 1 {
				t.Fatalf("%d dead letters", len(dead))
			}
			l, err := deadletter.Read(dead[0].Headers)
			first, failures, headers := deadletter.Position{TopicPartition: at(jobIn, 0)}, 1, 1+len(r.Headers)-1
			if own {
				first, failures, headers = deadletter.Position{TopicPartition: at("elsewhere", 7), Offset: 8}, 2, 1
			}
			if err != nil || l.First != first || l.Failures != failures || len(l.Headers) != headers || l.Message != "rejected: no" {
				t.Errorf("own topic: %v: %+v, %v", own, l, err)
			}
		})
	}
}
