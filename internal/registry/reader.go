package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema"
	client "github.com/weirstream/weir/registry"
)

// Reader finds schemas in the topic itself, for programs that have brokers and no registry's URL. It is a [client.Source].
type Reader struct {
	log    *Log
	parsed parsed
}

// OpenReader begins to read a topic, which must exist: nothing is made or written. Its errors are the brokers'.
func OpenReader(ctx context.Context, c *kafka.Client, topic string, log *zap.Logger) (*Reader, error) {
	known, err := c.Topics(ctx, []string{topic})
	if err != nil {
		return nil, fmt.Errorf("read the schemas in topic %s: %w", topic, err)
	}
	if _, ok := known[topic]; !ok {
		return nil, fmt.Errorf("the brokers have no topic %s: start a registry on them (weir registry run), or give a registry's URL", topic)
	}
	l := newLog(c, topic, "", log)
	if err := l.load(ctx); err != nil {
		l.fetcher.Close()
		return nil, fmt.Errorf("read the schemas in topic %s: %w", topic, err)
	}
	return &Reader{log: l, parsed: parsed{parse: schema.Parse}}, nil
}

// Close ends reading.
func (r *Reader) Close() { r.log.Close() }

// find looks for an entry; what is not there is looked for again when all is read that the topic holds.
func (r *Reader) find(ctx context.Context, op string, look func(*state) (*Entry, error)) (*client.Registered, error) {
	var found *client.Registered
	try := func() error {
		return r.log.read(func(s *state) error {
			e, err := look(s)
			if err != nil {
				return err
			}
			src, err := s.source(e)
			if err != nil {
				return err
			}
			found = registeredOf(e)
			found.Imports = src.Imports
			return nil
		})
	}
	err := try()
	if err == nil {
		return found, nil
	}
	if err := r.log.catchUp(ctx); err != nil {
		return nil, client.NewError(op, client.ErrAway, err)
	}
	if err = try(); err == nil {
		return found, nil
	}
	kind := client.ErrNotFound
	var said *Error
	if !errors.As(err, &said) || said.status() != 404 {
		kind = client.ErrAway
	}
	return nil, client.NewError(op, kind, err)
}

func registeredOf(e *Entry) *client.Registered {
	r := &client.Registered{ID: e.ID, GUID: e.GUID, Subject: e.Subject, Version: e.Version, Deleted: e.Deleted}
	r.Schema = client.Schema{Type: client.Type(cmp.Or(e.SchemaType, string(client.Avro))), Text: e.Schema, Metadata: e.Metadata, RuleSet: e.RuleSet}
	for _, ref := range e.References {
		r.References = append(r.References, client.Reference(ref))
	}
	return r
}

// ByID finds the schema of an id in the default context.
func (r *Reader) ByID(ctx context.Context, id int) (*client.Registered, error) {
	found, err := r.find(ctx, fmt.Sprintf("get schema %d", id), func(s *state) (*Entry, error) {
		if list := s.ids[idKey{defaultContext, id}]; len(list) > 0 {
			return list[0], nil
		}
		return nil, noSchemaOf(id)
	})
	return anonymous(found), err
}

// ByGUID finds the schema of a GUID, in any context.
func (r *Reader) ByGUID(ctx context.Context, guid string) (*client.Registered, error) {
	found, err := r.find(ctx, "get schema "+guid, func(s *state) (*Entry, error) {
		list, err := s.withGUID(guid)
		if err != nil {
			return nil, err
		}
		return list[0], nil
	})
	return anonymous(found), err
}

// anonymous leaves out of which subject a schema is: it may be in several.
func anonymous(r *client.Registered) *client.Registered {
	if r != nil {
		r.Subject, r.Version = "", 0
	}
	return r
}

// Latest finds the latest version of a subject, and of one of its name in another context where there is none in the default one, as the API does.
func (r *Reader) Latest(ctx context.Context, subject string) (*client.Registered, error) {
	return r.find(ctx, fmt.Sprintf("get the latest version of subject %q", subject), func(s *state) (*Entry, error) {
		return anywhere(s, qualify(defaultContext, subject), func(subject string) (*Entry, error) { return s.version(subject, "latest", false) })
	})
}

// Versions are the versions of a subject, the oldest first.
func (r *Reader) Versions(ctx context.Context, subject string, deleted bool) (list []int, err error) {
	op := fmt.Sprintf("list the versions of subject %q", subject)
	if err := r.log.catchUp(ctx); err != nil {
		return nil, client.NewError(op, client.ErrAway, err)
	}
	err = r.log.read(func(s *state) error {
		for _, e := range s.versions(qualify(defaultContext, subject), deleted) {
			list = append(list, e.Version)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, client.NewError(op, client.ErrAway, err)
	case len(list) == 0:
		return nil, client.NewError(op, client.ErrNotFound, noSubject(subject))
	}
	return list, nil
}

// Check says why a schema cannot become the next version of a subject, by the subject's level. Nothing: it can.
func (r *Reader) Check(ctx context.Context, subject string, s client.Schema) (list []client.Incompatibility, err error) {
	q := &Request{Schema: s.Text, SchemaType: string(s.Type), Metadata: s.Metadata, RuleSet: s.RuleSet}
	for _, ref := range s.References {
		q.References = append(q.References, Reference(ref))
	}
	subject = qualify(defaultContext, subject)
	study := &study{parsed: &r.parsed, known: map[string]studied{}, todo: map[string]func() (any, error){}}
	err = study.settle(ctx, func() error {
		return r.log.read(func(s *state) error {
			v := view{s, study}
			_, next, err := v.understand(subject, q, false, v.has(subject, q))
			if err != nil {
				return err
			}
			level, _ := schema.ParseLevel(v.level(subject))
			found, err := v.check(level, v.versions(subject, false), next)
			list = nil
			for _, f := range found {
				list = append(list, client.Incompatibility{Rule: f.Rule, Detail: explained(f)})
			}
			return err
		})
	})
	if err != nil {
		return nil, client.NewError(fmt.Sprintf("check a schema against subject %q", subject), client.ErrRefused, err)
	}
	return list, nil
}

// Subjects are the names of all subjects that are not deleted, in order.
func (r *Reader) Subjects(ctx context.Context) (list []string, err error) {
	if err := r.log.catchUp(ctx); err != nil {
		return nil, client.NewError("list the subjects", client.ErrAway, err)
	}
	return list, r.log.read(func(s *state) error {
		list = slices.Clone(s.names(false))
		return nil
	})
}
