//go:build integration && unix

package identity

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/kafkatest"
	"github.com/weirstream/weir/topology"
)

// jobEnv and storeEnv make this test binary the program under test: a topology and its store, by name.
const jobEnv, storeEnv = "WEIR_TEST_JOB", "WEIR_TEST_STORE"

// mendedEnv is set for a program that has learnt to count bad records: it emits them too.
const mendedEnv = "WEIR_TEST_MENDED"

// windowEnv is for how long a program with a store knows the values that it has counted, by Dedup.
const windowEnv = "WEIR_TEST_WINDOW"

func TestMain(m *testing.M) {
	if name := os.Getenv(jobEnv); name != "" {
		if policy := os.Getenv(policyEnv); policy != "" {
			weir.Main(policed(name, os.Getenv(storeEnv), policy))
		}
		weir.Main(jobOf(name, os.Getenv(storeEnv)))
	}
	code := m.Run()
	closeShared(code != 0)
	if programs != "" {
		_ = os.RemoveAll(programs)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Println("FAIL:", err)
		code = 1
	}
	os.Exit(code)
}

// jobOf counts the records of each key. Those with a value that begins with "bad" it rejects, unless it is mended. Without a store it passes them on.
func jobOf(name, store string) *topology.Topology {
	in := topology.Stream(name+".in.v1", codecs.String())
	out := topology.Stream(name+".out.v1", codecs.String())
	if store == "" {
		return topology.Define(name, topology.Node("pass", topology.On(in, func(ctx topology.Context, key, value string) error {
			out.Emit(ctx, key, value)
			return nil
		}), topology.Emits(out), topology.DeadLetter(name+".in.v1.dlq")))
	}
	counts := topology.Store(store, codecs.String())
	dedup := topology.DeadLetter(name + ".in.v1.dlq")
	if window, err := time.ParseDuration(os.Getenv(windowEnv)); err == nil {
		dedup = topology.Dedup(func(_ topology.Context, _, value string) (string, error) { return value, nil }, window)
	}
	return topology.Define(name, topology.Node("count", dedup,
		topology.On(in, func(ctx topology.Context, key, value string) error {
			if strings.HasPrefix(value, "bad") {
				if os.Getenv(mendedEnv) == "" {
					return topology.Reject(fmt.Errorf("no count in %q", value))
				}
				out.Emit(ctx, key, value)
			}
			old, err := counts.Get(ctx, key)
			if err != nil {
				return err
			}
			n := 0
			_, _ = fmt.Sscan(old, &n)
			total := fmt.Sprint(n + 1)
			counts.Set(ctx, key, total)
			out.Emit(ctx, key, total)
			return nil
		}),
		topology.Uses(counts), topology.Emits(out)))
}

// shared is the one-node cluster of all tests that change nothing but their own topics and group.
var shared struct {
	sync.Mutex
	cluster *kafkatest.Cluster
}

func closeShared(failed bool) {
	if shared.cluster == nil {
		return
	}
	if failed {
		shared.cluster.KeepLogs()
		fmt.Fprintln(os.Stderr, "the node's logs are in", shared.cluster.Dir())
	}
	shared.cluster.Close()
}

// programs is the folder in which this binary has the name of a program, job: refusals print command lines with that name.
var programs string

var program = sync.OnceValues(func() (path string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if programs, err = os.MkdirTemp("", "weir-identity-"); err != nil {
		return "", err
	}
	path = filepath.Join(programs, "job")
	return path, os.Symlink(self, path)
})
