package processors

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/simkafka"
	"github.com/weirstream/weir/topology"
)

// What a node does with a record, and how it ends it.
var (
	outcomeActs = []string{"nothing", "emit", "state", "forward"}
	outcomeEnds = []string{"keep", "filter", "duplicate", "fail"}
)

// outcomeModel is what must become of a record that the nodes are told to treat so: first and second read it, third reads
// what first forwards. It is written from the promise in docs/guarantees.md, not from the engine.
type outcomeModel struct {
	emits  []string // names of nodes
	states []string
	failed string // the node that failed; nothing of any node remains then
	count  outcome
}

func modelOutcome(plan map[string][2]string) (m outcomeModel) {
	var reason string // of the first drop
	run := func(node string) (forwarded bool) {
		act, end := plan[node][0], plan[node][1]
		if end == "fail" && m.failed == "" {
			m.failed = node
		}
		if m.failed != "" {
			return false
		}
		if end != "keep" {
			if reason == "" {
				reason = end
			}
			return false // whatever it did is taken back
		}
		switch act {
		case "emit":
			m.emits = append(m.emits, node)
		case "state":
			m.states = append(m.states, node)
		case "forward":
			return true
		}
		return false
	}
	forwarded := run("first")
	run("second")
	if forwarded {
		run("third")
	}
	switch {
	case m.failed != "":
		m.emits, m.states, m.count = nil, nil, deadLettered
	case reason == "", len(m.emits)+len(m.states) > 0:
		m.count = processed
	case reason == "filter":
		m.count = filtered
	default:
		m.count = deduplicated
	}
	return m
}

// TestEveryCombinationOfWhatNodesDoIsAccountedFor: two nodes read a record and a third reads what the first forwards; each
// emits, changes state, forwards or does nothing, and keeps the record, drops it for either reason or fails it. Outputs, state,
// dead letters with the node that failed, and the four counts are those of the model, in all combinations.
//
// Mutations: invoke keeps emits, forwards or state of a drop; the last drop's reason for the first's; drops not set back
// between records; run looks at emits only, at state only, or at whether anything was forwarded too; filtered and
// deduplicated swapped; the state of the other nodes taken back with a drop; the second node left out.
func TestEveryCombinationOfWhatNodesDoIsAccountedFor(t *testing.T) {
	bubble(t, 1, simkafka.Config{}, func(g *rig) {
		nodes := []string{"first", "second", "third"}
		outs, logs := map[string]string{}, map[string]string{}
		for _, n := range nodes {
			outs[n], logs[n] = "out."+n+".v1", plan.Names{}.Changelog(jobGroup, n)
			g.topic(outs[n], 1, nil)
			g.topic(logs[n], 1, map[string]string{"cleanup.policy": "compact"})
		}
		g.job.define = func() *topology.Topology {
			in, edge := topology.Stream(jobIn, codecs.String()), topology.Edge[string]("edge")
			node := func(n string, on func(func(topology.Context, string, string) error) topology.Part) topology.NodeSpec {
				out, store := topology.Stream(outs[n], codecs.String()), topology.Store(n, codecs.String())
				parts := []topology.Part{topology.Uses(store), topology.Emits(out), on(func(ctx topology.Context, key, value string) error {
					act, end := toldTo(value, n)
					switch act {
					case "emit":
						out.Emit(ctx, key, value)
					case "state":
						store.Set(ctx, key, value)
					case "forward":
						edge.Emit(ctx, key, value)
					}
					switch end {
					case "filter":
						return ctx.Drop(topology.Filtered)
					case "duplicate":
						return ctx.Drop(topology.Duplicate)
					case "fail":
						return topology.Reject(errors.New("told to"))
					}
					return nil
				})}
				if n == "first" {
					parts = append(parts, topology.Emits(edge))
				}
				return topology.Node(n, parts...)
			}
			onStream := func(fn func(topology.Context, string, string) error) topology.Part { return topology.On(in, fn) }
			onEdge := func(fn func(topology.Context, string, string) error) topology.Part { return topology.On(edge, fn) }
			return topology.Define(jobGroup, node("first", onStream), node("second", onStream), node("third", onEdge))
		}
		g.start()
		var counts [outcomes]int64
		emitted := map[string][]string{}
		var dead []string
		state := map[string]map[string]string{"first": {}, "second": {}, "third": {}}
		var all [][2]string
		for _, act := range outcomeActs {
			for _, end := range outcomeEnds {
				all = append(all, [2]string{act, end})
			}
		}
		sent := int64(0)
		for _, first := range all {
			for _, second := range all {
				for _, third := range all {
					if second[0] == "forward" || third[0] == "forward" || first[0] != "forward" && third != all[0] {
						continue // only the first forwards, and the third has no part in the rest
					}
					plan := map[string][2]string{"first": first, "second": second, "third": third}
					value := fmt.Sprint("first ", first[0], " ", first[1], " second ", second[0], " ", second[1], " third ", third[0], " ", third[1])
					key := fmt.Sprint("key-", sent)
					m := modelOutcome(plan)
					if m.failed != "" {
						dead = append(dead, key+" "+m.failed)
					}
					for _, n := range m.emits {
						emitted[n] = append(emitted[n], key+" "+value)
					}
					for _, n := range m.states {
						state[n][key] = value
					}
					g.cluster.Produce(at(jobIn, 0), kafka.Record{Key: []byte(key), Value: []byte(value), Timestamp: 1000})
					sent++
					// One by one: over all combinations the two reasons to drop are symmetric.
					counts[m.count]++
					time.Sleep(300 * time.Millisecond)
					st := g.inst.Stats()
					if got := [outcomes]int64{st.Processed, st.Filtered, st.Deduplicated, st.DeadLettered}; got != counts {
						t.Fatalf("%s: counted %v, want %v after a %s record", value, got, counts, outcomeNames[m.count])
					}
				}
			}
		}
		g.committed(at(jobIn, 0), sent)
		for _, n := range nodes {
			var got []string
			for _, r := range g.cluster.Committed(at(outs[n], 0)) {
				got = append(got, string(r.Key)+" "+string(r.Value))
			}
			if i := firstDifference(got, emitted[n]); i >= 0 {
				t.Errorf("output %d of %s is %q, want %q (%d and %d in all)", i, n, get(got, i), get(emitted[n], i), len(got), len(emitted[n]))
			}
			stored := replayed(g.cluster.Committed(at(logs[n], 0)))
			for key, value := range state[n] {
				if stored[key] != value {
					t.Errorf("%s holds %q of %s, want %q", n, stored[key], key, value)
				}
			}
			if len(stored) != len(state[n]) {
				t.Errorf("%s holds %d keys, want %d", n, len(stored), len(state[n]))
			}
		}
		var letters []string
		for _, r := range g.cluster.Committed(at(jobDead, 0)) {
			letters = append(letters, string(r.Key)+" "+header(r, deadletter.HeaderNode))
		}
		if i := firstDifference(letters, dead); i >= 0 {
			t.Errorf("dead letter %d is %q, want %q (%d and %d in all)", i, get(letters, i), get(dead, i), len(letters), len(dead))
		}
		if slices.Contains(counts[:], 0) {
			t.Errorf("not every outcome was there: %v", counts)
		}
	})
}

// toldTo is what a record's value tells a node to do.
func toldTo(value, node string) (act, end string) {
	words := strings.Fields(value)
	i := slices.Index(words, node)
	return words[i+1], words[i+2]
}

// firstDifference is where two lists differ first, or -1.
func firstDifference(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

func get(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}
