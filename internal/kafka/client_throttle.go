package kafka

import (
	"reflect"
	"sync"
	"time"
	"unsafe"

	"github.com/IBM/sarama"
)

// A broker that throttles us (KIP-219) answers at once, says for how long it will read nothing more, and keeps to that. sarama
// waits so long before its next request, with the connection's lock held: whoever closes the connection waits too. So the
// wait is taken out of sarama's hands: the next request is written, and is answered when the broker reads again, or given up
// with its context, which cuts the connection.

// throttleFields are where a sarama.Broker keeps its wait. ok is false when there are no such fields any more: a test says so.
var throttleFields = sync.OnceValue(func() (f struct {
	lock, timer uintptr
	ok          bool
}) {
	lock, ok1 := reflect.TypeFor[sarama.Broker]().FieldByName("throttleTimerLock")
	timer, ok2 := reflect.TypeFor[sarama.Broker]().FieldByName("throttleTimer")
	f.ok = ok1 && ok2 && lock.Type == reflect.TypeFor[sync.Mutex]() && timer.Type == reflect.TypeFor[*time.Timer]()
	f.lock, f.timer = lock.Offset, timer.Offset
	return f
})

// unthrottle has a broker's next request go at once, and one that waits already, which another goroutine may have begun just
// when the answer came.
func unthrottle(b *sarama.Broker) {
	f := throttleFields()
	if !f.ok {
		return
	}
	lock := (*sync.Mutex)(unsafe.Add(unsafe.Pointer(b), f.lock))
	timer := (**time.Timer)(unsafe.Add(unsafe.Pointer(b), f.timer))
	if !lock.TryLock() {
		// Whoever waits holds the lock until the timer fires. It was set before it waited, and is not set again meanwhile.
		if waits := *timer; waits != nil {
			waits.Reset(0)
		}
		return
	}
	defer lock.Unlock()
	if *timer != nil {
		(*timer).Stop()
		*timer = nil
	}
}
