package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/sink/sqlsink"
	"github.com/weirstream/weir/topology"
)

// The test binary is the program under test as well: a process of its own that can be killed.
const (
	programVariable = "EXAMPLE_PROGRAM" // which program: order-totals or ledger
	badVariable     = "EXAMPLE_BAD"     // while this file exists some records fail
)

func TestMain(m *testing.M) {
	if name := os.Getenv(programVariable); name != "" {
		program(name)
		return
	}
	code := m.Run()
	for _, end := range slices.Backward(ended) {
		end()
	}
	os.Exit(code)
}

// ended is called after the tests, the last one first.
var ended []func()

// program is main for another database each time, and for a topology of the tests.
func program(name string) {
	db, dialect, err := openStrict(os.Getenv("ORDERS_DATABASE"))
	if err != nil {
		panic(err)
	}
	sink := sqlsink.New("totals", db, sqlsink.Options{Dialect: dialect})
	graphs := map[string]*topology.Topology{"order-totals": totals(sink), "order-ledger": ledger(sink), "order-lines": lines(sink)}
	weir.Main(graphs[name])
}

// place is a database for a test.
type place struct {
	name string
	make func(t *testing.T) (address string)
}

// places are all databases that this build has.
var places = []place{{"sqlite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "orders.db") }}}

func everywhere(t *testing.T, test func(t *testing.T, r *rig)) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) { test(t, newRig(t, p.make(t))) })
	}
}

// rig is a broker, a database, and processes between them.
type rig struct {
	t       *testing.T
	broker  *embedded.Broker
	client  *kgo.Client
	admin   *kadm.Client
	address string
	db      *sql.DB
	bad     string

	mu  sync.Mutex
	fed []Order
}

const (
	topic      = "order.placed.v1"
	partitions = 2
)

func newRig(t *testing.T, address string) *rig {
	r := &rig{t: t, address: address, bad: filepath.Join(t.TempDir(), "bad")}
	var err error
	r.broker, err = embedded.Start(embedded.Options{Partitions: partitions, AutoCreateTopics: true, MinSessionTimeout: time.Second})
	r.must(err)
	t.Cleanup(func() { _ = r.broker.Close() })
	r.client, err = kgo.NewClient(kgo.SeedBrokers(r.broker.Addrs()...), kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	r.must(err)
	t.Cleanup(r.client.Close)
	r.admin = kadm.NewClient(r.client)
	r.db, _, err = open(address)
	r.must(err)
	t.Cleanup(func() { _ = r.db.Close() })
	for _, text := range []string{schema, ledgerSchema} {
		_, err = r.db.Exec(text)
		r.must(err)
	}
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// feed writes orders, each to the partition of its customer's number.
func (r *rig) feed(orders ...Order) {
	r.t.Helper()
	var records []*kgo.Record
	for _, o := range orders {
		value, err := json.Marshal(o)
		r.must(err)
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(o.Customer[1]-'0') % partitions, Key: []byte(o.Customer), Value: value})
	}
	r.must(r.client.ProduceSync(r.t.Context(), records...).FirstErr())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fed = append(r.fed, orders...)
}

// process is one life of the program.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	err   error

	mu  sync.Mutex
	log strings.Builder
}

// start begins a life of an instance. env are further variables.
func (r *rig) start(name, instance string, env ...string) *process {
	r.t.Helper()
	dir := filepath.Join(filepath.Dir(r.bad), instance)
	return r.run(name, env, "run", "--brokers", r.broker.Addrs()[0], "--state-dir", dir, "--create-topics", "--partitions", fmt.Sprint(partitions),
		"--group.instance.id", instance, "--session.timeout.ms", "1000", "--heartbeat.interval.ms", "100", "--transaction.timeout.ms", "3000",
		"--commit-interval", "50ms", "--workers", "1")
}

// run begins a command of the program.
func (r *rig) run(name string, env []string, args ...string) *process {
	r.t.Helper()
	p := &process{t: r.t, cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), programVariable+"="+name, badVariable+"="+r.bad, "ORDERS_DATABASE="+r.address), env...)
	out, err := p.cmd.StderrPipe()
	r.must(err)
	p.cmd.Stdout = p.cmd.Stderr
	r.must(p.cmd.Start())
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.mu.Lock()
			p.log.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	r.t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Kill()
		<-p.ended
		if r.t.Failed() {
			r.t.Logf("%s\n%s", strings.Join(p.cmd.Args[1:3], " "), p.said())
		}
	})
	return p
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// killed waits until a process has died of a fault.
func (p *process) killed() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatal("the process did not come to its fault")
	}
	var exit *exec.ExitError
	if !errors.As(p.err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		p.t.Fatalf("the process ended with %v", p.err)
	}
}

// stop ends a process in order.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	p.done()
}

// done waits for the end of a process, in order.
func (p *process) done() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatal("the process did not end")
	}
	if p.err != nil {
		p.t.Fatalf("the process ended with %v", p.err)
	}
}

// patience is how long what must come is waited for. It decides nothing on a machine that is merely busy.
const patience = 3 * time.Minute

// until waits for something that comes, however busy the machine is.
func (r *rig) until(what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("in vain: %s", what)
		}
	}
}

// lag is how many offsets of a topic the group has not committed yet.
func (r *rig) lag(group, topic string) (lag int64) {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	ends, err := r.admin.ListEndOffsets(ctx, topic)
	r.must(err)
	committed, err := r.admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		r.t.Fatal(err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err != nil { // there is no such topic yet
			return
		}
		at, _ := committed.Lookup(topic, end.Partition)
		lag += end.Offset - max(at.At, 0)
	})
	return lag
}

// readAll waits until the group has committed everything of the topics.
func (r *rig) readAll(group string, topics ...string) {
	r.t.Helper()
	r.until("all is committed", func() bool {
		lag := int64(0)
		for _, topic := range topics {
			lag += r.lag(group, topic)
		}
		return lag == 0
	})
}

// empty waits until the group has no members: a static one stays for its session.
func (r *rig) empty(group string) {
	r.t.Helper()
	r.until("the group is empty", func() bool {
		groups, err := r.admin.DescribeGroups(r.t.Context(), group)
		return err == nil && len(groups[group].Members) == 0
	})
}

// rows are what a query finds, a line a row.
func (r *rig) rows(query string) string {
	r.t.Helper()
	found, err := r.db.Query(query)
	r.must(err)
	defer found.Close()
	columns, err := found.Columns()
	r.must(err)
	var b strings.Builder
	for found.Next() {
		row := make([]any, len(columns))
		for i := range row {
			row[i] = new(string)
		}
		r.must(found.Scan(row...))
		for i := range row {
			fmt.Fprintf(&b, "%s ", *row[i].(*string))
		}
		b.WriteByte('\n')
	}
	r.must(found.Err())
	return b.String()
}

// visible are the committed records of a topic.
func (r *rig) visible(topic string) (all []*kgo.Record) {
	r.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(r.broker.Addrs()...), kgo.DisableFetchSessions(), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	r.must(err)
	defer client.Close()
	ends, err := r.admin.ListEndOffsets(r.t.Context(), topic)
	r.must(err)
	missing := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			missing[o.Partition] = o.Offset
		}
	})
	for len(missing) > 0 {
		client.PollFetches(r.t.Context()).EachRecord(func(record *kgo.Record) {
			if !record.Attrs.IsControl() {
				all = append(all, record)
			}
			if record.Offset+1 >= missing[record.Partition] {
				delete(missing, record.Partition)
			}
		})
	}
	return all
}

// end is how many offsets a topic has.
func (r *rig) end(topic string) (n int64) {
	ends, err := r.admin.ListEndOffsets(r.t.Context(), topic)
	r.must(err)
	for _, of := range ends {
		for _, end := range of {
			n += end.Offset
		}
	}
	return n
}
