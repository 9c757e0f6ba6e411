package processors

import "time"

// Hook is called when something happens in an Instance, for metrics and alarms of a program's own. It implements any of the
// interfaces below, one method each; New refuses one that implements none. Options.Hooks may hold any number of them, also
// several for one event: they are called in their order. An event without a hook costs nothing.
//
// Hooks run on goroutines of their own, and what they report waits for them: a worker for those of its records, retries,
// commits and aborts, the group's goroutine for OnRebalanced, a restore for OnRestoreProgress. So a hook must not block: one
// that sends an alarm hands it to a goroutine. One that has not returned for 10 s is named in health, as a problem of the kind
// ProblemHook, and logged with its stack. The workers of an instance, and the instances of a program that share a
// hook, call it at the same time. Within a worker the calls of one kind come in the order of what they report.
//
// A hook that panics, or ends its goroutine by runtime.Goexit, harms nothing: its event is lost to it, the next one is
// given to it again, and the instance logs the first such failure of each kind of hook.
//
// What is reported after a commit is reported at most once, with ExactlyOnce: a process that dies between a commit and its
// hooks has not called them, nor has one that got no answer and found out only afterwards that its transaction was committed. Stats
// and metrics, which count at the same time, have the same gap; the committed offsets do not.
type Hook any

// HookRecordEnded is called for every input record, after the commit of its transaction.
type HookRecordEnded interface{ OnRecordEnded(RecordEnded) }

// HookRecordRetried is called when a try of a record has failed and another one will follow.
type HookRecordRetried interface{ OnRecordRetried(RecordRetried) }

// HookDeadLettered is called for every dead letter, after the commit of its transaction.
type HookDeadLettered interface{ OnDeadLettered(DeadLettered) }

// HookCommitted is called after every commit, after the hooks of its records and dead letters.
type HookCommitted interface{ OnCommitted(Committed) }

// HookAborted is called when a worker gives up its open transaction, before it does so.
type HookAborted interface{ OnAborted(Aborted) }

// HookRebalanced is called when the instance was given input partitions, before their tasks begin, and when it has given
// some up, after the last commit of their tasks.
type HookRebalanced interface{ OnRebalanced(Rebalanced) }

// HookRestoreProgress is called when the restore of a store from its changelog begins, every two seconds while it lasts, and
// when it is done. A store that needs no restore calls nothing.
type HookRestoreProgress interface{ OnRestoreProgress(RestoreProgress) }

// HookPartitionWaiting is called when an input partition waits for the world, and again when the remedy is another one: the
// cluster refuses what its records lead to, its task is stopped on an error of its stores, or it has had lag and no
// progress for stall-after. This is looked at once a second, so a wait of less may pass unseen.
type HookPartitionWaiting interface{ OnPartitionWaiting(PartitionWaiting) }

// HookPartitionResumed is called when an input partition that was reported as waiting goes on, or is given up.
type HookPartitionResumed interface{ OnPartitionResumed(PartitionResumed) }

// Outcome is how a record ended.
type Outcome string

// The outcomes: every record has one of them.
const (
	OutcomeProcessed    Outcome = "processed"
	OutcomeFiltered     Outcome = "filtered"
	OutcomeDeduplicated Outcome = "deduplicated"
	OutcomeDeadLettered Outcome = "dead_lettered"
)

// RecordEnded is an input record whose end is committed. A record of a transaction that is aborted is done again, and
// reported once, as it ended in the transaction that was committed. With AtLeastOnce a record may be done, and reported, again
// after a crash.
type RecordEnded struct {
	Topology  string
	Topic     string // of the input
	Partition int32
	Offset    int64
	Time      time.Time // the record's timestamp, zero where it has none
	Outcome   Outcome
	Node      string        // of a dead letter: the node that failed; else ""
	Records   int64         // 1, but for a dead letter that stands for a batch that could not be taken apart
	Attempts  int           // 1 for a record that ended at its first try
	Took      time.Duration // of the last try: its nodes and the writing of their outputs, without waits for a try or for the commit
}

// RecordRetried is a try of a record that failed. It is reported at once, before any commit: when the transaction is
// aborted, the tries of its records begin at 1 again.
type RecordRetried struct {
	Topology  string
	Topic     string // of the input
	Partition int32
	Offset    int64
	Node      string // that failed
	Reason    string // the kind of the failure, as in the header of a dead letter: "error", "panic", ...
	Err       string // cut to some hundred bytes
	Attempt   int    // the try that failed, from 1
	Took      time.Duration
	Wait      time.Duration // until the next try
}

// DeadLettered is a dead letter that is committed. Aborted transactions are as with RecordEnded, which reports the same
// record too.
type DeadLettered struct {
	Topology        string
	Topic           string // of the input
	Partition       int32
	Offset          int64
	Time            time.Time // the record's timestamp, zero where it has none
	DeadLetterTopic string
	Node            string // that failed
	Reason          string // the kind of the failure, as in the letter's header: "rejected", "undecodable", "error", ...
	Limit           string // the setting that the record is over, where that is the reason; else ""
	Err             string // cut to some hundred bytes
	Attempts        int
	Records         int64 // 1, but for a letter that stands for a batch that could not be taken apart
	Cut             bool  // the letter does not hold the whole record
}

// Committed is a transaction that was committed; with AtLeastOnce what was written and acknowledged between two commits of
// offsets.
type Committed struct {
	Topology string
	Worker   int
	Records  int64         // input records; 0 when only offsets moved, past what is no record
	Bytes    int           // as commit-bytes counts: keys and values of inputs, with 100 bytes a record, and changes of stores
	Took     time.Duration // from the start of the commit until its stores are written
}

// AbortReason says why a transaction was given up.
type AbortReason string

// The reasons. After the first three it is done again from memory, at once or after a wait.
const (
	AbortRetriable  AbortReason = "retriable"  // brokers did not answer in time
	AbortAbortable  AbortReason = "abortable"  // a broker says that it cannot be committed any more
	AbortRefused    AbortReason = "refused"    // a broker refuses one record: it becomes a dead letter, or its letter is written otherwise
	AbortBlocked    AbortReason = "blocked"    // the cluster refuses through no fault of a record: the partitions concerned wait
	AbortFenced     AbortReason = "fenced"     // another producer or member has taken this one's place
	AbortIndefinite AbortReason = "indefinite" // whether it was committed is not known: Kafka is asked
	AbortRecreated  AbortReason = "recreated"  // a changelog was deleted and created again
	AbortFatal      AbortReason = "fatal"      // the instance ends
	AbortLost       AbortReason = "lost"       // its partitions were lost: another instance may have them already
	AbortTask       AbortReason = "task"       // one of its tasks stopped on an error of its stores
)

// Aborted is a transaction that is given up: nothing of it becomes visible with ExactlyOnce. With AtLeastOnce its outputs
// may have been written, and are written again.
type Aborted struct {
	Topology string
	Worker   int
	Records  int64 // that had ended in it, and are done again
	Reason   AbortReason
	Err      string // cut to some hundred bytes
}

// Rebalanced is a change of the input partitions that the instance has: partitions by topic, in order. One of the two maps is
// empty.
type Rebalanced struct {
	Topology string
	Assigned map[string][]int32
	Revoked  map[string][]int32
	Lost     bool // what was Revoked was lost without a commit
}

// RestoreProgress is how far the restore of a store is, in offsets of its changelog.
type RestoreProgress struct {
	Topology  string
	Store     string
	Partition int32
	Changelog string // topic
	From, To  int64
	Position  int64
	Took      time.Duration // since it began
	Done      bool          // a restore that fails begins again, and calls with Done false once more
}

// PartitionWaiting is an input partition that makes no progress. Kind, Cause and Remedy are those of Problem.
type PartitionWaiting struct {
	Topology  string
	Topic     string
	Partition int32
	Offset    int64 // that is committed: the next record is there, or after it
	Kind      string
	Cause     string
	Remedy    string
}

// PartitionResumed is an input partition that goes on.
type PartitionResumed struct {
	Topology  string
	Topic     string
	Partition int32
	Kind      string        // of the last PartitionWaiting
	Waited    time.Duration // since the first PartitionWaiting
	GivenUp   bool          // it does not go on here: it was given up, or the instance ends
}
