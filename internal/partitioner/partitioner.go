// Package partitioner says which partition of a topic a key belongs to.
package partitioner

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
)

// Partitioner says which partition a key belongs to. Everything that writes a stream or a table must use the same one:
// with two of them the records of a key, and so its state, are spread over two partitions without any error.
//
// A record without a key belongs to no partition, and what to do with it is up to the caller: Java's producer and
// sarama both spread such records. Partition takes a nil key for an empty one.
type Partitioner struct {
	name string
	hash func(key []byte, n int32) int32
}

var (
	// Murmur2 is what Java's producer does by default, and Kafka Streams, Connect and ksqlDB with it.
	Murmur2 = Partitioner{"murmur2", murmur2Partition}
	// FNV1a is what goka does, and sarama's producer by default.
	FNV1a = Partitioner{"fnv1a", fnv1aPartition}
)

// Parse returns the partitioner of that name. The empty name is Murmur2's.
func Parse(name string) (Partitioner, error) {
	switch name {
	case "", Murmur2.name:
		return Murmur2, nil
	case FNV1a.name:
		return FNV1a, nil
	}
	return Partitioner{}, fmt.Errorf("unknown partitioner %q: want %s or %s", name, Murmur2, FNV1a)
}

func (p Partitioner) String() string { return p.name }

// Partition returns the partition of key among n, which must be positive.
func (p Partitioner) Partition(key []byte, n int32) int32 { return p.hash(key, n) }

func murmur2Partition(key []byte, n int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % n
}

// murmur2 is MurmurHash2 for 32 bits with the seed that Kafka's Java client has fixed.
func murmur2(data []byte) uint32 {
	const m = 0x5bd1e995
	h := 0x9747b28c ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * m
		h = h*m ^ (k^k>>24)*m
	}
	if len(data) > 0 {
		var tail uint32
		for i, b := range data {
			tail |= uint32(b) << (8 * i)
		}
		h = (h ^ tail) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

func fnv1aPartition(key []byte, n int32) int32 {
	h := fnv.New32a()
	_, _ = h.Write(key)
	// The remainder of a negative number is negative, and its sign is dropped after the division: goka's views drop it
	// before, which is the same but for one hash of four billion, where theirs overflows.
	p := int32(h.Sum32()) % n
	if p < 0 {
		p = -p
	}
	return p
}
