package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/codecs"
)

// schemasWithin bounds how long a start checks schemas, and how long it registers them.
const schemasWithin = 30 * time.Second

// schemaProblems has codecs check their schemas, or register those that are to be registered. What is not compatible is a problem; what
// cannot be asked now is none, since records whose schemas are not known wait by themselves. All are checked, also those that are to be
// registered, before anything is created or registered.
func (e *engine) schemaProblems(ctx context.Context, register bool) (problems []string) {
	if e.opts.Schemas == SchemasOff || register && e.opts.Schemas != SchemasRegister {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, schemasWithin)
	defer cancel()
	for _, t := range e.graph.plan.Topics {
		if t.Stream == nil || register && !t.Written {
			continue
		}
		for _, prepare := range t.Stream.Prepare {
			err := prepare(ctx, t.Name, register)
			switch {
			case err == nil:
			case errors.Is(err, codecs.ErrUnregistered):
				if t.Written && e.opts.Schemas == SchemasCheck {
					e.log.Warn("what is written to a topic waits, and all that is read before it: its schema is not registered", zap.String("topic", t.Name), zap.Error(err))
				}
			case errors.Is(err, codecs.ErrUnavailable):
				e.log.Warn("the schema of a topic is not checked: records of schemas that are not known wait", zap.String("topic", t.Name), zap.Error(err))
			default:
				problems = append(problems, fmt.Sprintf("topic %s: %v", t.Name, err))
			}
		}
	}
	return problems
}
