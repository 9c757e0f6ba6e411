package kafka

// wake wakes the goroutine that waits on a channel with room for one. When none waits, the next one that does continues at once.
func wake(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
