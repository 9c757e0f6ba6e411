package letters

import (
	"context"

	"github.com/weirstream/weir/internal/kafka"
)

// nothingLeft counts the letters of a topic by its index where that has nearly all of them, and no open one is meant: an order that was carried out, and is given
// again, reads what came since and no more. It returns nil where a letter is meant, or may be, or where the index cannot say: the topic is read then.
func (t *Tool) nothingLeft(ctx context.Context, reader kafka.Reader, p *place, s Selection) *tally {
	blind := p.done.blind()
	if len(blind) > 0 { // their ranges would be read twice
		return nil
	}
	ix := t.index(ctx, p, &s)
	if ix == nil {
		return nil
	}
	defer ix.close()
	y := newTally(t, reader, s)
	if err := t.recall(ctx, ix, p, blind, y); err != nil || p.size()-ix.covered(t.Topic, p) > t.Index.Least {
		return nil
	}
	if err := t.followTopic(ctx, reader, ix, p, blind, y); err != nil || len(y.groups) > 0 || y.strangers > 0 {
		return nil
	}
	return y
}
