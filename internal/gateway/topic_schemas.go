package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	schemaserver "github.com/weirstream/weir/internal/registry"
	"github.com/weirstream/weir/registry"
)

// TopicSchemas finds schemas in the topic _schemas itself. Where there is none yet it is looked for when a schema is asked for, once in a while.
type TopicSchemas struct {
	client *kafka.Client
	log    *zap.Logger

	mu     sync.Mutex
	reader *schemaserver.Reader
	looked time.Time
	closed bool
}

const (
	schemaTopic = "_schemas"
	lookAfter   = 2 * time.Second
)

var errNoSchemas = errors.New("the brokers have no topic " + schemaTopic)

// OpenTopicSchemas begins to read the topic, where there is one.
func OpenTopicSchemas(ctx context.Context, client *kafka.Client, log *zap.Logger) (*TopicSchemas, error) {
	l := &TopicSchemas{client: client, log: log}
	if _, err := l.get(ctx); err != nil && !errors.Is(err, errNoSchemas) {
		return nil, err
	} else if err != nil {
		log.Warn("there is no topic " + schemaTopic + " yet: events are taken without a schema until there is one")
	}
	return l, nil
}

func (l *TopicSchemas) get(ctx context.Context) (*schemaserver.Reader, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.reader != nil:
		return l.reader, nil
	case l.closed || time.Since(l.looked) < lookAfter:
		return nil, errNoSchemas
	}
	infos, err := l.client.Topics(ctx, []string{schemaTopic})
	if err != nil {
		return nil, err
	}
	if _, ok := infos[schemaTopic]; !ok {
		l.looked = time.Now() // not of one that is there and could not be read: its schemas are unknown, not absent
		return nil, errNoSchemas
	}
	l.reader, err = schemaserver.OpenReader(ctx, l.client, schemaTopic, l.log)
	return l.reader, err
}

// find asks the reader; without a topic there is no schema.
func (l *TopicSchemas) find(ctx context.Context, op string, ask func(*schemaserver.Reader) (*registry.Registered, error)) (*registry.Registered, error) {
	r, err := l.get(ctx)
	if errors.Is(err, errNoSchemas) {
		return nil, registry.NewError(op, registry.ErrNotFound, err)
	}
	if err != nil {
		return nil, registry.NewError(op, registry.ErrAway, err)
	}
	return ask(r)
}

// ByID implements registry.Source.
func (l *TopicSchemas) ByID(ctx context.Context, id int) (*registry.Registered, error) {
	return l.find(ctx, fmt.Sprintf("get schema %d", id), func(r *schemaserver.Reader) (*registry.Registered, error) { return r.ByID(ctx, id) })
}

// ByGUID implements registry.Source.
func (l *TopicSchemas) ByGUID(ctx context.Context, guid string) (*registry.Registered, error) {
	return l.find(ctx, "get schema "+guid, func(r *schemaserver.Reader) (*registry.Registered, error) { return r.ByGUID(ctx, guid) })
}

// Latest implements registry.Source.
func (l *TopicSchemas) Latest(ctx context.Context, subject string) (*registry.Registered, error) {
	return l.find(ctx, "get the latest version of "+subject, func(r *schemaserver.Reader) (*registry.Registered, error) { return r.Latest(ctx, subject) })
}

// Versions are the versions of a subject.
func (l *TopicSchemas) Versions(ctx context.Context, subject string, deleted bool) (list []int, err error) {
	_, err = l.find(ctx, "list the versions of "+subject, func(r *schemaserver.Reader) (_ *registry.Registered, err error) {
		list, err = r.Versions(ctx, subject, deleted)
		return nil, err
	})
	return list, err
}

// Check says why a schema cannot become the next version of a subject.
func (l *TopicSchemas) Check(ctx context.Context, subject string, s registry.Schema) ([]registry.Incompatibility, error) {
	r, err := l.get(ctx)
	if err != nil {
		return nil, registry.NewError("check a schema against subject "+subject, registry.ErrAway, err)
	}
	return r.Check(ctx, subject, s)
}

// Close ends reading.
func (l *TopicSchemas) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.reader != nil {
		l.reader.Close()
	}
}
