// Package fault lets a test damage the engine on purpose: stop it at a named point of its work, or have its wire break one
// of the rules that its guarantees rest on (sabotage.go of processors does that). Without the build tag weirfault every call
// is a constant and compiles to nothing.
//
// With the tag, WEIR_FAULT_AT=point[:n] kills the process with SIGKILL when the point is passed for the n-th time
// (default 1), WEIR_FAULT_STOP_AT does so with SIGSTOP, and WEIR_FAULT_BREAK=rule switches a rule off. Break does that
// within a process. WEIR_FAULT_DISK_FULL_WHILE=file makes state folders full while the file exists.
package fault

// Point is a place in the engine's work.
type Point string

// The points, in the order of a commit, and one in a restore.
const (
	BeforeFlush   Point = "before-flush"
	BeforeOffsets Point = "before-offsets"
	BeforeOutside Point = "before-outside" // what goes outside of Kafka is about to be written
	OutsideBegun  Point = "outside-begun"  // it is written and not committed there
	BeforeEnd     Point = "between-offsets-and-end"
	AfterEnd      Point = "after-end"
	DuringRestore Point = "during-restore"
)

// Points are all points.
var Points = []Point{BeforeFlush, BeforeOffsets, BeforeOutside, OutsideBegun, BeforeEnd, AfterEnd, DuringRestore}

// Rule is a rule that a guarantee rests on.
type Rule string

// The rules that can be broken. The last two are the demo's, which loses one output, or one dead letter.
const (
	OffsetsInTransaction     Rule = "offsets-in-transaction"
	OutputsInTransaction     Rule = "outputs-in-transaction"
	StoreAfterCommit         Rule = "store-after-commit"
	CheckpointWithData       Rule = "checkpoint-with-data"
	FenceZombies             Rule = "fence-zombies"
	RestoreToPosition        Rule = "restore-to-position"
	CommitBelowUnfinished    Rule = "commit-below-unfinished"
	DeadLettersInTransaction Rule = "dead-letters-in-transaction"
	BlameNoRecord            Rule = "blame-no-record"
	CountWholeRanges         Rule = "count-whole-ranges"
	BlameTheEmitter          Rule = "blame-the-emitter"
	PositionsWithState       Rule = "positions-with-state"
	JudgeOffsets             Rule = "judge-offsets"
	CheckEpochs              Rule = "check-epochs"
	MarkChangelogs           Rule = "mark-changelogs"
	CheckTopicIDs            Rule = "check-topic-ids"
	ReadWhatCopiesLack       Rule = "read-what-copies-lack"
	CopyCommitted            Rule = "copy-committed"
	IDsInTransaction         Rule = "ids-in-transaction"
	DelaysInTransaction      Rule = "delays-in-transaction"
	ParkedWithState          Rule = "parked-with-state"
	HeedReleases             Rule = "heed-releases"
	HeedPauses               Rule = "heed-pauses"
	HeedResumes              Rule = "heed-resumes"
	EveryOutput              Rule = "every-output"
	EveryLetter              Rule = "every-letter"
)

// Rules are all rules.
var Rules = []Rule{
	OffsetsInTransaction, OutputsInTransaction, StoreAfterCommit, CheckpointWithData, FenceZombies, RestoreToPosition,
	CommitBelowUnfinished, DeadLettersInTransaction, BlameNoRecord,
	CountWholeRanges, BlameTheEmitter,
	PositionsWithState, JudgeOffsets, CheckEpochs, MarkChangelogs, CheckTopicIDs, ReadWhatCopiesLack, CopyCommitted, IDsInTransaction,
	DelaysInTransaction, ParkedWithState, HeedReleases, HeedPauses, HeedResumes, EveryOutput, EveryLetter,
}
