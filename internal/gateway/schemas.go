package gateway

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/jsonscan"
	"github.com/weirstream/weir/internal/schema/values"
	"github.com/weirstream/weir/registry"
)

// schemas finds the schema that a topic's values or keys are written with: the latest version of its subject.
type schemas struct {
	source registry.Source // nil: no topic has a schema
	log    *zap.Logger
	values *values.Values
	texts  texts

	ctx   context.Context // ends with the gateway
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu    sync.Mutex
	known map[string]*subject

	heard   time.Time // when the registry answered last; zero: never
	silence error     // why it does not, nil where it does
	since   time.Time // of the silence
}

// subject is what was found.
type subject struct {
	schema *values.Schema // nil: the subject has none
	had    bool           // it had one
	gone   *Problem       // why events are refused though the registry says that there is none
	err    error          // why it is not known
	until  time.Time
	asking bool
	kept   bool // the registry did not say it when it was asked last
	late   bool // it took longer than schemaPatience
}

// A subject is asked for again after this time, so that is how long another version takes to be used. While the registry does not answer, what
// is known stays in use, and nobody waits for it: one event waits for a short while, and none after it until the registry answers again.
const (
	schemaFor      = 2 * time.Second
	schemaPatience = 100 * time.Millisecond
	mostSubject    = 20_000
)

// schemaAsk bounds a question to the registry.
var schemaAsk = 3 * time.Second // tests have other times

// What is asked of the registry ends with ctx.
func newSchemas(ctx context.Context, source registry.Source, log *zap.Logger) *schemas {
	s := &schemas{source: source, log: log, values: values.New(source), known: map[string]*subject{}}
	s.ctx, s.stop = context.WithCancel(ctx)
	return s
}

// close ends what is asked of the registry. It is called when no event comes any more.
func (s *schemas) close() {
	s.stop()
	s.tasks.Wait()
}

// of is the schema of a subject, nil where it has none.
func (s *schemas) of(name string) (*values.Schema, *Problem) {
	if s.source == nil {
		return nil, nil
	}
	s.mu.Lock()
	known := s.known[name]
	if known != nil && (time.Now().Before(known.until) || known.asking) {
		s.mu.Unlock()
		return known.give(name)
	}
	if known != nil {
		known.asking = true
	}
	s.mu.Unlock()
	if known == nil || known.err != nil {
		return s.ask(name, known).give(name)
	}
	asked := make(chan *subject, 1)
	s.tasks.Go(func() { asked <- s.ask(name, known) })
	if known.late {
		return known.give(name)
	}
	patience := time.NewTimer(schemaPatience)
	defer patience.Stop()
	select {
	case found := <-asked:
		return found.give(name)
	case <-patience.C:
		return known.give(name)
	}
}

// ask asks the registry, and notes what it says. known is what was found before, nil for nothing.
func (s *schemas) ask(name string, known *subject) *subject {
	ctx, cancel := context.WithTimeout(s.ctx, schemaAsk)
	defer cancel()
	found := &subject{}
	began := time.Now()
	registered, err := s.source.Latest(ctx, name)
	found.late = time.Since(began) > schemaPatience
	if had := known != nil && known.had; err == nil {
		found.had = true
		if found.schema, err = s.values.Schema(registered); err != nil {
			found.gone, err = notUnderstood(name, err), nil
		}
	} else if found.had = had; errors.Is(err, registry.ErrNotFound) {
		found.gone, err = s.lost(ctx, name, had, err)
	}
	s.note(err)
	switch {
	case err == nil || found.gone != nil:
	case known != nil && known.err == nil:
		found.schema, found.gone, found.kept = known.schema, known.gone, true
	default:
		found.err = err
	}
	s.tell(name, known, found)
	found.until = time.Now().Add(schemaFor)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= mostSubject { // what had a schema stays: of it nothing is taken without one
		maps.DeleteFunc(s.known, func(_ string, known *subject) bool { return !known.had })
	}
	s.known[name] = found
	return found
}

// note notes whether the registry answers.
func (s *schemas) note(err error) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		if s.silence != nil {
			s.log.Info("the schema registry answers again")
		}
		s.heard, s.silence = now, nil
	case !errors.Is(err, registry.ErrAway):
	case s.silence == nil:
		s.silence, s.since = err, now
		s.log.Warn("the schema registry cannot be asked: events of topics whose schema is not known yet are refused", zap.Error(err))
	default:
		s.silence = err
	}
}

// probe is a subject that nobody has: that it is not there is an answer too.
const (
	probe      = "weir-gateway-probe-value"
	probeEvery = 5 * time.Second
)

// look asks the registry whether it is there, when nobody else has lately.
func (s *schemas) look(ctx context.Context) {
	if s.source == nil {
		return
	}
	s.mu.Lock()
	quiet := time.Since(s.heard) >= probeEvery
	s.mu.Unlock()
	if !quiet {
		return
	}
	within, cancel := context.WithTimeout(ctx, schemaAsk)
	defer cancel()
	_, err := s.source.Latest(within, probe)
	if errors.Is(err, registry.ErrNotFound) {
		err = nil
	}
	if ctx.Err() == nil {
		s.note(err)
	}
}

// silent is why the registry cannot be asked, and since when; never says that it has not answered yet.
func (s *schemas) silent() (why error, since time.Time, never bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silence, s.since, s.heard.IsZero()
}

// lost says why events are refused of a subject whose latest version the registry does not find: there are versions all the same, which were deleted
// or refer to what is not there, or there were. Values that no schema has checked would be in the way of every reader. Of a subject that
// never had a schema it says nothing, without an error.
func (s *schemas) lost(ctx context.Context, name string, had bool, why error) (*Problem, error) {
	const again = "register the schema under the subject again (weir schema register, weir event apply), then send the event again; "
	if source, ok := s.source.(interface {
		Versions(ctx context.Context, subject string, deleted bool) ([]int, error)
	}); ok {
		switch list, err := source.Versions(ctx, name, true); {
		case len(list) > 0:
			return notWritten.of("subject %s has no version that can be used: each was deleted, or refers to one that is not there: %v", name, why).
				todo(again + "if the topic is to take events without a schema, delete the subject permanently first"), nil
		case errors.Is(err, registry.ErrAway):
			return nil, err
		}
	}
	if had {
		return notWritten.of("the registry does not know subject %s any more, by whose schema this gateway has checked events: %v", name, why).
			todo(again + "if the topic is to take events without a schema from now on, restart the gateways"), nil
	}
	return nil, nil
}

// notUnderstood says why events are refused of a subject whose latest schema, which another registry took, cannot be checked by. It stays so until there is
// another one.
func notUnderstood(name string, why error) *Problem {
	return notWritten.of("the latest schema of subject %s is one that this gateway does not understand: %v", name, why).
		todo("sending the event again does not help: whoever runs the registry registers a version that is understood (with the level NONE of the subject, since it cannot be compared), or deletes that one")
}

// tell says in the log when events begin to be refused for want of a schema, and when no more.
func (s *schemas) tell(name string, known, found *subject) {
	was := known != nil && known.gone != nil
	switch {
	case found.gone != nil && !was:
		s.log.Warn("events are refused: they have no schema that can be used", zap.String("subject", name), zap.String("why", found.gone.Detail), zap.String("do", found.gone.Remedy))
	case found.gone == nil && was:
		s.log.Info("events are not refused any more for want of a schema", zap.String("subject", name))
	}
}

func (s *subject) give(name string) (*values.Schema, *Problem) {
	if s.err != nil {
		return nil, notWritten.of("the schema of subject %s is not known: %v", name, s.err)
	}
	if s.gone != nil {
		p := *s.gone // it is the answer's
		return nil, &p
	}
	return s.schema, nil
}

// A request may name the schema of its data by id or by text. It must be the latest of the subject, whatever the source of schemas: who may publish may
// not therefore change what others read, nor go on with a version that was rolled back.

// byID is a schema that a request names by its id.
func (s *schemas) byID(name string, id int) (*values.Schema, *Problem) {
	latest, sure, p := s.named(name, func(latest *registry.Registered) bool { return latest.ID == id })
	switch {
	case p != nil:
		return nil, p
	case latest != nil && latest.Registered().ID == id:
		return latest, nil
	case !sure:
		return nil, notWritten.of("whether schema %d is the latest of subject %s is not known: the schema registry cannot be asked", id, name)
	case latest == nil:
		return nil, unregistered(name)
	}
	return nil, badSchema.of("schema %d is not the latest of subject %s", id, name).
		todo("mend the schema's id in the request: the latest is %d, of subject %s", latest.Registered().ID, name)
}

// namedAgain is how old what is known of a subject may be before a request that names another schema is refused.
const namedAgain = 100 * time.Millisecond

// named is the latest schema of a subject whose latest a request names: another one than is known may have been registered just now, so then the registry is
// asked again. sure says that it has answered.
func (s *schemas) named(name string, fits func(*registry.Registered) bool) (latest *values.Schema, sure bool, p *Problem) {
	latest, p = s.of(name)
	if p != nil || s.source == nil || latest != nil && fits(latest.Registered()) {
		return latest, true, p
	}
	s.mu.Lock()
	known := s.known[name]
	s.mu.Unlock()
	if known == nil || time.Since(known.until.Add(-schemaFor)) > namedAgain {
		known = s.ask(name, known)
		latest, p = known.give(name)
	}
	return latest, !known.kept, p
}

// encodedMore is what an encoded value has that its document has not: the schema's id, a message's indexes.
const encodedMore = 16

// encode turns a document into what the record holds.
func encode(schema *values.Schema, message string, document []byte) ([]byte, *Problem) {
	m, err := schema.Message(message)
	if err != nil {
		return nil, invalid.of("%v", err)
	}
	room := make([]byte, 0, encodedMore+len(document)) // few values are larger than their documents
	out, _, err := schema.Append(room, values.InValue, m, document)
	if err != nil {
		return nil, ofValue(err)
	}
	return out, nil
}

// ofValue is the problem of a value that its schema does not take. Its place becomes a JSON pointer: of several mistakes that of the first.
func ofValue(err error) *Problem {
	p := invalid.of("%v", err)
	var first *jsonscan.Error
	if errors.As(err, &first) {
		return p.at(first.Pointer())
	}
	return p.at("")
}
