package framing

import (
	"bytes"
	"testing"
)

// What stands before any value is read or is an error, and is written again as it was; the indexes of a message too.
//
// Mutation seen to fail it: AppendID with the lowest byte first.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x07\x04\x02\x00x"), []byte(nil))
	f.Add([]byte("x"), append([]byte{1}, make([]byte, 16)...))
	f.Add([]byte("\x00\xff\xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), []byte{1})
	f.Fuzz(func(t *testing.T, value, header []byte) {
		frame, rest, inHeader, err := Read(value, header)
		if err != nil {
			return
		}
		var again []byte
		if frame.GUID != "" {
			if again, err = Header(frame.GUID); err != nil {
				t.Fatal(err)
			}
		} else {
			again = AppendID(nil, frame.ID)
		}
		from := value
		if inHeader {
			from = header
		}
		if !bytes.Equal(append(again, rest...), from) {
			t.Fatalf("%x is %+v, and that is written as %x", from, frame, again)
		}
		indexes, after, err := Indexes(rest)
		if err != nil {
			return
		}
		if len(indexes) > maxIndexes || len(after) > len(rest) {
			t.Fatalf("%d indexes, %d bytes of %d", len(indexes), len(after), len(rest))
		}
		same, left, err := Indexes(AppendIndexes(nil, indexes))
		if err != nil || len(left) > 0 || len(same) != len(indexes) {
			t.Fatalf("%v are written, and %v are read, %v", indexes, same, err)
		}
	})
}
