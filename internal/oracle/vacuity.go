package oracle

import (
	"fmt"
	"strings"
	"sync"
)

// Vacuity collects what must have happened for "no violation" to mean anything. It is safe for concurrent use.
type Vacuity struct {
	mu                 sync.Mutex
	KillsInTransaction int // instances killed whose transaction was open afterwards
	AbortMarkers       int // in outputs, dead letters and changelogs
	BusyRebalances     int // the assignment changed while there was work left
	Faults             []Fault
}

// Fault is one fault and what the run did around it, in committed input records.
type Fault struct {
	Name string
	// Left is the work that was left when the fault struck; Before was done by then and After at the end of its
	// recovery.
	Left, Before, After int64
}

// KilledInTransaction notes a kill that left a transaction open.
func (v *Vacuity) KilledInTransaction() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.KillsInTransaction++
}

// Rebalanced notes rebalances while there was work left.
func (v *Vacuity) Rebalanced(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.BusyRebalances += n
}

// Aborted notes abort markers that were read.
func (v *Vacuity) Aborted(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.AbortMarkers += n
}

// Struck notes a fault with its recovery.
func (v *Vacuity) Struck(f Fault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.Faults = append(v.Faults, f)
}

// Missing lists what a run has not shown. A run that lacks any of it is not passed but void.
func (v *Vacuity) Missing() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var missing []string
	lack := func(what string, args ...any) { missing = append(missing, fmt.Sprintf(what, args...)) }
	if v.KillsInTransaction == 0 {
		lack("no instance was killed inside an open transaction")
	}
	if v.AbortMarkers == 0 {
		lack("no transaction was aborted")
	}
	if v.BusyRebalances == 0 {
		lack("no rebalance happened while there was work left")
	}
	if len(v.Faults) == 0 {
		lack("no fault struck")
	}
	for _, f := range v.Faults {
		if f.After <= f.Before {
			lack("no record was processed after %s (%d before, %d after)", f.Name, f.Before, f.After)
		}
	}
	if n := len(v.Faults); n > 0 && v.Faults[n-1].Left == 0 {
		lack("no work was left at the last fault, %s", v.Faults[n-1].Name)
	}
	return missing
}

func (v *Vacuity) String() string {
	missing := v.Missing()
	v.mu.Lock()
	defer v.mu.Unlock()
	s := fmt.Sprintf("%d faults, %d kills inside an open transaction, %d abort markers, %d rebalances under load",
		len(v.Faults), v.KillsInTransaction, v.AbortMarkers, v.BusyRebalances)
	if len(missing) > 0 {
		s += "\nvoid: " + strings.Join(missing, "\nvoid: ")
	}
	return s
}
