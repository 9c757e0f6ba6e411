package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/topology"
)

// A letter of an input that its topology does not read any more stays open: in a redrive topic nobody would read it. Its running instances know,
// else the program that contains it; where nobody does, the command says so.
//
// Mutations, each seen to fail it: unread that is never true; readingOf that asks the program too where instances have said it, or takes what is gone for running; Examples that is not heeded.
func TestLettersOfInputsThatAreNotReadAnyMoreStayOpen(t *testing.T) {
	d := newDesk(t, -1)
	_, err := d.admin.CreateTopics(t.Context(), 2, 1, nil, "order.placed.v1", "order.placed.v0", lettersOf)
	d.must(err)
	_, err = d.admin.CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact,delete")}, system.Status.Name)
	d.must(err)
	letter := func(key, topic string) *kgo.Record {
		return foreign(key, "__streams.errors.topic", topic, "__streams.errors.partition", "0", "__streams.errors.offset", "1",
			"__streams.errors.message", "x", "weir.errors.topology", "customer-totals", "weir.errors.reason", "rejected", "weir.errors.fingerprint", "f")
	}
	d.must(d.client.ProduceSync(t.Context(), letter("a", "order.placed.v0"), letter("b", "order.placed.v1"), letter("c", "order.placed.v0")).FirstErr())
	announce := func(at time.Time, reads ...string) {
		t.Helper()
		var topics []map[string]string
		for _, input := range reads {
			topics = append(topics, map[string]string{"name": "customer-totals-" + input + "-redrive", "role": "redrive"})
		}
		graph, err := json.Marshal(map[string]any{"topics": topics})
		d.must(err)
		a := announced.Announcement{Version: 1, Topology: "customer-totals", Instance: "i", State: announced.Running, At: at, Interval: 30_000, Graph: graph}
		out, err := a.Record(system.Status.Name)
		d.must(err)
		d.must(d.client.ProduceSync(t.Context(), &kgo.Record{Topic: out.Topic, Key: out.Key, Value: out.Value, Timestamp: at}).FirstErr())
	}
	redrive := func(code, selected, noted int, examples bool, args ...string) {
		t.Helper()
		var out strings.Builder
		root := Program{Name: "totals", Topologies: []*topology.Topology{orders.Totals}, Examples: examples}.Command()
		root.SetOut(&out)
		root.SetErr(&out)
		err := Execute(t.Context(), root, append([]string{"dlq", "redrive", "--topic", lettersOf, "--all", "--json", "--brokers", d.addr}, args...))
		report(&out, "totals", err)
		var r struct {
			Selected int
			Refused  map[string]int
			Notes    []string
		}
		if d.data(out.String(), &r); ExitCode(err) != code || r.Selected != selected || len(r.Notes) != noted {
			t.Errorf("examples %t %v: exit %d, %+v: %s", examples, args, ExitCode(err), r, out.String())
		}
		for why := range r.Refused {
			if !strings.Contains(why, "topology customer-totals does not read order.placed.v") {
				t.Errorf("%v", r.Refused)
			}
		}
	}
	redrive(0, 1, 0, false)
	redrive(0, 3, 1, true)            // nobody knows
	redrive(0, 3, 0, true, "--force") // nor need they
	redrive(0, 3, 0, false, "--to", "origin")
	announce(time.Now().Add(-time.Hour), "order.placed.v0", "order.placed.v1")
	redrive(0, 1, 0, false)
	announce(time.Now(), "order.placed.v0", "order.placed.v1")
	redrive(0, 3, 0, false)
	announce(time.Now(), "order.placed.v0") // another build than the program at hand
	redrive(0, 2, 0, false)
	announce(time.Now(), "order.placed.v1")
	redrive(0, 1, 0, true)
	redrive(1, 1, 0, true, "--execute")
	redrive(0, 0, 0, true)
	announce(time.Now(), "order.placed.v0") // a build that reads it again
	redrive(0, 2, 0, true, "--execute")
}
