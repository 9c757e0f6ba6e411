package engine

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weirstream/weir/bench/job"
	"github.com/weirstream/weir/bench/streams"
)

// streamsCommand is the process of Kafka Streams.
func streamsCommand(ctx context.Context, j job.Job, guarantee string) (*exec.Cmd, error) {
	path, err := streams.ClassPath(ctx)
	if err != nil {
		return nil, err
	}
	java, err := exec.LookPath("java")
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java, err = exec.LookPath(filepath.Join(home, "bin", "java"))
	}
	if err != nil {
		return nil, fmt.Errorf("Java 17 or newer is needed: %w", err)
	}
	if guarantee == ExactlyOnce {
		guarantee = "exactly_once_v2"
	}
	args := []string{"-Xms1g", "-Xmx1g", "-XX:+UseParallelGC", "-XX:+ExitOnOutOfMemoryError", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"}
	for _, key := range slices.Sorted(maps.Keys(j.Set)) {
		if strings.HasPrefix(key, "jvm.") {
			args = append(args, j.Set[key])
		}
	}
	args = append(args, "-cp", path, "weir.Main",
		"job="+j.Kind, "brokers="+strings.Join(j.Brokers, ","), "group="+j.Group(), "in="+j.Input, "mid="+j.Middle(), "out="+j.Output(),
		"guarantee="+guarantee, fmt.Sprintf("interval=%d", j.Interval.Milliseconds()), fmt.Sprintf("threads=%d", j.Workers),
		fmt.Sprintf("caching=%t", j.Caching), fmt.Sprintf("consumers=%d", j.Keys), "state="+j.StateDir)
	if j.Static {
		args = append(args, "instance=bench")
	}
	for _, key := range slices.Sorted(maps.Keys(j.Set)) {
		if key == "json" || strings.HasPrefix(key, "set.") {
			args = append(args, key+"="+j.Set[key])
		}
	}
	return exec.Command(java, args...), nil
}
