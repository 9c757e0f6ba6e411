//go:build integration && unix

package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/internal/kafkatest"
)

// Exit codes (docs/exit-codes.md).
const (
	exitUsage     = 2
	exitRefused   = 3
	exitDisagrees = 5
)

// bound is how long anything is waited for. It decides nothing on a machine that is merely busy.
const bound = 3 * time.Minute

// place is a topology of its own: its topics and group, its state folder, and what was sent to it.
type place struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	client  *kgo.Client
	admin   *kadm.Client
	name    string
	store   string
	dir     string
	parts   int32
	sent    int
	last    *life
	window  time.Duration // see windowEnv
	mended  bool          // see mendedEnv
	policy  string        // see policyEnv
	trouble string        // see troubleEnv
}

var unfitForNames = regexp.MustCompile(`[^a-z0-9]+`)

// newPlace is a place on the shared cluster, named after the test.
func newPlace(t *testing.T) *place {
	t.Helper()
	kafkatest.Require(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		c, err := kafkatest.Run(ctx, kafkatest.Options{Config: map[string]string{
			"log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "500", "delete.topic.enable": "true",
			"broker.session.timeout.ms": "60000", // it is never killed, but may stand still
		}})
		if err != nil {
			t.Fatal(err)
		}
		shared.cluster = c
	}
	return placeOn(t, shared.cluster)
}

func placeOn(t *testing.T, c *kafkatest.Cluster) *place {
	t.Helper()
	c.NeedNodes(t) // for Kafka's tools, and brokers that are configured for it
	name := strings.Trim(unfitForNames.ReplaceAllString(strings.ToLower(strings.TrimPrefix(t.Name(), "Test")), "-"), "-")
	p := &place{t: t, cluster: c, name: name, store: "counts", dir: t.TempDir(), parts: 2}
	p.dial()
	return p
}

// dial makes the place's own client, the first one or a new one: what an old one knows of brokers that are away, it may keep.
func (p *place) dial() {
	p.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.cluster.Addrs()...), kgo.MetadataMinAge(50*time.Millisecond), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxBufferedRecords(20_000), kgo.UnknownTopicRetries(-1)) // a broker learns of a topic in its own time
	p.must(err)
	p.t.Cleanup(client.Close)
	p.client, p.admin = client, kadm.NewClient(client)
}

func (p *place) in() string  { return p.name + ".in.v1" }
func (p *place) log() string { return p.name + "-" + p.store + "-changelog" }

func (p *place) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	p.t.Cleanup(cancel)
	return ctx
}

func (p *place) must(errs ...error) {
	p.t.Helper()
	if err := errors.Join(errs...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) until(what string, holds func() (bool, string)) {
	p.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ctx := p.context()
	for {
		ok, say := holds()
		ended := false
		if p.last != nil && !p.last.away {
			select {
			case <-p.last.done:
				ended = true
			default:
			}
		}
		switch {
		case ok:
			return
		case ended:
			p.t.Fatalf("the instance has ended with exit code %d while waiting until %s", p.last.cmd.ProcessState.ExitCode(), what)
		case ctx.Err() != nil:
			p.t.Fatalf("not within %s: %s: %.500s", bound, what, say)
		}
		<-tick.C
	}
}

// life is a process of the program.
type life struct {
	p    *place
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	away bool // it has ended, as it should
}

func (p *place) command(args ...string) *exec.Cmd {
	p.t.Helper()
	path, err := program()
	p.must(err)
	cmd := exec.CommandContext(p.context(), path, args...)
	cmd.Args[0] = "job"
	cmd.Env = append(os.Environ(), jobEnv+"="+p.name, storeEnv+"="+p.store)
	if p.window > 0 {
		cmd.Env = append(cmd.Env, windowEnv+"="+p.window.String())
	}
	cmd.Env = append(cmd.Env, policyEnv+"="+p.policy, troubleEnv+"="+p.trouble)
	if p.mended {
		cmd.Env = append(cmd.Env, mendedEnv+"=1")
	}
	return cmd
}

// start begins a life of the instance, with further flags.
func (p *place) start(args ...string) *life {
	p.t.Helper()
	l := &life{p: p, log: filepath.Join(p.t.TempDir(), "log"), done: make(chan struct{})}
	out, err := os.Create(l.log)
	p.must(err)
	defer out.Close()
	l.cmd = p.command(append([]string{"run", "--brokers", strings.Join(p.cluster.Addrs(), ","), "--state-dir", p.dir, "--http", kafkatest.FreeAddress(p.t),
		"--commit-interval", "100ms", "--workers", "1", "--partitions", strconv.Itoa(int(p.parts)), "--metadata.max.age.ms", "1000"}, args...)...)
	l.cmd.Stdout, l.cmd.Stderr = out, out
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.must(l.cmd.Start())
	go func() {
		defer close(l.done)
		_ = l.cmd.Wait()
	}()
	p.t.Cleanup(func() {
		_ = l.cmd.Process.Kill()
		<-l.done
		if p.t.Failed() {
			p.t.Logf("the last lines of a life:\n%s", l.tail())
		}
	})
	p.last = l
	return l
}

func (l *life) said() string {
	all, _ := os.ReadFile(l.log)
	return string(all)
}

func (l *life) tail() string {
	all := l.said()
	return all[max(0, len(all)-3000):]
}

// code waits until the process has ended.
func (l *life) code() int {
	l.p.t.Helper()
	select {
	case <-l.done:
	case <-time.After(bound):
		l.p.t.Fatalf("the instance still runs after %s", bound)
	}
	l.away = true
	return l.cmd.ProcessState.ExitCode()
}

func (l *life) stop() {
	l.p.t.Helper()
	l.logs("tasks assigned") // before that a signal may find a program that does not listen yet
	_ = l.cmd.Process.Signal(syscall.SIGTERM)
	if code := l.code(); code != 0 {
		l.p.t.Fatalf("stopped with exit code %d", code)
	}
}

// refused waits until the process has ended with exit code 3, and with words in what it says.
func (l *life) refused(words ...string) string {
	l.p.t.Helper()
	if code := l.code(); code != exitRefused {
		l.p.t.Fatalf("exit code %d, want %d", code, exitRefused)
	}
	for _, w := range words {
		if !strings.Contains(l.said(), w) {
			l.p.t.Fatalf("it does not say %q", w)
		}
	}
	return l.said()
}

func (l *life) logs(words string) {
	l.p.t.Helper()
	l.p.until("the log says "+words, func() (bool, string) { return strings.Contains(l.said(), words), "" })
}

// send writes n more records, spread over the partitions and ten keys each.
func (p *place) send(n int) {
	p.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		part := int32(i) % p.parts
		records[i] = &kgo.Record{Topic: p.in(), Partition: part, Key: fmt.Appendf(nil, "%d-%d", part, i/int(p.parts)%10), Value: []byte("good")}
	}
	// A topic that was recreated is another one: a client that knew the old one must not meet it.
	client, err := kgo.NewClient(kgo.SeedBrokers(p.cluster.Addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1), kgo.MaxBufferedRecords(n+1))
	p.must(err)
	defer client.Close()
	p.must(client.ProduceSync(p.context(), records...).FirstErr())
	p.sent += n
}

// committed is the committed offset of each input partition, -1 for none.
func (p *place) committed() []int64 {
	p.t.Helper()
	list := make([]int64, p.parts)
	for i := range list {
		list[i] = -1
	}
	var answer kadm.OffsetResponses
	p.asked(func(ctx context.Context) (err error) {
		if answer, err = p.admin.FetchOffsets(ctx, p.name); errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		return err
	})
	answer.Each(func(o kadm.OffsetResponse) {
		if o.Topic == p.in() {
			list[o.Partition] = o.At
		}
	})
	return list
}

func (p *place) ends(topic string) []int64 {
	p.t.Helper()
	var listed kadm.ListedOffsets
	p.asked(func(ctx context.Context) (err error) {
		listed, err = p.admin.ListEndOffsets(ctx, topic)
		return err
	})
	list := make([]int64, p.parts)
	listed.Each(func(o kadm.ListedOffset) { list[o.Partition] = o.Offset })
	return list
}

// asked asks until there is an answer: brokers may be away for a while.
func (p *place) asked(question func(ctx context.Context) error) {
	p.t.Helper()
	for ctx := p.context(); ; {
		once, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := question(once)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			p.t.Fatal(err)
		case <-time.After(time.Second):
			p.dial()
		}
	}
}

// done waits until everything is committed.
func (p *place) done() {
	p.t.Helper()
	p.until("everything is committed", func() (bool, string) {
		has, ends := p.committed(), p.ends(p.in())
		return slices.Equal(has, ends), fmt.Sprint(has, " of ", ends)
	})
}

// begun is a topology that has counted n records and is stopped.
func (p *place) begun(n int, args ...string) {
	p.t.Helper()
	l := p.start(append([]string{"--create-topics"}, args...)...)
	p.until("the input is there", func() (bool, string) {
		listed, err := p.admin.ListTopics(kafkatest.Uncached(p.context()), p.in())
		return err == nil && listed.Has(p.in()), fmt.Sprint(err)
	})
	p.send(n)
	p.done()
	l.stop()
	p.counts(n)
}

// counts checks how many records were counted, by what the changelog says of each key.
func (p *place) counts(want int) {
	p.t.Helper()
	if got := p.counted(); got != want {
		p.t.Errorf("%d records were counted, want %d", got, want)
	}
}

func (p *place) counted() (sum int) {
	p.t.Helper()
	counts := map[string]int{}
	for _, r := range p.read(p.log()) {
		if delete(counts, string(r.Key)); r.Value == nil || len(r.Key) == 0 { // of a state that was rebuilt
			continue
		}
		n, err := strconv.Atoi(string(r.Value))
		p.must(err)
		counts[string(r.Key)] = n
	}
	for _, n := range counts {
		sum += n
	}
	return sum
}

// read is what read-committed readers see of a topic.
func (p *place) read(topic string) (all []*kgo.Record) {
	p.t.Helper()
	var listed, starts kadm.ListedOffsets
	p.asked(func(ctx context.Context) (err1 error) {
		var err2 error
		listed, err1 = p.admin.ListEndOffsets(ctx, topic)
		starts, err2 = p.admin.ListStartOffsets(ctx, topic)
		return errors.Join(err1, err2)
	})
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	listed.Each(func(o kadm.ListedOffset) {
		if s, _ := starts.Lookup(topic, o.Partition); o.Offset > s.Offset {
			left[o.Partition], from[o.Partition] = o.Offset, kgo.NewOffset().AtStart()
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(p.cluster.Addrs()...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	p.must(err)
	defer client.Close()
	for ctx := p.context(); len(left) > 0; p.must(ctx.Err()) {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all
}

// deleteTopic waits until the topic is gone; create until it is there.
func (p *place) deleteTopic(topic string) {
	p.t.Helper()
	res, err := p.admin.DeleteTopic(p.context(), topic)
	p.must(err, res.Err)
	p.until(topic+" is gone", func() (bool, string) {
		listed, err := p.admin.ListTopics(kafkatest.Uncached(p.context()))
		return err == nil && !listed.Has(topic), fmt.Sprint(err)
	})
}

func (p *place) create(topic string, config map[string]string) {
	p.t.Helper()
	pointers := map[string]*string{}
	for k, v := range config {
		pointers[k] = &v
	}
	res, err := p.admin.CreateTopic(p.context(), p.parts, -1, pointers, topic)
	p.must(err, res.Err)
	p.until(topic+" is there", func() (bool, string) {
		listed, err := p.admin.ListTopics(kafkatest.Uncached(p.context()), topic)
		return err == nil && listed.Has(topic) && len(listed[topic].Partitions) == int(p.parts), fmt.Sprint(err)
	})
}

// add makes the input one of more partitions, and waits until it is.
func (p *place) add(partitions int32) {
	p.t.Helper()
	res, err := p.admin.UpdatePartitions(p.context(), int(partitions), p.in())
	p.must(err, res.Error())
	p.parts = partitions
	p.until("the partitions are there", func() (bool, string) {
		listed, err := p.admin.ListTopics(kafkatest.Uncached(p.context()), p.in())
		return err == nil && len(listed[p.in()].Partitions) == int(partitions), fmt.Sprint(err)
	})
}

// topics are the topology's topics that exist, and that of recorded resets.
func (p *place) topics() (names []string) {
	p.t.Helper()
	listed, err := p.admin.ListTopics(kafkatest.Uncached(p.context()))
	p.must(err)
	for _, name := range listed.Names() {
		if listed.Has(name) && (strings.HasPrefix(name, p.name+".") || strings.HasPrefix(name, p.name+"-"+p.store)) {
			names = append(names, name)
		}
	}
	return names
}

// tool runs a command of the program and returns its output, its messages and its exit code.
func (p *place) tool(args ...string) (out, messages string, code int) {
	p.t.Helper()
	cmd := p.command(append(args, "--brokers", strings.Join(p.cluster.Addrs(), ","))...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// follow runs command lines as a refusal prints them, in a shell.
func (p *place) follow(lines []string) {
	p.t.Helper()
	if len(lines) == 0 {
		p.t.Fatal("the refusal names no such command")
	}
	_, err := program()
	p.must(err)
	for _, line := range lines {
		cmd := exec.CommandContext(p.context(), "sh", "-c", line)
		cmd.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), jobEnv+"="+p.name, storeEnv+"="+p.store)
		if out, err := cmd.CombinedOutput(); err != nil {
			p.t.Fatalf("%s: %v\n%.1000s", line, err, out)
		}
	}
}

// ways are the command lines of one kind in a refusal, each once.
func ways(said, kind string) (lines []string) {
	for _, line := range regexp.MustCompile(`job offsets [a-z]+ --brokers [^;,]*?--execute`).FindAllString(said, -1) {
		if strings.Contains(line, kind) && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}
