package cli

import (
	"io"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/termtext"
)

// NewLog writes to w: for people on a terminal, as JSON elsewhere, unless log-format says which.
func NewLog(w io.Writer, v *settings.Values) (*zap.Logger, error) { return logTo(w, v, "json") }

// newToolLog is that of a command that ends by itself: what it says on standard error is for people wherever that goes.
func newToolLog(w io.Writer, v *settings.Values) (*zap.Logger, error) { return logTo(w, v, "console") }

func logTo(w io.Writer, v *settings.Values, elsewhere string) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(settings.LogLevel.Of(v))
	if err != nil {
		return nil, err
	}
	format := settings.LogFormat.Of(v)
	if format == "auto" {
		format = elsewhere
		if _, ok := termtext.Terminal(w); ok {
			format = "console"
		}
	}
	conf := zap.NewProductionEncoderConfig()
	conf.TimeKey, conf.EncodeTime = "time", zapcore.TimeEncoderOfLayout("2006-01-02T15:04:05.000Z0700")
	conf.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(conf)
	if format == "console" {
		conf.EncodeTime = zapcore.TimeEncoderOfLayout(time.TimeOnly + ".000")
		conf.EncodeLevel = zapcore.CapitalLevelEncoder
		conf.ConsoleSeparator = "  "
		encoder = zapcore.NewConsoleEncoder(conf)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(termtext.NewLog(w))), level)), nil
}
