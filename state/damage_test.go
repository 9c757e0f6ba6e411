package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// filled makes a database with several SSTables and a journal, closed.
func filled(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "db")
	fill(t, Options{Dir: dir, TopicID: "topic", tune: func(o *opt.Options) { o.WriteBuffer = 4 << 10 }})
	return dir
}

func fill(t *testing.T, opts Options) {
	t.Helper()
	s := mustOpen(t, opts)
	for i := range 200 {
		if err := commit(s, int64(i), fmt.Sprintf("key%d", i%40), strings.Repeat("x", 50+i), "a", "1"); err != nil {
			t.Fatal(err)
		}
		if err := s.behind.flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func filesLike(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no file %s in %s: %v", pattern, dir, err)
	}
	return names
}

func asides(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(dir + ".damaged-*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Seen to fail with: an Open that returns the damage, and a SetAside that deletes.
func TestDamagedDatabaseIsSetAsideKeptAndLogged(t *testing.T) {
	garbage := []byte(strings.Repeat("garbage", 100))
	for name, damage := range map[string]func(dir string) error{
		"CURRENT is garbage": func(dir string) error { return os.WriteFile(dir+"/CURRENT", garbage, 0o644) },
		"CURRENT is empty":   func(dir string) error { return os.WriteFile(dir+"/CURRENT", nil, 0o644) },
		"CURRENT is gone":    func(dir string) error { return os.Remove(dir + "/CURRENT") },
		"the manifest is garbage": func(dir string) error {
			return os.WriteFile(filesLike(t, dir, "MANIFEST-*")[0], garbage, 0o644)
		},
		"the manifest is empty": func(dir string) error { return os.Truncate(filesLike(t, dir, "MANIFEST-*")[0], 0) },
		"the manifest is gone":  func(dir string) error { return os.Remove(filesLike(t, dir, "MANIFEST-*")[0]) },
		"an sstable is gone":    func(dir string) error { return os.Remove(filesLike(t, dir, "*.ldb")[0]) },
		"it is another program's": func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			db, err := leveldb.OpenFile(dir, nil)
			if err != nil {
				return err
			}
			defer db.Close()
			return db.Put([]byte("key"), []byte("value"), nil)
		},
		"the stamp is garbage":      func(dir string) error { return put(dir, stampKey, nil) },
		"the checkpoint is garbage": func(dir string) error { return put(dir, checkpointKey, []byte("12345")) },
		"the checkpoint is negative": func(dir string) error {
			return put(dir, checkpointKey, []byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			core, logs := observer.New(zap.WarnLevel)
			s := mustOpen(t, Options{Dir: dir, TopicID: "topic", Log: zap.New(core)})
			if got := contents(t, s); got != "@-1" {
				t.Fatalf("the new database holds %s", got)
			}
			if kept := asides(t, dir); len(kept) != 1 || len(filesLike(t, kept[0], "*")) == 0 {
				t.Fatalf("set aside: %v", kept)
			}
			if logs.FilterMessageSnippet("damaged").Len() != 1 || logs.FilterMessageSnippet("aside").Len() == 0 {
				t.Fatalf("logged: %v", logs.All())
			}
			if err := commit(s, 1, "a", "1"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func put(dir string, key, value []byte) error {
	db, err := leveldb.OpenFile(dir, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Put(key, value, nil)
}

// Whatever byte of whatever file changes, the database says what was committed, or that it is damaged, and the program
// lives. Seen to fail with: LevelDB without strictness.
func TestAnyChangedByteIsNoticedOrHarmless(t *testing.T) {
	origin := newDisk()
	opts := Options{Dir: "db", TopicID: "topic", Log: zap.NewNop(), tune: func(o *opt.Options) { o.WriteBuffer = 4 << 10 }}
	opts.storage = origin.open
	fill(t, opts)
	history := map[int64]string{-1: "map[]"}
	values := map[string]string{}
	for i := range int64(200) {
		values[fmt.Sprintf("key%d", i%40)] = strings.Repeat("x", 50+int(i))
		values["a"] = "1"
		history[i] = fmt.Sprint(values)
	}
	for _, fd := range sorted(origin.files) {
		size := len(origin.files[fd].data)
		for at := 0; at < size; at++ {
			if step := max(size/100, 1); at%step != 0 && at < size-footerSize {
				continue
			}
			d := origin.killed()
			d.files[fd].data[at] ^= 0xff
			opts.storage = d.open
			db, err := tryOpen(opts)
			var damage *CorruptError
			if err == nil {
				got := map[string]string{}
				err = db.Dump(func(key, value []byte) bool { got[string(key)] = string(value); return true })
				if want := history[db.checkpoint]; err == nil && want != fmt.Sprint(got) {
					t.Fatalf("byte %d of %s: at checkpoint %d the database holds %v", at, fd, db.checkpoint, got)
				}
				db.close()
			}
			if err != nil && !errors.As(err, &damage) {
				t.Fatalf("byte %d of %s: %v", at, fd, err)
			}
		}
	}
}

// Seen to fail with: a manifest handed to LevelDB as it is.
func TestTornManifestIsNoDamage(t *testing.T) {
	dir := filled(t)
	s := mustOpen(t, Options{Dir: dir, TopicID: "topic"})
	want := contents(t, s)
	s.Close()
	f, err := os.OpenFile(filesLike(t, dir, "MANIFEST-*")[0], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The beginning of a record of 300 bytes.
	if _, err := f.WriteString("\x01\x02\x03\x04\x2c\x01\x01torn"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if got := contents(t, mustOpen(t, Options{Dir: dir, TopicID: "topic"})); got != want || len(asides(t, dir)) > 0 {
		t.Fatalf("the database holds %s, want %s; set aside: %v", got, want, asides(t, dir))
	}
}

// An instance has many databases: what the log says of one names it. Mutation: newFiles gets the log as it is.
func TestTornEndsAreLoggedWithTheirFolder(t *testing.T) {
	for pattern, says := range map[string]string{"MANIFEST-*": "the manifest of a database", "*.log": "the journal of a database"} {
		dir := filled(t)
		files := filesLike(t, dir, pattern)
		f, err := os.OpenFile(files[len(files)-1], os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString("\x01\x02\x03\x04\x2c\x01\x01torn"); err != nil {
			t.Fatal(err)
		}
		f.Close()
		core, logs := observer.New(zap.InfoLevel)
		mustOpen(t, Options{Dir: dir, TopicID: "topic", Log: zap.New(core)})
		if found := logs.FilterMessageSnippet(says).FilterField(zap.String("dir", dir)); found.Len() != 1 {
			t.Errorf("%s: logged %v", pattern, logs.All())
		}
	}
}

// Damage that shows only later is told apart, so that the engine can set the database aside while it runs. Seen to fail
// with: a fail that remembers nothing.
func TestDamageFoundLaterEndsTheStore(t *testing.T) {
	dir := filled(t)
	for name, use := range map[string]func(s *opened[string]) error{
		"get": func(s *opened[string]) error { _, _, err := s.Get("key9"); return err },
		"loop": func(s *opened[string]) (err error) {
			for range s.Prefix("key", func(failed error) { err = failed }) {
			}
			return err
		},
		"dump": func(s *opened[string]) error { return s.Dump(func(key, value []byte) bool { return true }) },
	} {
		t.Run(name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "db")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			// Nothing of what is read is to be in memory already, and no merge is to rewrite it.
			s := mustOpen(t, Options{Dir: copied, TopicID: "topic", tune: func(o *opt.Options) {
				o.DisableBlockCache, o.DisableSeeksCompaction = true, true
				o.CompactionL0Trigger, o.CompactionTotalSize = 1000, 1<<30
			}})
			for _, file := range filesLike(t, copied, "*.ldb") {
				info, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, make([]byte, info.Size()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := use(s)
			var damage *CorruptError
			if !errors.As(err, &damage) || damage.Dir != copied || s.Err() == nil || s.Set("a", "1") == nil {
				t.Fatalf("the use says %v, the store %v", err, s.Err())
			}
			s.Close()
			kept, err := SetAside(copied, Damaged, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(copied); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("the folder is still there: %v", err)
			}
			filesLike(t, kept, "*.ldb")
		})
	}
}

// LevelDB allocates what an SSTable's footer says, and nothing protects a footer. Seen to fail with: an openSSTable without
// checkFooter, where LevelDB panics.
func TestFooterThatAsksForTooMuchIsDamage(t *testing.T) {
	d := newDisk()
	opts := Options{Dir: "db", TopicID: "topic", Log: zap.NewNop(), storage: d.open}
	opts.tune = func(o *opt.Options) { o.WriteBuffer = 4 << 10 }
	fill(t, opts)
	for _, handle := range [][2]uint64{{0, 1 << 60}, {1 << 60, 1}, {1<<64 - 1, 1}, {0, 1 << 33}} {
		after := d.killed()
		for fd, f := range after.files {
			if fd.Type == storage.TypeTable {
				footer := binary.AppendUvarint(binary.AppendUvarint(nil, handle[0]), handle[1])
				footer = append(footer, make([]byte, footerSize-len(footer))...)
				copy(footer[footerSize-len(sstableMagic):], sstableMagic)
				copy(f.data[len(f.data)-footerSize:], footer)
			}
		}
		opts.storage = after.open
		_, err := tryOpen(opts)
		var damage *CorruptError
		if !errors.As(err, &damage) {
			t.Fatalf("%v: open says %v", handle, err)
		}
	}
}
