//go:build unix

package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/integration/internal/proxy"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/state"
)

// fileKinds meddle with files, limits, doors and the first steps of a process.
var fileKinds = []Kind{
	{
		Name: "SIGHUP", Who: Operator,
		Done: "the terminal goes away",
		Must: "a clean stop with exit code 0; it goes on when it is started again",
		Try: func(t *testing.T, w *world) {
			w.inst.Signal(syscall.SIGHUP)
			w.inst.mustEnd(t, stopBound, 0, "stopped")
			w.inst.launch(t)
		},
	},
	{
		Name: "a state folder that cannot be written", Who: Operator,
		Done:   "for 5 s the databases belong to somebody else, whose files the process may read only",
		Must:   "the log or /healthz says so, with the folder; nothing is lost; it goes on, at the latest after a start",
		Try:    func(t *testing.T, w *world) { w.readOnly(t) },
		Within: 3 * time.Minute,
	},
	{
		Name: "128 file descriptors and 200 idle scrapes", Who: Operator,
		Done: "ulimit -n 128; 200 connections to the metrics that ask nothing, and 50 that send their request byte by byte",
		Must: "records flow, /healthz answers; the connections are closed by the instance",
		Try: func(t *testing.T, w *world) {
			w.inst.stop(t)
			w.inst.wrapper = []string{"/bin/sh", "-c", `ulimit -n 128; exec "$@"`, "sh"}
			w.inst.launch(t)
			w.ready(t, w.inst)
			var idle []net.Conn
			defer func() {
				for _, c := range idle {
					_ = c.Close()
				}
			}()
			for n := range 250 {
				c, err := net.DialTimeout("tcp", w.inst.addr, 2*time.Second)
				if err != nil {
					continue // refused is as good
				}
				idle = append(idle, c)
				if n >= 200 {
					_, _ = c.Write([]byte("GET /metrics HTTP/1.1\r\nHost: x"))
				}
			}
			w.more(t, 400)
			w.caughtUp(t, settleBound)
			eventually(t, 3*time.Minute, "/healthz to answer", func(context.Context) (bool, string) {
				_, _, err := w.inst.health()
				return err == nil, fmt.Sprint(err)
			})
			for _, c := range idle {
				_ = c.Close()
			}
			w.inst.wrapper = nil
			w.inst.stop(t)
			w.inst.launch(t)
		},
	},
	{
		Name: "a wrong password", Who: Operator,
		Done: "a process with a password that the broker does not take",
		Must: "exit code 1 at once, with the broker's words",
		Try: func(t *testing.T, w *world) {
			file := filepath.Join(w.dir, "wrong-password")
			if err := os.WriteFile(file, []byte("battery-staple"), 0o600); err != nil {
				t.Fatal(err)
			}
			wrong := w.another(t, "wrong")
			wrong.launch(t, "sasl.password.file", file)
			wrong.mustEnd(t, settleBound, 1, "(?i)SASL.*(authentication|credentials)")
		},
	},
	{
		Name: "symlinks in the state folder", Who: Operator,
		Done: "the names of the lock and of the new instance id are symlinks to a file of somebody else's",
		Must: "the file keeps its content; folders are 0700, files 0600",
		Try: func(t *testing.T, w *world) {
			victim := filepath.Join(w.dir, "victim")
			if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
				t.Fatal(err)
			}
			trapped := w.another(t, "trapped")
			folder := state.TopologyDir(trapped.dir, names.Group)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{".lock", ".instance-id.new", ".instance-id"} {
				if err := os.Symlink(victim, filepath.Join(folder, name)); err != nil {
					t.Fatal(err)
				}
			}
			trapped.launch(t, "group.instance.id", "")
			if trapped.Ended(5*time.Second) && trapped.Code == 0 {
				t.Errorf("exit code 0:\n%s", trapped.tail(4))
			}
			if content, err := os.ReadFile(victim); string(content) != "precious" {
				t.Errorf("the file holds %q (%v)", content, err)
			}
			trapped.kill()
			fresh := w.another(t, "fresh")
			fresh.launch(t)
			w.ready(t, fresh)
			err := filepath.WalkDir(fresh.dir, func(path string, d os.DirEntry, err error) error {
				if err != nil {
					return nil // gone meanwhile
				}
				if info, err := d.Info(); err == nil && info.Mode().Perm()&0o077 != 0 {
					t.Errorf("%s has mode %s", strings.TrimPrefix(path, w.dir), info.Mode())
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			fresh.stop(t)
			w.pid = 0 // some of the counts were its
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "dead and silent bootstrap addresses", Who: Operator,
		Done: "--brokers names an address that refuses, one that takes connections and says nothing, and the broker's; patience is a minute each",
		Must: "ready long before a minute has passed",
		Try: func(t *testing.T, w *world) {
			silent, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			refusing := kafkatest.FreeAddress(t)
			w.inst.stop(t)
			w.inst.launch(t, "brokers", silent.Addr().String()+","+refusing+","+w.proxy.Addr(), "request.timeout.ms", "60s", "socket.connection.setup.timeout.ms", "60s",
				"delivery.timeout.ms", "120s")
			readyWithin(t, w.inst, 45*time.Second)
			w.inst.stop(t)
			w.inst.launch(t)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "the changelog set to delete", Who: Operator,
		Done: "cleanup.policy=delete on the changelog, then a start",
		Must: "exit code 3; set to compact, it goes on",
		Try: func(t *testing.T, w *world) {
			w.inst.stop(t)
			w.configure(t, names.Changelog, "cleanup.policy", "delete")
			w.inst.launch(t)
			w.inst.mustEnd(t, settleBound, 3, "cleanup.policy")
			w.configure(t, names.Changelog, "cleanup.policy", "compact")
			w.inst.launch(t)
		},
	},
	{
		Name: "a replication factor that the cluster has not", Who: Operator,
		Done: "the dead-letter topic is missing, and a start with --create-topics --replication-factor 3 on one broker",
		Must: "an error that names it, and nothing is made; without the flag it goes on",
		Try: func(t *testing.T, w *world) {
			w.feed.Pause()
			w.caughtUp(t, settleBound)
			w.account(t)
			w.inst.stop(t)
			if _, err := w.admin.DeleteTopics(t.Context(), names.DeadLetter); err != nil {
				t.Fatal(err)
			}
			w.inst.launch(t, "create-topics", "true", "replication-factor", "3")
			if code := w.inst.codeOf(t, settleBound); code == 0 || !strings.Contains(w.inst.lifeLog(), "eplication") {
				t.Errorf("exit code %d:\n%s", code, w.inst.tail(4))
			}
			if listed, err := w.admin.ListTopics(kafkatest.Uncached(t.Context())); err != nil || listed.Has(names.DeadLetter) {
				t.Errorf("%s is there (%v)", names.DeadLetter, err)
			}
			w.inst.launch(t, "create-topics", "true")
			if err := w.awaitTopics(t.Context(), names.DeadLetter); err != nil {
				t.Fatal(err)
			}
			w.letters.close()
			var err error
			if w.letters, err = newTail(w.cluster.Addrs(), names.DeadLetter); err != nil {
				t.Fatal(err)
			}
			w.feed.Resume()
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "a deleted changelog and --create-topics", Who: Operator,
		Done: "the changelog is deleted while the instance is stopped; starts without and with --create-topics, then with --accept-empty-state",
		Must: "exit code 3 both times, with the way out; with the word for it state begins empty, and the log says so",
		Try: func(t *testing.T, w *world) {
			w.feed.Pause()
			w.caughtUp(t, settleBound)
			w.account(t)
			w.inst.stop(t)
			if _, err := w.admin.DeleteTopics(t.Context(), names.Changelog); err != nil {
				t.Fatal(err)
			}
			for _, create := range []string{"", "true"} {
				w.inst.launch(t, "create-topics", create)
				w.inst.mustEnd(t, settleBound, 3, "accept-empty-state")
			}
			w.inst.launch(t, "create-topics", "true", "accept-empty-state", "true")
			w.inst.logged(t, w.inst.life, settleBound, "(?i)empty")
			if err := w.awaitTopics(t.Context(), names.Changelog); err != nil {
				t.Fatal(err)
			}
			w.ledger.emptyState()
			for p := range w.held {
				clear(w.held[p])
			}
			w.changelog.close()
			var err error
			if w.changelog, err = newTail(w.cluster.Addrs(), names.Changelog); err != nil {
				t.Fatal(err)
			}
			w.feed.Resume()
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "config files that are not what they seem", Who: Operator,
		Done: "anchors, aliases that double nine times, 200 KB of brackets, tags, a key twice, control characters, a list for a number, a file of zeros",
		Must: "exit code 2 at once, with the place in the file, or the value that is meant; little memory",
		Try: func(t *testing.T, w *world) {
			laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
			for n := 'b'; n < 'k'; n++ {
				laughs += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", n, n, n-1, n-1, n-1, n-1, n-1, n-1, n-1, n-1, n-1)
			}
			for name, content := range map[string]string{
				"aliases": laughs, "brackets": "workers: " + strings.Repeat("[", 200_000), "braces": strings.Repeat("{a: ", 50_000),
				"unknown alias": "client.id: *nowhere\n", "twice": "workers: 1\nworkers: 2\n", "list": "workers: [1, 2]\n", "zeros": strings.Repeat("\x00", 1<<20),
				"tag": "workers: !!binary aGVsbG8=\n", "escape": "client.id: \"\x1b[2J\"\n", "text": "just text\n", "two": "workers: 1\n---\nworkers: 2\n", "merge": "<<: {workers: x}\n",
			} {
				file := filepath.Join(w.dir, "hostile.yaml")
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				wrong := w.another(t, "yaml")
				wrong.wrapper = []string{"/bin/sh", "-c", `ulimit -v 3000000; exec "$@"`, "sh"} // KB of addresses, of which Go takes half at once
				wrong.launch(t, "config", file)
				if !wrong.Ended(settleBound) || wrong.Code != 2 || !strings.Contains(wrong.lifeLog(), "totals: ") || strings.Contains(wrong.lifeLog(), "fatal error") {
					t.Errorf("%s: exit code %d:\n%s", name, wrong.Code, wrong.tail(4))
				}
			}
		},
	},
	{
		Name: "a password file that others can write", Who: Operator,
		Done: "mode 0666 on the file of sasl.password.file; then 0644, as Kubernetes mounts it",
		Must: "refused with exit code 2 and the mode that helps; 0644 is warned of",
		Try: func(t *testing.T, w *world) {
			file := filepath.Join(w.dir, "open-password")
			if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(file, 0o666); err != nil {
				t.Fatal(err)
			}
			wrong := w.another(t, "open")
			wrong.launch(t, "sasl.password.file", file)
			wrong.mustEnd(t, settleBound, 2, "can write (to )?it|chmod")
			if err := os.Chmod(file, 0o644); err != nil {
				t.Fatal(err)
			}
			wrong.launch(t, "sasl.password.file", file)
			wrong.logged(t, wrong.life, settleBound, "can read it")
			w.pid = 0 // some of the counts may be its
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "no broker at the start", Who: Operator,
		Done: "a start while the broker cannot be reached, for 4 s",
		Must: "it waits, says so, and goes on when the broker is there",
		Try: func(t *testing.T, w *world) {
			addr := kafkatest.FreeAddress(t)
			w.inst.stop(t)
			w.inst.launch(t, "brokers", addr)
			w.inst.logged(t, w.inst.life, settleBound, "no broker answers")
			if w.inst.Ended(4 * time.Second) {
				t.Fatalf("it has ended with exit code %d:\n%s", w.inst.Code, w.inst.tail(5))
			}
			late, err := proxy.Listen(addr)
			if err != nil {
				t.Fatal(err)
			}
			defer late.Close()
			late.Forward(w.cluster.AddrsOf(door)[0])
			w.ready(t, w.inst)
			w.inst.stop(t)
			w.inst.launch(t)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "the input recreated while stopped", Who: Operator,
		Done: "order.placed.v1 is deleted and made again between a stop and a start, with more records than before",
		Must: "every record of the new topic is processed, from the first; the log says that the topic is another one",
		Try: func(t *testing.T, w *world) {
			w.feed.Pause()
			w.caughtUp(t, settleBound)
			w.account(t)
			ends := w.ledger.ends()
			w.inst.stop(t)
			w.remake(t, names.Input, nil, func() {})
			w.ledger.recreated()
			w.fill(t, ends)
			w.inst.launch(t)
			w.inst.logged(t, w.inst.life, settleBound, "created again|recreated")
			w.reconnect(t)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "partitions added to the input", Who: Operator,
		Done: "order.placed.v1 gets two more partitions while the instance runs; then it is made again with four",
		Must: "exit code 3, also at the next start: keys would belong elsewhere than their state; with four partitions it goes on",
		Try: func(t *testing.T, w *world) {
			w.feed.Pause()
			w.caughtUp(t, settleBound)
			w.account(t)
			if _, err := w.admin.UpdatePartitions(t.Context(), partitions+2, names.Input); err != nil {
				t.Fatal(err)
			}
			w.inst.mustEnd(t, settleBound, 3, "partitions")
			w.inst.launch(t)
			w.inst.mustEnd(t, settleBound, 3, "partitions")
			w.remake(t, names.Input, nil, func() {})
			w.ledger.recreated()
			w.forget(t)
			w.inst.launch(t)
			w.reconnect(t)
		},
		Within: 2 * time.Minute,
	},
	{
		Name: "settings with escapes", Who: Operator,
		Done: "--print-config, --help for a wrong flag and an error, with ANSI sequences and line ends in values and names",
		Must: "no control character reaches the terminal; what is printed is a config file with the same values",
		Try: func(t *testing.T, w *world) {
			path, err := program()
			if err != nil {
				t.Fatal(err)
			}
			const evil = "x\x1b[2J\x1b]0;owned\a\u009b31m\r\nworkers: 77"
			for _, args := range [][]string{
				{"run", "--print-config", "--brokers", "localhost:1", "--client.id", evil, "--state-dir", evil}, {"run", "--" + evil},
				{"run", "--guarantee", evil}, {"run", "--config", evil}, {evil}, {"run", "--brokers", evil},
			} {
				out, _ := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
				for _, c := range string(out) {
					if c < ' ' && c != '\n' && c != '\t' || c >= 0x7f && c <= 0x9f {
						t.Errorf("%.60q prints %U: %.300q", args, c, out)
						break
					}
				}
				if regexp.MustCompile(`(?m)^workers: 77`).Match(out) {
					t.Errorf("%.60q prints a setting that a value made: %.300q", args, out)
				}
			}
		},
	},
	{
		Name: "clients of HTTP that do what they like", Who: Operator,
		Done: "a header of 10 MB, 2,000 requests on one connection, a POST of 100 MB, paths with .. and escapes, HTTP/0.9, TLS",
		Must: "answered or closed; metrics, health and records go on",
		Try: func(t *testing.T, w *world) {
			say := func(size int, lines ...string) {
				c, err := net.DialTimeout("tcp", w.inst.addr, settleBound)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				for _, line := range lines {
					if _, err := io.WriteString(c, line); err != nil {
						return // closed is an answer
					}
				}
				chunk := bytes.Repeat([]byte("x"), 64<<10)
				for ; size > 0; size -= len(chunk) {
					if _, err := c.Write(chunk); err != nil {
						return
					}
				}
				_, _ = c.Read(chunk)
			}
			say(10<<20, "GET /metrics HTTP/1.1\r\nHost: x\r\nBig: ")
			say(100<<20, "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
			say(0, "GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")
			say(0, "GET /\x1b[2J%00%0d%0a HTTP/1.1\r\nHost: \x00\r\n\r\n")
			say(0, "GET /metrics\r\n\r\n")
			say(0, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
			for range 2000 {
				if _, _, err := w.inst.get("/livez"); err != nil {
					t.Fatal(err)
				}
			}
		},
	},
}

// readOnly takes the right to write to the databases away for a while. It needs a process that is not root, whom no mode stops.
func (w *world) readOnly(t *testing.T) {
	t.Helper()
	w.inst.stop(t)
	nobody := os.Geteuid() == 0
	give := func(uid int) {
		err := filepath.WalkDir(w.inst.dir, func(path string, _ os.DirEntry, err error) error { return errors.Join(err, os.Lchown(path, uid, uid)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	secret := w.inst.flags["sasl.password.file"]
	if nobody {
		path, err := program()
		if err != nil {
			t.Fatal(err)
		}
		for _, open := range []string{w.dir, filepath.Dir(path)} {
			if err := os.Chmod(open, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		give(65534)
		if err := os.Chown(secret, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		w.inst.credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	w.inst.launch(t)
	w.ready(t, w.inst)
	var folders []string
	stores := filepath.Dir(state.StoreDir(w.inst.dir, names.Group, names.Store, 0))
	_ = filepath.WalkDir(stores, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			folders = append(folders, path)
		}
		return nil
	})
	mode := func(m os.FileMode) {
		for _, folder := range folders {
			if err := os.Chmod(folder, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	mode(0o500)
	// A database writes to new files when the old ones are full: thousands of new keys make it.
	var many []*kgo.Record
	for n := range 40_000 {
		r := order(fmt.Sprint("filling-", n), 1)
		r.Value = append(bytes.TrimSuffix(r.Value, []byte("}")), `,"note":"`+strings.Repeat("x", 100)+`"}`...)
		many = append(many, r)
	}
	w.send(t, many...)
	pass(t, 5*time.Second)
	mode(0o700)
	if !w.inst.Running() {
		if w.inst.Code == 0 || !regexp.MustCompile("(?i)permission denied|read-only").MatchString(w.inst.lifeLog()) {
			t.Errorf("exit code %d:\n%s", w.inst.Code, w.inst.tail(5))
		}
		w.inst.launch(t)
	}
	w.caughtUp(t, 2*settleBound)
	w.inst.stop(t)
	if nobody {
		w.inst.credential = nil
		give(0)
		if err := os.Chown(secret, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	w.inst.launch(t)
}
