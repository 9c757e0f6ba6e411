package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/examples/totals/orders"
	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/replay"
	"github.com/weirstream/weir/internal/system"
)

// instance runs an instance with the shop's state, until the test ends.
func (s *shop) instance() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	root := New("totals", orders.Totals)
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	ended := make(chan error, 1)
	go func() {
		ended <- Execute(ctx, root, []string{"run", "--brokers", s.addr, "--state-dir", "state", "--commit-interval", "20ms"})
	}()
	s.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("the instance ended with %v", err)
		}
	})
	s.until("the instance runs", s.runs)
}

func (s *shop) runs() bool { return strings.Contains(s.totals(0, "status"), "2 running") }

// goesOn sees that the instance processes what comes.
func (s *shop) goesOn() {
	s.t.Helper()
	s.until("the instance runs again", s.runs)
	s.order(10)
	s.until("what comes is processed", func() bool {
		lags, err := s.admin.Lag(s.t.Context(), "customer-totals")
		s.must(err)
		left := int64(0)
		for _, p := range lags["customer-totals"].Lag[placed] {
			left += p.Lag
		}
		return left == 0
	})
}

// tool is the tool of replays with little patience.
func (s *shop) tool() *replay.Tool {
	s.t.Helper()
	client, err := kafka.Dial(s.t.Context(), kafka.Config{Brokers: []string{s.addr}}, nil)
	s.must(err)
	s.t.Cleanup(func() { _ = client.Close() })
	return &replay.Tool{Client: client, Who: "ann", Patience: time.Second,
		Topology: func(_ string, names plan.Names) (*plan.Plan, error) { return orders.Totals.Plan(names) }}
}

const again = "replay: again\nfrom: {topic: " + placed + "}\ninto: topology\ntopology: customer-totals\n"

// TestAReplayPausesInstancesItself, with the state folder of one of them, and has them go on when it is done: with the state kept, and with
// the state rebuilt.
//
// Mutations seen to fail it: run without pause; save without let.
func TestAReplayPausesInstancesItself(t *testing.T) {
	s := newShop(t)
	s.instance()
	for name, state := range map[string]string{"kept": "", "rebuilt": "state: reset\n"} {
		out := s.totals(0, "replay", "run", s.file("r.yaml", strings.Replace(again, "again", name, 1)+state), "--state-dir", "state", "--json", "--log-level", "error")
		if r := s.receipt(out); r.State != "done" || r.Read < 60 || !*r.Unchanged {
			t.Errorf("%q: %+v", state, r)
		}
		if !strings.Contains(out, "is paused for the replay: 1 members") || !strings.Contains(out, "is resumed") {
			t.Errorf("it says %s", out)
		}
		s.goesOn()
	}
}

// TestATopologyStaysAsOperatorsWantIt: what they have paused is paused after a replay, too; and one that is refused or cannot begin leaves
// nothing paused.
//
// Mutations seen to fail it: owner that is the operator; pause that does not take the hold back; pause that says nothing of its end.
func TestATopologyStaysAsOperatorsWantIt(t *testing.T) {
	s := newShop(t)
	s.instance()
	s.totals(0, "topology", "pause", "customer-totals", "--reason", "a bad hour", "--execute")
	if out := s.totals(0, "replay", "run", s.file("r.yaml", again), "--state-dir", "state"); !strings.Contains(out, "stays paused, by") || !strings.Contains(out, "a bad hour") {
		t.Errorf("it says %s", out)
	}
	s.totals(0, "topology", "resume", "customer-totals", "--execute")
	s.goesOn()
	refused := strings.Replace(again, "{topic: "+placed, "{topic: "+placed+", start: 1000", 1)
	if _, code := execute([]string{"replay", "run", s.file("refused.yaml", strings.Replace(refused, "again", "refused", 1)), "--state-dir", "state", "--brokers", s.addr}, orders.Totals); code == 0 {
		t.Error("offsets that there are not are replayed")
	}
	s.goesOn()

	// A member that follows nothing.
	s.totals(0, "topology", "pause", "customer-totals", "--reason", "so that it joins", "--execute")
	stranger, err := kgo.NewClient(kgo.SeedBrokers(s.addr), kgo.ClientID("old-build"), kgo.ConsumerGroup("customer-totals"), kgo.DisableFetchSessions(), kgo.ConsumeTopics(placed), kgo.DisableAutoCommit())
	s.must(err)
	defer stranger.Close()
	j, err := replay.ReadFile(s.file("s.yaml", strings.Replace(again, "again", "stranger", 1)))
	s.must(err)
	s.until("it is in the group", func() bool {
		answer, err := s.admin.DescribeGroups(t.Context(), "customer-totals")
		s.must(err)
		return len(answer["customer-totals"].Members) == 1
	})
	impatient, said := s.tool(), ""
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	impatient.Patience = time.Minute
	impatient.Say = func(text string) {
		if said += text + "\n"; strings.Contains(text, "is paused for the replay") {
			cancel()
		}
	}
	_, err = impatient.Run(ctx, j, replay.RunOptions{})
	if err == nil || !strings.Contains(err.Error(), "was ended before it began") || !strings.Contains(said, "stays paused, by") || strings.Contains(said, "by replay/") {
		t.Errorf("ended while it waits: %v; it says %s", err, said)
	}
	_, err = s.tool().Run(t.Context(), j, replay.RunOptions{})
	if busy, ok := errors.AsType[*desired.BusyError](err); !ok || len(busy.Members) != 1 || !strings.Contains(err.Error(), "old-build") || !strings.Contains(err.Error(), "older build") {
		t.Errorf("with a stranger: %v", err)
	}
	stranger.Close()
	s.totals(0, "topology", "resume", "customer-totals", "--execute")
	s.goesOn()
}

// TestAReplayWhoseProcessIsGoneIsResumedOrStopped: after kill -9 it stands as begun, and the topology is paused. Both ways leave the
// topology running, and a job that never began is cleared away too.
//
// Mutations seen to fail it: Stop without stopped; Stop without giveUp; waits that asks for jobs only that stand nowhere; Resume that asks for none; List without those that wait.
func TestAReplayWhoseProcessIsGoneIsResumedOrStopped(t *testing.T) {
	s := newShop(t)
	s.instance()
	file := s.file("r.yaml", again)
	s.totals(0, "replay", "run", file, "--state-dir", "state")
	var begun string
	for _, value := range s.all(system.Jobs.Name) {
		if strings.Contains(value, `"state":"begun"`) && strings.Contains(value, `"job":"again"`) {
			begun = value
		}
	}
	killed := func() { // what its process leaves behind
		t.Helper()
		hold := `{"version":1,"topology":"customer-totals","owner":"replay/again","paused":true,"who":"ann","why":"","at":"2026-01-01T00:00:00Z"}`
		s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: system.Jobs.Name, Key: []byte("replay/again"), Value: []byte(begun)},
			&kgo.Record{Topic: system.Desired.Name, Key: []byte("customer-totals/pause/replay/again"), Value: []byte(hold)}).FirstErr())
		s.until("the instance is paused", func() bool { return strings.Contains(s.totals(0, "status"), "  paused  ") })
	}
	killed()
	if r := s.receipt(s.totals(0, "replay", "resume", file, "--state-dir", "state", "--json")); r.State != "done" {
		t.Errorf("resumed: %+v", r)
	}
	s.goesOn()
	killed()
	j, err := replay.ReadFile(file)
	s.must(err)
	if r, err := s.tool().Stop(t.Context(), j); err != nil || r.State != replay.Stopped {
		t.Errorf("stopped: %+v, %v", r, err)
	}
	s.goesOn()
	if r := s.receipt(s.totals(0, "replay", "resume", file, "--state-dir", "state", "--json")); r.State != "done" {
		t.Errorf("resumed after the stop: %+v", r)
	}
	killed()
	s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: system.Jobs.Name, Key: []byte("replay/again")}).FirstErr())
	says := func(out string) {
		t.Helper()
		if !strings.Contains(out, "job again has paused topology customer-totals (since 2026-01-01T00:00:00Z, by ann) and has not begun") || !strings.Contains(out, "replay stop gives it up") {
			t.Errorf("of one that never began: %s", out)
		}
	}
	says(s.totals(1, "replay", "status", file))
	listed := s.totals(0, "replay", "list")
	if says(listed); !strings.Contains(listed, "again  waiting  ") {
		t.Errorf("the list: %s", listed)
	}
	out := s.totals(0, "replay", "stop", file, "--json")
	if r := s.receipt(out); r.State != replay.Stopped || !strings.Contains(out, "never began: it is resumed") {
		t.Errorf("one that never began: %s", out)
	}
	s.goesOn()
	s.totals(1, "replay", "resume", file, "--state-dir", "state") // it is no job any more
	s.goesOn()
	killed()
	s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: system.Jobs.Name, Key: []byte("replay/again")}).FirstErr())
	if r := s.receipt(s.totals(0, "replay", "resume", file, "--state-dir", "state", "--json")); r.State != "done" {
		t.Errorf("one that never began, resumed: %+v", r)
	}
	s.goesOn()

	// One that is done, and was to be done again.
	hold := `{"version":1,"topology":"customer-totals","owner":"replay/again","paused":true,"who":"ann","why":"","at":"2026-01-01T00:00:00Z"}`
	s.must(s.client.ProduceSync(t.Context(), &kgo.Record{Topic: system.Desired.Name, Key: []byte("customer-totals/pause/replay/again"), Value: []byte(hold)}).FirstErr())
	s.until("the instance is paused", func() bool { return strings.Contains(s.totals(0, "status"), "  paused  ") })
	says(s.totals(1, "replay", "status", file))
	says(s.totals(0, "replay", "list"))
	s.totals(0, "replay", "stop", file)
	s.goesOn()
}

// TestOffsetsAndSnapshotsAreSetWithInstancesPaused by the commands themselves.
//
// Mutation seen to fail it: whilePaused without Empty.
func TestOffsetsAndSnapshotsAreSetWithInstancesPaused(t *testing.T) {
	s := newShop(t)
	s.instance()
	s.totals(1, "offsets", "reset", "--to", "latest", "--why", "x", "--execute")
	if out := s.totals(0, "offsets", "reset", "--to", "latest", "--why", "x", "--execute", "--pause"); !strings.Contains(out, "is resumed") {
		t.Errorf("a reset says %s", out)
	}
	s.goesOn()
	s.totals(0, "state", "snapshot", "--folder", "snap")
	if out := s.totals(1, "state", "restore", "--folder", "snap", "--why", "x", "--execute"); !strings.Contains(out, "or give --pause, which does both") {
		t.Errorf("a restore beside instances says %s", out)
	}
	if out := s.totals(0, "state", "restore", "--folder", "snap", "--why", "x"); !strings.Contains(out, "has 1 members: --pause has them leave it first") || !strings.Contains(out, "nothing was changed") {
		t.Errorf("a restore beside instances, shown: %s", out)
	}
	if out := s.totals(0, "state", "restore", "--folder", "snap", "--why", "x", "--pause"); !strings.Contains(out, "has 1 members: --pause has them leave it first") ||
		!strings.Contains(out, "snapshot of topology customer-totals") || !strings.Contains(out, "nothing was changed: add --execute") || strings.Contains(out, "is resumed") {
		t.Errorf("a dry run while an instance runs: %s", out)
	}
	if out := s.totals(0, "state", "restore", "--folder", "snap", "--why", "x", "--execute", "--pause"); !strings.Contains(out, "is resumed") {
		t.Errorf("a restore says %s", out)
	}
	s.goesOn()
}
