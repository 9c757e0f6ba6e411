package measure

import (
	"context"
	"fmt"
	"os"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// WatchMemory keeps a heap profile of this process at its most memory so far in a file, until ctx ends, and beside it, in FILE.txt,
// a line for each such moment that says where the memory is.
func WatchMemory(ctx context.Context, file string) error {
	lines, err := os.Create(file + ".txt")
	if err != nil {
		return err
	}
	defer lines.Close()
	begun, most := time.Now(), int64(0)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		status, _ := os.ReadFile("/proc/self/status")
		anonymous := kib(string(status), "RssAnon:")
		if anonymous < most+most/50 {
			continue
		}
		most = anonymous
		if _, err := fmt.Fprintf(lines, "%6.1f s %s\n", time.Since(begun).Seconds(), placesOf(anonymous)); err != nil {
			return err
		}
		if err := heapProfile(file); err != nil {
			return err
		}
	}
}

// placesOf says where the memory of this process is, in MB.
func placesOf(anonymous int64) string {
	names := []string{"total", "heap/objects", "heap/unused", "heap/free", "heap/released", "heap/stacks"}
	samples := make([]metrics.Sample, len(names), len(names)+1)
	for i, name := range names {
		samples[i].Name = "/memory/classes/" + name + ":bytes"
	}
	samples = append(samples, metrics.Sample{Name: "/gc/heap/live:bytes"})
	metrics.Read(samples)
	var mb []int64
	for _, s := range samples {
		mb = append(mb, int64(s.Value.Uint64())>>20)
	}
	total, released := mb[0], mb[4]
	other := total - released - mb[1] - mb[2] - mb[3] - mb[5]
	return fmt.Sprintf("%4d MB: %d objects of the heap (%d alive at the last collection), %d between them, %d free, %d stacks, %d of the runtime's, %d outside of the heap",
		anonymous>>20, mb[1], mb[6], mb[2], mb[3], mb[5], other, anonymous>>20-(total-released))
}

func heapProfile(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.WriteHeapProfile(f)
}

// kib is a size of /proc/PID/status, in bytes.
func kib(status, name string) int64 {
	_, rest, _ := strings.Cut(status, name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(fields[0], 10, 64)
	return n << 10
}
