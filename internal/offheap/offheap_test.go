package offheap

import "testing"

// Memory is zeros at first, keeps what is written to it, and is nothing once it is freed, small or large.
//
// Mutations, each seen to fail: Alloc of one byte less; Free that leaves the slice.
func TestMemoryIsThereUntilItIsFreed(t *testing.T) {
	for _, n := range []int{0, 1, leastMapped - 1, leastMapped, leastMapped + 1, 3 << 20} {
		m := Alloc(n)
		b := m.Bytes()
		if len(b) != n {
			t.Fatalf("%d bytes of %d", len(b), n)
		}
		for i, have := range b {
			if have != 0 {
				t.Fatalf("of %d bytes, byte %d is %d", n, i, have)
			}
			b[i] = byte(i)
		}
		for i, have := range b {
			if have != byte(i) {
				t.Fatalf("of %d bytes, byte %d is %d", n, i, have)
			}
		}
		m.Free()
		m.Free()
		if m.Bytes() != nil {
			t.Fatalf("%d bytes are there after they were freed", n)
		}
	}
	for _, n := range []int{0, 1, leastMapped, 1 << 18} {
		m, words := Words(n)
		if len(words) != n {
			t.Fatalf("%d words of %d", len(words), n)
		}
		for i := range words {
			words[i]--
		}
		m.Free()
	}
}

// The heap does not grow by what is mapped.
//
// Mutation seen to fail: Alloc that never maps.
func TestLargeMemoryIsNotOfTheHeap(t *testing.T) {
	if _, ok := mapped(leastMapped); !ok {
		t.Log("this system has no memory outside of the heap")
		return
	}
	n := testing.AllocsPerRun(10, func() {
		m := Alloc(4 << 20)
		m.Free()
	})
	if n > 2 { // syscall.Mmap remembers each in a map
		t.Errorf("%v allocations", n)
	}
	m := Alloc(leastMapped)
	defer m.Free()
	if !m.mapped {
		t.Error("it is of the heap")
	}
}
