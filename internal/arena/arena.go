// Package arena hands out memory for encoded values from large chunks, so that a value costs no allocation of its own.
package arena

// Arena is used by one goroutine; its zero value is ready. What it handed out is not written to before Reset, so it may be
// held by whoever needs it until then; a chunk lives as long as anything in it is held.
//
// Each chunk is twice as large as the one before, up to 64 KiB, and Reset leaves a smaller one to the collector as soon as there is a larger one: with hundreds of
// arenas, of which each holds little at a time, chunks of one size would be most of what they take.
type Arena struct {
	// Keep is how many chunks Reset takes back at most, besides the one in work.
	Keep int

	chunk      []byte
	used, free [][]byte // chunks of chunkSize
}

const (
	chunkSize  = 64 << 10
	firstChunk = leastFit
	leastRest  = 512     // less than this is not worth trying to encode into
	leastFit   = 4 << 10 // what is no longer than this does not get memory of its own
)

// Tail is an empty slice to append to. Take must follow before the next Tail.
func (a *Arena) Tail() []byte {
	if cap(a.chunk)-len(a.chunk) < leastRest {
		a.next()
	}
	return a.chunk[len(a.chunk):len(a.chunk):cap(a.chunk)]
}

// next begins another chunk.
func (a *Arena) next() {
	if cap(a.chunk) == chunkSize && len(a.used) < a.Keep {
		a.used = append(a.used, a.chunk)
	}
	if n := len(a.free); n > 0 {
		a.chunk, a.free = a.free[n-1][:0], a.free[:n-1]
		return
	}
	a.chunk = make([]byte, 0, min(max(2*cap(a.chunk), firstChunk), chunkSize))
}

// Reset says that nobody holds anything any more that was handed out: its memory is handed out again.
func (a *Arena) Reset() {
	a.chunk = a.chunk[:0]
	a.free = append(a.free, a.used...)
	a.used = a.used[:0]
}

// Take fixes what was appended to Tail. The result is never nil.
func (a *Arena) Take(data []byte) []byte {
	n := len(a.chunk)
	if rest := cap(a.chunk) - n; len(data) <= rest {
		grown := a.chunk[:n+len(data)]
		if len(data) == 0 {
			return grown[n:n:n]
		}
		if &grown[n] == &data[0] {
			a.chunk = grown
			return data[:len(data):len(data)]
		}
	}
	// It did not fit and append moved it. append leaves room after it that would never be used.
	if len(data) <= leastFit {
		a.next() // or all that come after it would not fit either
		a.chunk = append(a.chunk, data...)
		return a.chunk[:len(data):len(data)]
	}
	return append(make([]byte, 0, len(data)), data...)
}

// Copy puts a copy of s into the arena.
func (a *Arena) Copy(s string) []byte {
	return a.Take(append(a.Tail(), s...))
}
