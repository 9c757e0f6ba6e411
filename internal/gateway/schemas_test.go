package gateway

import (
	"context"
	"errors"
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
		s := newSchemas(t.Context(), h, zap.NewNop())
		defer s.close()
		check := func(what string, version int, most time.Duration) {
			t.Helper()
			began := time.Now()
			schema, p := s.of("a-value")
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

// rolled is a registry of one subject with a schema of two versions, which are "string" and "bytes" in turn. It knows both by their ids.
type rolled struct {
	latest, asks int
	away         bool
}

func (r *rolled) at(id int) *registry.Registered {
	return &registry.Registered{ID: id, Subject: "a-value", Version: id, Schema: registry.Schema{Type: registry.Avro, Text: []string{`"bytes"`, `"string"`}[id%2]}}
}

func (r *rolled) Latest(context.Context, string) (*registry.Registered, error) {
	r.asks++
	if r.away {
		return nil, registry.NewError("get", registry.ErrAway, errors.New("away"))
	}
	return r.at(r.latest), nil
}

func (r *rolled) ByID(_ context.Context, id int) (*registry.Registered, error) { return r.at(id), nil }

func (r *rolled) ByGUID(context.Context, string) (*registry.Registered, error) { return r.at(1), nil }

func (r *rolled) Lookup(_ context.Context, _ string, s registry.Schema) (*registry.Registered, error) {
	return r.at(1), nil
}

// A schema that a request names by id or text must be the latest version, also where the registry knows it in the subject. One that was registered just now is
// taken at once, and other ids do not have the registry asked for each. While it does not answer, nobody is told that a schema is wrong.
//
// Mutations seen to fail it: an older version taken that the registry knows; no second question; one for each request; what is not known told as wrong.
func TestASchemaInARequestIsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rolled{latest: 1}
		s := newSchemas(t.Context(), r, zap.NewNop())
		defer s.close()
		try := func(what string, id, status int) {
			t.Helper()
			found, p := s.byID("a-value", id)
			again, q := s.byText("a-value", registry.Avro, r.at(id).Text)
			if status == 200 {
				if p != nil || q != nil || found.Registered().ID != id || again.Registered().ID != id {
					t.Errorf("%s: %v %v", what, p, q)
				}
			} else if p == nil || q == nil || p.Status != status || q.Status != status {
				t.Errorf("%s: %v %v, want %d", what, p, q, status)
			}
		}
		try("the first", 1, 200)
		try("none yet", 2, 422)
		time.Sleep(2 * namedAgain)
		r.latest = 2
		try("registered just now", 2, 200)
		try("the former", 1, 422)
		asks := r.asks
		for range 100 {
			try("the former again", 1, 422)
		}
		if r.asks != asks {
			t.Errorf("the registry was asked %d times", r.asks-asks)
		}
		r.away = true
		time.Sleep(schemaFor)
		try("known, away", 2, 200)
		try("another, away", 3, 503)
		r.away = false
		time.Sleep(schemaFor)
		try("there again", 1, 422)
		r.latest = 3
		time.Sleep(2 * namedAgain)
		try("rolled back", 3, 200)
	})
}
