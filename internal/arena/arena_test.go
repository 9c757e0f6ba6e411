package arena

import (
	"bytes"
	"testing"
)

// What was handed out is never written to again, whether it fitted into its chunk or outgrew it, and is never nil.
//
// Mutation seen to fail this test: Take without moving the end of the chunk.
func TestWhatWasHandedOutIsNeverWrittenToAgain(t *testing.T) {
	var a Arena
	var held [][]byte
	for i := range 2000 {
		value := bytes.Repeat([]byte{byte(i)}, i*7%3000)
		got := a.Take(append(a.Tail(), value...))
		if got == nil || cap(got) != len(got) {
			t.Fatalf("value %d: %d bytes with room for %d", i, len(got), cap(got))
		}
		held = append(held, got)
	}
	for i, got := range held {
		if !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, i*7%3000)) {
			t.Fatalf("value %d was written to", i)
		}
	}
}
