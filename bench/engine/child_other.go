//go:build unix && !linux

package engine

import "syscall"

// child keeps a Ctrl-C in the terminal from a process: the bench stops it.
func child() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
