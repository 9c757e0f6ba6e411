package topology

import (
	"errors"

	"github.com/weirstream/weir/internal/plan"
)

// OutsideHandle is a handle on a system besides Kafka that nodes write to in step with their transactions. [Outside] makes it.
type OutsideHandle struct{ decl plan.Outside }

// Outside declares one. A package that writes to some system has a type around the handle, which nodes list in [Uses].
func Outside(decl plan.Outside) *OutsideHandle { return &OutsideHandle{decl: decl} }

// StageOutside has work done when the transaction of the record ends, if the record passes. It blocks while the system is asked what it
// knows of the record's partition; where it does not answer, the record waits ([World]).
func StageOutside(ctx Context, h *OutsideHandle, work any) {
	run := ctx.runtime()
	if h == nil {
		run.Fail(errNilOutside)
		return
	}
	if err := run.Outside(ctx, &h.decl, work); err != nil {
		run.Fail(err)
	}
}

func (h *OutsideHandle) usedBy(n *node) {
	if h == nil {
		n.mistake("uses a nil sink", "declare the sink before the node")
		return
	}
	n.outsides = append(n.outsides, &h.decl)
}

var errNilOutside = Fatal(errors.New("use of a nil sink: declare it before its nodes"))
