package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/termtext"
)

// progress shows on a terminal how far long work is. Elsewhere it shows nothing.
type progress struct {
	to    io.Writer
	began time.Time
	drawn time.Time // zero: nothing stands there
}

// progressEvery is how often it is drawn, and how long work takes at least for it to be drawn at all.
const progressEvery = 300 * time.Millisecond

func newProgress(w io.Writer) *progress {
	p := &progress{began: time.Now()}
	if f, ok := termtext.Terminal(w); ok {
		p.to = f
	}
	return p
}

// at says that done of all are done.
func (p *progress) at(done, all int64) {
	now := time.Now()
	if p.to == nil || all <= 0 || now.Sub(p.drawn) < progressEvery || now.Sub(p.began) < progressEvery {
		return
	}
	p.drawn = now
	const width = 30
	full := int(width * done / all)
	left := ""
	if done > 0 && done < all {
		spent := now.Sub(p.began)
		left = ", " + (time.Duration(float64(spent) * float64(all-done) / float64(done))).Round(time.Second).String() + " left"
	}
	fmt.Fprintf(p.to, "\r[%s%s] %d of %d offsets%s\x1b[K", strings.Repeat("=", full), strings.Repeat(" ", width-full), done, all, left)
}

// end takes it away.
func (p *progress) end() {
	if p.to != nil && !p.drawn.IsZero() {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}

// notice tells a person of something while a command works, on a line of its own also where a progress bar stands.
func notice(cmd *cobra.Command, text string) {
	if f, ok := termtext.Terminal(cmd.ErrOrStderr()); ok {
		fmt.Fprint(f, "\r\x1b[K")
	}
	fmt.Fprintln(cmd.ErrOrStderr(), text)
}
