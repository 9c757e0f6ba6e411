package state

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/filelock"
)

// TestHelperHolds is no test: it is the other process of the tests below.
func TestHelperHolds(t *testing.T) {
	dir := os.Getenv("STATE_TEST_HOLD")
	if dir == "" {
		return
	}
	lock, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openStore(Options{Dir: StoreDir(dir, "topology", "store", 3)}, stringCodec{})
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("held\n")
	os.Stdin.Read(make([]byte, 1))
	s.Close()
	lock.Close()
}

// Seen to fail with: a lock file without flock, and one without the pid.
func TestSecondProcessIsToldWhoHoldsTheFolder(t *testing.T) {
	dir := t.TempDir()
	other, in := holder(t, dir)
	place := StoreDir(dir, "topology", "store", 3)
	_, lockErr := LockDir(dir)
	_, openErr := openStore(Options{Dir: place}, stringCodec{})
	_, dumpErr := Dump(place, nil)
	for what, c := range map[string]struct {
		err error
		dir string
	}{"lock": {lockErr, dir}, "open": {openErr, place}, "dump": {dumpErr, place}} {
		var locked *LockedError
		if !errors.As(c.err, &locked) || locked.Dir != c.dir || locked.PID != other.Process.Pid {
			t.Errorf("%s: %v, and the holder is %d", what, c.err, other.Process.Pid)
		}
	}
	if names := asides(t, place); len(names) > 0 {
		t.Errorf("a database in use was set aside: %v", names)
	}
	// Killed, it lets go of everything.
	other.Process.Kill()
	other.Wait()
	in.Close()
	lock, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	mustOpen(t, Options{Dir: place}).Close()
	_, err = LockDir(dir)
	if err == nil || !strings.Contains(err.Error(), "this process") {
		t.Errorf("the second lock in one process: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if lock, err = LockDir(dir); err != nil {
		t.Fatal(err)
	}
	lock.Close()
}

// holder starts a process that holds the folder and a database in it until its input is closed.
func holder(t *testing.T, dir string) (*exec.Cmd, io.Closer) {
	t.Helper()
	other := exec.Command(os.Args[0], "-test.run=^TestHelperHolds$")
	other.Env = append(os.Environ(), "STATE_TEST_HOLD="+dir)
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	return other, in
}

// The lock of a process that was killed may outlive it by a moment: whoever meets it waits.
//
// Mutation: one try only.
func TestALockThatIsLetGoInAMomentIsWaitedFor(t *testing.T) {
	pause := filelock.BetweenTries
	defer func() { filelock.BetweenTries = pause }()
	for what, take := range map[string]func(dir, place string) (io.Closer, error){
		"lock": func(dir, _ string) (io.Closer, error) { return LockDir(dir) },
		"open": func(_, place string) (io.Closer, error) { return openStore(Options{Dir: place}, stringCodec{}) },
		"dump": func(_, place string) (io.Closer, error) {
			_, err := Dump(place, nil)
			return io.NopCloser(nil), err
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			other, in := holder(t, dir)
			defer in.Close()
			waits := 0
			filelock.BetweenTries = func() {
				if waits++; waits == 2 {
					other.Process.Kill()
					other.Wait()
				}
				pause()
			}
			held, err := take(dir, StoreDir(dir, "topology", "store", 3))
			if err != nil || waits < 2 {
				t.Fatalf("after %d waits: %v", waits, err)
			}
			held.Close()
		})
	}
}

func TestFoldersThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(Options{Dir: file}, stringCodec{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("open a file: %v", err)
	}
	if _, err := LockDir(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("lock a file: %v", err)
	}
	if _, err := Dump(filepath.Join(dir, "absent"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("dump what is not there: %v", err)
	}
	if os.Getuid() == 0 {
		return // may read and write everything
	}
	shut := filepath.Join(dir, "shut")
	if err := os.Mkdir(shut, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(Options{Dir: shut}, stringCodec{}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "right") {
		t.Errorf("open a shut folder: %v", err)
	}
}

// Different names never share a folder, and none leads out of it. Seen to fail with: an element that keeps "..".
func TestNamesBecomeFolders(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"totals", "Totals", "a/b", "a%2Fb", "..", ".", "", "%", ".lock", ".instance-id", "a b", "ä", "a.b-c_d", `a\b`} {
		dir := StoreDir("state", "topology", name, 7)
		if other, taken := seen[dir]; taken {
			t.Errorf("%q and %q are both %s", name, other, dir)
		}
		seen[dir] = name
		parts := strings.Split(filepath.ToSlash(dir), "/")
		if len(parts) != 4 || parts[0] != "state" || parts[1] != "topology" || strings.HasPrefix(parts[2], ".") || parts[3] != "7" {
			t.Errorf("%q is in %s", name, dir)
		}
	}
	if got, want := TopologyDir("state", "customer-totals"), filepath.Join("state", "customer-totals"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Seen to fail with: an InstanceID that makes a new id when the file is damaged.
func TestInstanceIDIsMadeOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	first, err := InstanceID(dir)
	if err != nil || !validID(first) {
		t.Fatalf("%q %v", first, err)
	}
	if again, err := InstanceID(dir); again != first || err != nil {
		t.Fatalf("then %q, %v", again, err)
	}
	if other, err := InstanceID(t.TempDir()); other == first || err != nil {
		t.Fatalf("elsewhere %q, %v", other, err)
	}
	file := filepath.Join(dir, ".instance-id")
	for _, bad := range []string{"", "\n", "torn", "a b\n", "../x\n", first + "\n" + first + "\n", "\x00\n", strings.Repeat("x", 300) + "\n"} {
		if err := os.WriteFile(file, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if id, err := InstanceID(dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q gives %q, %v", bad, id, err)
		}
		if after, _ := os.ReadFile(file); string(after) != bad {
			t.Errorf("%q was overwritten with %q", bad, after)
		}
	}
	if err := os.WriteFile(file, []byte("given-by-hand.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if id, err := InstanceID(dir); id != "given-by-hand.1" || err != nil {
		t.Errorf("%q %v", id, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o755); err != nil {
		t.Fatal(err)
	}
	if id, err := InstanceID(dir); err == nil {
		t.Errorf("a folder gives %q", id)
	}
}
