package plan

import (
	"context"
	"errors"
	"fmt"
)

// Outside is a system besides Kafka that nodes write to in step with the transactions of their worker, such as a database. What nodes
// ask of it is staged, and written just before the transaction ends: at that time the group has accepted the offsets of its records. It
// keeps with what it writes which records that was for, so that a record that is done again, in whatever way, has its effect once.
type Outside struct {
	Name string
	Kind string // in words, such as "database"
	// Open begins to keep account of what one task writes. It asks nobody.
	Open func(Owner) OutsideTask
	// Commit writes what tasks of one worker have staged, all of it or nothing. An error is an *OutsideRefusal, ErrOutsideFenced, or one
	// after which the transaction is done again.
	Commit func(ctx context.Context, tasks []OutsideTask) error
}

// Owner says for whom something is written.
type Owner struct {
	Group    string // of the topology
	Instance string
}

// Origin is the input partition where a record was read first.
type Origin struct {
	Topic, TopicID string
	Partition      int32
}

// OutsideTask is the account of one task with an Outside, from the time when its inputs are read to that when they are not any more. It
// belongs to its worker's goroutine.
type OutsideTask interface {
	// Ready finds out what was written for records of an origin, and refuses writes for them to everybody who found out before. It may
	// ask the system, and is cheap when it need not. An error is no fault of a record.
	Ready(ctx context.Context, from Origin) error
	// Stage notes what a record whose nodes have passed wants written, unless that was done before. cause is returned in a refusal.
	Stage(from Origin, offset, cause int64, work []any)
	// Cover notes that the records of these offsets have ended, but for what is staged for them.
	Cover(from Origin, first, next int64)
	// Keep says that the transaction is committed in Kafka, Forget that it is not.
	Keep()
	Forget()
}

// OutsideRefusal says that records, by their causes, ask for what cannot be written, now or later.
type OutsideRefusal struct {
	Outside string
	Records []RefusedWork
}

// RefusedWork is one of them.
type RefusedWork struct {
	Cause int64
	Err   error
}

func (e *OutsideRefusal) Error() string {
	return fmt.Sprintf("%s refuses what %d records ask for: %v", e.Outside, len(e.Records), e.Records[0].Err)
}

// ErrOutsideSlow says that the system takes longer than it may for a transaction of this size.
var ErrOutsideSlow = errors.New("it takes too long")

// ErrOutsideFenced says that somebody else writes for the records of a task.
var ErrOutsideFenced = errors.New("another instance writes for these records now")
