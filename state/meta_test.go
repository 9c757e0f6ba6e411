package state

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/syndtr/goleveldb/leveldb/storage"
	"go.uber.org/zap"

	"github.com/weirstream/weir/codecs"

	"github.com/weirstream/weir/internal/keyed"
)

func FuzzStamp(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0})
	f.Add([]byte("\x01topic"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseStamp(data)
		if err == nil && !bytes.Equal(s.encode(), data) {
			t.Fatalf("%x is read as %v", data, s)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeCheckpoint(0))
	f.Add(bytes.Repeat([]byte{0xff}, 8))
	f.Fuzz(func(t *testing.T, data []byte) {
		offset, err := parseCheckpoint(data)
		if err == nil && (offset < 0 || !bytes.Equal(encodeCheckpoint(offset), data)) {
			t.Fatalf("%x is read as %d", data, offset)
		}
	})
}

// A store tells from when its checkpoint is, so that one that is too old is not restored on. It is what was said of it, whenever it is written: a
// process may stand still between a commit and its write.
//
// Mutations, each seen to fail: write without the time; the time of the write, in End and in Restore.
func TestAStoreKnowsFromWhenItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		s := mustOpen(t, Options{Dir: "db", storage: d.open})
		if !s.AsOf().IsZero() {
			t.Errorf("a new store is from %v", s.AsOf())
		}
		for name, write := range map[string]func() error{
			"restore": func() error { return s.Restore([]keyed.Entry{{Key: []byte("a"), Value: []byte("1")}}, 7) },
			"commit": func() error {
				err := s.Set("a", "2")
				s.Keep()
				return errors.Join(err, s.Drain(func(_, _ []byte) error { return nil }), s.Commit(9))
			},
		} {
			for _, then := range []time.Time{{}, time.Now().Add(-time.Hour)} {
				s.SetAsOf(then)
				if then.IsZero() {
					then = time.Now()
				}
				if err := write(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // before it is written in the background
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				s = mustOpen(t, Options{Dir: "db", storage: d.open})
				if !s.AsOf().Equal(then) {
					t.Errorf("%s: from %v, want %v", name, s.AsOf(), then)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second) // LevelDB drains its buffer pool for a second
	})
}

// FuzzFiles gives a database any journal, manifest and SSTable: it may be refused, and never panics or hangs.
func FuzzFiles(f *testing.F) {
	d := newDisk()
	s, err := openStore(Options{Dir: "db", storage: d.open}, stringCodec{})
	if err != nil {
		f.Fatal(err)
	}
	s.Set("a", "1")
	s.Keep()
	s.Drain(func(key, value []byte) error { return nil })
	s.Commit(1)
	s.Close()
	for fd, file := range d.files {
		f.Add(byte(fd.Type), file.data)
	}
	f.Fuzz(func(t *testing.T, kind byte, data []byte) {
		after := d.killed()
		for fd, file := range after.files {
			if fd.Type == storage.FileType(kind) {
				file.data = data
			}
		}
		files := newFiles(after, zap.NewNop())
		for _, fd := range sorted(after.files) {
			if r, err := files.Open(fd); err == nil {
				r.Close()
			}
		}
		sst := &diskReader{bytes.NewReader(data), after, storage.FileDesc{}}
		_ = checkFooter(sst)
		lastSequence([][]byte{data})
	})
}

// A note is beside the checkpoint that it was given with, whichever way that was written, and no note of another one is
// taken for it.
//
// Mutations tried: the note left out of Restore, or of behind; parseNote without the checkpoint; a nil note written.
func TestANoteBelongsToItsCheckpoint(t *testing.T) {
	dir := t.TempDir()
	open := func() *opened[string] {
		s, err := openStore(Options{Dir: dir}, codecs.String())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	drain := func(s *opened[string]) { must(s.Drain(func(_, _ []byte) error { return nil })) }
	s := open()
	if s.Note() != nil {
		t.Errorf("a new database has the note %q", s.Note())
	}
	s.SetNote([]byte("restored"))
	s.SetAsOf(time.UnixMilli(5000))
	must(s.Restore([]keyed.Entry{{Key: []byte("a"), Value: []byte("1")}}, 7))
	for _, when := range []string{"after a restore", "opened again"} {
		if string(s.Note()) != "restored" || !s.AsOf().Equal(time.UnixMilli(5000)) {
			t.Errorf("%s: the note is %q, of %v", when, s.Note(), s.AsOf())
		}
		must(s.Close())
		s = open()
	}
	s.SetNote([]byte("committed"))
	must(s.Set("a", "2"))
	s.Keep()
	drain(s)
	must(s.Commit(9), s.Close())
	s = open()
	if string(s.Note()) != "committed" {
		t.Errorf("the note is %q", s.Note())
	}
	must(s.Restore(nil, 11), s.Close()) // by a program that knows no notes
	s = open()
	if at, _ := s.Checkpoint(); at != 11 || s.Note() != nil {
		t.Errorf("checkpoint %d has the note %q of another one", at, s.Note())
	}
	must(s.Close())
}
