package simkafka

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Op is a kind of request.
type Op string

// The requests that calls are made of, with what they are in Kafka's protocol.
const (
	OpInit          Op = "init"           // InitProducerId
	OpAddPartitions Op = "add-partitions" // AddPartitionsToTxn
	OpProduce       Op = "produce"        // Produce, of one partition
	OpAddOffsets    Op = "add-offsets"    // AddOffsetsToTxn
	OpOffsets       Op = "offsets"        // TxnOffsetCommit, OffsetCommit
	OpCommit        Op = "commit"         // EndTxn
	OpAbort         Op = "abort"          // EndTxn
	OpJoin          Op = "join"           // JoinGroup
	OpSync          Op = "sync"           // SyncGroup
	OpHeartbeat     Op = "heartbeat"      // Heartbeat
	OpLeave         Op = "leave"          // LeaveGroup
	OpFetch         Op = "fetch"          // Fetch
	OpCommitted     Op = "committed"      // OffsetFetch, require stable
	OpList          Op = "list"           // ListOffsets
	OpTopics        Op = "topics"         // Metadata, DescribeConfigs
	OpCreate        Op = "create"         // CreateTopics
)

// Call is a request about to be made: the n-th of its kind, counted from 0, by one actor of a process. An actor is a
// sink, a cursor, the membership; "" is the process itself.
type Call struct {
	Process, Actor string
	Op             Op
	N              int
}

// Mode is what goes wrong with a call.
type Mode int8

// What may go wrong. A client of Kafka repeats requests until its time is up; a fault here is what is left after that,
// so the caller gets an error.
const (
	Pass    Mode = iota
	Before       // the request is not sent: there is no connection
	Torn         // it is sent and does not arrive whole; the caller cannot know
	After        // it takes effect, and its answer is lost
	Late         // its answer is lost, and it takes effect some time later, unless a fence or a new state forbids it
	Refused      // the broker refuses in a way that leaves a transaction only the choice to abort
	Hang         // it is not answered until CallTimeout
)

// Fault is one fault; the zero Fault is none.
type Fault struct {
	Mode  Mode
	Delay time.Duration // more time on the way there; of Late until it takes effect
}

// Random are faults of the given rate, all modes alike, each now and then with a long delay. Requests
// that clients just repeat only fail: it makes no difference to them why.
func Random(rate float64) func(Call, *rand.Rand) Fault {
	return func(c Call, r *rand.Rand) Fault {
		var f Fault
		if r.Float64() < rate/2 {
			f.Delay = time.Duration(r.Int64N(int64(2 * time.Second)))
		}
		if r.Float64() >= rate {
			return f
		}
		f.Mode = []Mode{Before, Torn, After, Late, Refused}[r.IntN(5)]
		switch c.Op {
		case OpHeartbeat, OpFetch, OpList, OpTopics, OpCommitted, OpJoin, OpSync, OpLeave, OpCreate:
			f.Mode = Before
		}
		if f.Mode == Late {
			f.Delay = time.Duration(r.Int64N(int64(3 * time.Second)))
		}
		return f
	}
}

// What brokers answer, and what happens to requests.
var (
	errCut               = errors.New("the connection was cut")
	errNoAnswer          = errors.New("no answer in time")
	errCrashed           = errors.New("the process is dead")
	errClosed            = errors.New("closed")
	errTopicExists       = errors.New("TOPIC_ALREADY_EXISTS")
	errReplicationFactor = errors.New("INVALID_REPLICATION_FACTOR: there are fewer brokers")
	errTopicDiffers      = errors.New("the topic has other settings")
	errUnknownTopic      = errors.New("UNKNOWN_TOPIC_OR_PARTITION")
	errFenced            = errors.New("PRODUCER_FENCED")
	errConcurrent        = errors.New("CONCURRENT_TRANSACTIONS")
	errInvalidState      = errors.New("INVALID_TXN_STATE")
	errAbortable         = errors.New("TRANSACTION_ABORTABLE")
	errUnknownMember     = errors.New("UNKNOWN_MEMBER_ID")
	errFencedInstance    = errors.New("FENCED_INSTANCE_ID")
	errIllegalGen        = errors.New("ILLEGAL_GENERATION")
	errRebalancing       = errors.New("REBALANCE_IN_PROGRESS")
	errUnstableOffset    = errors.New("UNSTABLE_OFFSET_COMMIT")
	errInvalidRecord     = errors.New("INVALID_RECORD")
	errOffsetOutOfRange  = errors.New("OFFSET_OUT_OF_RANGE")
)

// transport says that an error is not a broker's answer.
func transport(err error) bool {
	return errors.Is(err, errCut) || errors.Is(err, errNoAnswer) || errors.Is(err, errCrashed) || errors.Is(err, errClosed)
}
