package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/internal/system"
)

// WithClient connects a command to the cluster that its settings name. Wrong use, which the caller has found, and wrong settings are
// refused together before that. An error says what to do about it where that follows from what the cluster answers, and that the command was interrupted
// where it was: a topic of Weir's own that is unfit is a refusal, with the line that mends it.
func WithClient(cmd *cobra.Command, v *settings.Values, wrong error, do func(*kafka.Client) error) error {
	conf, err1 := ClientConfig(v)
	log, err2 := newToolLog(cmd.ErrOrStderr(), v)
	if err := errors.Join(err1, err2, wrong); err != nil {
		return withCode(exitUsage, err)
	}
	client, err := kafka.Dial(cmd.Context(), conf, quiet(log))
	if err == nil {
		client.OnWait(func(w kafka.Wait) { notice(cmd, w.Text(conf)) })
		err = do(client)
		err = errors.Join(err, client.Close())
	}
	if unfit, ok := errors.AsType[*system.UnfitError](err); ok {
		return withCode(exitRefused, errors.New(unfit.Problem(conf)))
	}
	return Interrupted(cmd, WithRemedies(err))
}

// WithRemedies says after an error what to do about each thing that the cluster denies.
func WithRemedies(err error) error {
	var remedies []string
	var look func(error)
	look = func(err error) {
		if blocked, ok := err.(*kafka.BlockedError); ok && blocked.Remedy != "" && !slices.Contains(remedies, blocked.Remedy) { //nolint:errorlint // each of the tree is looked at
			remedies = append(remedies, blocked.Remedy)
		}
		switch e := err.(type) { //nolint:errorlint // see above
		case interface{ Unwrap() []error }:
			for _, part := range e.Unwrap() {
				look(part)
			}
		case interface{ Unwrap() error }:
			look(e.Unwrap())
		}
	}
	if look(err); len(remedies) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.Join(remedies, "; "))
}

// Interrupted says of an error that the command was interrupted, where it was.
func Interrupted(cmd *cobra.Command, err error) error {
	if _, said := errors.AsType[*interruptedError](err); said || cmd.Context().Err() == nil || !errors.Is(err, context.Canceled) {
		return err
	}
	return &interruptedError{err}
}

// interruptedError is what ends a command that was interrupted. It says what that means for what was being done, and nothing of the context.
type interruptedError struct{ err error }

func (e *interruptedError) Unwrap() error { return e.err }

func (e *interruptedError) Error() string {
	var lines []string
	for line := range strings.SplitSeq(e.err.Error(), "\n") {
		// What went wrong before, which some errors add, is of no use either: it was being tried again.
		line, _, _ = strings.Cut(line, context.Canceled.Error())
		if line = strings.TrimSuffix(line, ": "); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return "interrupted"
	}
	return "interrupted: " + strings.Join(lines, "\n")
}

// quiet is a log without what is no warning.
func quiet(log *zap.Logger) *zap.Logger {
	if !log.Core().Enabled(zap.InfoLevel) {
		return log // zap takes no level below the one that it has
	}
	return log.WithOptions(zap.IncreaseLevel(zap.WarnLevel))
}

// who is the operator, for the record: the user of this machine, also behind sudo, and the one that the cluster knows, where the settings say it.
func who(v *settings.Values) string {
	host, _ := os.Hostname()
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if behind := os.Getenv("SUDO_USER"); behind != "" && behind != name {
		name = behind + " as " + cmp.Or(name, "unknown")
	}
	text := cmp.Or(name, "unknown") + "@" + cmp.Or(host, "unknown")
	if known := settings.SASLUsername.Of(v); known != "" {
		text += ", Kafka user " + known
	}
	return text
}
