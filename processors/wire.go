package processors

import (
	"context"
	"time"

	"github.com/weirstream/weir/internal/kafka"
)

// Wire is what the engine needs of Kafka. Package kafka has the real one; the simulation has one that fails on purpose.
type Wire interface {
	// NewSink makes a sink. With a transactional id it takes the id over: it fences its former holder and ends the
	// transaction that the former holder left open, before it returns.
	NewSink(ctx context.Context, transactionalID string) (Sink, error)
	// Join enters the topology's consumer group. It returns at once; the handler is told what happens.
	Join(group kafka.GroupConfig, handler kafka.GroupHandler) (Group, error)
	// NewFetcher makes a reader of partitions. Everything it delivers is read-committed.
	NewFetcher() (Fetcher, error)
	// Committed returns the group's committed offsets, kafka.NoOffset where there is none. It waits until no transaction that
	// touches them is open (KIP-447, require stable).
	Committed(ctx context.Context, group string, partitions []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error)
	// CommittedNow is Committed without the wait: what an open transaction will commit is not in the answer.
	CommittedNow(ctx context.Context, group string, partitions []kafka.TopicPartition) (map[kafka.TopicPartition]kafka.CommittedOffset, error)
	// EpochEnds asks where the log leaves a leader epoch, by which a reader knows whether the log still holds what it read.
	EpochEnds(ctx context.Context, epochs map[kafka.TopicPartition]int32) (map[kafka.TopicPartition]kafka.EpochEnd, error)
	// Ends returns the high watermarks: the ends with open transactions included. Starts returns the log starts.
	Ends(ctx context.Context, partitions []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error)
	Starts(ctx context.Context, partitions []kafka.TopicPartition) (map[kafka.TopicPartition]int64, error)
	// OffsetsFor returns the offset of the first record with that timestamp or a later one, -1 where there is none.
	OffsetsFor(ctx context.Context, partitions []kafka.TopicPartition, at time.Time) (map[kafka.TopicPartition]int64, error)
	// ClusterID is the id of the cluster, "" where it has none.
	ClusterID(ctx context.Context) (string, error)
	// Topics describes the topics that exist; absent ones are absent from the answer.
	Topics(ctx context.Context, names []string) (map[string]kafka.TopicInfo, error)
	// TopicNames lists the topics that exist and that the client may know of.
	TopicNames(ctx context.Context) ([]string, error)
	// ValidateTopics asks whether the topics could be made, and makes none: the refusals by topic.
	ValidateTopics(ctx context.Context, topics []kafka.TopicSpec) (map[string]error, error)
	CreateTopics(ctx context.Context, topics []kafka.TopicSpec) error
}

// Sink writes records in batches, in a transaction when it has a transactional id. It is used by one goroutine.
//
// A transaction begins with the first Append after NewSink, Commit or Abort.
// An error has a kafka.Class, or is a *kafka.RefusedError; after any error but that of Append the only calls that are
// allowed are Abort and Close. Abort after an indefinite answer initialises the producer again.
type Sink interface {
	// Append adds a copy of a record to its partition's batch. It blocks while too many bytes wait for acknowledgements. A record
	// over a size limit is a *kafka.RefusedError: it is not added, and the sink goes on as if it had not been offered.
	Append(r *kafka.Outgoing) error
	// Expect says by its id which topic is to be written to: one that was created in its place ends the transaction that meets it
	// with a *kafka.OutputRecreatedError.
	Expect(topic, id string)
	// Flush sends what is left and returns when everything since the last Flush is acknowledged.
	Flush(ctx context.Context) error
	// End returns the offset after the last record that this sink had acknowledged in the partition, or -1.
	End(tp kafka.TopicPartition) int64
	// LeaderEpoch is that of the leader that acknowledged the record before End, -1 when it is not known.
	LeaderEpoch(tp kafka.TopicPartition) int32
	// Offsets adds input offsets to the transaction in the name of a group member. Without a transactional id it
	// commits them at once (at-least-once). Everything before must be flushed.
	// kafka.ErrStaleGeneration asks the caller to call again with a newer Member: nothing has been lost yet.
	Offsets(ctx context.Context, m kafka.Member, offsets map[kafka.TopicPartition]kafka.CommittedOffset) error
	// Commit ends the transaction; nil means that it is committed. Abort ends it the other way and drops what waits.
	Commit(ctx context.Context) error
	Abort(ctx context.Context) error
	// Throttled is how long brokers have made the sink wait so far, because of a quota.
	Throttled() time.Duration
	// Close gives up what is not committed and releases the connections. It does not wait for a broker.
	Close() error
}

// Group is a membership.
type Group interface {
	// Member is the member in its present generation. ok is false between memberships.
	Member() (m kafka.Member, ok bool)
	// Changed is closed when Member changes next.
	Changed() <-chan struct{}
	// Denied is why the cluster does not let a former member into its group at the moment, or nil. It is waited for.
	Denied() *kafka.BlockedError
	// Rebalance asks for a rebalance, because what the member would say of its copies has changed.
	Rebalance(why string)
	// Leave hands everything back through Revoked, leaves the group (a static member stays listed, KIP-345) and ends
	// the handler's goroutine. ctx bounds the wait.
	Leave(ctx context.Context) error
	// Quit is Leave for good: a static member is not listed any more either.
	Quit(ctx context.Context) error
}

// Fetcher reads partitions and delivers batches. Safe for concurrent use.
type Fetcher interface {
	// Start reads a partition from a position on. deliver is called from the fetcher's goroutines, one call at a time for
	// a partition, in order; it must not block. Starting a started partition is a seek: nothing of the old position is
	// delivered after Start returned.
	Start(tp kafka.TopicPartition, from kafka.Position, deliver func(kafka.Batch))
	// Stop ends a partition's delivery: deliver is not running and will not be called when Stop has returned.
	Stop(tp kafka.TopicPartition)
	// Release gives back read-ahead: Bytes of a delivered batch, once. A partition with too much unreleased is not read.
	Release(tp kafka.TopicPartition, bytes int)
	Close() error
}
