package oracle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Kind of a violation.
type Kind string

// The kinds, grouped by the promise that they break.
const (
	// Outputs are those of the input below the committed offsets: as many, in order, the k-th as the model says.
	LostOutput       Kind = "lost output"
	DuplicatedOutput Kind = "duplicated output"
	PhantomOutput    Kind = "phantom output" // no input below the committed offset causes it
	ReorderedOutput  Kind = "reordered output"
	WrongOutput      Kind = "wrong output" // right key and number, wrong total
	MisplacedOutput  Kind = "misplaced output"
	OffsetPastEnd    Kind = "committed offset past the input"

	// Nothing is left undecided.
	OpenTransaction Kind = "open transaction"

	// LevelDB = changelog = model.
	ChangelogDiffers Kind = "changelog differs from the model"
	StoreDiffers     Kind = "store differs from the changelog"
	StoreAhead       Kind = "store ahead of the changelog"

	// Every input has exactly one fate.
	LostDeadLetter       Kind = "lost dead letter"
	DuplicatedDeadLetter Kind = "duplicated dead letter"
	PhantomDeadLetter    Kind = "phantom dead letter"
	AlteredDeadLetter    Kind = "altered dead letter"
	NoFate               Kind = "input without a fate"
	TwoFates             Kind = "input with two fates"
	CountsDiffer         Kind = "counts do not add up"

	// A reader during the faults.
	SeenTwice      Kind = "reader saw a record twice"
	SeenOutOfOrder Kind = "reader saw a key out of order"
	SeenVanished   Kind = "reader saw a record that is gone"

	// Input that is read again has no effect.
	ReplayOutput     Kind = "replay made an output"
	ReplayState      Kind = "replay changed the state"
	ReplayDeadLetter Kind = "replay made a wrong dead letter"
)

// Violation is one thing that must not be.
type Violation struct {
	Kind      Kind   `json:"kind"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"` // in Topic, -1 where there is none
	Key       string `json:"key,omitempty"`
	Detail    string `json:"detail"`
}

func (v Violation) String() string {
	where := fmt.Sprintf("%s/%d", v.Topic, v.Partition)
	if v.Offset >= 0 {
		where += fmt.Sprintf(" offset %d", v.Offset)
	}
	if v.Key != "" {
		where += fmt.Sprintf(" key %q", v.Key)
	}
	return fmt.Sprintf("%s: %s: %s", v.Kind, where, v.Detail)
}

// PartitionSummary is what was expected of an input partition and what was found.
type PartitionSummary struct {
	Partition     int32 `json:"partition"`
	Input         int   `json:"input"`     // records in the partition
	Committed     int64 `json:"committed"` // offset
	Expected      int   `json:"expected_outputs"`
	Found         int   `json:"found_outputs"`
	Deduplicated  int   `json:"deduplicated"`
	DeadLettered  int   `json:"dead_lettered"`
	LeftToProcess int64 `json:"left"`
}

// Report is the verdict. Every violation is counted; of each kind the first few are kept.
type Report struct {
	Counts     map[Kind]int       `json:"counts"`
	Violations []Violation        `json:"violations"`
	Partitions []PartitionSummary `json:"partitions"`
	Aborts     int                `json:"aborts"`  // abort markers in outputs, dead letters and changelog
	Commits    int                `json:"commits"` // commit markers
	Aborted    int                `json:"aborted_records"`
	Seen       int                `json:"seen"` // records that the reader was given
	Stores     int                `json:"stores"`
	Counted    bool               `json:"counted"` // the engine's own counts were compared
}

// gravity is the order in which violations are told: how many first, then in which order, then with which values, and
// then what follows from that.
var gravity = []Kind{
	OffsetPastEnd, LostOutput, DuplicatedOutput, PhantomOutput, MisplacedOutput, ReorderedOutput, WrongOutput, OpenTransaction,
	ReplayOutput, ReplayState, ReplayDeadLetter, LostDeadLetter, DuplicatedDeadLetter, PhantomDeadLetter, AlteredDeadLetter,
	NoFate, TwoFates, CountsDiffer, ChangelogDiffers, StoreAhead, StoreDiffers, SeenTwice, SeenOutOfOrder, SeenVanished,
}

const keptPerKind = 10

func newReport() *Report { return &Report{Counts: map[Kind]int{}} }

func (r *Report) add(v Violation) {
	r.Counts[v.Kind]++
	if r.Counts[v.Kind] <= keptPerKind {
		r.Violations = append(r.Violations, v)
	}
}

// sort puts the gravest first. Those of a kind stay in the order in which they were found.
func (r *Report) sort() {
	slices.SortStableFunc(r.Violations, func(a, b Violation) int {
		return slices.Index(gravity, a.Kind) - slices.Index(gravity, b.Kind)
	})
}

// OK says that nothing is wrong.
func (r *Report) OK() bool { return len(r.Counts) == 0 }

// Kinds returns the kinds of violation that were found, sorted.
func (r *Report) Kinds() []Kind {
	kinds := make([]Kind, 0, len(r.Counts))
	for kind := range r.Counts {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// JSON is the report for programs.
func (r *Report) JSON() []byte {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return []byte(err.Error())
	}
	return b
}

func (r *Report) String() string {
	var b strings.Builder
	for _, v := range r.Violations {
		fmt.Fprintln(&b, v)
	}
	if !r.OK() {
		fmt.Fprintln(&b)
	}
	for _, kind := range r.Kinds() {
		fmt.Fprintf(&b, "%8d %s\n", r.Counts[kind], kind)
	}
	for _, p := range r.Partitions {
		fmt.Fprintf(&b, "partition %d: input %d, committed %d, left %d; outputs %d of %d; deduplicated %d, dead-lettered %d\n",
			p.Partition, p.Input, p.Committed, p.LeftToProcess, p.Found, p.Expected, p.Deduplicated, p.DeadLettered)
	}
	if r.Counted {
		b.WriteString("the instances' own counts were compared\n")
	}
	fmt.Fprintf(&b, "commit markers %d, abort markers %d over %d aborted records; reader saw %d records; %d stores compared\n",
		r.Commits, r.Aborts, r.Aborted, r.Seen, r.Stores)
	if r.OK() {
		b.WriteString("no violation\n")
	}
	return b.String()
}
