package offsets

// Mend says what helps where a start would be refused.
type Mend string

// The ways.
const (
	MendNothing    Mend = ""           // nothing disagrees
	MendOffsets    Mend = "offsets"    // a reset, or accepting the offsets as they are
	MendState      Mend = "state"      // a changelog does not hold the state any more: it is restored, rebuilt, or accepted as empty
	MendPartitions Mend = "partitions" // a changelog has another number of partitions than its input
)
