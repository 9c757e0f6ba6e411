package oracle

import (
	"encoding/json"
)

// Outcome is what the contract of the reference job makes of an input record.
type Outcome int8

const (
	Processed Outcome = iota
	Deduplicated
	DeadLettered
)

func (o Outcome) String() string { return [...]string{"processed", "deduplicated", "dead-lettered"}[o] }

// Expected is what the job must have made of the first records of one input partition.
type Expected struct {
	Outputs []ExpectedOutput // in order
	State   map[string]Total
	Dead    map[int64]string // offset of a record that must be dead-lettered -> reason
	Dropped int              // records that must be dropped as duplicates
	// Outcomes of every record, by offset.
	Outcomes map[int64]Outcome
}

// ExpectedOutput is an output record and the input that causes it.
type ExpectedOutput struct {
	Key   string
	Total Total
	Input int64 // offset
}

// Fold applies the job's contract to the records below an offset, in order.
func Fold(input []Record, below int64) *Expected {
	e := NewExpected()
	for i := range input {
		r := &input[i]
		if r.Offset >= below {
			break
		}
		e.Outcomes[r.Offset] = e.Apply(r)
	}
	return e
}

// NewExpected expects nothing yet.
func NewExpected() *Expected {
	return &Expected{State: map[string]Total{}, Dead: map[int64]string{}, Outcomes: map[int64]Outcome{}}
}

// Apply is what the job's contract makes of the next record.
func (e *Expected) Apply(r *Record) Outcome {
	var order Order
	if err := json.Unmarshal(r.Value, &order); err != nil {
		e.Dead[r.Offset] = "undecodable: " + err.Error()
		return DeadLettered
	}
	if order.EventID == "" || order.Customer == "" {
		e.Dead[r.Offset] = "incomplete"
		return DeadLettered
	}
	total, known := e.State[r.Key]
	switch {
	case known && order.Seq <= total.LastSeq:
		e.Dropped++
		return Deduplicated
	case order.AmountCents < 0:
		e.Dead[r.Offset] = "negative amount"
		return DeadLettered
	}
	total = Total{LastSeq: order.Seq, Count: total.Count + 1, SumCents: total.SumCents + order.AmountCents}
	e.State[r.Key] = total
	e.Outputs = append(e.Outputs, ExpectedOutput{Key: r.Key, Total: total, Input: r.Offset})
	return Processed
}
