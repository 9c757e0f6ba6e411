package state

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
	"go.uber.org/zap"

	"github.com/weirstream/weir/codecs"

	"github.com/weirstream/weir/internal/keyed"
)

func mustOpen(t *testing.T, opts Options) *opened[string] {
	t.Helper()
	s, err := openStore(opts, stringCodec{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// opened is a store with what is under it.
type opened[T any] struct {
	*keyed.Store[T]
	db     *Database
	behind *behind
}

// openStore opens a database and puts a type over it.
func openStore[T any](opts Options, codec codecs.Codec[T]) (*opened[T], error) {
	db, err := Open(opts)
	if err != nil {
		return nil, err
	}
	return &opened[T]{keyed.Over(db, codec), db, db.behind}, nil
}

// commit sets the keys, drains and commits.
func commit(s *opened[string], checkpoint int64, values ...string) error {
	for i := 0; i < len(values); i += 2 {
		if err := s.Set(values[i], values[i+1]); err != nil {
			return err
		}
	}
	s.Keep()
	if err := s.Drain(func(key, value []byte) error { return nil }); err != nil {
		return err
	}
	return s.Commit(checkpoint)
}

func contents(t *testing.T, s keyed.Any) string {
	t.Helper()
	var b strings.Builder
	checkpoint, ok := s.Checkpoint()
	if !ok {
		checkpoint = -1
	}
	fmt.Fprintf(&b, "@%d", checkpoint)
	if err := s.Dump(func(key, value []byte) bool {
		fmt.Fprintf(&b, " %s=%s", key, value)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// full fails every write to the files of some types.
func full(types storage.FileType, err error) func(string, storage.FileDesc) error {
	return func(op string, fd storage.FileDesc) error {
		if (op == "write" || op == "create" || op == "sync") && fd.Type&types != 0 {
			return err
		}
		return nil
	}
}

// Seen to fail with: a write error that is not kept, and one without the remedy.
func TestFullDiskEndsTheStoreAndKeepsTheLastCommit(t *testing.T) {
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open})
	if err := commit(s, 1, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.behind.flush(); err != nil {
		t.Fatal(err)
	}
	d.failWith(full(storage.TypeJournal, syscall.ENOSPC))
	if err := commit(s, 2, "a", "2", "b", "2"); err != nil {
		t.Fatalf("the write is in the background, and commit said: %v", err)
	}
	_ = s.behind.flush()
	if err := s.Err(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the failure in the background is %v to the store", err)
	}
	err := commit(s, 3, "a", "3")
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free space") || !strings.Contains(err.Error(), "db") {
		t.Fatalf("a full disk is reported as: %v", err)
	}
	var damage *CorruptError
	if errors.As(err, &damage) {
		t.Fatalf("a full disk counts as damage: %v", err)
	}
	for what, again := range map[string]error{
		"set": s.Set("a", "4"), "delete": s.Delete("a"), "commit": s.Commit(4), "restore": s.Restore(nil, 4), "err": s.Err(),
	} {
		if !errors.Is(again, syscall.ENOSPC) {
			t.Errorf("%s after the failure: %v", what, again)
		}
	}
	if _, _, again := s.Get("a"); !errors.Is(again, syscall.ENOSPC) {
		t.Errorf("get after the failure: %v", again)
	}
	s.Close()
	d.failWith(nil)
	after := mustOpen(t, Options{Dir: "db", storage: d.open})
	if got, want := contents(t, after), "@1 a=1"; got != want {
		t.Fatalf("the database holds %s, want %s", got, want)
	}
}

// Seen to fail with: a files without note.
func TestFullDiskAtOpeningIsToldApart(t *testing.T) {
	for _, failing := range []string{"create", "write", "sync", "setmeta"} {
		t.Run(failing, func(t *testing.T) {
			d := newDisk()
			s := mustOpen(t, Options{Dir: "db", storage: d.open})
			if err := commit(s, 1, "a", "1"); err != nil {
				t.Fatal(err)
			}
			s.Close()
			d.failWith(func(op string, fd storage.FileDesc) error {
				if op == failing && fd.Type == storage.TypeManifest {
					return syscall.ENOSPC
				}
				return nil
			})
			_, err := openStore(Options{Dir: "db", storage: d.open}, stringCodec{})
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free space") {
				t.Fatalf("open says: %v", err)
			}
			d.failWith(nil)
			if got := contents(t, mustOpen(t, Options{Dir: "db", storage: d.open})); got != "@1 a=1" {
				t.Fatalf("the database holds %s", got)
			}
		})
	}
}

// A background merge of SSTables that finds no space must stop the store as well: LevelDB tries again for ever. Seen to
// fail with: a behind that does not keep the error.
func TestFailureInTheBackgroundReachesTheStore(t *testing.T) {
	for name, fault := range map[string]func(string, storage.FileDesc) error{
		"sstables full":     full(storage.TypeTable, syscall.ENOSPC),
		"manifest full":     full(storage.TypeManifest, syscall.ENOSPC),
		"no new journal":    full(storage.TypeJournal, syscall.ENOSPC),
		"everything failed": full(storage.TypeAll, syscall.ENOSPC),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk()
			s := mustOpen(t, Options{Dir: "db", storage: d.open, tune: func(o *opt.Options) {
				o.WriteBuffer = 500
				o.DisableCompactionBackoff = true
			}})
			want := ""
			var err error
			for i := int64(0); i < 200 && err == nil; i++ {
				if i == 20 {
					d.failWith(fault)
				}
				if err = commit(s, i, "a", fmt.Sprint(i), "b", strings.Repeat("b", 50)); err == nil {
					err = s.behind.flush()
				}
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("the failure shows as: %v", err)
			}
			s.Close()
			d.failWith(nil)
			after := mustOpen(t, Options{Dir: "db", storage: d.open})
			checkpoint, _ := after.Checkpoint()
			want = fmt.Sprintf("@%d a=%d b=%s", checkpoint, checkpoint, strings.Repeat("b", 50))
			if got := contents(t, after); checkpoint < 19 || got != want {
				t.Fatalf("the database holds %s, want %s", got, want)
			}
		})
	}
}

// Seen to fail with: an Open that takes every error for damage.
func TestUnreadableFilesAreAnErrorAndStay(t *testing.T) {
	for name, cause := range map[string]error{"denied": fs.ErrPermission, "disk failing": syscall.EIO} {
		for _, op := range []string{"open", "read", "create"} {
			t.Run(name+"/"+op, func(t *testing.T) {
				d := newDisk()
				s := mustOpen(t, Options{Dir: "db", storage: d.open})
				if err := commit(s, 1, "a", "1"); err != nil {
					t.Fatal(err)
				}
				s.Close()
				d.failWith(func(at string, fd storage.FileDesc) error {
					if at == op {
						return cause
					}
					return nil
				})
				_, err := openStore(Options{Dir: "db", storage: d.open}, stringCodec{})
				var damage *CorruptError
				if !errors.Is(err, cause) || errors.As(err, &damage) {
					t.Fatalf("open says: %v", err)
				}
				d.failWith(nil)
				if got, want := contents(t, mustOpen(t, Options{Dir: "db", storage: d.open})), "@1 a=1"; got != want {
					t.Fatalf("the database holds %s, want %s", got, want)
				}
			})
		}
	}
}

// journalAt returns the journal of a disk, and the sizes that it had after each of n commits.
func journalAt(t *testing.T, n, size int) (d *disk, fd storage.FileDesc, sizes []int) {
	d = newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open})
	find := func() *diskFile {
		for f := range d.files {
			if f.Type == storage.TypeJournal {
				fd = f
			}
		}
		return d.files[fd]
	}
	sizes = append(sizes, len(find().data))
	for i := 1; i <= n; i++ {
		if err := commit(s, int64(i), "a", fmt.Sprint(i), fmt.Sprintf("key%d", i), strings.Repeat("x", i*size)); err != nil {
			t.Fatal(err)
		}
		if err := s.behind.flush(); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(find().data))
	}
	return d.killed(), fd, sizes
}

// Wherever the journal is cut, the database is as after the last commit that is whole. Seen to fail with: LevelDB's
// strict reading of journals without files.Open, which refuses a torn end.
func TestTornJournalResumesFromAnEarlierCommit(t *testing.T) {
	whole, fd, sizes := journalAt(t, 5, 7)
	for cut := 0; cut <= len(whole.files[fd].data); cut++ {
		d := whole.killed()
		d.files[fd].data = d.files[fd].data[:cut]
		s := mustOpen(t, Options{Dir: "db", storage: d.open})
		want := int64(-1)
		for i := 1; i < len(sizes) && sizes[i] <= cut; i++ {
			want = int64(i)
		}
		checkIsCommit(t, s, want, 7, fmt.Sprintf("cut at %d", cut))
		s.Close()
	}
}

// Whatever byte of the journal changes, values and checkpoint still agree, and nothing after the damage counts. Seen to
// fail with: LevelDB's default reading of journals, which skips the damaged batch and takes the next one.
func TestDamagedJournalNeverMixesCommits(t *testing.T) {
	// The journal is several blocks long: LevelDB skips the rest of a damaged block, and goes on with the next.
	whole, fd, sizes := journalAt(t, 5, 7000)
	for at := 0; at < len(whole.files[fd].data); at += 499 {
		d := whole.killed()
		d.files[fd].data[at] ^= 1 << (at % 8)
		s := mustOpen(t, Options{Dir: "db", storage: d.open})
		want := int64(-1)
		for i := 1; i < len(sizes) && sizes[i] <= at; i++ {
			want = int64(i)
		}
		checkIsCommit(t, s, want, 7000, fmt.Sprintf("byte %d changed", at))
		s.Close()
	}
}

// checkIsCommit expects what journalAt had committed with a checkpoint, -1 for nothing.
func checkIsCommit(t *testing.T, s *opened[string], checkpoint int64, size int, what string) {
	t.Helper()
	want := fmt.Sprintf("@%d", checkpoint)
	if checkpoint > 0 {
		want += fmt.Sprintf(" a=%d", checkpoint)
	}
	for i := int64(1); i <= checkpoint; i++ {
		want += fmt.Sprintf(" key%d=%s", i, strings.Repeat("x", int(i)*size))
	}
	if got := contents(t, s); got != want {
		t.Fatalf("%s: the database holds %.200s, want %.200s", what, got, want)
	}
}

// Two journals after a crash: when the end of the first is lost, the second must not count. Seen to fail with: a
// readJournals that does not compare the numbers, within journals or with the SSTables.
func TestNothingCountsBehindALostEndOfAnEarlierJournal(t *testing.T) {
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open, tune: func(o *opt.Options) { o.WriteBuffer = 300 }})
	// SSTables cannot be written, so the first journal stays beside the second.
	d.failWith(full(storage.TypeTable, syscall.ENOSPC))
	var snapshot *disk
	for i := int64(1); i < 50; i++ {
		if commit(s, i, "a", fmt.Sprint(i), fmt.Sprintf("key%02d", i), strings.Repeat("x", 60)) != nil || s.behind.flush() != nil {
			break
		}
		snapshot = d.killed()
	}
	var journals []storage.FileDesc
	for _, fd := range sorted(snapshot.files) {
		if fd.Type == storage.TypeJournal {
			journals = append(journals, fd)
		}
	}
	if len(journals) != 2 || len(snapshot.files[journals[1]].data) == 0 {
		t.Fatalf("the test wants two journals in use, and has %v", journals)
	}
	first := snapshot.files[journals[0]].data
	for cut := range first {
		after := snapshot.killed()
		after.files[journals[0]].data = first[:cut]
		s := mustOpen(t, Options{Dir: "db", storage: after.open})
		checkpoint, ok := s.Checkpoint()
		want := "@-1"
		if ok {
			want = fmt.Sprintf("@%d a=%d", checkpoint, checkpoint)
		}
		for i := int64(1); i <= checkpoint; i++ {
			want += fmt.Sprintf(" key%02d=%s", i, strings.Repeat("x", 60))
		}
		if got := contents(t, s); got != want {
			t.Fatalf("cut at %d: the database holds %s, want %s", cut, got, want)
		}
		s.Close()
	} // With the first journal gone, nothing says how the second began.
	after := snapshot.killed()
	delete(after.files, journals[0])
	_, err := tryOpen(Options{Dir: "db", storage: after.open, Log: zap.NewNop()})
	var damage *CorruptError
	if !errors.As(err, &damage) {
		t.Fatalf("without the first journal open says: %v", err)
	}
}

// While a write is under way its changes are neither in the database for sure nor among those gathered since. Seen to
// fail with: a get that looks only at what is gathered.
func TestChangesAreSeenWhileTheirWriteIsUnderWay(t *testing.T) {
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open, CacheBytes: 1})
	reached, proceed := make(chan struct{}), make(chan struct{})
	held := false
	d.failWith(func(op string, fd storage.FileDesc) error {
		if op == "write" && fd.Type == storage.TypeJournal && !held {
			held = true
			d.mu.Unlock()
			close(reached)
			<-proceed
			d.mu.Lock()
		}
		return nil
	})
	if err := commit(s, 1, "a", "1", "b", "1"); err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() { written <- s.behind.flush() }()
	<-reached
	if err := commit(s, 2, "b", "2"); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"a": "1", "b": "2"} {
		if v, ok, err := s.Get(key); v != want || !ok || err != nil {
			t.Errorf("%s is %q %v %v, want %q", key, v, ok, err, want)
		}
	}
	close(proceed)
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if got := contents(t, s); got != "@2 a=1 b=2" {
		t.Fatalf("the database holds %s", got)
	}
}

// What a write leaves out is still what was committed: until the store is told of the failure, which comes with the next commit, it is read from there, and
// never the value before it from the database. The record that reads it is processed and committed meanwhile.
//
// Mutations, each seen to fail it: a write that forgets what it was for when it fails; one that waits for one that has failed.
func TestWhatAFailedWriteLeavesOutIsReadUntilTheEnd(t *testing.T) {
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", storage: d.open, CacheBytes: 1})
	if err := commit(s, 1, "a", "1", "b", "1", "c", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.behind.flush(); err != nil {
		t.Fatal(err)
	}
	d.failWith(full(storage.TypeJournal, syscall.ENOSPC))
	if err := commit(s, 2, "a", "2"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete("b"); err != nil {
		t.Fatal(err)
	}
	if err := commit(s, 3); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.behind.flush(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the write says %v", err)
		}
	}
	for key, want := range map[string]string{"a": "2", "b": "", "c": "1"} {
		if v, ok, err := s.Get(key); v != want || ok != (want != "") || err != nil {
			t.Errorf("%s is %q %v %v, want %q", key, v, ok, err, want)
		}
	}
	s.Close()
	d.failWith(nil)
	if got := contents(t, mustOpen(t, Options{Dir: "db", storage: d.open})); got != "@1 a=1 b=1 c=1" {
		t.Fatalf("the database holds %s", got)
	}
}
