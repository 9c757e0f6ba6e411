// Package guard calls code of users where the engine's goroutine has to go on, whatever that code does.
package guard

import (
	"fmt"
	"runtime/debug"
)

// BrokenError says that code did not return: it panicked, or ended its goroutine.
type BrokenError struct {
	Exit  bool   // runtime.Goexit
	Text  string // of the panic
	Stack []byte
}

func (e *BrokenError) Error() string {
	if e.Exit {
		return "the function ended its goroutine: runtime.Goexit, which t.FailNow and t.Fatal call"
	}
	return "panic: " + e.Text
}

// Call calls f on a goroutine of its own, and waits for it. It returns what f does, or a *BrokenError.
func Call(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if returned {
				return
			}
			broken := &BrokenError{Exit: true, Stack: debug.Stack()}
			if p := recover(); p != nil {
				broken.Exit, broken.Text = false, fmt.Sprint(p)
			}
			err = broken
		}()
		err = f()
		returned = true
	}()
	<-done
	return err
}
