package kafka

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"
	"go.uber.org/zap"
)

// sarama keeps its logger and its metrics in package variables, so both are settled once, before anything can use
// them: assigning them later would race with the goroutines of a client that is already running.
func init() {
	// Otherwise every broker connection starts meters, with a goroutine that never ends, in an unmaintained library.
	metrics.UseNilMetrics = true
	sarama.Logger = saramaLog
	sarama.DebugLogger = saramaLog
}

var saramaLog = &debugLog{}

// debugLog hands sarama's lines to zap at debug level. There is one sarama in a process, so the logger of the latest
// Dial gets them all.
type debugLog struct{ to atomic.Pointer[zap.Logger] }

func (l *debugLog) Print(v ...any)   { l.write(fmt.Sprint, v) }
func (l *debugLog) Println(v ...any) { l.write(fmt.Sprintln, v) }
func (l *debugLog) Printf(format string, v ...any) {
	l.write(func(v ...any) string { return fmt.Sprintf(format, v...) }, v)
}

func (l *debugLog) write(text func(...any) string, v []any) {
	if log := l.to.Load(); log != nil && log.Core().Enabled(zap.DebugLevel) {
		log.Debug(strings.TrimSpace(text(v...)))
	}
}
