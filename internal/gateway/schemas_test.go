package gateway

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/registry"
)

// hangs is a registry that hangs at will. Its clock is the test's.
type hangs struct {
	registry.Source
	version atomic.Int32
	hanging atomic.Bool
}

func (h *hangs) Latest(ctx context.Context, subject string) (*registry.Registered, error) {
	if h.hanging.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &registry.Registered{ID: int(h.version.Load()), Subject: subject, Schema: registry.Schema{Type: registry.Avro, Text: `"string"`}}, nil
}

// A registry that hangs costs one event a moment, and the others nothing: what is known stays in use. A registry that answers gives its new version
// to the first event after two seconds, and one that answers again to the second.
//
// Mutations seen to fail it: an event that waits for the answer; a registry that was late waited for again; the former version given though the answer is there.
func TestARegistryThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hangs{}
		h.version.Store(1)
		s := newSchemas(h, zap.NewNop())
		defer s.close()
		check := func(what string, version int, most time.Duration) {
			t.Helper()
			began := time.Now()
			schema, p := s.of(t.Context(), "a-value")
			if p != nil {
				t.Fatalf("%s: %s", what, p.Detail)
			}
			if took := time.Since(began); schema.Registered().ID != version || took > most {
				t.Errorf("%s: version %d after %s", what, schema.Registered().ID, took)
			}
		}
		check("at first", 1, 0)
		h.version.Store(2)
		check("at once", 1, 0)
		time.Sleep(schemaFor)
		check("a new version", 2, 0)
		h.hanging.Store(true)
		time.Sleep(schemaFor)
		check("it hangs", 2, schemaPatience)
		check("another event", 2, 0)
		for range 5 {
			time.Sleep(schemaAsk + schemaFor)
			check("it hangs for long", 2, 0)
		}
		time.Sleep(schemaAsk + schemaFor)
		h.hanging.Store(false)
		h.version.Store(3)
		check("it answers again", 2, 0)
		synctest.Wait()
		check("after that", 3, 0)
		time.Sleep(schemaFor)
		h.version.Store(4)
		check("as before", 4, 0)
	})
}
