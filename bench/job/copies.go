package job

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// sum is a checksum of records in any order: their hashes are added.
type sum struct {
	n    int
	hash uint64
}

func (s *sum) add(key, value []byte) {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(key))))
	_, _ = d.Write(key)
	_, _ = d.Write(value)
	s.n, s.hash = s.n+1, s.hash+d.Sum64()
}

// unordered compares an output with records in any order, each of which must be there once, byte by byte.
type unordered struct {
	got  sum
	want func() sum
}

func (u *unordered) Add(key, value []byte) error { u.got.add(key, value); return nil }

// Done cannot tell a record that is there twice from one that is wrong. No run fails on purpose, so there may be neither.
func (u *unordered) Done(bool) error {
	var errs []error
	want := u.want()
	if u.got.n != want.n {
		errs = append(errs, fmt.Errorf("%d outputs, want %d", u.got.n, want.n))
	}
	if u.got.hash != want.hash {
		errs = append(errs, fmt.Errorf("the checksum of the outputs is %x, want %x", u.got.hash, want.hash))
	}
	return errors.Join(errs...)
}

// mix is the finaliser of splitmix64: the jobs in Java have the same one.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// noise is a value that begins with a number and does not compress.
func noise(i, size int) []byte {
	value := binary.BigEndian.AppendUint64(make([]byte, 0, size+8), uint64(i))
	for x := uint64(i) + 1; len(value) < size; {
		x += 0x9e3779b97f4a7c15
		value = binary.LittleEndian.AppendUint64(value, mix(x))
	}
	return value[:size]
}

type copies struct{ records, size int }

func (c copies) Record(i int) (key, value []byte) {
	return fmt.Appendf(nil, "key-%07d", i*stride%100_000), noise(i, c.size)
}

func (c copies) Check() Check {
	return &unordered{want: func() (s sum) {
		for i := range c.records {
			s.add(c.Record(i))
		}
		return s
	}}
}

// events are the ids in turn, until there are enough records: those after the first round are duplicates.
type events struct{ records, ids int }

func (e events) Record(i int) (key, value []byte) {
	id := i % e.ids
	return fmt.Appendf(nil, "%032x", mix(uint64(id)+1)), noise(id, 128)
}

func (e events) Check() Check {
	return &unordered{want: func() (s sum) {
		for i := range min(e.ids, e.records) {
			s.add(e.Record(i))
		}
		return s
	}}
}
