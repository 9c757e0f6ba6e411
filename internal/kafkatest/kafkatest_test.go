//go:build unix

package kafkatest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Compose has the words of the image for what properties writes. Mutation: a default changed in brokerDefaults.
func TestComposeFileIsTheSameCluster(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "deploy", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image       string
			Environment map[string]any
		}
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{opts: Options{Brokers: 3}}
	if len(file.Services) != 6 {
		t.Fatalf("%d services", len(file.Services))
	}
	for name, s := range file.Services {
		if s.Image != "apache/kafka:"+Version {
			t.Errorf("%s runs %s", name, s.Image)
		}
		want := c.brokerDefaults()
		if s.Environment["KAFKA_PROCESS_ROLES"] == "controller" {
			for key := range want {
				delete(want, key)
			}
			for _, key := range controllersToo {
				want[key] = c.brokerDefaults()[key]
			}
		}
		for key, value := range want {
			if strings.HasPrefix(key, "log.cleaner.") {
				continue // for small heaps and short tests
			}
			variable := "KAFKA_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
			if got := fmt.Sprint(s.Environment[variable]); got != value {
				t.Errorf("%s: %s is %s, and %s here", name, variable, got, value)
			}
		}
	}
}

func TestAMissingPrerequisiteFailsInCIAndSkipsElsewhere(t *testing.T) {
	t.Setenv("WEIR_KAFKA_BROKERS", "")
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	for _, ci := range []string{"", "true"} {
		t.Setenv("CI", ci)
		probe := &probe{TB: t}
		Require(probe)
		if probe.failed != (ci == "true") || probe.skipped != (ci == "") {
			t.Errorf("CI=%q: failed %v, skipped %v", ci, probe.failed, probe.skipped)
		}
		for _, want := range []string{"Java 17", "mvn is not in the PATH", "WEIR_KAFKA_BROKERS"} {
			if !strings.Contains(probe.said, want) {
				t.Errorf("%q is missing in: %s", want, probe.said)
			}
		}
	}
	t.Setenv("WEIR_KAFKA_BROKERS", "somewhere:9092, elsewhere:9092,")
	if err := Missing(); err != nil {
		t.Errorf("with a cluster that exists: %v", err)
	}
	if got := existing(); len(got) != 2 || got[1] != "elsewhere:9092" {
		t.Errorf("addresses %q", got)
	}
}

func TestAnOldJavaIsRefused(t *testing.T) {
	for _, tc := range []struct{ says, want string }{
		{`openjdk version "1.8.0_412"`, "version 1, and Kafka needs 17"},
		{`openjdk version "11.0.2" 2019-01-15`, "version 11, and Kafka needs 17"},
		{`openjdk version "17.0.15" 2025-04-15`, ""},
		{`openjdk version "21" 2023-09-19`, ""},
		{"what?", `says "what?`},
	} {
		home := t.TempDir()
		script := fmt.Sprintf("#!/bin/sh\necho '%s' >&2\n", tc.says)
		if err := os.MkdirAll(filepath.Join(home, "bin"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, "bin", "java"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("JAVA_HOME", home)
		_, _, err := java()
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", tc.says, err)
		}
	}
}

func TestPortsAreFreeAndNotTakenByOutgoingConnections(t *testing.T) {
	ports, err := freePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if port < 15000 || port >= 32000 || seen[port] { // Linux takes 32768 and up
			t.Errorf("ports %v", ports)
		}
		seen[port] = true
		l, err := net.Listen("tcp", local(port))
		if err != nil {
			t.Error(err)
			continue
		}
		_ = l.Close()
	}
}

// Mutations: fetched.Make looks for the folder only before it has the lock; or moves what a failed mvn left.
func TestJarsAreFetchedOnceAndWhole(t *testing.T) {
	bin, calls := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	maven := func(script string) {
		script = "#!/bin/sh\necho called >> " + calls + "\nfor a; do case $a in -DoutputDirectory=*) out=${a#*=};; esac; done\nmkdir -p $out\n" + script
		if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for script, want := range map[string]string{
		"touch $out/kafka_2.13-4.3.1.jar\necho no network\nexit 1": "no network",
		"touch $out/other.jar": "left no jar of Kafka",
	} {
		maven(script)
		if _, err := jars(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
		if dir, have := cached(); have {
			t.Errorf("%s is taken for complete", dir)
		}
	}

	if err := os.Remove(calls); err != nil {
		t.Fatal(err)
	}
	maven("touch $out/kafka_2.13-4.3.1.jar")
	dirs := make(chan string)
	for range 5 {
		go func() {
			dir, err := jars(t.Context())
			if err != nil {
				t.Error(err)
			}
			dirs <- dir
		}()
	}
	for range 5 {
		dir := <-dirs
		for _, file := range []string{"kafka_2.13-4.3.1.jar", "log4j2.properties"} {
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				t.Error(err)
			}
		}
	}
	if log, err := os.ReadFile(calls); err != nil || strings.Count(string(log), "called") != 1 {
		t.Errorf("mvn was run: %s, %v", log, err)
	}
}

// probe notes how Require ends a test, and lets it go on.
type probe struct {
	testing.TB
	failed, skipped bool
	said            string
}

func (p *probe) Helper()                      {}
func (p *probe) Fatalf(f string, args ...any) { p.failed, p.said = true, fmt.Sprintf(f, args...) }
func (p *probe) Skipf(f string, args ...any)  { p.skipped, p.said = true, fmt.Sprintf(f, args...) }
