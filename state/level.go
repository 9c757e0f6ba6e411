package state

import (
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

// levelOptions are LevelDB's settings. They are for many keys that are written once in a while: a merge of SSTables costs CPU for each
// key in them, so there are few merges.
//
//   - The write buffer is as large as the share of the store allows: an SSTable at level 0 has what was written in some seconds.
//     There may be 8 of these before they are merged, and 24 before a write waits: a merge then ends before the next one is due.
//   - Bloom filters keep a Get of an existing key from reading each of them.
//   - Values are small. Compressing them takes longer than writing them.
//   - There is no cache of blocks: keys in use are in the store's cache, others are spread over all blocks, which the operating system
//     caches. The tables' indexes and filters are in memory with each open table, about 2 % of the database.
//   - A merge that reads alone have asked for is not worth its CPU.
func levelOptions(opts Options) *opt.Options {
	o := &opt.Options{
		WriteBuffer:                  int(min(max(opts.cacheBytes()/8, 128<<10), 8<<20)),
		CompactionL0Trigger:          8,
		WriteL0SlowdownTrigger:       24,
		WriteL0PauseTrigger:          32,
		CompactionTableSize:          8 << 20,
		CompactionTotalSize:          64 << 20,
		Filter:                       filter.NewBloomFilter(10),
		Compression:                  opt.NoCompression,
		DisableBlockCache:            true,
		DisableSeeksCompaction:       true,
		OpenFilesCacheCapacity:       64,
		Strict:                       strictness,
		NoWriteMerge:                 true,
		DisableLargeBatchTransaction: true,
	}
	if opts.tune != nil {
		opts.tune(o)
	}
	return o
}
