package processors

// origin names an input record in what is appended for it: the input's slot on its worker, and its offset.
func origin(in *input, offset int64) int64 { return int64(in.slot)<<originShift | offset }

const (
	originShift = 48      // offsets below 2^48, inputs of a worker below 2^14
	originDLQ   = 1 << 62 // what was appended is the record's dead letter
)

// findOrigin is the way back. It finds nothing for changelogOrigin.
func (w *worker) findOrigin(o int64) (in *input, offset int64, letter bool) {
	if o < 0 {
		return nil, 0, false
	}
	letter = o&originDLQ != 0
	slot, offset := int(o&^originDLQ>>originShift), o&(1<<originShift-1)
	for _, t := range w.tasks {
		for _, in := range t.inputs {
			if in.slot == slot {
				return in, offset, letter
			}
		}
	}
	return nil, 0, letter
}
