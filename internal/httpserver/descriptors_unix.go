//go:build unix

package httpserver

import "syscall"

// descriptors is how many files this process may have open.
func descriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return mostConnections * descriptorShare
	}
	return uint64(limit.Cur)
}
