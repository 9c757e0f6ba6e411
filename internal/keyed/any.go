package keyed

import "time"

// Entry is a key with its encoded value as they stand in a changelog. A nil Value deletes the key.
type Entry struct{ Key, Value []byte }

// Any is a store as the engine sees it, whatever the type of its values. All calls come from one goroutine.
//
// A change is first part of a record (until Keep; Undo takes it back), then of a transaction (until Commit; Reset
// takes it back), then in the database. The database never holds a change that was not committed.
type Any interface {
	// Checkpoint is the changelog offset up to which the store holds committed data; ok is false for a new one. After a
	// crash it is one that an earlier Commit gave, and the database holds what was committed up to there.
	Checkpoint() (offset int64, ok bool)
	// Note is what SetNote has put beside the checkpoint of the last Restore, or the one found at opening: nil when there is none, or
	// when the checkpoint was written without it. After a Commit it says nothing.
	Note() []byte
	// SetNote puts something beside the checkpoints that follow, in the same batch: it is the caller's own. The slice is
	// not written to again.
	SetNote(note []byte)
	// AsOf is what SetAsOf has said of that checkpoint, zero when unknown. A changelog forgets deletions some time
	// after it was compacted: a store that has not seen what came after its checkpoint for so long is no base to restore on.
	AsOf() time.Time
	// SetAsOf says of the checkpoints that follow when it was that the changelog held nothing after them, or a time before that, by the
	// clock of this machine. That is not when they are written: a process may stand still in between.
	SetAsOf(at time.Time)
	// Mark names the present point in the record's changes; Undo takes back every change made since that point.
	Mark() int
	Undo(mark int)
	// Keep makes the record's changes part of the transaction; they cannot be undone one by one any more.
	Keep()
	// Drain hands out the changes of the transaction that were not handed out before, the last value of a key only, in
	// the order of their first change. key and value are not to be written to and are valid until Commit or Reset; value is
	// nil for a deletion. What is changed later is handed out again by the next Drain.
	Drain(emit func(key, value []byte) error) error
	// Undrained is the size in bytes of what Drain would hand out; Pending of everything uncommitted.
	Undrained() int
	Pending() int
	// Commit makes the transaction's changes, which must all have been drained, the committed state, with the checkpoint
	// after them. They reach the database in one batch with those of other Commits, every 5 s or when 200,000 changes wait, in the
	// background. An error, which may be that of an earlier Commit's write, is final for the store; the database then
	// holds what an earlier Commit left, whole.
	Commit(checkpoint int64) error
	// Reset forgets everything uncommitted.
	Reset()
	// Restore writes entries of the changelog, and the checkpoint after them, in one batch, past the cache.
	Restore(entries []Entry, checkpoint int64) error
	// Dump calls yield with every committed key and encoded value, in key order, until it returns false.
	Dump(yield func(key, value []byte) bool) error
	// Err is the error of the database that ended the use of the store, or nil. It tells a failure of the store from one
	// of a record, such as a value that cannot be encoded.
	Err() error
	// Close gives up what is not committed, writes what is, and releases the database and its lock.
	Close() error
}
