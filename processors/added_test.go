package processors

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/offsets"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// stateless makes the job one that keeps no state, and so takes up partitions that are added.
func (g *rig) stateless() {
	g.cluster.DeleteTopic(jobLog)
	g.job.whole = func(j *job) []topology.Part { return []topology.Part{topology.Emits(j.out)} }
	g.job.node = func(j *job, ctx topology.Context, key, value string) error {
		j.out.Emit(ctx, key, value)
		return nil
	}
}

// allOut are the values of a topic's partitions, which are single letters or words.
func (g *rig) allOut(partitions int32) map[string]int {
	values := map[string]int{}
	for p := range partitions {
		for _, r := range g.cluster.Committed(at(jobOut, p)) {
			values[string(r.Value)]++
		}
	}
	return values
}

// What is written into a partition before an instance knows of it is read, whatever auto.offset.reset says, and whether
// the group runs meanwhile or not. So it is with a partition that is added after that one.
//
// Mutations: added finds nothing; a mark takes over the count of now at each start.
func TestAPartitionThatIsAddedIsReadFromItsStart(t *testing.T) {
	for _, policy := range []OffsetReset{ResetEarliest, ResetLatest, ResetNone} {
		for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
			for _, running := range []bool{true, false} {
				t.Run(fmt.Sprint(policy, " ", guarantee, " running ", running), func(t *testing.T) {
					bubble(t, 2, simkafka.Config{}, func(g *rig) {
						g.stateless()
						g.opts.Guarantee = guarantee
						g.opts.OffsetReset = ResetLatest
						g.send(0, "k skipped")
						g.start()
						want := map[string]int{}
						for n := int32(3); n <= 5; n++ {
							g.stop()
							g.opts.OffsetReset = policy
							if running {
								g.start()
							}
							g.cluster.AddPartitions(jobIn, n)
							value := fmt.Sprint("added ", n)
							g.send(n-1, "k "+value, "k "+value)
							want[value] = 2
							if !running {
								g.start()
							}
							time.Sleep(3 * time.Second)
							g.send(0, "k old")
							want["old"]++
							time.Sleep(time.Second)
							if got := g.allOut(2); fmt.Sprint(got) != fmt.Sprint(want) {
								t.Fatalf("with %d partitions the output holds %v, want %v", n, got, want)
							}
						}
						if m, ok := offsets.ParseMark(g.cluster.OffsetOf(jobGroup, at(jobIn, 0)).Metadata); !ok || m.Partitions != 2 {
							t.Errorf("partition 0 is marked %+v, %v", m, ok)
						}
					})
				})
			}
		}
	}
}

// A sibling's mark makes a partition no added one: tasks are begun one by one. What the marks say of another topic of the
// same name, or do not say, is no reason either.
//
// Mutations: added without the comparison; begunWith takes the largest count, does without the topic id, and without a look
// at the count.
func TestAPartitionThatWasThereBeginsWhereThePolicySays(t *testing.T) {
	for _, c := range []struct {
		name string
		of   []offsets.Mark // of partitions 0 and on, of 3; "ID" is the topic's
		read bool           // with latest: whether partition 2 is read from its start
	}{
		{"a first start, one task is ahead", []offsets.Mark{{TopicID: "ID", Partitions: 3}}, false},
		{"it is new", []offsets.Mark{{TopicID: "ID", Partitions: 2}, {TopicID: "ID", Partitions: 2}}, true},
		{"it is new, and another new one is ahead", []offsets.Mark{{TopicID: "ID", Partitions: 1}, {TopicID: "ID", Partitions: 3}}, true},
		{"a mark of an older build", []offsets.Mark{{TopicID: "ID"}}, false},
		{"another topic", []offsets.Mark{{TopicID: "former", Partitions: 1}}, false},
		{"nobody has begun", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 3, simkafka.Config{}, func(g *rig) {
				g.stateless()
				g.opts.OffsetReset = ResetLatest
				for p, m := range c.of {
					m.TopicID = strings.Replace(m.TopicID, "ID", g.cluster.TopicID(jobIn), 1)
					g.cluster.CommitOffset(jobGroup, at(jobIn, int32(p)), kafka.CommittedOffset{LeaderEpoch: -1, Metadata: m.String()})
				}
				for p := range int32(3) {
					g.send(p, fmt.Sprintf("k %d", p))
				}
				g.start()
				if read := g.allOut(3)["2"] > 0; read != c.read {
					t.Errorf("it was read from its start: %v", read)
				}
				if n := g.logged(zapcore.InfoLevel, "a partition was added"); (n > 0) != c.read {
					t.Errorf("told of %d added partitions", n)
				}
			})
		})
	}
}
