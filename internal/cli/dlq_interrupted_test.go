package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A command that is interrupted leaves no transaction open, since everybody who reads what is committed would wait for it until the brokers abort it. It says how far it
// has come and what to do, and nothing of its own insides.
//
// Mutations, each seen to fail it: Leave that only closes; Execute that says what the sink says.
func TestAnInterruptedRedriveLeavesNothingOpen(t *testing.T) {
	d, cluster := fakeDesk(t)
	d.fill()
	open := func() (all []string) {
		t.Helper()
		ends, err := d.admin.ListEndOffsets(t.Context())
		d.must(err)
		stable, err := d.admin.ListCommittedOffsets(t.Context())
		d.must(err)
		ends.Each(func(o kadm.ListedOffset) {
			if s, _ := stable.Lookup(o.Topic, o.Partition); s.Offset != o.Offset {
				all = append(all, fmt.Sprintf("%s/%d is open from offset %d to %d", o.Topic, o.Partition, s.Offset, o.Offset))
			}
		})
		slices.Sort(all)
		return all
	}
	interrupted := 0
	for _, key := range []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.EndTxn} {
		for at := int32(1); at <= 4; at++ {
			ctx, cancel := context.WithCancel(t.Context())
			var seen atomic.Int32
			cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				if seen.Add(1) == at {
					cancel()
				}
				return nil, nil, false
			})
			a := ask(ctx, "dlq redrive --topic "+lettersOf+" --all --limit 2 --rate 10 --why x --execute", "--brokers", d.addr)
			cancel()
			if o := open(); len(o) > 0 {
				t.Errorf("%s %d: %s", key.Name(), at, strings.Join(o, "\n"))
			}
			if ctxEnded := seen.Load() >= at; ctxEnded && a.code != 0 {
				interrupted++
				if !strings.Contains(a.messages, ": interrupted: ") || !strings.Contains(a.messages, "letters are done; run the command again for the others\n") {
					t.Errorf("%s %d: %s", key.Name(), at, a.messages)
				}
			}
		}
	}
	if interrupted < 6 {
		t.Errorf("%d runs were interrupted", interrupted)
	}
}
