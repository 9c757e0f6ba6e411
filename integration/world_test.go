//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/kafkatest"
)

// worldRig is the reference job on a broker of its own, as a principal that can be denied things.
type worldRig struct {
	t       *testing.T
	cluster *kafkatest.Cluster
	client  *kgo.Client
	admin   *kadm.Client
	inst    *instance
	sent    int
}

const (
	worldIn, worldOut, worldDead, worldLog = "order.placed.v1", "customer.total.v1", "order.placed.v1.dlq", "customer-totals-totals-changelog"
	worldGroup                             = "customer-totals"
)

func newWorldRig(t *testing.T, args ...string) *worldRig {
	t.Helper()
	if os.Getenv("WEIR_KAFKA_BROKERS") != "" {
		t.Skip("needs a cluster with an authorizer of its own, and WEIR_KAFKA_BROKERS is set")
	}
	theLane(t)
	if err := build(); err != nil {
		t.Fatal(err)
	}
	cluster := kafkatest.Start(t, kafkatest.Options{
		Listeners: []kafkatest.Listener{{Name: "LOGIN", Protocol: "SASL_PLAINTEXT"}},
		Config: map[string]string{
			"broker.session.timeout.ms":                   "60000", // it is never killed, but may stand still
			"authorizer.class.name":                       "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"super.users":                                 "User:ANONYMOUS",
			"allow.everyone.if.no.acl.found":              "true",
			"listener.name.login.sasl.enabled.mechanisms": "PLAIN",
			"listener.name.login.plain.sasl.jaas.config":  `org.apache.kafka.common.security.plain.PlainLoginModule required user_job="secret";`,
		},
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...), kgo.MetadataMinAge(100*time.Millisecond), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	r := &worldRig{t: t, cluster: cluster, client: client, admin: kadm.NewClient(client)}
	dir := t.TempDir()
	r.inst = &instance{name: "the job", dir: filepath.Join(dir, "state"), log: filepath.Join(dir, "log")}
	r.inst.args = append([]string{
		"--state-dir", r.inst.dir, "--http", kafkatest.FreeAddress(t), "--log-format", "console", "--create-topics", "--commit-interval", "200ms", "--workers", "1",
		"--security.protocol", "SASL_PLAINTEXT", "--sasl.mechanism", "PLAIN", "--client.id", "job", "--partitions", "2",
	}, args...)
	for _, addr := range cluster.AddrsOf("LOGIN") {
		r.inst.args = append(r.inst.args, "--brokers", addr)
	}
	r.inst.env = []string{"WEIR_SASL_USERNAME=job", "WEIR_SASL_PASSWORD=secret"}
	t.Cleanup(func() {
		r.inst.kill()
		if t.Failed() {
			t.Logf("last lines of the job:\n%s", r.inst.tail(30))
		}
	})
	return r
}

func (r *worldRig) context(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	r.t.Cleanup(cancel)
	return ctx
}

func (r *worldRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// send writes n more orders of ten customers, numbered for each, of size bytes or a little more.
func (r *worldRig) send(n, size int) {
	r.t.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		seq := r.sent/10 + 1
		customer := fmt.Sprintf("customer-%d", r.sent%10)
		value := fmt.Sprintf(`{"event_id":"e%d","customer":"%s","seq":%d,"amount_cents":1,"note":"%s"}`, r.sent, customer, seq, strings.Repeat("x", size))
		records[i] = &kgo.Record{Topic: worldIn, Key: []byte(customer), Value: []byte(value)}
		r.sent++
	}
	r.must(r.client.ProduceSync(r.context(2*time.Minute), records...).FirstErr())
}

// done waits until every order is committed.
func (r *worldRig) done(within time.Duration) {
	r.t.Helper()
	r.until(within, "all orders are committed", func() (bool, string) {
		lags, err := r.admin.Lag(r.context(time.Minute), worldGroup)
		if err != nil || len(lags) != 1 {
			return false, fmt.Sprint(err)
		}
		lag := lags.Sorted()[0].Lag.Total()
		ends, err := r.admin.ListEndOffsets(r.context(time.Minute), worldIn)
		if err != nil {
			return false, err.Error()
		}
		committed := int64(0)
		offsets, err := r.admin.FetchOffsets(r.context(time.Minute), worldGroup)
		if err != nil {
			return false, err.Error()
		}
		offsets.Each(func(o kadm.OffsetResponse) { committed += o.At })
		total := int64(0)
		ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
		return committed >= total && total > 0, fmt.Sprintf("%d of %d, lag %d", committed, total, lag)
	})
}

func (r *worldRig) until(within time.Duration, what string, ask func() (bool, string)) {
	r.t.Helper()
	said := ""
	for deadline := time.Now().Add(within); time.Now().Before(deadline); {
		ok, say := ask()
		if ok {
			return
		}
		said = say
		<-time.After(200 * time.Millisecond)
		if !r.inst.Running() && !r.inst.down {
			r.t.Fatalf("the job has ended with exit code %d while waiting until %s", r.inst.Code, what)
		}
	}
	r.t.Fatalf("not within %s: %s: %.400s", within, what, said)
}

// sick waits until health names all words. Orders come meanwhile: the broker may heed later what its controller has answered, when the job has
// done those before.
func (r *worldRig) sick(words ...string) {
	r.t.Helper()
	r.until(drainBound, fmt.Sprintf("health says %q", words), func() (bool, string) {
		r.send(10, 10)
		code, body := r.health()
		for _, word := range words {
			if !strings.Contains(body, word) {
				return false, body
			}
		}
		return code == http.StatusServiceUnavailable, body
	})
}

func (r *worldRig) health() (int, string) {
	res, err := http.Get("http://" + r.inst.httpAddress() + "/healthz")
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

// exact checks that every order of every customer is in the totals, once and in order, whatever output topics there were since:
// the changelog has the sums. And that there is no dead letter.
func (r *worldRig) exact() {
	r.t.Helper()
	sums := map[string]struct {
		Count int64 `json:"count"`
	}{}
	for _, rec := range r.read(worldLog) {
		v := sums[string(rec.Key)]
		r.must(json.Unmarshal(rec.Value, &v))
		sums[string(rec.Key)] = v
	}
	total := int64(0)
	for _, v := range sums {
		total += v.Count
	}
	if total != int64(r.sent) {
		r.t.Errorf("%d orders were counted, %d sent", total, r.sent)
	}
	if dead := r.read(worldDead); len(dead) > 0 {
		r.t.Errorf("%d dead letters, the first of %s because %.300q", len(dead), dead[0].Key, dead[0].Headers)
	}
}

// read is what read-committed readers see of a topic.
func (r *worldRig) read(topic string) (all []*kgo.Record) {
	r.t.Helper()
	ends, err := r.admin.ListCommittedOffsets(r.context(time.Minute), topic)
	r.must(err)
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	if len(left) == 0 {
		return nil
	}
	from := map[int32]kgo.Offset{}
	for p := range left {
		from[p] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(r.cluster.Addrs()...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	r.must(err)
	defer client.Close()
	ctx := r.context(drainBound)
	for len(left) > 0 && ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(rec *kgo.Record) {
			if !rec.Attrs.IsControl() {
				all = append(all, rec)
			}
			if rec.Offset+1 >= left[rec.Partition] {
				delete(left, rec.Partition)
			}
		})
	}
	r.must(ctx.Err())
	return all
}

func (r *worldRig) acl(deny bool, b *kadm.ACLBuilder) {
	r.t.Helper()
	b = b.Deny("User:job").DenyHosts().ResourcePatternType(kadm.ACLPatternLiteral)
	if deny {
		res, err := r.admin.CreateACLs(r.context(time.Minute), b)
		r.must(err)
		r.must(res[0].Err)
		return
	}
	_, err := r.admin.DeleteACLs(r.context(time.Minute), b)
	r.must(err)
}

// allowAll has a denial of one operation not deny the others: everything is allowed only where a resource has no rule at all.
func (r *worldRig) allowAll(topics ...string) {
	r.t.Helper()
	res, err := r.admin.CreateACLs(r.context(time.Minute), kadm.NewACLs().Topics(topics...).Operations(kadm.OpAll).
		Allow("User:job").AllowHosts().ResourcePatternType(kadm.ACLPatternLiteral))
	r.must(err)
	for _, a := range res {
		r.must(a.Err)
	}
}

// reset stops the job and has the inputs read again from their start. The totals know what they have counted.
func (r *worldRig) reset(t *testing.T) {
	t.Helper()
	r.must(r.inst.stop())
	// Without the job's name nobody is denied anything.
	cmd := exec.Command(plain(), "offsets", "reset", "--to", "earliest", "--why", "trial", "--execute", "--brokers", r.cluster.Addrs()[0])
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// lines is how much the job has logged.
func (r *worldRig) lines() int {
	all, _ := os.ReadFile(r.inst.log)
	return strings.Count(string(all), "\n")
}

// TestTheWorldRefuses: access is denied, topics are deleted and made again, under a backlog. No order becomes a dead letter for
// it, none is lost or counted twice, health says what to do, the log stays small, and everything goes on when it is mended.
//
// Mutation: a row of answers, or of coordinatorAnswers, made the record's or fatal.
func TestTheWorldRefuses(t *testing.T) {
	r := newWorldRig(t)
	r.inst.launch(t)
	r.until(drainBound, "the topics are there", func() (bool, string) {
		topics, err := r.admin.ListTopics(kafkatest.Uncached(r.context(time.Minute)), worldIn, worldOut)
		if err != nil {
			return false, err.Error()
		}
		return topics.Has(worldIn) && topics.Has(worldOut), ""
	})
	r.send(100, 10)
	r.done(drainBound)
	r.allowAll(worldIn, worldLog, worldOut, "_weir.jobs")
	for _, c := range []struct {
		name       string
		begin, end func()
		words      []string
	}{
		{"writing the output is denied",
			func() { r.acl(true, kadm.NewACLs().Topics(worldOut).Operations(kadm.OpWrite)) },
			func() { r.acl(false, kadm.NewACLs().Topics(worldOut).Operations(kadm.OpWrite)) },
			[]string{worldOut, "allow this principal to WRITE to and DESCRIBE topic " + worldOut}},
		{"writing the changelog is denied",
			func() { r.acl(true, kadm.NewACLs().Topics(worldLog).Operations(kadm.OpWrite)) },
			func() { r.acl(false, kadm.NewACLs().Topics(worldLog).Operations(kadm.OpWrite)) },
			[]string{worldLog, "allow this principal to WRITE"}},
		{"the transactional ids are denied",
			func() { r.acl(true, kadm.NewACLs().TransactionalIDs("*").Operations(kadm.OpWrite)) },
			func() { r.acl(false, kadm.NewACLs().TransactionalIDs("*").Operations(kadm.OpWrite)) },
			[]string{"transactional id", "allow this principal"}},
		{"reading the input is denied",
			func() { r.acl(true, kadm.NewACLs().Topics(worldIn).Operations(kadm.OpRead)) },
			func() { r.acl(false, kadm.NewACLs().Topics(worldIn).Operations(kadm.OpRead)) },
			[]string{worldIn, "allow this principal to READ"}},
		{"describing the input is denied",
			func() { r.acl(true, kadm.NewACLs().Topics(worldIn).Operations(kadm.OpRead, kadm.OpDescribe)) },
			func() { r.acl(false, kadm.NewACLs().Topics(worldIn).Operations(kadm.OpRead, kadm.OpDescribe)) },
			[]string{worldIn, "allow this principal to READ"}},
		{"reading the input is denied at a start",
			func() {
				r.must(r.inst.stop())
				r.acl(true, kadm.NewACLs().Topics(worldIn).Operations(kadm.OpRead))
				r.inst.launch(t)
			},
			func() { r.acl(false, kadm.NewACLs().Topics(worldIn).Operations(kadm.OpRead)) },
			[]string{worldIn, "allow this principal to READ"}},
		{"reading the changelog is denied at a start",
			func() {
				r.must(r.inst.stop())
				r.must(os.RemoveAll(r.inst.dir))
				r.acl(true, kadm.NewACLs().Topics(worldLog).Operations(kadm.OpRead))
				r.inst.launch(t)
			},
			func() { r.acl(false, kadm.NewACLs().Topics(worldLog).Operations(kadm.OpRead)) },
			[]string{worldLog, "allow this principal to READ"}},
		{"reading the recorded resets is denied at a start",
			func() {
				r.reset(t)
				r.acl(true, kadm.NewACLs().Topics("_weir.jobs").Operations(kadm.OpRead))
				r.inst.launch(t)
			},
			func() { r.acl(false, kadm.NewACLs().Topics("_weir.jobs").Operations(kadm.OpRead)) },
			[]string{"_weir.jobs", "allow this principal to READ"}},
		{"describing the recorded resets is denied at a start",
			func() {
				r.reset(t)
				r.acl(true, kadm.NewACLs().Topics("_weir.jobs").Operations(kadm.OpRead, kadm.OpDescribe))
				r.inst.launch(t)
			},
			func() { r.acl(false, kadm.NewACLs().Topics("_weir.jobs").Operations(kadm.OpRead, kadm.OpDescribe)) },
			[]string{"_weir.jobs", "allow this principal to READ"}},
		{"the group is denied",
			func() { r.acl(true, kadm.NewACLs().Groups(worldGroup).Operations(kadm.OpRead)) },
			func() { r.acl(false, kadm.NewACLs().Groups(worldGroup).Operations(kadm.OpRead)) },
			[]string{worldGroup, "allow this principal to READ"}},
		{"the output is deleted and made again",
			func() {
				res, err := r.admin.DeleteTopics(r.context(time.Minute), worldOut)
				r.must(err)
				r.must(res[worldOut].Err)
			},
			func() {
				r.until(drainBound, "the topic can be made", func() (bool, string) {
					_, err := r.admin.CreateTopic(r.context(time.Minute), 2, 1, nil, worldOut)
					return err == nil, fmt.Sprint(err)
				})
			},
			[]string{worldOut, "make topic " + worldOut + " again"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := r.lines()
			c.begin()
			r.send(2000, 10)
			r.sick(c.words...)
			<-time.After(2 * time.Second) // for what a wait may log over and over
			c.end()
			r.send(100, 10)
			r.done(drainBound)
			r.exact()
			if n := r.lines() - before; n > 100 {
				t.Errorf("%d lines in the log", n)
			}
			r.until(drainBound, "health is well again", func() (bool, string) {
				code, body := r.health()
				return code == http.StatusOK, body
			})
		})
	}
	if err := r.inst.stop(); err != nil {
		t.Error(err)
	}
}

// TestAProducerQuotaIsLivedWith: a quota of a megabyte a second and a backlog of large outputs. The first transaction may be given
// up; then they are smaller, and the backlog goes down; a stop in the middle takes no longer than ever.
//
// Mutation: pace.failed and pace.committed do nothing: nothing is ever committed.
func TestAProducerQuotaIsLivedWith(t *testing.T) {
	r := newWorldRig(t)
	r.inst.launch(t)
	r.until(drainBound, "the topics are there", func() (bool, string) {
		topics, err := r.admin.ListTopics(kafkatest.Uncached(r.context(time.Minute)), worldIn, worldDead)
		if err != nil {
			return false, err.Error()
		}
		return topics.Has(worldIn) && topics.Has(worldDead), ""
	})
	r.send(100, 10)
	r.done(drainBound)
	r.must(r.inst.stop())
	quota := kmsg.NewPtrAlterClientQuotasRequest()
	client := "job"
	quota.Entries = []kmsg.AlterClientQuotasRequestEntry{{
		Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "client-id", Name: &client}},
		Ops:    []kmsg.AlterClientQuotasRequestEntryOp{{Key: "producer_byte_rate", Value: 1 << 20}},
	}}
	res, err := quota.RequestWith(r.context(time.Minute), r.client)
	r.must(err)
	if code := res.Entries[0].ErrorCode; code != 0 {
		t.Fatalf("the quota is answered with %d", code)
	}
	// What cannot be decoded becomes a dead letter with all its bytes: that is what the job writes.
	const n, size = 2400, 10_000
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: worldIn, Key: fmt.Appendf(nil, "customer-%d", i%10), Value: []byte(strings.Repeat("x", size))}
	}
	r.must(r.client.ProduceSync(r.context(2*time.Minute), records...).FirstErr())
	began := time.Now()
	r.inst.launch(t)
	letters := func() (sum int64) {
		ends, err := r.admin.ListCommittedOffsets(r.context(time.Minute), worldDead)
		r.must(err)
		ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
		return sum
	}
	r.until(drainBound, "a part is written", func() (bool, string) {
		got := letters()
		return got > n/10, fmt.Sprint(got)
	})
	t.Logf("%d of %d after %s", letters(), n, time.Since(began).Round(time.Second))
	if err := r.inst.stop(); err != nil {
		t.Error(err)
	}
	r.inst.launch(t)
	r.done(drainBound)
	t.Logf("all after %s; %d lines of log", time.Since(began).Round(time.Second), r.lines())
	if got := len(r.read(worldDead)); got != n {
		t.Errorf("%d dead letters, want %d", got, n)
	}
}
