//go:build unix && !linux

package kafkatest

import "syscall"

// child keeps a Ctrl-C in the terminal from a process: its owner stops it. Outside Linux a process that is killed
// leaves its nodes behind.
func child() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
