package state

import (
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/filelock"
)

// Info says what a database is.
type Info struct {
	TopicID       string
	Checkpoint    int64
	HasCheckpoint bool
}

// Dump reads a database without its type, and calls yield with every committed key and encoded value, in key order,
// until it returns false. The slices are valid during the call only. A nil yield asks for the Info alone.
//
// Nothing in the folder is changed. A process that has the database open makes it a *LockedError, and a damaged one is
// a *CorruptError.
func Dump(dir string, yield func(key, value []byte) bool) (Info, error) {
	d := &Database{dir: dir, checkpoint: -1, present: newPresent(0)}
	defer d.close()
	if err := d.openReadOnly(); err != nil {
		return Info{}, err
	}
	data, stamped, err := d.get(stampKey)
	if err != nil {
		return Info{}, err
	}
	if !stamped {
		return Info{}, d.mustBeEmpty()
	}
	have, err := d.parseStamp(data)
	if err != nil {
		return Info{}, err
	}
	if err := d.readCheckpoint(); err != nil {
		return Info{}, err
	}
	info := Info{TopicID: have.topicID, Checkpoint: max(d.checkpoint, 0), HasCheckpoint: d.checkpoint >= 0}
	if yield == nil {
		return info, nil
	}
	return info, d.Dump(yield)
}

// openReadOnly opens the database as a writer would, but keeps in memory what LevelDB writes in doing so. Its own
// read-only mode cannot read two journals, which a crash easily leaves.
func (d *Database) openReadOnly() error {
	if _, err := os.Stat(d.dir); err != nil {
		return fmt.Errorf("open a database: %w%s", err, remedy(err))
	}
	disk, err := filelock.Await(isHeldDatabase, func() (storage.Storage, error) { return storage.OpenFile(d.dir, true) })
	if err != nil {
		return d.lockedOr("open", err)
	}
	d.files = newFiles(newOverlay(disk), zap.NewNop())
	d.db, err = leveldb.Open(d.files, &opt.Options{
		ErrorIfMissing:         true,
		Strict:                 strictness,
		NoSync:                 true,
		DisableSeeksCompaction: true,
		CompactionL0Trigger:    math.MaxInt32,
		// 1 TiB a level: what LevelDB compacts, it would write into memory.
		CompactionTotalSize:                   1 << 30,
		CompactionTotalSizeMultiplierPerLevel: slices.Repeat([]float64{1 << 10}, 10),
		WriteL0SlowdownTrigger:                math.MaxInt32,
		WriteL0PauseTrigger:                   math.MaxInt32,
	})
	return d.classify("open", err)
}
