//go:build integration

package main

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func init() {
	places = []place{{"postgresql", newDatabase}}
}

// server is the server of this process, which the first test starts.
var server = sync.OnceValues(startServer)

// newDatabase makes a database for a test, and returns its address.
func newDatabase(t *testing.T) string {
	t.Helper()
	dir, err := server()
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", address(dir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	name := fmt.Sprintf("test%d", time.Now().UnixNano())
	if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	return address(dir, name)
}

func address(dir, database string) string {
	return fmt.Sprintf("postgres:///%s?host=%s&user=postgres", database, dir)
}

// program is a program of PostgreSQL. Debian keeps its server's out of the PATH.
func programOf(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	slices.Sort(found)
	if len(found) > 0 {
		return found[len(found)-1], nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("these tests need PostgreSQL: install it (Debian's package is postgresql): %w", err)
	}
	return path, nil
}

// startServer starts PostgreSQL on a folder of its own, where its socket is too. It refuses to run as root, so root has it run as the user
// that its package makes.
func startServer() (dir string, err error) {
	initdb, err := programOf("initdb")
	if err != nil {
		return "", err
	}
	postgres, err := programOf("postgres")
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp("", "weir-pg"); err != nil { // short, since it is part of the socket's path
		return "", err
	}
	ended = append(ended, func() { _ = os.RemoveAll(dir) })
	attributes := &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		who, err := user.Lookup("postgres")
		if err != nil {
			return "", fmt.Errorf("PostgreSQL does not run as root: %w", err)
		}
		uid, _ := strconv.Atoi(who.Uid)
		gid, _ := strconv.Atoi(who.Gid)
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			return "", err
		}
	}
	data := filepath.Join(dir, "data")
	initial := exec.Command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
	initial.SysProcAttr, initial.Dir = attributes, dir
	if out, err := initial.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, out)
	}
	var said strings.Builder
	run := exec.Command(postgres, "-D", data, "-k", dir, "-c", "listen_addresses=")
	run.SysProcAttr, run.Dir, run.Stderr = attributes, dir, &said
	if err := run.Start(); err != nil {
		return "", err
	}
	gone := make(chan error, 1)
	go func() { gone <- run.Wait() }()
	ended = append(ended, func() {
		_ = run.Process.Signal(syscall.SIGINT) // ends connections
		<-gone
	})
	db, err := sql.Open("pgx", address(dir, "postgres"))
	if err != nil {
		return "", err
	}
	defer db.Close()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return dir, nil
		}
		if time.Now().After(end) {
			return "", fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, said.String())
		}
	}
}
