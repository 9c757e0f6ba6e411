package processors

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

type says []topology.StreamOption

// saying is a job that reads jobIn and jobOther together, keeps state and writes jobOut, whose streams say something.
func saying(in, other, out says) func() *topology.Topology {
	return func() *topology.Topology {
		in, other := topology.Stream(jobIn, codecs.String(), in...), topology.Stream(jobOther, codecs.String(), other...)
		out, store := topology.Stream(jobOut, codecs.String(), out...), topology.Store("seen", codecs.String())
		node := func(ctx topology.Context, key, value string) error {
			store.Set(ctx, key, value)
			out.Emit(ctx, key, value)
			return nil
		}
		return topology.Define(jobGroup, topology.Node("node", topology.On(in, node), topology.On(other, node), topology.Uses(store), topology.Emits(out)))
	}
}

const jobOtherDead = jobOther + ".dlq"

var sayingTopics = []string{jobIn, jobOther, jobOut, jobDead, jobOtherDead, jobLog}

// topics describes the topics of saying that exist.
func (g *rig) topics() map[string]kafka.TopicInfo {
	g.t.Helper()
	infos, err := simWire{g.cluster.Process("looks")}.Topics(context.Background(), sayingTopics)
	if err != nil {
		g.t.Fatal(err)
	}
	return infos
}

// only leaves the cluster with the topics of these partition counts.
func (g *rig) only(counts map[string]int32) {
	g.t.Helper()
	for _, name := range []string{jobIn, jobOut, jobDead, jobLog} {
		g.cluster.DeleteTopic(name)
	}
	for name, n := range counts {
		var config map[string]string
		if name == jobLog {
			config = map[string]string{"cleanup.policy": "compact"}
		}
		g.topic(name, n, config)
	}
}

const day = 24 * time.Hour

// Topics are created as their streams say; what a stream does not say is left to Creation and to the broker.
//
// Mutations: topicSettings without Tiered, LocalRetention or the retention; specs without what is stated; what is stated holds for
// outputs only; counted is the first input.
func TestTopicsAreCreatedAsTheirStreamsSay(t *testing.T) {
	const none = "" // not set: the broker's default
	type topic struct {
		partitions                        int32
		cleanup, retention, tiered, local string
	}
	plain := func(n int32) topic { return topic{n, "delete", none, none, none} }
	for _, c := range []struct {
		name           string
		in, other, out says
		exist          map[string]int32
		want           map[string]topic
	}{
		{"nothing is said", nil, nil, nil, nil,
			map[string]topic{jobIn: plain(2), jobOther: plain(2), jobOut: plain(2), jobLog: {2, "compact", "-1", none, none}}},
		{"all is said",
			says{topology.Partitions(6), topology.Retention(30 * day), topology.Tiered(), topology.LocalRetention(day)},
			says{topology.Partitions(6), topology.Retention(topology.Forever), topology.Tiered()},
			says{topology.Partitions(3), topology.Compacted()}, nil,
			map[string]topic{
				jobIn: {6, "delete", "2592000000", "true", "86400000"}, jobOther: {6, "delete", "-1", "true", none},
				jobOut: {3, "compact", "-1", none, none}, jobLog: {6, "compact", "-1", none, none}, jobDead: {2, "delete", "2592000000", none, none},
			}},
		{"compacted, and deleted by age", nil, nil, says{topology.Compacted(), topology.Retention(1500 * time.Microsecond)}, nil,
			map[string]topic{jobOut: {2, "compact,delete", "1", none, none}}},
		{"one input says a count for both", nil, says{topology.Partitions(5)}, nil, nil,
			map[string]topic{jobIn: plain(5), jobOther: plain(5), jobOut: plain(2), jobLog: {5, "compact", "-1", none, none}}},
		{"one input is there", nil, nil, says{topology.Partitions(9)}, map[string]int32{jobOther: 4},
			map[string]topic{jobIn: plain(4), jobOut: plain(9), jobLog: {4, "compact", "-1", none, none}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.only(c.exist)
				g.job.define, g.opts.Create = saying(c.in, c.other, c.out), &Creation{Partitions: 2}
				asked := make(chan []kafka.TopicSpec, 1)
				g.wrap = func(w Wire) Wire { return notesCreation{w, asked} }
				g.start()
				var made []kafka.TopicSpec
				select {
				case made = <-asked:
				default: // nothing was created
				}
				for name, want := range c.want {
					i := slices.IndexFunc(made, func(s kafka.TopicSpec) bool { return s.Name == name })
					if i < 0 {
						t.Errorf("%s was not created", name)
						continue
					}
					config := made[i].Config
					got := topic{made[i].Partitions, config["cleanup.policy"], config["retention.ms"], config["remote.storage.enable"], config["local.retention.ms"]}
					if got != want {
						t.Errorf("%s was created as %+v, want %+v", name, got, want)
					}
				}
				for name, info := range g.topics() {
					if want, ok := c.want[name]; ok && info.Partitions != want.partitions {
						t.Errorf("%s has %d partitions", name, info.Partitions)
					}
				}
				if n := g.logged(zapcore.WarnLevel, "other settings than its stream states"); n != 0 {
					t.Errorf("%d warnings of topics that were created as stated", n)
				}
			})
		})
	}
}

// notesCreation is a wire that gives the topics that are to be created to a test.
type notesCreation struct {
	Wire
	asked chan<- []kafka.TopicSpec
}

func (w notesCreation) CreateTopics(ctx context.Context, specs []kafka.TopicSpec) error {
	w.asked <- specs
	return w.Wire.CreateTopics(ctx, specs)
}

// A topic whose number of partitions is not what is stated is refused, once, with the way out, and nothing is created beside it.
//
// Mutations: mismatches without otherCounts; otherCounts for streams only that state a count themselves; inputs compared with each other
// although a count is stated; the changelog planned with what is stated beside an input that exists; --partitions as the way out.
func TestAnotherNumberOfPartitionsThanIsStatedIsRefused(t *testing.T) {
	for _, c := range []struct {
		name           string
		in, other, out says
		exist          map[string]int32 // topics are created where these are fewer than three
		reasons        []string
	}{
		{"an input", says{topology.Partitions(4)}, nil, nil, map[string]int32{jobIn: 3},
			[]string{"input topic event.in.v1 has 3 partitions, but its stream states 4: state Partitions(3), or leave Partitions out"}},
		{"both inputs", says{topology.Partitions(4)}, says{topology.Partitions(4)}, nil, map[string]int32{jobIn: 3, jobOther: 5},
			[]string{"input topic event.in.v1 has 3 partitions, but its stream states 4", "input topic event.other.v1 has 5 partitions, but its stream states 4"}},
		{"an input beside one that states a count", nil, says{topology.Partitions(4)}, nil, map[string]int32{jobIn: 3},
			[]string{"input topic event.in.v1 has 3 partitions, but it is processed together with event.other.v1, which states 4: both need the same number"}},
		{"an output", nil, nil, says{topology.Partitions(4)}, map[string]int32{jobOut: 8},
			[]string{"output topic event.out.v1 has 8 partitions, but its stream states 4"}},
		{"a changelog that is there, and an input that is not", says{topology.Partitions(4)}, nil, nil, map[string]int32{jobLog: 3},
			[]string{"changelog job-seen-changelog has 3 partitions, but event.in.v1 would be created with the 4 that its stream states: the state of store seen " +
				"lies by the old count and would be orphaned; state Partitions(3)"}},
		{"an input, and all topics are there", says{topology.Partitions(4)}, nil, nil, map[string]int32{jobIn: 3, jobOther: 3, jobOut: 1},
			[]string{"input topic event.in.v1 has 3 partitions, but its stream states 4",
				"input topic event.other.v1 has 3 partitions, but it is processed together with event.in.v1, which states 4"}},
		{"all is as stated", says{topology.Partitions(4)}, nil, says{topology.Partitions(8)}, map[string]int32{jobIn: 4, jobOther: 4, jobOut: 8, jobLog: 4}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.only(c.exist)
				g.job.define = saying(c.in, c.other, c.out)
				if len(c.exist) < 3 {
					g.opts.Create = &Creation{Partitions: 3}
				}
				if len(c.reasons) == 0 {
					g.start()
					return
				}
				g.wrap = func(w Wire) Wire { return noCreation{w, t} }
				g.refusedFor(g.run(), c.reasons...)
			})
		})
	}
}

// An existing topic whose settings are not what its stream states is warned of, in one line with the command that changes it. What a
// stream does not state is not compared, nor are settings that may not be read.
//
// Mutations: warnings without warnOfOtherSettings; statedSettings without one of its deletes; a topic without remote storage is not known;
// a list is not quoted; settings that may not be read count as empty.
func TestATopicThatIsNotAsItsStreamStatesIsWarnedOf(t *testing.T) {
	tiered := map[string]string{"remote.storage.enable": "true", "local.retention.ms": "86400000", "retention.ms": "2592000000"}
	for _, c := range []struct {
		name    string
		out     says
		config  map[string]string // of the output; with cleanup.policy delete and retention.ms 7 days where it says nothing
		differs []string
		change  string
	}{
		{"nothing is stated", nil, map[string]string{"cleanup.policy": "compact", "retention.ms": "1", "remote.storage.enable": "true"}, nil, ""},
		{"retention", says{topology.Retention(day)}, nil, []string{"retention.ms is 604800000, stated is 86400000"}, "retention.ms=86400000"},
		{"retention as stated", says{topology.Retention(7 * day)}, nil, nil, ""},
		{"for ever", says{topology.Retention(topology.Forever)}, nil, []string{"retention.ms is 604800000, stated is -1"}, "retention.ms=-1"},
		{"compacted, where a retention is stated", says{topology.Retention(7 * day)}, map[string]string{"cleanup.policy": "compact"},
			[]string{"cleanup.policy is compact, stated is delete"}, "cleanup.policy=delete"},
		{"not compacted", says{topology.Compacted()}, nil, []string{"cleanup.policy is delete, stated is compact"}, "cleanup.policy=compact"},
		{"compacted as stated, where retention means nothing", says{topology.Compacted()}, map[string]string{"cleanup.policy": "compact"}, nil, ""},
		{"compacted for ever, as stated", says{topology.Compacted(), topology.Retention(topology.Forever)}, map[string]string{"cleanup.policy": "compact"}, nil, ""},
		{"compacted only", says{topology.Compacted(), topology.Retention(day)}, map[string]string{"cleanup.policy": "compact"},
			[]string{"cleanup.policy is compact, stated is compact,delete", "retention.ms is 604800000, stated is 86400000"},
			"'cleanup.policy=[compact,delete],retention.ms=86400000'"},
		{"the same list", says{topology.Compacted(), topology.Retention(7 * day)}, map[string]string{"cleanup.policy": "delete, compact"}, nil, ""},
		{"not tiered", says{topology.Tiered()}, nil, []string{"remote.storage.enable is false, stated is true"}, "remote.storage.enable=true"},
		{"tiered as stated", says{topology.Tiered(), topology.LocalRetention(day), topology.Retention(30 * day)}, tiered, nil, ""},
		{"tiered otherwise", says{topology.Tiered(), topology.LocalRetention(2 * day)}, tiered,
			[]string{"local.retention.ms is 86400000, stated is 172800000"}, "local.retention.ms=172800000"},
		{"settings that may not be read", says{topology.Tiered(), topology.Retention(day), topology.Partitions(1)}, map[string]string{"unreadable": ""}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, 1, simkafka.Config{}, func(g *rig) {
				g.only(map[string]int32{jobIn: 1, jobOther: 1})
				g.topic(jobOut, 1, c.config)
				if _, unreadable := c.config["unreadable"]; unreadable {
					g.wrap = func(w Wire) Wire { return unreadableSettings{w} }
				}
				g.job.define = saying(nil, nil, c.out)
				g.start()
				var got []string
				run := ""
				for _, e := range g.logs.FilterMessageSnippet("other settings than its stream states").All() {
					if e.Level != zapcore.WarnLevel || e.ContextMap()["topic"] != jobOut || run != "" {
						t.Errorf("logged %v %v", e.Entry, e.ContextMap())
					}
					for _, d := range e.ContextMap()["differs"].([]any) {
						got = append(got, d.(string))
					}
					run = e.ContextMap()["run"].(string)
				}
				if !slices.Equal(got, c.differs) {
					t.Errorf("it differs in %q, want %q", got, c.differs)
				}
				want := "kafka-configs.sh --bootstrap-server BROKERS --alter --entity-type topics --entity-name " + jobOut + " --add-config " + c.change
				if c.change != "" && run != want {
					t.Errorf("run: %s\nwant %s", run, want)
				}
			})
		})
	}
}

// unreadableSettings is a wire to a cluster that does not let this client read topics' settings.
type unreadableSettings struct{ Wire }

func (w unreadableSettings) Topics(ctx context.Context, names []string) (map[string]kafka.TopicInfo, error) {
	infos, err := w.Wire.Topics(ctx, names)
	for name, info := range infos {
		info.Config = nil
		infos[name] = info
	}
	return infos, err
}
