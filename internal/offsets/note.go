package offsets

import "encoding/binary"

// Note is what the engine keeps with the checkpoint of a store.
type Note struct {
	Epoch     int32  // leader epoch of the changelog record before the checkpoint, -1 when it is not known
	Positions []byte // encoded, nil where the changelog has none yet
}

// Encode is the note as bytes.
func (n Note) Encode() []byte {
	return append(binary.BigEndian.AppendUint32([]byte{1}, uint32(n.Epoch)), n.Positions...)
}

// ParseNote reads what Encode has written. Of what it does not know it knows nothing: the note of a newer program, or none.
func ParseNote(data []byte) Note {
	if len(data) < 5 || data[0] != 1 {
		return Note{Epoch: -1}
	}
	n := Note{Epoch: int32(binary.BigEndian.Uint32(data[1:]))}
	if len(data) > 5 {
		n.Positions = data[5:]
	}
	return n
}
