// Package offheap hands out memory that the garbage collector neither looks at nor counts.
//
// The collector lets the heap grow to about twice of what is in use before it runs. A cache that lives as long as the process makes it
// wait for twice the cache. Memory from here takes its size once, and a page of it only when it is first written to.
//
// It is for data without pointers, and has to be freed by its owner: nothing may refer to it afterwards. Where the system has no such
// memory, and for small pieces, it is memory of the heap.
package offheap

import "unsafe"

// Memory is a piece of memory; the zero value is none.
type Memory struct {
	bytes  []byte
	mapped bool
}

// leastMapped is from what size on a piece is worth pages of its own.
const leastMapped = 64 << 10

// Alloc returns n bytes of zeros.
func Alloc(n int) Memory {
	if n >= leastMapped {
		if b, ok := mapped(n); ok {
			return Memory{b, true}
		}
	}
	return Memory{bytes: make([]byte, n)}
}

// Words returns n words of zeros.
func Words(n int) (Memory, []uint64) {
	if n*8 < leastMapped {
		return Memory{}, make([]uint64, n) // aligned
	}
	m := Alloc(n * 8)
	return m, unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(m.bytes))), n)
}

// Bytes is the memory, until it is freed.
func (m Memory) Bytes() []byte { return m.bytes }

// Free gives the memory back. Of no memory it does nothing.
func (m *Memory) Free() {
	if m.mapped {
		unmap(m.bytes)
	}
	*m = Memory{}
}
