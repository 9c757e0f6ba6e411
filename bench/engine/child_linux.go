package engine

import "syscall"

// child makes a process die with this one, however this one dies, and keeps a Ctrl-C in the terminal from it: the bench
// stops it.
func child() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
