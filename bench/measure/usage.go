// Package measure reads processors, memory and clocks, and makes statistics of them.
package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used since its start, from /proc: zero where there is none.
type Usage struct {
	CPU  time.Duration // user and system, all threads
	Peak int64         // resident, bytes
}

// tick is the unit of /proc/PID/stat, USER_HZ, which is 100 on every architecture that Go runs on.
const tick = time.Second / 100

// UsageOf reads the usage of a process.
func UsageOf(pid int) (u Usage) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	u.CPU = cpuOf(stat)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	u.Peak = peakOf(string(status))
	return u
}

// cpuOf takes the 14th and 15th field. The name, the 2nd, stands in brackets and may have any character.
func cpuOf(stat []byte) time.Duration {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

func peakOf(status string) int64 { return kib(status, "VmHWM:") }

// Written is how many bytes this process has written to files and connections, from /proc: 0 where there is none.
func Written() int64 {
	io, _ := os.ReadFile("/proc/self/io")
	_, rest, _ := strings.Cut(string(io), "wchar:")
	first, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	n, _ := strconv.ParseInt(first, 10, 64)
	return n
}

// Busy is the processor time that all processes of the machine have used since it started, from /proc/stat.
func Busy() time.Duration {
	stat, _ := os.ReadFile("/proc/stat")
	return busyOf(string(stat))
}

// busyOf adds user, nice, system, irq and softirq of the first line; idle, iowait and what guests took are left out.
func busyOf(stat string) time.Duration {
	line, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	if len(f) < 8 || f[0] != "cpu" {
		return 0
	}
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 6, 7} {
		n, _ := strconv.ParseInt(f[i], 10, 64)
		sum += time.Duration(n) * tick
	}
	return sum
}
