package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
)

func dumped(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	info, err := Dump(dir, func(key, value []byte) bool {
		fmt.Fprintf(&b, " %s=%s", key, value)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s@%d(%v)%s", info.TopicID, info.Checkpoint, info.HasCheckpoint, b.String())
}

// tree is every file of a folder but locks and logs.
func tree(t *testing.T, dir string) (b strings.Builder) {
	t.Helper()
	for _, file := range filesLike(t, dir, "[0-9CM]*") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", filepath.Base(file), data)
	}
	return b
}

// Seen to fail with: LevelDB's read-only mode, which cannot read two journals, and a Dump without the overlay.
func TestDumpReadsWhatACrashLeftAndChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	d := newDisk()
	s := mustOpen(t, Options{Dir: "db", TopicID: "topic", storage: d.open, tune: func(o *opt.Options) { o.WriteBuffer = 300 }})
	if err := commit(s, 1, "a", "1", "gone", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.behind.flush(); err != nil {
		t.Fatal(err)
	}
	d.failWith(full(storage.TypeTable, errors.New("no sstables")))
	last := int64(0)
	for i := int64(2); i < 50; i++ {
		s.Delete("gone")
		if commit(s, i, "a", fmt.Sprint(i), "b", strings.Repeat("x", 60)) != nil || s.behind.flush() != nil {
			break
		}
		last = i
	}
	write(t, d.killed(), dir)
	if n := len(filesLike(t, dir, "*.log")); n != 2 {
		t.Fatalf("the test wants two journals, and has %d", n)
	}
	before := tree(t, dir)
	want := fmt.Sprintf("topic@%d(true) a=%d b=%s", last, last, strings.Repeat("x", 60))
	for range 2 {
		if got := dumped(t, dir); got != want {
			t.Fatalf("dumped %s, want %s", got, want)
		}
	}
	if after := tree(t, dir); after.String() != before.String() {
		t.Fatal("the files changed")
	}
	if got := contents(t, mustOpen(t, Options{Dir: dir, TopicID: "topic"})); "topic"+strings.Replace(got, " ", "(true) ", 1) != want {
		t.Fatalf("opened, it holds %s", got)
	}
}

// write puts the files of a disk into a folder.
func write(t *testing.T, d *disk, dir string) {
	t.Helper()
	to, err := storage.OpenFile(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for fd, f := range d.files {
		w, err := to.Create(fd)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	if err := to.SetMeta(d.meta); err != nil {
		t.Fatal(err)
	}
}

func TestDumpOfADamagedDatabaseSaysSoAndSetsNothingAside(t *testing.T) {
	dir := filled(t)
	if got := dumped(t, dir); !strings.HasPrefix(got, "topic@199(true) a=1 key0=xx") {
		t.Fatalf("dumped %s", got)
	}
	for _, file := range filesLike(t, dir, "*.ldb") {
		if err := os.Truncate(file, 10); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Dump(dir, func(key, value []byte) bool { return true })
	var damage *CorruptError
	if !errors.As(err, &damage) || len(asides(t, dir)) > 0 {
		t.Fatalf("dump says %v; set aside: %v", err, asides(t, dir))
	}
}

func TestDumpStopsWhenToldTo(t *testing.T) {
	n := 0
	if _, err := Dump(filled(t), func(key, value []byte) bool { n++; return n < 3 }); n != 3 || err != nil {
		t.Fatalf("%d calls, %v", n, err)
	}
}
