package keyed

import "time"

// Database is what a [Store] keeps its values in, as bytes. Package state has it, on LevelDB. All calls come from one goroutine.
type Database interface {
	// Dir is where it is, for errors.
	Dir() string
	// Limits are what its store may keep in its cache, in bytes, and the size of the largest key and value together, 0 for any.
	Limits() (cacheBytes int64, recordBytes int)
	// Checkpoint is the last one, ok is false without one. Note and AsOf are as [Any] has them.
	Checkpoint() (offset int64, ok bool)
	Note() []byte
	AsOf() time.Time
	// Get is the committed value of a key, written or not. It is not written to again.
	Get(key string) (value []byte, ok bool, err error)
	// Begin and End are around the changes of a commit. Begin may wait for writes under way.
	Begin() (*Gathered, error)
	End(checkpoint int64, note []byte, asOf time.Time)
	// Flush returns when everything that was committed is written.
	Flush() error
	// Restore writes entries and a checkpoint in one batch. Nothing may be committed and not written.
	Restore(entries []Entry, checkpoint int64, note []byte, asOf time.Time) error
	// Dump calls yield with every key and value that is written, in order, until it returns false.
	Dump(yield func(key, value []byte) bool) error
	// Iterate goes over the keys that are written, from from (included) to to (excluded, "" for the end), in order.
	Iterate(from, to string) Iterator
	// Sorted makes an empty set.
	Sorted() Sorted
	// Failed is why the last write in the background failed, or nil.
	Failed() error
	// Close writes what was committed. Closing twice is allowed.
	Close() error
}

// Iterator goes over keys in the order of their bytes. Next is called before the first. Key and Value are valid until then.
type Iterator interface {
	Next() bool
	Key() []byte
	Value() []byte
	Error() error
	Release()
}

// Sorted is a set of keys in order.
type Sorted interface {
	Insert(key string)
	Remove(key string)
	Clear()
	Iterate(from, to string) Iterator
}
