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

// Of what Reset took back nothing is allocated again, up to Keep chunks; what was handed out since then is not written to.
//
// Mutations: Reset forgets used; next forgets Keep; Take does not move the end of the chunk.
func TestWhatWasTakenBackIsHandedOutAgain(t *testing.T) {
	const size = 256
	a := Arena{Keep: 3}
	var held [][]byte
	fill := func(chunks int) {
		for n := range chunks * chunkSize / size {
			held = append(held, a.Take(append(a.Tail(), bytes.Repeat([]byte{byte(n)}, size)...)))
		}
	}
	intact := func() {
		t.Helper()
		for n, got := range held {
			if !bytes.Equal(got, bytes.Repeat([]byte{byte(n)}, size)) {
				t.Fatalf("value %d was written to", n)
			}
		}
	}
	for range 3 {
		fill(3)
		intact()
		held = held[:0]
		a.Reset()
	}
	value := bytes.Repeat([]byte("x"), size)
	if n := testing.AllocsPerRun(5, func() {
		for range 3 * chunkSize / size {
			a.Take(append(a.Tail(), value...))
		}
		a.Reset()
	}); n > 0 {
		t.Errorf("%v allocations for what was taken back", n)
	}
	fill(10)
	intact()
	a.Reset()
	if len(a.free) > a.Keep {
		t.Errorf("%d chunks are kept", len(a.free))
	}
}

// An arena takes as much memory as what it holds at a time, and little more, and takes no more of it after that.
//
// Mutations: each chunk of 64 KiB; each of 4 KiB.
func TestWhatHoldsLittleTakesLittle(t *testing.T) {
	a := Arena{Keep: 16}
	transaction := func() {
		for range 100 {
			a.Take(append(a.Tail(), "a value of some 60 bytes, of which a transaction has a hundred"...))
		}
		a.Reset()
	}
	for range 3 {
		transaction()
	}
	if n := cap(a.chunk); n > 16<<10 || len(a.free) > 0 {
		t.Errorf("a chunk of %d bytes and %d others for 6 KiB", n, len(a.free))
	}
	if n := testing.AllocsPerRun(5, transaction); n > 0 {
		t.Errorf("%v allocations for as much as before", n)
	}
}
