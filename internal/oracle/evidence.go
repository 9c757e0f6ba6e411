package oracle

import (
	"encoding/json"
	"sort"
)

// Fate of a record in a log.
type Fate int8

const (
	Committed Fate = iota // or written without a transaction
	Aborted
	Open // its transaction has no marker yet
)

func (f Fate) String() string { return [...]string{"committed", "aborted", "open"}[f] }

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is a record of a log. A nil Value is a tombstone.
type Record struct {
	Offset    int64
	Timestamp int64 // milliseconds since the epoch
	Key       string
	Value     []byte
	Headers   []Header
	Producer  int64 // id of the transactional producer, -1 without a transaction
	Fate      Fate
}

// Log is one partition as it was read, aborted and open records included.
type Log struct {
	Records       []Record
	Start         int64 // first offset
	HighWatermark int64 // end, open transactions included
	LastStable    int64 // end for a read-committed reader
	Commits       int   // commit markers
	Aborts        int   // abort markers
	// Whole is set when no offset from 0 on is missing: neither retention nor compaction has taken anything away.
	Whole bool
}

// Committed yields the records that a read-committed reader is given.
func (l *Log) Committed(yield func(*Record) bool) {
	for i := range l.Records {
		if r := &l.Records[i]; r.Fate == Committed && !yield(r) {
			return
		}
	}
}

// Evidence is everything that a run left behind. Partitions are the index of the slices.
type Evidence struct {
	Names       Names
	AtLeastOnce bool    // judge by the weaker promise: nothing lost, the final state right
	Inputs      []Log   // as produced; records that retention took away afterwards belong here too
	Committed   []int64 // the group's offset of each input partition, -1 for none
	Outputs     []Log
	DeadLetters []Log
	Changelog   []Log
	Stores      []StoreDump
	Seen        []Sighting // what a read-committed reader was given while the faults lasted
	Counts      *Counts    // only when no instance was killed: counts die with their process
}

// Names of the topics and the group of a run.
type Names struct {
	Input, Output, DeadLetter, Changelog, Group, Store string
}

// ReferenceJob are the names in the contract of examples/totals.
var ReferenceJob = Names{
	Input:      "order.placed.v1",
	Output:     "customer.total.v1",
	DeadLetter: "order.placed.v1.dlq",
	Changelog:  "customer-totals-totals-changelog",
	Group:      "customer-totals",
	Store:      "totals",
}

// StoreDump is one local database.
type StoreDump struct {
	Instance      string // whose it is, in the words of whoever reads the report
	Partition     int32
	Checkpoint    int64
	HasCheckpoint bool
	Entries       map[string]string // key -> encoded value
}

// Sighting is a record as a read-committed reader was given it.
type Sighting struct {
	Partition int32
	Offset    int64
	Key       string
	Value     string
}

// Counts are the engine's own, summed over its instances.
type Counts struct{ Processed, Filtered, Deduplicated, DeadLettered int64 }

func decodeTotal(value []byte) (Total, error) {
	var t Total
	err := json.Unmarshal(value, &t)
	return t, err
}

// find returns the record at an offset, or nil.
func (l *Log) find(offset int64) *Record {
	i := sort.Search(len(l.Records), func(i int) bool { return l.Records[i].Offset >= offset })
	if i == len(l.Records) || l.Records[i].Offset != offset {
		return nil
	}
	return &l.Records[i]
}
