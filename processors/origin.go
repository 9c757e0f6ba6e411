package processors

import "github.com/weirstream/weir/internal/nodes"

// origin names an input record, and the node that emits, in what is appended for it: the node's number in its sub-graph,
// the input's slot on its worker, and the lower bits of the offset. The upper ones are those of the last commit, or the
// next ones: a transaction does not span 2^36 offsets of an input. Those of a queue's record are the last ones before where its input stands.
func origin(in *input, offset int64, node *nodes.Node) int64 {
	return int64(min(node.Index, 1<<originNodes-1))<<(originOffsets+originSlots) | int64(in.slot)<<originOffsets | offset&(1<<originOffsets-1)
}

const (
	originOffsets = 36
	originSlots   = 14
	originNodes   = 12
	originDLQ     = 1 << (originOffsets + originSlots + originNodes) // what was appended is the record's dead letter
)

// originated is what an origin names.
type originated struct {
	in     *input
	offset int64
	node   *nodes.Node // that emitted it, or that the dead letter is of
	letter bool        // it is the record's dead letter
}

// findOrigin is the way back. It finds nothing for changelogOrigin.
func (ts *tasks) findOrigin(o int64) (found originated, ok bool) {
	if o < 0 {
		return originated{}, false
	}
	slot := int(o >> originOffsets & (1<<originSlots - 1))
	number := int(o >> (originOffsets + originSlots) & (1<<originNodes - 1))
	for _, t := range ts.list {
		for in := range t.everything() {
			if in.slot == slot {
				offset := in.committed + (o-in.committed)&(1<<originOffsets-1)
				if of := in.queue.of; of != nil { // it was read before what is read next
					offset = of.position - (of.position-o)&(1<<originOffsets-1)
				}
				return originated{in, offset, t.graph.nodes.Nodes[number], o&originDLQ != 0}, true
			}
		}
	}
	return originated{}, false
}
