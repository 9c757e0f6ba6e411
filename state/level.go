package state

import (
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

// levelOptions are LevelDB's settings. They are for many keys that are written once in a while: a merge of SSTables costs CPU for each
// key in them, so there are few merges.
//
//   - An SSTable at level 0 is a write buffer, which is small. There may be 12 of these before they are merged, and 32 before a write
//     waits: a merge then ends before the next one is due.
//   - Bloom filters keep a Get of an existing key from reading each of them.
//   - Values are small. Compressing them takes longer than writing them.
//   - There is no cache of blocks: keys in use are in the store's cache, others are spread over all blocks, which the operating system
//     caches. The tables' indexes and filters are in memory with each open table, about 2 % of the database.
//   - There is no pool of buffers. It gives an open table, for its filter of some kilobytes, the buffer of a merge, which is as large as
//     an SSTable: with many tables that is most of the memory of a process.
//   - A merge that reads alone have asked for is not worth its CPU.
func levelOptions(opts Options) *opt.Options {
	o := &opt.Options{
		WriteBuffer:                  writeBuffer(opts),
		CompactionL0Trigger:          12,
		WriteL0SlowdownTrigger:       32,
		WriteL0PauseTrigger:          40,
		CompactionTableSize:          2 << 20,
		CompactionTotalSize:          64 << 20,
		Filter:                       filter.NewBloomFilter(10),
		Compression:                  opt.NoCompression,
		DisableBlockCache:            true,
		DisableBufferPool:            true,
		DisableSeeksCompaction:       true,
		OpenFilesCacheCapacity:       256,
		Strict:                       strictness,
		NoWriteMerge:                 true,
		DisableLargeBatchTransaction: true,
	}
	if opts.tune != nil {
		opts.tune(o)
	}
	return o
}

// writeBuffer is the size of LevelDB's buffer. There are two of them while one is written to an SSTable.
func writeBuffer(opts Options) int {
	return int(min(max(opts.cacheBytes()/16, 128<<10), 4<<20))
}

// gatheredBytes is how much is gathered before a write does not wait for the interval: enough that a key in use is written once an
// interval, and not with every few commits.
func gatheredBytes(opts Options) int { return writeBuffer(opts) * 3 / 2 }
