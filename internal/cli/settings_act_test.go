package cli

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/topology"
)

// acts says how each row of the settings table is shown to act, and not only to reach a config: by what the brokers of
// TestSettingsActOnTheWire see, or by a test of its own, "folder: TestName", which must exist.
var acts = map[string]string{
	"brokers": wire, "client.id": "internal/cli: TestTheClientIDIsWhatBrokersSee", "topology": "internal/cli: TestCommandLinesAnswerAsWritten",
	"config":    "internal/settings: TestTheFileOfTheFlagBeatsThatOfTheEnvironment",
	"guarantee": wire, "commit-interval": "processors: TestACommitComesWhenItsSettingsSay", "commit-bytes": "processors: TestACommitComesWhenItsSettingsSay",
	"workers": wire, "schemas": "codecs/avro: TestATopologyByARegistry", "partitioner": wire, "state-dir": wire, "cache-bytes": "state: TestCacheStaysBounded", "instance-id": wire,
	"num.standby.replicas": "processors: TestATaskGoesOnFromItsCopy", "client.rack": "internal/kafka: TestCopiesInSpecialCases",
	"topic.prefix": ".: TestEnvironmentsShareACluster", "create-topics": wire, "accept-empty-state": "processors: TestEmptyStateBehindProcessedRecordsTakesAWordOfItsOwn", "partitions": wire, "replication-factor": wire,
	"announce": "processors: TestAnInstanceAnnouncesItself", "http": wire, "http-token-file": "internal/httpserver: TestDetailsOfHealthAreForLoopbackAndTheToken", "stall-after": "processors: TestAPartitionThatStandsStillIsReported",
	"parked-records": "processors: TestWhatIsParkedIsBounded", "parked-bytes": "processors: TestWhatIsParkedIsBounded",
	"stop-line-after": "processors: TestTheLineIsStopped", "stop-line-window": "processors: TestTheLineIsStopped",
	"log-level": "internal/cli: TestLogsAreJSONWhereThereIsNoTerminal", "log-format": "internal/cli: TestLogsAreJSONWhereThereIsNoTerminal",
	"startup-timeout": "internal/kafka: TestAStartWithoutABrokerEndsWithTheReasons", "socket.connection.setup.timeout.ms": "internal/kafka: TestUnreachableBrokersAreNamedEachWithItsReason",
	"request.timeout.ms": wire, "default.api.timeout.ms": "internal/kafka: TestAdminCallsGiveUpInTimeAndSayWhy", "retry.backoff.ms": "internal/kafka: TestPausesGrowUpToTheirBound",
	"retry.backoff.max.ms": "internal/kafka: TestPausesGrowUpToTheirBound", "metadata.max.age.ms": wire,
	"security.protocol": security, "ssl.ca.location": security, "ssl.certificate.location": security, "ssl.key.location": security, "ssl.server.name": security,
	"sasl.mechanism": security, "sasl.username": security, "sasl.password": security, "sasl.password.file": security,
	"sasl.oauthbearer.token": "internal/kafka: TestARenewedTokenIsTakenFromItsFile", "sasl.oauthbearer.token.file": "internal/kafka: TestARenewedTokenIsTakenFromItsFile",
	"group.instance.id": wire, "session.timeout.ms": wire, "max.poll.interval.ms": wire, "heartbeat.interval.ms": "internal/kafka: TestHeartbeatsGoOnWhileARevocationIsHeldUp",
	"auto.offset.reset": "processors: TestAnInputWithoutACommittedOffsetBeginsWhereThePolicySays",
	"fetch.min.bytes":   wire, "fetch.max.wait.ms": wire, "fetch.max.bytes": wire, "max.partition.fetch.bytes": wire,
	"batch.size": wire, "max.request.size": "internal/kafka: TestARecordOverALimitIsRefusedAloneByAppend", "buffer.memory": "internal/kafka: TestMemoryIsBoundedWhileABrokerStalls",
	"compression.type": wire, "max.in.flight.requests.per.connection": "internal/kafka: TestRecordsAreWrittenOnceAndInOrderWhateverFails",
	"fetch.buffer.memory": "internal/kafka: TestARecordWithoutRoomWaits", "on.corrupt.batch": "processors: TestADamagedBatchIsPassedOverWhereThatIsWanted",
	"max.record.bytes": limits, "max.key.bytes": limits, "max.value.bytes": limits, "max.headers": limits, "max.headers.bytes": limits,
	"max.batch.records": limits, "max.batch.bytes": limits, "max.answer.bytes": limits, "max.compression.block.bytes": "internal/recordbatch: TestWhatIsOverALimitIsOneExcess",
	"delivery.timeout.ms": "internal/kafka: TestWhatCannotBeDeliveredInTimeBlocksItsPartitions", "transaction.timeout.ms": wire,
}

const (
	wire     = "internal/cli: TestSettingsActOnTheWire"
	limits   = "internal/cli: TestLimitsOfTheSettingsAct"
	security = "internal/kafka: TestConnectionsAreEncryptedAndAuthenticated"
)

// TestEverySettingIsShownToAct fails for a new row of the table until it has an entry, and for an entry whose test is gone.
func TestEverySettingIsShownToAct(t *testing.T) {
	tests := map[string]map[string]bool{}
	for _, s := range settings.Table() {
		where, ok := acts[s.Name]
		if !ok {
			t.Errorf("%s: nothing shows that it acts: add it to TestSettingsActOnTheWire, or name its test in acts", s.Name)
			continue
		}
		folder, name, _ := strings.Cut(where, ": ")
		if tests[folder] == nil {
			tests[folder] = testsIn(t, filepath.Join("..", "..", folder))
		}
		if !tests[folder][name] {
			t.Errorf("%s: %s has no test %s", s.Name, folder, name)
		}
	}
	for name := range acts {
		if _, ok := settings.Lookup(name); !ok {
			t.Errorf("%s: there is no such setting any more", name)
		}
	}
}

func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d tests, %v", folder, len(files), err)
	}
	names := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

// wireFacts is what brokers have seen of an instance.
type wireFacts struct {
	mu        sync.Mutex
	facts     map[string]map[string]bool
	metadata  int
	largest   int // batch written to the output
	committed bool
}

func (w *wireFacts) saw(fact string, value any) {
	if w.facts[fact] == nil {
		w.facts[fact] = map[string]bool{}
	}
	w.facts[fact][fmt.Sprint(value)] = true
}

func (w *wireFacts) see(req kmsg.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r := req.(type) {
	case *kmsg.MetadataRequest:
		w.metadata++
	case *kmsg.FetchRequest:
		w.saw("fetch.min.bytes", r.MinBytes)
		w.saw("fetch.max.wait.ms", r.MaxWaitMillis)
		w.saw("fetch.max.bytes", r.MaxBytes)
		for _, topic := range r.Topics {
			for _, p := range topic.Partitions {
				w.saw("max.partition.fetch.bytes", p.PartitionMaxBytes)
			}
		}
	case *kmsg.JoinGroupRequest:
		w.saw("session.timeout.ms", r.SessionTimeoutMillis)
		w.saw("max.poll.interval.ms", r.RebalanceTimeoutMillis)
		if r.InstanceID != nil {
			w.saw("group.instance.id", *r.InstanceID)
		}
	case *kmsg.InitProducerIDRequest:
		w.saw("transaction.timeout.ms", r.TransactionTimeoutMillis)
		if r.TransactionalID != nil {
			w.saw("transactional ids", *r.TransactionalID)
		}
	case *kmsg.CreateTopicsRequest:
		for _, topic := range r.Topics {
			if topic.Topic == visited.Name() {
				w.saw("partitions", topic.NumPartitions)
				w.saw("replication-factor", topic.ReplicationFactor)
			}
		}
	case *kmsg.ProduceRequest:
		w.saw("acks", r.Acks)
		w.saw("request.timeout.ms", r.TimeoutMillis)
		w.saw("guarantee", r.TransactionID != nil)
		for _, topic := range r.Topics {
			for _, p := range topic.Partitions {
				if topic.Topic != visited.Name() && topic.Topic != "" || len(p.Records) < 61 {
					continue
				}
				w.saw("compression.type", p.Records[22]&7)
				if bytes.Contains(p.Records, []byte("partitioned")) {
					w.saw("partitioner", p.Partition)
				}
				w.largest = max(w.largest, len(p.Records))
			}
		}
	case *kmsg.EndTxnRequest:
		w.committed = w.committed || r.Commit
	}
}

// has waits until brokers have seen a value.
func (w *wireFacts) has(t *testing.T, fact, value string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		w.mu.Lock()
		seen := w.facts[fact][value]
		all := fmt.Sprint(w.facts[fact])
		w.mu.Unlock()
		if seen {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: brokers saw %s, want %s", fact, all, value)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestSettingsActOnTheWire runs an instance with values of its own for every setting that brokers can see, as a user would:
// from the environment through the command line's run. What they see must be these values, and only with acks=all.
//
// Mutations: a value left out of ClientConfig, options or the request; acks 1.
func TestSettingsActOnTheWire(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{MinSessionTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	// Of all keys one whose partition differs between the two partitioners, and values that do not shrink.
	key, want := keyThatDiffers(3)
	var records []*kgo.Record
	for i := range 300 {
		records = append(records, &kgo.Record{Partition: want, Key: []byte(key), Value: fmt.Appendf(nil, "partitioned %d %s", i, strings.Repeat(fmt.Sprint(i), 20))})
	}
	seen := watched(t, broker, 3, records...)
	dir := t.TempDir()
	address := kafkatest.FreeAddress(t)
	copying := topology.Define("visit-counts", topology.Node("count",
		topology.On(clicked, func(ctx topology.Context, key, value string) error {
			visited.Emit(ctx, key, value)
			n, err := visits.Get(ctx, key)
			visits.Set(ctx, key, n+1)
			return err
		}), topology.Uses(visits), topology.Emits(visited)))
	v, err := settings.Resolve(settings.Sources{Env: []string{
		"WEIR_BROKERS=" + strings.Join(broker.Addrs(), ","), "WEIR_CREATE_TOPICS=true", "WEIR_PARTITIONS=3", "WEIR_REPLICATION_FACTOR=1",
		"WEIR_WORKERS=2", "WEIR_STATE_DIR=" + dir, "WEIR_GROUP_INSTANCE_ID=named", "WEIR_HTTP=" + address, "WEIR_PARTITIONER=fnv1a",
		"WEIR_COMMIT_INTERVAL=50ms", "WEIR_SESSION_TIMEOUT_MS=7001", "WEIR_HEARTBEAT_INTERVAL_MS=701", "WEIR_MAX_POLL_INTERVAL_MS=17002",
		"WEIR_FETCH_MIN_BYTES=3", "WEIR_FETCH_MAX_WAIT_MS=123", "WEIR_FETCH_MAX_BYTES=2097154", "WEIR_MAX_PARTITION_FETCH_BYTES=100005",
		"WEIR_REQUEST_TIMEOUT_MS=9006", "WEIR_BATCH_SIZE=2KiB", "WEIR_COMPRESSION_TYPE=lz4", "WEIR_TRANSACTION_TIMEOUT_MS=8007", "WEIR_METADATA_MAX_AGE_MS=100",
		"WEIR_ANNOUNCE=false", // which is in no transaction
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- runAlone(ctx, copying, v) }()
	for fact, value := range map[string]string{
		"partitions": "3", "replication-factor": "1", "session.timeout.ms": "7001", "max.poll.interval.ms": "17002", "group.instance.id": "named",
		"transaction.timeout.ms": "8007", "fetch.min.bytes": "3", "fetch.max.wait.ms": "123", "fetch.max.bytes": "2097154", "max.partition.fetch.bytes": "100005",
	} {
		seen.has(t, fact, value)
	}
	seen.has(t, "request.timeout.ms", "9006")
	seen.has(t, "compression.type", "3") // lz4
	seen.has(t, "guarantee", "true")
	seen.mu.Lock()
	asked := seen.metadata
	seen.mu.Unlock()
	until(t, "metadata is asked for again unprompted", func() bool {
		seen.mu.Lock()
		defer seen.mu.Unlock()
		return seen.metadata > asked+3
	})
	until(t, "the state folder is used", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "*", "visits", "*", "CURRENT"))
		return len(found) == 3
	})
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("http: %v", err)
	} else {
		conn.Close()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for fact, only := range map[string]int{"acks": 1, "guarantee": 1, "compression.type": 1, "partitioner": 1, "transaction.timeout.ms": 1} {
		if len(seen.facts[fact]) != only {
			t.Errorf("%s: brokers saw %v", fact, seen.facts[fact])
		}
	}
	if !seen.facts["acks"]["-1"] {
		t.Errorf("acks: brokers saw %v", seen.facts["acks"])
	}
	if !seen.facts["partitioner"][fmt.Sprint(want)] {
		t.Errorf("partitioner: the output of key %q went to partitions %v, want %d", key, seen.facts["partitioner"], want)
	}
	if seen.largest == 0 || seen.largest > 3<<10 {
		t.Errorf("batch.size: the largest batch has %d bytes, and 2 KiB before compression are the bound", seen.largest)
	}
	var ids []string
	for id := range seen.facts["transactional ids"] {
		ids = append(ids, id)
		if !strings.Contains(id, "named") {
			t.Errorf("transactional id %s", id)
		}
	}
	if slices.Sort(ids); len(ids) != 2 {
		t.Errorf("transactional ids %v, want one for each of 2 workers", ids)
	}
}

// watched makes the input with some records in it, and records what brokers see after that.
func watched(t *testing.T, broker *embedded.Broker, partitions int32, records ...*kgo.Record) *wireFacts {
	t.Helper()
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(clicked.Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	create := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = clicked.Name(), partitions, 1
	create.Topics = append(create.Topics, topic)
	if _, err := create.RequestWith(t.Context(), producer); err != nil {
		t.Fatal(err)
	}
	if err := producer.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	seen := &wireFacts{facts: map[string]map[string]bool{}}
	broker.Cluster().Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster().KeepControl()
		seen.see(req)
		return nil, nil, false
	})
	return seen
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Errorf("never: %s", what)
			return
		}
		<-time.After(10 * time.Millisecond)
	}
}

// At-least-once opens no transaction.
//
// Mutation: guarantee left out of options.
func TestAtLeastOnceOpensNoTransaction(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	seen := watched(t, broker, 1, &kgo.Record{Value: bytes.Repeat([]byte("x"), 100)})
	v, err := settings.Resolve(settings.Sources{Env: []string{"WEIR_BROKERS=" + broker.Addrs()[0], "WEIR_CREATE_TOPICS=true", "WEIR_PARTITIONS=1",
		"WEIR_WORKERS=1", "WEIR_GUARANTEE=at_least_once", "WEIR_STATE_DIR=" + t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	echo := topology.Define("echo", topology.Node("echo", topology.On(clicked, func(ctx topology.Context, key, value string) error {
		visited.Emit(ctx, key, value)
		return nil
	}), topology.Emits(visited)))
	go func() { done <- runAlone(ctx, echo, v) }()
	seen.has(t, "fetch.min.bytes", "1")
	seen.has(t, "acks", "-1")
	until(t, "the output is written", func() bool { seen.mu.Lock(); defer seen.mu.Unlock(); return seen.largest > 0 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(seen.facts["transactional ids"]) > 0 || seen.committed {
		t.Errorf("transactional ids %v, committed %v", seen.facts["transactional ids"], seen.committed)
	}
}

// Mutation: the client's id left out of ClientConfig.
func TestTheClientIDIsWhatBrokersSee(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			buf := make([]byte, 200)
			n, _ := c.Read(buf)
			heard <- string(buf[:n])
			c.Close()
		}
	}()
	v, err := settings.Resolve(settings.Sources{Env: []string{"WEIR_BROKERS=" + l.Addr().String(), "WEIR_CLIENT_ID=seen-by-brokers",
		"WEIR_STARTUP_TIMEOUT=1ms", "WEIR_STATE_DIR=" + t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := runAlone(t.Context(), sound, v); err == nil {
		t.Error("it runs without a broker")
	}
	if first := <-heard; !strings.Contains(first, "seen-by-brokers") {
		t.Errorf("the first request is %q", first)
	}
}

// keyThatDiffers is a key that the two partitioners put on different partitions of n, with that of fnv1a.
func keyThatDiffers(n int32) (string, int32) {
	murmur, fnv := mustPartitioner("murmur2"), mustPartitioner("fnv1a")
	for i := 0; ; i++ {
		key := fmt.Sprint("key", i)
		if p := fnv.Partition([]byte(key), n); p != murmur.Partition([]byte(key), n) {
			return key, p
		}
	}
}

func mustPartitioner(name string) partitioner.Partitioner {
	p, err := partitioner.Parse(name)
	if err != nil {
		panic(err)
	}
	return p
}

// TestLimitsOfTheSettingsAct: records that are each over one limit, which the environment sets, become dead letters that name
// it. A record within all of them passes.
//
// Mutations: one of the limits left out of ClientConfig; two of them swapped.
func TestLimitsOfTheSettingsAct(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{Config: map[string]string{"message.max.bytes": "2000000"}})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	text := func(n int) []byte { return bytes.Repeat([]byte("x"), n) }
	headers := func(n, size int) (all []kgo.RecordHeader) {
		for i := range n {
			all = append(all, kgo.RecordHeader{Key: fmt.Sprint("h", i), Value: text(size)})
		}
		return all
	}
	batch := func(n, size int) (all []*kgo.Record) {
		for range n {
			all = append(all, &kgo.Record{Value: text(size)})
		}
		return all
	}
	cases := map[string][]*kgo.Record{
		"max.key.bytes":     {{Key: text(2400), Value: text(1)}},
		"max.value.bytes":   {{Value: text(22000)}},
		"max.headers":       {{Value: text(1), Headers: headers(12, 1)}},
		"max.headers.bytes": {{Value: text(1), Headers: headers(3, 3600)}},
		"max.record.bytes":  {{Key: text(1600), Value: text(19600), Headers: headers(3, 2000)}},
		"max.batch.records": batch(30, 10),
		"max.batch.bytes":   batch(15, 16000),
		"max.answer.bytes":  {{Value: text(1_100_000)}},
	}
	watched(t, broker, 1, &kgo.Record{Key: text(1600), Value: text(16000), Headers: headers(9, 400)})
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.DefaultProduceTopic(clicked.Name()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(50*time.Millisecond), kgo.ProducerBatchMaxBytes(2<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	for _, records := range cases {
		if err := producer.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	v, err := settings.Resolve(settings.Sources{Env: []string{"WEIR_BROKERS=" + broker.Addrs()[0], "WEIR_WORKERS=1", "WEIR_STATE_DIR=" + t.TempDir(),
		"WEIR_MAX_KEY_BYTES=2000", "WEIR_MAX_VALUE_BYTES=20000", "WEIR_MAX_HEADERS=10", "WEIR_MAX_HEADERS_BYTES=8000",
		"WEIR_MAX_RECORD_BYTES=24000", "WEIR_MAX_BATCH_RECORDS=20", "WEIR_MAX_BATCH_BYTES=160000",
		"WEIR_MAX_ANSWER_BYTES=1MiB", "WEIR_FETCH_MAX_BYTES=500KiB"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- runAlone(ctx, small, v) }()
	reader, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.DisableFetchSessions(), kgo.ConsumeTopics(clicked.Name()+".dlq"), kgo.UnknownTopicRetries(-1),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	patience, over := context.WithTimeout(t.Context(), time.Minute)
	defer over()
	named := map[string]int{}
	for len(named) < len(cases) && patience.Err() == nil {
		reader.PollFetches(patience).EachRecord(func(r *kgo.Record) {
			for _, h := range r.Headers {
				if h.Key == "weir.errors.limit" {
					named[string(h.Value)]++
				}
			}
		})
	}
	for limit := range cases {
		if named[limit] == 0 {
			t.Errorf("no dead letter is over %s; they are over %v", limit, named)
		}
	}
	if len(named) > len(cases) {
		t.Errorf("dead letters are over %v", named)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// runAlone runs a topology as the only one of its program, silently.
func runAlone(ctx context.Context, t *topology.Topology, v *settings.Values) error {
	r, err := prepare([]*topology.Topology{t}, v, zap.NewNop())
	if err != nil {
		return err
	}
	return r.run(ctx)
}
