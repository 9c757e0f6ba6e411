//go:build unix

package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/state"
)

// processKinds are done to the process and to its state folder.
var processKinds = []Kind{
	{
		Name: "SIGTERM and a start", Who: Operator,
		Done: "the process is asked to stop, and started again",
		Must: "exit code 0 within 5 s; it goes on",
		Try:  func(t *testing.T, w *world) { w.inst.stop(t); w.inst.launch(t) },
	},
	{
		Name: "kill -9", Who: Operator,
		Done: "the process is killed three times, a second after each start",
		Must: "it goes on where its last commit was",
		Try: func(t *testing.T, w *world) {
			for range 3 {
				w.inst.kill()
				w.inst.launch(t)
				pass(t, time.Second)
			}
		},
	},
	{
		Name: "SIGSTOP for longer than the session", Who: Operator,
		Done: "the process stands still for 10 s, its session takes 6 s",
		Must: "what it had begun is refused by the group and done again; it comes back by itself",
		Try: func(t *testing.T, w *world) {
			w.inst.Signal(syscall.SIGSTOP)
			pass(t, 10*time.Second)
			w.inst.Signal(syscall.SIGCONT)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "the state folder deleted while stopped", Who: Operator,
		Done: "the databases are deleted between a stop and a start",
		Must: "state is restored from the changelog",
		Try: func(t *testing.T, w *world) {
			w.inst.stop(t)
			if err := os.RemoveAll(filepath.Dir(state.StoreDir(w.inst.dir, names.Group, names.Store, 0))); err != nil {
				t.Fatal(err)
			}
			w.inst.launch(t)
		},
	},
	{
		Name: "an old state folder put back", Who: Operator,
		Done: "a copy of the state folder replaces it some thousand orders later",
		Must: "what the copy lacks is read from the changelog",
		Try: func(t *testing.T, w *world) {
			old := filepath.Join(w.dir, "old")
			w.inst.stop(t)
			if err := os.CopyFS(old, os.DirFS(w.inst.dir)); err != nil {
				t.Fatal(err)
			}
			w.inst.launch(t)
			w.more(t, 400)
			w.inst.kill()
			if err := os.RemoveAll(w.inst.dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(old, w.inst.dir); err != nil {
				t.Fatal(err)
			}
			w.inst.launch(t)
		},
	},
	{
		Name: "one state folder for two processes", Who: Operator,
		Done: "a second process is started in the state folder of the first",
		Must: "the second ends with exit code 1 and names the folder; the first goes on",
		Try: func(t *testing.T, w *world) {
			second := w.another(t, "squatter")
			second.launch(t, "state-dir", w.inst.dir)
			second.mustEnd(t, settleBound, 1, "used by another process|is locked|in use")
		},
	},
	{
		Name: "the address of HTTP taken", Who: Operator,
		Done: "a second process is started with the first one's --http",
		Must: "it ends with exit code 1 at once and names the address; the first goes on",
		Try: func(t *testing.T, w *world) {
			second := w.another(t, "listener")
			second.launch(t, "http", w.inst.addr)
			second.mustEnd(t, settleBound, 1, w.inst.addr+".*in use")
		},
	},
	{
		Name: "instances come and go", Who: Operator,
		Done: "a second and a third process join and are stopped, one of them is killed",
		Must: "partitions move and come back",
		Try: func(t *testing.T, w *world) {
			second, third := w.another(t, "second"), w.another(t, "third")
			second.launch(t)
			w.ready(t, second)
			third.launch(t)
			w.ready(t, third)
			w.more(t, 200)
			second.stop(t)
			third.kill()
			w.pid = 0 // some of the counts were theirs
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "absurd settings", Who: Operator,
		Done: "commit intervals of 0, -1s and 'soon'; 0 workers; a session shorter than the heartbeat; settings that do not exist; no broker",
		Must: "exit code 2 before anything is connected to; the error names the setting",
		Try: func(t *testing.T, w *world) {
			for _, c := range []struct{ name, value string }{
				{"commit-interval", "0"}, {"commit-interval", "-1s"}, {"commit-interval", "soon"}, {"workers", "0"},
				{"workers", "-3"}, {"session.timeout.ms", "500"}, {"guarantee", "perhaps_once"}, {"no-such-setting", "1"}, {"max.request.size", "1GB"},
				{"transaction.timeout.ms", "1"}, {"brokers", ":::"}, {"log-level", "loud"}, {"batch.size", "-1"},
			} {
				wrong := w.another(t, "absurd")
				wrong.launch(t, c.name, c.value)
				wrong.mustEnd(t, settleBound, 2, fmt.Sprintf("(?i)%s", regexpName(c.name)))
			}
		},
	},
}

// regexpName finds a setting's name in an error; that of a setting with an alias may be either.
func regexpName(name string) string {
	if name == "brokers" {
		return "brokers|bootstrap.servers"
	}
	return name
}

// another is a process besides the instance, ended with the kind.
func (w *world) another(t *testing.T, name string) *instance {
	t.Helper()
	i, err := w.newInstance(t, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.kill)
	return i
}

// ready waits until a process is ready.
func (w *world) ready(t *testing.T, i *instance) { t.Helper(); readyWithin(t, i, 2*settleBound) }
