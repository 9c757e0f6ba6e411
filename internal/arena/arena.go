// Package arena hands out memory for encoded values from large chunks, so that a value costs no allocation of its own.
package arena

// Arena is used by one goroutine; its zero value is ready. What it handed out is never written to again, so it may be
// held by whoever needs it, such as a sink until it is acknowledged; a chunk lives as long as anything in it is held.
type Arena struct{ chunk []byte }

const (
	chunkSize = 64 << 10
	leastRest = 512 // less than this is not worth trying to encode into
)

// Tail is an empty slice to append to. Take must follow before the next Tail.
func (a *Arena) Tail() []byte {
	if cap(a.chunk)-len(a.chunk) < leastRest {
		a.chunk = make([]byte, 0, chunkSize)
	}
	return a.chunk[len(a.chunk):len(a.chunk):cap(a.chunk)]
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
	return append(make([]byte, 0, len(data)), data...)
}

// Copy puts a copy of s into the arena.
func (a *Arena) Copy(s string) []byte {
	return a.Take(append(a.Tail(), s...))
}
