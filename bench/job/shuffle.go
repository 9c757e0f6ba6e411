package job

import (
	"encoding/binary"
	"fmt"
)

// shuffled is the input of ShuffleBench's pipeline: records that one in five consumers want.
type shuffled struct{ records, consumers, size int }

func (s shuffled) Record(i int) (key, value []byte) {
	return fmt.Appendf(nil, "%016x", mix(uint64(i))), noise(i, s.size)
}

// Match is the consumer that a record goes to.
func Match(value []byte, consumers int) (consumer int, ok bool) {
	h := mix(binary.BigEndian.Uint64(value))
	return int(h >> 8 % uint64(consumers)), h%5 == 0
}

// Counted is a consumer's state, 32 bytes: how many records, the sum of their numbers, and 16 that are carried along.
type Counted [32]byte

// Add counts a record, and says whether it is a tenth one, which is told.
func (c *Counted) Add(value []byte) (tell bool) {
	n := binary.BigEndian.Uint64(c[:]) + 1
	binary.BigEndian.PutUint64(c[:], n)
	binary.BigEndian.PutUint64(c[8:], binary.BigEndian.Uint64(c[8:])+binary.BigEndian.Uint64(value))
	return n%10 == 0
}

// Check looks at all counts, and at the sums of consumers whose last record is told of. What other sums are depends on the order in which
// records of several partitions reach a consumer.
func (s shuffled) Check() Check {
	return &counts{shuffled: s, last: make([]tally, s.consumers)}
}

// tally is what a consumer tells.
type tally struct{ n, sum uint64 }

type counts struct {
	shuffled
	last []tally
}

func (c *counts) Add(key, value []byte) error {
	var consumer int
	if _, err := fmt.Sscanf(string(key), "consumer-%d", &consumer); err != nil || consumer < 0 || consumer >= c.consumers || len(value) != 32 {
		return fmt.Errorf("no output of the pipeline: key %q, %d bytes", key, len(value))
	}
	told := tally{binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])}
	if want := c.last[consumer].n + 10; told.n != want {
		return fmt.Errorf("consumer %d tells of %d records after %d", consumer, told.n, c.last[consumer].n)
	}
	c.last[consumer] = told
	return nil
}

func (c *counts) Done(bool) error {
	want := make([]tally, c.consumers)
	for i := range uint64(c.records) {
		if consumer, ok := Match(binary.BigEndian.AppendUint64(nil, i), c.consumers); ok {
			want[consumer].n++
			want[consumer].sum += i
		}
	}
	for i, told := range c.last {
		switch w := want[i]; {
		case told.n != w.n/10*10:
			return fmt.Errorf("consumer %d told of %d records, want %d", i, told.n, w.n/10*10)
		case told.n == w.n && told.sum != w.sum:
			return fmt.Errorf("consumer %d told of a sum of %d, want %d", i, told.sum, w.sum)
		}
	}
	return nil
}
