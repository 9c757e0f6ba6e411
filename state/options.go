package state

import (
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"go.uber.org/zap"
)

// Options say where a store's database is and how it is kept.
type Options struct {
	// Dir is the folder of the database: one store at one partition. Made when absent.
	Dir string
	// TopicID is the id of the changelog topic behind the store. It is stamped into a new database; a database that
	// carries another id is refused with a *TopicChangedError. Empty: not checked.
	TopicID string
	// CacheBytes bounds the values kept in memory, a quarter of it decoded and the rest as bytes, committed ones only: uncommitted changes
	// stay until Commit or Reset, and Pending tells the caller when it is time. What else the store needs (committed changes that are not
	// written yet, LevelDB's buffers) is sized by it too, and is about as much again when the store is busy.
	// Default 16 MiB.
	CacheBytes int64
	// MaxRecordBytes bounds the key and encoded value of one Set together, so that the change is sure to fit into the
	// changelog: a larger one is an error of the Set. 0: no bound.
	MaxRecordBytes int
	// Missed is called for each value that is looked for in the files of the database, since it is in no memory; nil: nobody counts.
	Missed func()
	// Log defaults to none.
	Log *zap.Logger

	// For tests: files that fail, and settings of LevelDB under which things happen sooner.
	storage func(dir string) (storage.Storage, error)
	tune    func(*opt.Options)
}
