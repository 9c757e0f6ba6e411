//go:build unix

package hostile

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// groupKinds meddle with the consumer group.
var groupKinds = []Kind{
	{
		Name: "a KIP-848 console consumer in the group", Who: Operator,
		Done: "kafka-console-consumer.sh with the topology's group and group.protocol=consumer",
		Must: "it is refused and reads nothing; the instance does not notice",
		Try:  func(t *testing.T, w *world) { w.console(t, "consumer") },
	},
	{
		Name: "a classic console consumer in the group", Who: Operator,
		Done: "kafka-console-consumer.sh with the topology's group and group.protocol=classic",
		Must: "it is refused and reads nothing; the instance does not notice",
		Try:  func(t *testing.T, w *world) { w.console(t, "classic") },
	},
	{
		Name: "a static member thrown out", Who: Operator,
		Done: "the instance is removed from its group by name",
		Must: "it joins again by itself",
		Try: func(t *testing.T, w *world) {
			answer, err := w.admin.LeaveGroup(t.Context(), kadm.LeaveGroup(names.Group).InstanceIDs(w.inst.flags["group.instance.id"]))
			if err != nil || !answer.Ok() {
				t.Fatal(err, answer)
			}
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "a KIP-848 consumer that was there first", Who: Operator,
		Done: "kafka-console-consumer.sh with group.protocol=consumer in the stopped topology's group; then a start",
		Must: "it ends, the error names the stranger; once it is gone the instance goes on",
		Try: func(t *testing.T, w *world) {
			w.feed.Pause()
			w.caughtUp(t, settleBound)
			w.stopForGood(t)
			stranger, out := w.startConsole(t, "consumer")
			w.inGroup(t, 1)
			w.inst.launch(t)
			if code := w.inst.codeOf(t, settleBound); code == 0 || !strings.Contains(w.inst.lifeLog(), "KIP-848") {
				t.Errorf("exit code %d:\n%s", code, w.inst.tail(5))
			}
			_ = stranger.Process.Signal(syscall.SIGTERM) // it leaves the group
			_ = stranger.Wait()
			if read := out.String(); strings.Contains(read, "event_id") {
				t.Errorf("the stranger has read %.300s", read)
			}
			w.inGroup(t, 0)
			w.inst.launch(t)
			w.feed.Resume()
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "offsets reset behind its back", Who: Operator,
		Done: "kafka-consumer-groups.sh --reset-offsets --to-earliest on the stopped group; then a start",
		Must: "exit code 3, nothing is counted twice; the error names both ways out; with the offsets put back it goes on",
		Try: func(t *testing.T, w *world) {
			offsets := w.stopQuietly(t)
			w.cluster.RunTool(t, t.Context(), "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server", w.cluster.Addrs()[0],
				"--group", names.Group, "--topic", names.Input, "--reset-offsets", "--to-earliest", "--execute")
			w.inst.launch(t)
			w.inst.mustEnd(t, settleBound, 3, "(?i)reset")
			w.putBack(t, offsets)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "offsets deleted", Who: Operator,
		Done: "the stopped group is deleted with its offsets, as a broker does after offsets.retention.minutes; then a start",
		Must: "exit code 3: inputs would be replayed onto state that has counted them; with the offsets put back it goes on",
		Try: func(t *testing.T, w *world) {
			offsets := w.stopQuietly(t)
			if _, err := w.admin.DeleteGroup(t.Context(), names.Group); err != nil {
				t.Fatal(err)
			}
			w.inst.launch(t)
			w.inst.mustEnd(t, settleBound, 3, "(?i)offsets")
			w.putBack(t, offsets)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "two processes with one group.instance.id", Who: Operator,
		Done: "a second process is started with the first one's group.instance.id and a state folder of its own",
		Must: "Kafka lets the newcomer in: the first ends with exit code 1 and says why, the second goes on; no record is lost or doubled",
		Try: func(t *testing.T, w *world) {
			second := w.another(t, "twin")
			second.launch(t, "group.instance.id", w.inst.flags["group.instance.id"])
			w.inst.mustEnd(t, 2*settleBound, 1, "another process has instance id")
			w.ready(t, second)
			w.more(t, 200)
			second.stop(t)
			w.inst.launch(t)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "a state folder copied", Who: Operator,
		Done: "a second process is started on a copy of the first one's state folder, and so with its instance id",
		Must: "the second stops and says that another process has the id; the first goes on",
		Try: func(t *testing.T, w *world) {
			// Dynamic members, which have their id from the folder.
			w.inst.stop(t)
			w.inst.launch(t, "group.instance.id", "")
			w.ready(t, w.inst)
			w.inst.stop(t) // LevelDB deletes files while it runs, under whoever copies them
			second := w.another(t, "copy")
			if err := os.CopyFS(second.dir, os.DirFS(w.inst.dir)); err != nil {
				t.Fatal(err)
			}
			w.inst.launch(t, "group.instance.id", "")
			w.ready(t, w.inst)
			second.launch(t, "group.instance.id", "")
			if !second.Ended(2*settleBound) || second.Code == 0 || !strings.Contains(second.lifeLog(), "another process has instance id") {
				t.Fatalf("exit code %d:\n%s", second.Code, second.tail(8))
			}
			if !w.inst.Running() {
				t.Fatalf("the first has ended with exit code %d:\n%s", w.inst.Code, w.inst.tail(8))
			}
			w.inst.stop(t)
			w.inst.launch(t)
		},
		Within: 3 * time.Minute,
	},
}

// startConsole starts Kafka's console consumer in the topology's group.
func (w *world) startConsole(t *testing.T, protocol string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd, err := w.cluster.Tool(t.Context(), "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", w.cluster.Addrs()[0],
		"--topic", names.Input, "--group", names.Group, "--command-property", "group.protocol="+protocol, "--command-property", "enable.auto.commit=false")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

// console lets a console consumer try to enter the running group. It must not get a record.
func (w *world) console(t *testing.T, protocol string) {
	t.Helper()
	cmd, out := w.startConsole(t, protocol)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(3 * time.Minute): // Java takes its time on a busy machine
		_ = cmd.Process.Kill()
		<-ended
	}
	if read := out.String(); strings.Contains(read, "event_id") || read == "" {
		t.Errorf("the stranger says: %.600s", read)
	}
	if !w.inst.Running() {
		t.Fatalf("the instance has ended with exit code %d:\n%s", w.inst.Code, w.inst.tail(8))
	}
}

// inGroup waits until the group has so many members.
func (w *world) inGroup(t *testing.T, n int) {
	t.Helper()
	eventually(t, settleBound, fmt.Sprintf("%d members of the group", n), func(ctx context.Context) (bool, string) {
		groups, err := w.admin.DescribeGroups(ctx, names.Group)
		if err != nil {
			return false, err.Error()
		}
		members := len(groups[names.Group].Members)
		if modern, err := w.admin.DescribeConsumerGroups(ctx, names.Group); err == nil {
			members = max(members, len(modern[names.Group].Members))
		}
		return members == n, fmt.Sprintf("%d, state %s", members, groups[names.Group].State)
	})
}

// stopForGood stops the instance and has the group forget it, as it does when a static member's session is over.
func (w *world) stopForGood(t *testing.T) {
	t.Helper()
	w.inst.stop(t)
	w.forget(t)
}

// forget has the group forget the static member, with its assignment.
func (w *world) forget(t *testing.T) {
	t.Helper()
	if _, err := w.admin.LeaveGroup(t.Context(), kadm.LeaveGroup(names.Group).InstanceIDs(w.inst.flags["group.instance.id"])); err != nil {
		t.Fatal(err)
	}
	w.inGroup(t, 0)
}

// stopQuietly stops the instance when everything is worked off and accounted for, and returns the group's offsets.
func (w *world) stopQuietly(t *testing.T) kadm.Offsets {
	t.Helper()
	w.feed.Pause()
	w.caughtUp(t, settleBound)
	answer, err := w.admin.FetchOffsets(t.Context(), names.Group)
	if err != nil {
		t.Fatal(err)
	}
	w.stopForGood(t)
	return answer.Offsets()
}

// putBack commits offsets as they were, and starts the instance and the feed again.
func (w *world) putBack(t *testing.T, offsets kadm.Offsets) {
	t.Helper()
	w.inGroup(t, 0)
	if err := w.admin.CommitAllOffsets(t.Context(), names.Group, offsets); err != nil {
		t.Fatal(err)
	}
	w.inst.launch(t)
	w.feed.Resume()
}

// codeOf waits until the process has ended, and returns its exit code.
func (i *instance) codeOf(t *testing.T, within time.Duration) int {
	t.Helper()
	if !i.Ended(within) {
		t.Fatalf("the instance still runs after %s:\n%s", within, i.tail(8))
	}
	return i.Code
}
