package kafka

import (
	"cmp"
	"errors"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/recordbatch"
)

// Config says how to reach a cluster and how to use it. Names in the comments are those of Kafka's own clients, with
// Weir's default; where it differs from Kafka's the comment says so. A zero field means its default.
type Config struct {
	// Brokers are the addresses to begin with, HOST:PORT (bootstrap.servers). One that answers is enough.
	Brokers []string
	// ClientID names this program in brokers' logs and quotas (client.id). Default "weir".
	ClientID string
	// Security says how connections are encrypted and authenticated. The zero value is PLAINTEXT.
	Security Security

	// StartupTimeout is how long Dial keeps trying when no broker answers. Kafka's clients have no such setting. Default
	// 1m.
	StartupTimeout time.Duration
	// ConnectTimeout bounds TCP connect and TLS handshake together (socket.connection.setup.timeout.ms). Default 10s.
	ConnectTimeout time.Duration
	// RequestTimeout is how long an answer may take (request.timeout.ms). Default 30s.
	RequestTimeout time.Duration
	// APITimeout bounds an admin call with its retries when the caller's context has no deadline, and a transactional
	// request of a sink in any case (default.api.timeout.ms). Default 60s.
	APITimeout time.Duration
	// RetryBackoff is the wait before the first repetition of a failed request, doubled each time up to
	// RetryBackoffMax (retry.backoff.ms, retry.backoff.max.ms). Default 100ms and 1s. Half of each wait is random.
	RetryBackoff    time.Duration
	RetryBackoffMax time.Duration
	// MetadataMaxAge is when known partition leaders are asked for again unprompted (metadata.max.age.ms). Default 5m.
	MetadataMaxAge time.Duration

	Sink   SinkTuning
	Fetch  FetchTuning
	Group  GroupTuning
	Limits Limits
}

// Limits bound what is taken out of a batch that was read, against producers that are hostile or gone wrong. What is over
// one is delivered as a Record with Excess, which is dealt with as a bad record is. The names are Weir's own.
type Limits struct {
	// Batch bounds the bytes of a batch after decompression (max.batch.bytes). Batches are decompressed piece by piece, so
	// this bounds time, not memory. Default 2 GiB.
	Batch int64
	// Records bounds the records of a batch (max.batch.records). Default 10 million.
	Records int
	// Block bounds the bytes that a codec must keep at once: a block of snappy, a window of zstd
	// (max.compression.block.bytes). Default 128 MiB, what Kafka's own consumer takes of zstd.
	Block int64
	// Record bounds a record, Key, Value and HeaderBytes its parts, and Headers their number (max.record.bytes,
	// max.key.bytes, max.value.bytes, max.headers.bytes, max.headers). Default 32 MiB, each part too, 8 MiB of headers, and
	// 10,000 of them.
	Record      int64
	Key         int64
	Value       int64
	Headers     int
	HeaderBytes int64
}

// SinkTuning tunes writing. Writes are always idempotent, with acks=all.
type SinkTuning struct {
	// BatchSize is the size in bytes, before compression, at which a partition's batch is sent without waiting for a
	// flush (batch.size). Default 512 KiB; Kafka's is 16 KiB.
	BatchSize int
	// MaxRequestSize bounds a record batch before compression, and so a record, in bytes (max.request.size). BufferMemory
	// and the topic's max.message.bytes, where known, bound it too. Default 16 MiB; Kafka's is 1 MiB. It does not make
	// requests larger: they are filled with batches up to 1 MiB at most, and a batch beyond that goes alone.
	MaxRequestSize int
	// BufferMemory bounds the bytes that wait for acknowledgement in one sink; appending blocks beyond it
	// (buffer.memory). Default 32 MiB.
	BufferMemory int
	// Compression is none, gzip, snappy, lz4 or zstd (compression.type). Default none.
	Compression string
	// CompressionLevel is 1 to 9 for gzip and 1 to 22 for zstd (compression.gzip.level, compression.zstd.level). Default
	// 0, the codec's own.
	CompressionLevel int
	// MaxInFlight is how many produce requests may be unanswered on one connection, 1 to 5
	// (max.in.flight.requests.per.connection). Default 5.
	MaxInFlight int
	// DeliveryTimeout bounds the time from a batch's first try to its acknowledgement (delivery.timeout.ms). Default 2m.
	DeliveryTimeout time.Duration
	// TransactionTimeout is when the coordinator aborts a transaction that its owner left open, where nobody does so before
	// (Group.EndAbandoned), and so how long readers may wait after a process was killed (transaction.timeout.ms). Default 10s; Kafka's is 1m.
	TransactionTimeout time.Duration
}

// FetchTuning tunes reading.
type FetchTuning struct {
	// MinBytes lets the broker wait until so many bytes can be sent (fetch.min.bytes). Default 1.
	MinBytes int
	// MaxWait bounds the wait for MinBytes (fetch.max.wait.ms). Default 500ms.
	MaxWait time.Duration
	// MaxBytes bounds an answer, MaxPartitionBytes one partition's share of it (fetch.max.bytes,
	// max.partition.fetch.bytes). The first batch is always sent whole. Default 50 MiB and 1 MiB.
	MaxBytes          int
	MaxPartitionBytes int
	// BufferMemory bounds the decompressed records of all partitions of one Fetcher that are not released yet, and what
	// waits to be decompressed (Weir's own: fetch.buffer.memory). Default 64 MiB.
	BufferMemory int
	// MaxAnswer bounds an answer of a broker, to any request (Weir's own: max.answer.bytes). Since the first batch is always
	// sent whole, a batch may make an answer larger than that: it is not read, and delivered as one Record with Excess. Must
	// be twice MaxBytes at least. Default 256 MiB.
	MaxAnswer int
}

// GroupTuning tunes membership of the consumer group.
type GroupTuning struct {
	// SessionTimeout is how long a member may be silent before the group continues without it (session.timeout.ms). The
	// cluster bounds it (group.min.session.timeout.ms, 6s). Default 10s; Kafka's is 45s.
	SessionTimeout time.Duration
	// HeartbeatInterval must be under SessionTimeout, and is best at most a third of it (heartbeat.interval.ms). A member hears of a
	// rebalance by its heartbeat, so this is also how long others wait for it. Default 1s; Kafka's is 3s.
	HeartbeatInterval time.Duration
	// RebalanceTimeout is how long a rebalance waits for a member to hand over what it must give up
	// (max.poll.interval.ms). Default 60s; Kafka's is 5m.
	RebalanceTimeout time.Duration
}

// WithDefaults returns c with every zero field set to its default, as Dial does. It is where the defaults stand; the
// table of settings takes them from here.
func (c Config) WithDefaults() Config {
	c.Brokers = slices.Clone(c.Brokers)
	c.ClientID = cmp.Or(c.ClientID, "weir")
	c.StartupTimeout = cmp.Or(c.StartupTimeout, time.Minute)
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 10*time.Second)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 30*time.Second)
	c.APITimeout = cmp.Or(c.APITimeout, time.Minute)
	c.RetryBackoff = cmp.Or(c.RetryBackoff, 100*time.Millisecond)
	c.RetryBackoffMax = cmp.Or(c.RetryBackoffMax, max(time.Second, c.RetryBackoff))
	c.MetadataMaxAge = cmp.Or(c.MetadataMaxAge, 5*time.Minute)
	c.Sink.BatchSize = cmp.Or(c.Sink.BatchSize, 512<<10)
	c.Sink.MaxRequestSize = cmp.Or(c.Sink.MaxRequestSize, 16<<20)
	c.Sink.BufferMemory = cmp.Or(c.Sink.BufferMemory, 32<<20)
	c.Sink.Compression = cmp.Or(c.Sink.Compression, "none")
	c.Sink.MaxInFlight = cmp.Or(c.Sink.MaxInFlight, 5)
	c.Sink.DeliveryTimeout = cmp.Or(c.Sink.DeliveryTimeout, 2*time.Minute)
	c.Sink.TransactionTimeout = cmp.Or(c.Sink.TransactionTimeout, 10*time.Second)
	c.Fetch.MinBytes = cmp.Or(c.Fetch.MinBytes, 1)
	c.Fetch.MaxWait = cmp.Or(c.Fetch.MaxWait, 500*time.Millisecond)
	c.Fetch.MaxBytes = cmp.Or(c.Fetch.MaxBytes, 50<<20)
	c.Fetch.MaxPartitionBytes = cmp.Or(c.Fetch.MaxPartitionBytes, 1<<20)
	c.Fetch.BufferMemory = cmp.Or(c.Fetch.BufferMemory, 64<<20)
	c.Fetch.MaxAnswer = cmp.Or(c.Fetch.MaxAnswer, 256<<20)
	limits := Limits(recordbatch.DefaultLimits())
	c.Limits.Batch = cmp.Or(c.Limits.Batch, limits.Batch)
	c.Limits.Records = cmp.Or(c.Limits.Records, limits.Records)
	c.Limits.Block = cmp.Or(c.Limits.Block, limits.Block)
	c.Limits.Record = cmp.Or(c.Limits.Record, limits.Record)
	c.Limits.Key = cmp.Or(c.Limits.Key, limits.Key)
	c.Limits.Value = cmp.Or(c.Limits.Value, limits.Value)
	c.Limits.Headers = cmp.Or(c.Limits.Headers, limits.Headers)
	c.Limits.HeaderBytes = cmp.Or(c.Limits.HeaderBytes, limits.HeaderBytes)
	c.Group.SessionTimeout = cmp.Or(c.Group.SessionTimeout, 10*time.Second)
	c.Group.HeartbeatInterval = cmp.Or(c.Group.HeartbeatInterval, min(time.Second, c.Group.SessionTimeout/3))
	c.Group.RebalanceTimeout = cmp.Or(c.Group.RebalanceTimeout, time.Minute)
	c.Security.Protocol = cmp.Or(c.Security.Protocol, "PLAINTEXT")
	return c
}

// backoff is the wait between the repetitions of a request.
func (c Config) backoff() backoff.Backoff {
	return backoff.Backoff{First: c.RetryBackoff, Max: c.RetryBackoffMax}
}

// SettingError says what is wrong with settings, and which ones they are.
type SettingError = mistake.Error

// Check reports everything that is wrong with the settings at once, each by Kafka's name for it: its error joins a
// *SettingError for each mistake. It reads the files that Security names, and connects to nothing.
func (c Config) Check() error {
	_, err := c.WithDefaults().load()
	return err
}

// load checks everything and reads what Security names.
func (c Config) load() (credentials, error) {
	creds, err := c.Security.load()
	return creds, errors.Join(c.checkAddresses(), c.checkNumbers(), err)
}

func (c Config) checkAddresses() error {
	if len(c.Brokers) == 0 {
		return mistake.In("bootstrap.servers").Errorf("bootstrap.servers: no address given")
	}
	var errs []error
	for _, addr := range c.Brokers {
		host, port, err := net.SplitHostPort(addr)
		if err == nil && (host == "" || port == "" || port == "0") {
			err = errors.New("want HOST:PORT")
		}
		if err != nil {
			errs = append(errs, mistake.In("bootstrap.servers").Errorf("bootstrap.servers: %q: %v", addr, strings.TrimPrefix(err.Error(), "address "+addr+": ")))
		}
	}
	return errors.Join(errs...)
}

func (c Config) checkNumbers() error {
	var errs []error
	bad := func(wrong bool, in mistake.Settings, format string, args ...any) {
		if wrong {
			errs = append(errs, in.Errorf(format, args...))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"startup-timeout", c.StartupTimeout},
		{"socket.connection.setup.timeout.ms", c.ConnectTimeout},
		{"request.timeout.ms", c.RequestTimeout},
		{"default.api.timeout.ms", c.APITimeout},
		{"retry.backoff.ms", c.RetryBackoff},
		{"retry.backoff.max.ms", c.RetryBackoffMax},
		{"metadata.max.age.ms", c.MetadataMaxAge},
		{"delivery.timeout.ms", c.Sink.DeliveryTimeout},
		{"transaction.timeout.ms", c.Sink.TransactionTimeout},
		{"fetch.max.wait.ms", c.Fetch.MaxWait},
		{"session.timeout.ms", c.Group.SessionTimeout},
		{"heartbeat.interval.ms", c.Group.HeartbeatInterval},
		{"max.poll.interval.ms", c.Group.RebalanceTimeout},
	} {
		bad(d.value < time.Millisecond, mistake.In(d.name), "%s: %v is under a millisecond", d.name, d.value)
	}
	for _, n := range []struct {
		name  string
		value int
	}{
		{"batch.size", c.Sink.BatchSize},
		{"max.request.size", c.Sink.MaxRequestSize},
		{"buffer.memory", c.Sink.BufferMemory},
		{"fetch.min.bytes", c.Fetch.MinBytes},
		{"fetch.max.bytes", c.Fetch.MaxBytes},
		{"max.partition.fetch.bytes", c.Fetch.MaxPartitionBytes},
	} {
		// Kafka's protocol carries sizes as int32; sarama refuses requests over 100 MiB.
		bad(n.value < 1 || n.value > 100<<20, mistake.In(n.name), "%s: %d is not within 1 and %d", n.name, n.value, 100<<20)
	}
	bad(c.RetryBackoffMax < c.RetryBackoff, mistake.In("retry.backoff.max.ms", "retry.backoff.ms"),
		"retry.backoff.max.ms: %v is under retry.backoff.ms, %v", c.RetryBackoffMax, c.RetryBackoff)
	// The broker remembers five batches a producer and partition: with more in flight it could not tell a repetition
	// from a gap.
	bad(c.Sink.MaxInFlight < 1 || c.Sink.MaxInFlight > 5, mistake.In("max.in.flight.requests.per.connection"),
		"max.in.flight.requests.per.connection: %d is not within 1 and 5", c.Sink.MaxInFlight)
	bad(!slices.Contains(compressions, c.Sink.Compression), mistake.In("compression.type"),
		"compression.type: %q is none of %s", c.Sink.Compression, strings.Join(compressions, ", "))
	highest := map[string]int{"gzip": 9, "zstd": 22}[c.Sink.Compression]
	bad(c.Sink.CompressionLevel < 0 || c.Sink.CompressionLevel > highest, mistake.In("compression."+c.Sink.Compression+".level", "compression.type"),
		"compression.%s.level: %d is not within 0 and %d", c.Sink.Compression, c.Sink.CompressionLevel, highest)
	bad(c.Sink.DeliveryTimeout < c.RequestTimeout, mistake.In("delivery.timeout.ms", "request.timeout.ms"),
		"delivery.timeout.ms: %v is under request.timeout.ms, %v", c.Sink.DeliveryTimeout, c.RequestTimeout)
	// Only a batch that is larger than what was asked for can then make an answer too large.
	bad(c.Fetch.MaxAnswer/2 < c.Fetch.MaxBytes || c.Fetch.MaxAnswer > math.MaxInt32, mistake.In("max.answer.bytes", "fetch.max.bytes"),
		"max.answer.bytes: %d is not within twice fetch.max.bytes, %d, and %d", c.Fetch.MaxAnswer, c.Fetch.MaxBytes, math.MaxInt32)
	bad(c.Fetch.MaxWait >= c.RequestTimeout, mistake.In("fetch.max.wait.ms", "request.timeout.ms"),
		"fetch.max.wait.ms: %v is not under request.timeout.ms, %v", c.Fetch.MaxWait, c.RequestTimeout)
	bad(c.Group.HeartbeatInterval >= c.Group.SessionTimeout, mistake.In("heartbeat.interval.ms", "session.timeout.ms"),
		"heartbeat.interval.ms: %v is not under session.timeout.ms, %v", c.Group.HeartbeatInterval, c.Group.SessionTimeout)
	return errors.Join(errs...)
}

var compressions = []string{"none", "gzip", "snappy", "lz4", "zstd"}
