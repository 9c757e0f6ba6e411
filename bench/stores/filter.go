//go:build unix

package main

import (
	"sync/atomic"

	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/offheap"
)

// filter answers, as that of package state does, that a key is absent or may be there: 16 bits for each of so many keys as there will be, in
// blocks of 256 bits.
type filter struct {
	complete atomic.Bool
	memory   offheap.Memory
	words    []uint64
}

func newFilter(keys int) *filter {
	memory, words := offheap.Words(max(keys/4, 4) &^ 3)
	return &filter{memory: memory, words: words}
}

// bits calls yield with the eight bits of a key, two in each word of its block, until it returns false.
func (f *filter) bits(hash uint64, yield func(word *uint64, bit uint64) bool) {
	block := f.words[(hash>>40)*uint64(len(f.words)/4)>>24*4:]
	for i := range 8 {
		if !yield(&block[i/2], 1<<(hash>>(5*i)&31+uint64(i%2)*32)) {
			return
		}
	}
}

func (f *filter) add(hash uint64) {
	f.bits(hash, func(word *uint64, bit uint64) bool {
		atomic.OrUint64(word, bit)
		return true
	})
}

func (f *filter) absent(key string) bool {
	if !f.complete.Load() {
		return false
	}
	there := true
	f.bits(keyed.Hash(key), func(word *uint64, bit uint64) bool {
		there = atomic.LoadUint64(word)&bit != 0
		return there
	})
	return !there
}
