package nodes

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/state"
	"github.com/weirstream/weir/topology"
)

// Reason is the kind of a failure, for programs.
type Reason string

// The kinds. A failure of the kinds Rejected, Undecodable and Late is not tried again, and Fatal ends the program.
const (
	Error       Reason = "error"       // the node returned one, or one of its effects cannot be done
	Rejected    Reason = "rejected"    // topology.Reject
	Undecodable Reason = "undecodable" // the record is no value of its stream
	Panic       Reason = "panic"
	Exit        Reason = "exit"    // runtime.Goexit
	Late        Reason = "late"    // a Context was used after its node returned
	Timeout     Reason = "timeout" // the node took longer than its topology.Timeout
	World       Reason = "world"   // topology.World: what failed is no property of the record, which waits
	Fatal       Reason = "fatal"   // topology.Fatal, a handle that was not declared, a store that cannot be read

	// These two the engine finds out for itself.
	Refused Reason = "refused" // a broker does not take an output
	Limit   Reason = "limit"   // the record is over a limit, and was not read whole
	Damaged Reason = "damaged" // a batch of the input is damaged in the log, and was passed over
)

// Failure is a failed record: in which node, and how.
type Failure struct {
	Node   *Node  // that was in work: its policy and its dead-letter topic count
	Name   string // of the node that is to blame: Node's, but for a Context that another node let out
	Reason Reason
	Err    error
	Text   string // of Err, whose method may be anybody's, asked once
	Stack  []byte // of a panic or an exit
}

// TimeoutError says that a call of a node took longer than its topology.Timeout. Err is what it returned.
type TimeoutError struct {
	Node          string
	Timeout, Took time.Duration
	Err           error
}

func (e *TimeoutError) Error() string {
	text := fmt.Sprintf("took %v, and its Timeout is %v", e.Took.Round(time.Millisecond), e.Timeout)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *TimeoutError) Unwrap() error { return e.Err }

// UnservedError says that a node would have called a service, and that no call is to be made.
type UnservedError struct{ Service string }

func (e *UnservedError) Error() string {
	return fmt.Sprintf("service %s is not called here", e.Service)
}

// maxText bounds the text of an error in messages: what failed may be a megabyte, and may be quoted whole.
const maxText = 512

func (f *Failure) Error() string { return fmt.Sprintf("node %s: %s", f.Name, Short(f.Text)) }
func (f *Failure) Unwrap() error { return f.Err }

// Short cuts a text to what fits into a message.
func Short(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s ... (cut from %d bytes)", text[:end], len(text))
}

// fail judges an error that a node failed with. It calls methods of the error, which may do anything that a node may.
func (c *Call) fail(n *Node, err error) *Failure {
	f := &Failure{Node: n, Name: n.Decl.Name, Reason: Error, Err: err, Text: err.Error()}
	var late *topology.LateError
	var undecodable *topology.DecodeError
	var slow *TimeoutError
	var foreign *state.UndecodableError
	switch {
	case topology.IsFatal(err), errors.As(err, &foreign):
		// A store that this program cannot read is a bad deployment: no record may become a dead letter for it.
		f.Reason = Fatal
	case errors.As(err, &late):
		f.Reason, f.Name = Late, late.Node
	case errors.As(err, &undecodable):
		f.Reason = Undecodable
	case topology.IsWorld(err), errors.Is(err, codecs.ErrUnavailable):
		f.Reason = World
	case topology.IsRejected(err):
		f.Reason = Rejected
	default:
		if errors.As(err, &slow) {
			f.Reason = Timeout
		}
		if n.Decl.Classify != nil {
			f.classify(n.Decl.Classify(err))
		}
	}
	return f
}

// classify takes a classifier's word for what follows.
func (f *Failure) classify(as plan.Class) {
	switch as {
	case plan.Rejected:
		f.Reason = Rejected
	case plan.Fatal:
		f.Reason = Fatal
	case plan.World:
		f.Reason = World
	}
}

var errExit = errors.New("the node ended its goroutine: runtime.Goexit, which t.FailNow and t.Fatal call")

// broken is the failure of a node that did not return. What it was told before, that the program is wrong, explains the
// rest.
func (c *Call) broken(reason Reason, err error, stack []byte) *Failure {
	f := &Failure{Node: c.node, Name: c.node.Decl.Name, Reason: reason, Err: err, Text: err.Error(), Stack: stack}
	if misuse := c.misuse; misuse != nil {
		f.Reason, f.Err, f.Text = Fatal, misuse, misuse.Error()
	}
	return f
}
