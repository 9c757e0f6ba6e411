//go:build integration

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/fault"
	"github.com/weirstream/weir/internal/keyed"
	"github.com/weirstream/weir/internal/oracle"
	"github.com/weirstream/weir/state"
)

func TestKillsAtRandomMoments(t *testing.T) {
	r := newRig(t, rigOptions{interval: 2 * time.Second})
	one, two := r.start(), r.start()
	r.warm()
	for n, victim := range []*instance{one, two, one} {
		r.strike(fmt.Sprintf("kill -9 of %s", victim.name), func() {
			time.Sleep(time.Duration(300+350*n) * time.Millisecond) // anywhere between two commits
			r.killInside(victim)
			victim.launch(t)
		})
	}
	r.settle()
}

func TestKillsAtEveryPointOfACommit(t *testing.T) {
	r := newRig(t, rigOptions{static: true})
	i := r.start()
	r.warm()
	for _, point := range []fault.Point{fault.BeforeFlush, fault.BeforeOffsets, fault.BeforeEnd, fault.AfterEnd} {
		r.strike("kill at "+string(point), func() {
			i.kill()
			i.launch(t, fmt.Sprintf("WEIR_FAULT_AT=%s:3", point))
			if !i.ended(drainBound) {
				t.Fatalf("%s did not come to %s:\n%s", i.name, point, i.tail(20))
			}
			r.noteOpen(i.id(r.names.Group))
			i.launch(t)
		})
	}
	r.settle()
}

func TestAKillDuringRestore(t *testing.T) {
	r := newRig(t, rigOptions{perSecond: 3000, static: true})
	i := r.start()
	r.flow(10_000)
	r.strike("kill at "+string(fault.DuringRestore), func() {
		i.kill()
		r.removeState(i)
		i.launch(t, "WEIR_FAULT_AT="+string(fault.DuringRestore))
		if !i.ended(drainBound) {
			t.Fatalf("%s did not come to a restore:\n%s", i.name, i.tail(20))
		}
		i.launch(t)
	})
	r.settle()
}

// A process that is stopped past its session timeout wakes up as a zombie: what it had begun must not become visible,
// and it must find its way back.
func TestAZombieIsFencedAndRecovers(t *testing.T) {
	r := newRig(t, rigOptions{})
	sleeper, heir := r.start(), r.start()
	r.warm()
	r.await("both members", func(p oracle.Progress) bool { return p.Members == 2 && p.Assignment != "" })
	r.strike("SIGSTOP past the session timeout", func() {
		sleeper.Signal(syscall.SIGSTOP)
		r.await("the group to go on without the sleeper", func(p oracle.Progress) bool { return p.Members == 1 && p.Assignment != "" })
		r.flowWithin(500, recoveryBound) // the heir works on what was the sleeper's
		sleeper.Signal(syscall.SIGCONT)
	})
	r.await("the sleeper to come back", func(p oracle.Progress) bool { return p.Members == 2 && p.Assignment != "" })
	if !sleeper.Running() || !heir.Running() {
		t.Fatalf("an instance has ended:\n%s\n%s", sleeper.tail(10), heir.tail(10))
	}
	r.settle()
}

func TestScalingUnderLoad(t *testing.T) {
	r := newRig(t, rigOptions{perSecond: 2000})
	r.start()
	r.warm()
	r.strike("scale from 1 to 4", func() {
		for range 3 {
			r.start()
		}
		r.await("four members", func(p oracle.Progress) bool { return p.Members == 4 && p.Assignment != "" })
	})
	r.flow(3000)
	r.strike("scale from 4 to 2", func() {
		for _, i := range r.instances[1:3] {
			if err := i.stop(); err != nil {
				t.Error(err)
			}
		}
		r.await("two members", func(p oracle.Progress) bool { return p.Members == 2 && p.Assignment != "" })
	})
	r.flow(3000)
	r.settle()
}

// State folders come and go; what they hold when an instance starts must not matter.
//
// Mutation tried: openStore does not compare a checkpoint with the end of the changelog.
func TestStateFoldersLostOldAndTorn(t *testing.T) {
	r := newRig(t, rigOptions{perSecond: 2000, interval: 300 * time.Millisecond, static: true})
	i := r.start()
	r.warm()
	old := filepath.Join(t.TempDir(), "old")
	r.strike("an older state folder is put back", func() {
		i.kill()
		if err := os.CopyFS(old, os.DirFS(i.dir)); err != nil {
			t.Fatal(err)
		}
		i.launch(t)
		r.flow(4000)
		i.kill()
		if err := os.RemoveAll(i.dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(i.dir, os.DirFS(old)); err != nil {
			t.Fatal(err)
		}
		i.launch(t)
	})
	r.flow(2000)
	r.strike("the state folder is deleted", func() {
		i.kill()
		r.removeState(i)
		i.launch(t)
	})
	r.flow(2000)
	r.awaitWithin(drainBound, "something in a log of LevelDB", func(oracle.Progress) bool { return r.logs(i) > 0 }) // stores are written every few seconds
	r.strike("LevelDB's log is torn", func() {
		i.kill()
		if n := r.tear(i, ".log", func(size int64) int64 { return size / 2 }); n == 0 {
			t.Error("no log was torn")
		}
		i.launch(t)
	})
	r.flow(2000)
	r.strike("checkpoints lie beyond the end of the changelog", func() {
		i.kill()
		r.advanceCheckpoints(i, 1_000_000)
		i.launch(t)
	})
	r.restoredFrom(i, make([]int64, r.opts.partitions))
	r.flow(2000)
	r.strike("an SSTable of LevelDB is cut and its manifest emptied", func() {
		i.kill()
		if n := r.tear(i, "", func(int64) int64 { return 0 }); n == 0 {
			t.Error("no manifest was emptied")
		}
		i.launch(t)
	})
	r.flow(2000)
	r.settle()
}

// The disk of the state folder is full: the instance must say so, lose nothing, and go on when there is room again.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	ballast := filepath.Join(dir, "ballast")
	full := func() { fill(t, ballast) }
	var env []string
	if err := mountSmall(t, dir); err != nil {
		t.Logf("a small tmpfs cannot be mounted (%v): the instance is told that its disk is full", err)
		env = []string{"WEIR_FAULT_DISK_FULL_WHILE=" + ballast}
		full = func() {
			if err := os.WriteFile(ballast, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	r := newRig(t, rigOptions{perSecond: 2000, interval: 300 * time.Millisecond})
	i := r.startIn(filepath.Join(dir, "state"), "instance 0", env...)
	r.warm()
	r.strike("the disk is full", func() {
		full()
		deadline := time.Now().Add(drainBound)
		for !i.logged("no space left") {
			if time.Now().After(deadline) {
				t.Fatalf("the instance does not say that its disk is full:\n%s", i.tail(20))
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if !i.Running() {
			i.launch(t, env...)
		}
	})
	r.flow(2000)
	r.settle()
}

// mountSmall mounts a disk of 3 MB for the time of the test, which takes root.
func mountSmall(t *testing.T, dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		return err
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return nil
}

func fill(t *testing.T, file string) {
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 16<<10); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
}

// removeState deletes a state folder's databases; the instance's id stays, as it does where an operator sets it.
func (r *rig) removeState(i *instance) {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Dir(state.StoreDir(i.dir, r.names.Group, r.names.Store, 0))); err != nil {
		r.t.Fatal(err)
	}
}

// advanceCheckpoints raises the checkpoints of an instance's stores, and leaves their values.
func (r *rig) advanceCheckpoints(i *instance, by int64) {
	r.t.Helper()
	for p := range r.opts.partitions {
		db, err := state.Open(state.Options{Dir: state.StoreDir(i.dir, r.names.Group, r.names.Store, int32(p))})
		if err != nil {
			r.t.Fatal(err)
		}
		store := keyed.Over(db, codecs.Bytes())
		at, _ := store.Checkpoint()
		if err := errors.Join(store.Restore(nil, at+by), store.Close()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// logs is how many bytes the logs of an instance's databases have.
func (r *rig) logs(i *instance) (bytes int64) {
	_ = filepath.WalkDir(filepath.Dir(state.StoreDir(i.dir, r.names.Group, r.names.Store, 0)), func(path string, _ fs.DirEntry, err error) error {
		if info, err := os.Stat(path); err == nil && strings.HasSuffix(path, ".log") {
			bytes += info.Size()
		}
		return nil // a file may be gone by now
	})
	return bytes
}

// tear cuts the files of an instance's databases that end in suffix, or the manifests, and says how many.
func (r *rig) tear(i *instance, suffix string, size func(int64) int64) (torn int) {
	r.t.Helper()
	err := filepath.WalkDir(filepath.Dir(state.StoreDir(i.dir, r.names.Group, r.names.Store, 0)), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if suffix == "" && !strings.HasPrefix(d.Name(), "MANIFEST") || suffix != "" && !strings.HasSuffix(d.Name(), suffix) {
			return nil
		}
		info, err := d.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		torn++
		return os.Truncate(path, size(info.Size()))
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return torn
}
