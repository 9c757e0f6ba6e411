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

// Check looks at counts, and at sums no further than to the consumer's last tenth: records of several partitions reach a
// consumer in any order, so only how many there are is the same for all engines.
func (s shuffled) Check() Check {
	return &counts{shuffled: s, last: make([]uint64, s.consumers)}
}

type counts struct {
	shuffled
	last []uint64
}

func (c *counts) Add(key, value []byte) error {
	var consumer int
	if _, err := fmt.Sscanf(string(key), "consumer-%d", &consumer); err != nil || consumer < 0 || consumer >= c.consumers || len(value) != 32 {
		return fmt.Errorf("no output of the pipeline: key %q, %d bytes", key, len(value))
	}
	n := binary.BigEndian.Uint64(value)
	if want := c.last[consumer] + 10; n != want {
		return fmt.Errorf("consumer %d tells of %d records after %d", consumer, n, c.last[consumer])
	}
	c.last[consumer] = n
	return nil
}

func (c *counts) Done(bool) error {
	want := make([]uint64, c.consumers)
	for i := range c.records {
		if consumer, ok := Match(binary.BigEndian.AppendUint64(nil, uint64(i)), c.consumers); ok {
			want[consumer]++
		}
	}
	for i, n := range c.last {
		if w := want[i] / 10 * 10; n != w {
			return fmt.Errorf("consumer %d told of %d records, want %d", i, n, w)
		}
	}
	return nil
}
