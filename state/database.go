package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/filelock"
	"github.com/weirstream/weir/internal/private"
)

const defaultCacheBytes = 16 << 20

// Database is the LevelDB behind a store, of values as bytes, with what this package keeps in it for itself. It is a
// keyed.Database.
type Database struct {
	dir        string
	opts       Options
	behind     *behind // nil for one that is only read
	present    *present
	next       *present     // what takes its place when it is complete, nil while nothing does
	deleted    atomic.Int64 // keys, since present began
	survey     survey
	gaps       gaps
	closed     bool
	key        []byte // scratch of Get and Restore
	files      *files
	db         *leveldb.DB
	lock       string    // the file that names this process, empty in tests without one
	checkpoint int64     // -1: none
	note       []byte    // beside the checkpoint, as found at opening
	asOf       time.Time // see AsOf
}

// Open opens the database of a store at one partition, and makes it when it is absent. A damaged one is set aside, and a new one
// takes its place: it has no checkpoint. Other errors are *TopicChangedError, *LockedError, *FormatError, and those of the file
// system with what to do about them.
func Open(opts Options) (*Database, error) {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	d, err := tryOpen(opts)
	var damage *CorruptError
	if !errors.As(err, &damage) {
		return d, err
	}
	opts.Log.Warn("a database is damaged, it is set aside and will be restored from the changelog", zap.Error(damage))
	if _, err := SetAside(opts.Dir, Damaged, opts.Log); err != nil {
		return nil, err
	}
	return tryOpen(opts)
}

func tryOpen(opts Options) (*Database, error) {
	d := &Database{dir: opts.Dir, opts: opts, checkpoint: -1, present: newPresent(opts.cacheBytes() / 64)}
	if err := d.open(opts); err != nil {
		d.close()
		return nil, err
	}
	d.behind = newBehind(d, gatheredBytes(opts))
	if !d.present.complete.Load() {
		d.survey.begin(d, d.present)
	}
	return d, nil
}

// Close writes what was committed, and releases the database and its lock. A store over it does that itself when it is closed.
// Closing twice is allowed.
func (d *Database) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	err := d.behind.close()
	if closeErr := d.close(); err == nil {
		err = closeErr
	}
	return err
}

func (d *Database) open(opts Options) error {
	open := opts.storage
	if open == nil {
		open = func(dir string) (storage.Storage, error) { return storage.OpenFile(dir, false) }
		if err := errors.Join(private.Folder(d.dir), private.Tighten(d.dir)); err != nil {
			return d.lockedOr("open", err)
		}
	}
	disk, err := filelock.Await(isHeldDatabase, func() (storage.Storage, error) { return open(d.dir) })
	if err != nil {
		return d.lockedOr("open", err)
	}
	d.files = newFiles(disk, opts.Log.With(zap.String("dir", d.dir)))
	if opts.storage == nil {
		d.files.dir = d.dir
		if err := private.Tighten(d.dir); err != nil { // what LevelDB has made by now
			return d.lockedOr("open", err)
		}
		d.lock = filepath.Join(d.dir, "LOCK")
		filelock.WritePID(d.lock)
	}
	if d.db, err = leveldb.Open(d.files, levelOptions(opts)); err != nil {
		return d.classify("open", err)
	}
	return d.readMeta(opts)
}

// strictness is everything but skipping damage: files lets through no damaged journal anyway.
const strictness = opt.StrictAll

func (o Options) cacheBytes() int64 {
	if o.CacheBytes <= 0 {
		return defaultCacheBytes
	}
	return o.CacheBytes
}

// readMeta checks the stamp, and writes it into a new database.
func (d *Database) readMeta(opts Options) error {
	data, stamped, err := d.get(stampKey)
	if err != nil {
		return err
	}
	if !stamped {
		if err := d.mustBeEmpty(); err != nil {
			return err
		}
		d.present.complete.Store(true)
		return d.writeStamp(opts.TopicID)
	}
	have, err := d.parseStamp(data)
	switch {
	case err != nil:
		return err
	case have.topicID == "" && opts.TopicID != "":
		if err := d.writeStamp(opts.TopicID); err != nil {
			return err
		}
	case opts.TopicID != "" && have.topicID != opts.TopicID:
		return &TopicChangedError{d.dir, have.topicID, opts.TopicID}
	}
	return d.readCheckpoint()
}

func (d *Database) parseStamp(data []byte) (stamp, error) {
	have, err := parseStamp(data)
	switch {
	case err != nil:
		return have, &CorruptError{d.dir, err}
	case have.format > format:
		return have, &FormatError{d.dir, have.format, format}
	}
	return have, nil
}

func (d *Database) readCheckpoint() error {
	data, ok, err := d.get(checkpointKey)
	if err != nil || !ok {
		return err
	}
	if d.checkpoint, err = parseCheckpoint(data); err != nil {
		d.checkpoint = -1
		return &CorruptError{d.dir, err}
	}
	if data, _, err = d.get(asOfKey); err != nil {
		return err
	}
	d.asOf = parseTime(data)
	data, _, err = d.get(noteKey)
	d.note = parseNote(data, d.checkpoint)
	return err
}

// mustBeEmpty refuses a database without a stamp that holds something: the stamp is the first thing ever written, so
// its beginning is lost, or it was never one of ours.
func (d *Database) mustBeEmpty() error {
	it := d.db.NewIterator(nil, nil)
	defer it.Release()
	if it.First() {
		return &CorruptError{d.dir, errors.New("it holds keys and no stamp")}
	}
	return d.classify("read", it.Error())
}

func (d *Database) writeStamp(topicID string) error {
	return d.classify("write to", d.db.Put(stampKey, stamp{format, topicID}.encode(), nil))
}

func (d *Database) get(key []byte) (value []byte, ok bool, err error) {
	value, err = d.db.Get(key, nil)
	if err == leveldb.ErrNotFound {
		return nil, false, nil
	}
	return value, err == nil, d.classify("read", err)
}

// write writes a batch with a checkpoint, as a whole or not at all.
func (d *Database) write(b *batch, checkpoint int64, note []byte, asOf time.Time) error {
	b.put(checkpointKey, encodeCheckpoint(checkpoint))
	if note != nil {
		b.put(noteKey, append(encodeCheckpoint(checkpoint), note...))
	}
	b.put(asOfKey, encodeTime(asOf))
	whole, err := b.load()
	if err != nil {
		return err
	}
	return d.classify("write to", d.db.Write(whole, nil))
}

func (d *Database) close() error {
	d.survey.end()
	d.present.free()
	if d.next != nil {
		d.next.free()
	}
	if d.files == nil {
		return nil
	}
	var err error
	if d.db != nil {
		err = d.db.Close()
	}
	if d.lock != "" {
		if f, err := private.Open(d.lock, os.O_WRONLY|os.O_TRUNC); err == nil {
			_ = f.Close()
		}
	}
	if closeErr := d.files.Close(); err == nil {
		err = closeErr
	}
	return d.classify("close", err)
}

// classify says what an error of LevelDB is.
func (d *Database) classify(op string, err error) error {
	if err == nil {
		return nil
	}
	if isCorrupt(err) {
		return &CorruptError{d.dir, err}
	}
	if cause := d.files.failed(); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (at first: %w)", err, cause)
	}
	return fmt.Errorf("%s the database in %s: %w%s", op, d.dir, err, remedy(err))
}

func (d *Database) lockedOr(op string, err error) error {
	if isHeldDatabase(err) {
		return &LockedError{d.dir, filelock.ReadPID(filepath.Join(d.dir, "LOCK"))}
	}
	return fmt.Errorf("%s the database in %s: %w%s", op, d.dir, err, remedy(err))
}

func isHeldDatabase(err error) bool {
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, storage.ErrLocked)
}
