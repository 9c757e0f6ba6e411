//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package offheap

import "syscall"

func mapped(n int) (b []byte, ok bool) {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	return b, err == nil
}

// unmap cannot fail on what mapped returned.
func unmap(b []byte) { _ = syscall.Munmap(b) }
