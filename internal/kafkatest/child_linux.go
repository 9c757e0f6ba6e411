package kafkatest

import "syscall"

// child makes a process die with this one, however this one dies, and keeps a Ctrl-C in the terminal from it: the owner
// stops it. (The kernel watches the thread that started the process; Go ends none but those that were locked to a
// goroutine.)
func child() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
