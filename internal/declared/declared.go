// Package declared has what teams have declared of their events: who may publish them, how their keys and ids are found, and how often a
// repetition may be seen. It is in the compacted topic _weir.events, one record a topic of events, and gateways follow it.
package declared

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// Event is a declaration. Its record has the topic as key.
type Event struct {
	Version int    `json:"version"` // 1
	Topic   string `json:"topic"`   // without the prefix of the environment
	Owner   string `json:"owner,omitempty"`
	// Key and ID are the fields of the value, with dots between the names of nested ones, that hold the entity's key and the event's id.
	Key string `json:"key,omitempty"`
	ID  string `json:"id,omitempty"`
	// Idempotency is Stamped, which is the default, or Once.
	Idempotency string `json:"idempotency,omitempty"`
	// Keyless says that the topic is none of an entity: events need no key.
	Keyless bool `json:"keyless,omitempty"`
	// Schema says that events are checked by a schema, and refused while the topic's subject has none.
	Schema bool `json:"schema,omitempty"`
	// KeySchema says the same of the schema of the keys.
	KeySchema bool     `json:"key_schema,omitempty"`
	Clients   []Client `json:"clients,omitempty"`
}

// Client may publish the event; Name is the client's at the gateway, or * for each that the gateway knows. Zero is no quota.
type Client struct {
	Name            string  `json:"name"`
	EventsPerSecond float64 `json:"events_per_second,omitempty"`
	BytesPerSecond  float64 `json:"bytes_per_second,omitempty"`
}

// The levels of idempotency.
const (
	Stamped = "stamped"
	Once    = "once"
)

// Check says what is wrong with a declaration.
func (e *Event) Check() error {
	switch {
	case e.Version != 1:
		return fmt.Errorf("version is %d, and 1 is known", e.Version)
	case e.Topic == "":
		return fmt.Errorf("topic is missing")
	case e.Idempotency != "" && e.Idempotency != Stamped && e.Idempotency != Once:
		return fmt.Errorf("idempotency is %q: want %s or %s", e.Idempotency, Stamped, Once)
	}
	for _, c := range e.Clients {
		if c.Name == "" || c.EventsPerSecond < 0 || c.BytesPerSecond < 0 {
			return fmt.Errorf("a client has no name, or a quota below 0")
		}
	}
	return nil
}

// Record is the declaration as it is written.
func (e *Event) Record(names plan.Names) (kafka.Outgoing, error) {
	if err := e.Check(); err != nil {
		return kafka.Outgoing{}, err
	}
	value, err := json.Marshal(e)
	return kafka.Outgoing{TopicPartition: system.Of(names.System(system.Events.Name)), Timestamp: time.Now().UnixMilli(), Key: []byte(e.Topic), Value: value}, err
}

// Events follows the topic. Its methods may be called from several goroutines.
type Events struct {
	log      *zap.Logger
	follower *system.Follower

	mu    sync.Mutex
	known map[string]*Event
}

// Follow reads the topic, and returns when all is read that it holds now. Where there is none yet it is looked for.
func Follow(ctx context.Context, client *kafka.Client, names plan.Names, log *zap.Logger) (*Events, error) {
	e := &Events{log: log, known: map[string]*Event{}}
	var err error
	e.follower, err = system.Follow(ctx, client, client.NewFetcher(system.FollowWindow), system.Events, names.System(system.Events.Name), log, func() (func(*kafka.Record), func()) {
		fresh := map[string]*Event{}
		return func(r *kafka.Record) {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.apply(fresh, r)
			}, func() {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.known = fresh
			}
	})
	if err != nil {
		return nil, fmt.Errorf("read the declarations of events: %w", err)
	}
	return e, nil
}

// Of is what is declared of a topic, nil for nothing. It is not to be changed.
func (e *Events) Of(topic string) *Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.known[topic]
}

// Close ends reading.
func (e *Events) Close() { e.follower.Close() }

// apply takes a record into what is known. One that cannot be understood leaves what was declared before.
func (e *Events) apply(known map[string]*Event, r *kafka.Record) {
	topic := string(r.Key)
	if r.Value == nil {
		delete(known, topic)
		return
	}
	var event Event
	err := json.Unmarshal(r.Value, &event)
	if err == nil {
		err = event.Check()
	}
	if err == nil && event.Topic != topic {
		err = fmt.Errorf("it is of topic %q", event.Topic)
	}
	if err != nil {
		e.log.Error("a declaration of an event cannot be understood", zap.Int64("offset", r.Offset), zap.Error(err))
		return
	}
	known[topic] = &event
}
