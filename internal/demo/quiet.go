package demo

import (
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quiet leaves lines about dead letters out of a log: the demo feeds the poison itself, and shows what became dead letters.
func quiet(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return withoutLetters{c} }))
}

type withoutLetters struct{ zapcore.Core }

func (c withoutLetters) With(fields []zapcore.Field) zapcore.Core {
	return withoutLetters{c.Core.With(fields)}
}

func (c withoutLetters) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if strings.HasPrefix(e.Message, "dead letter") {
		return ce
	}
	return c.Core.Check(e, ce)
}
