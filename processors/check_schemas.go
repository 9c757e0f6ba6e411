package processors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/codecs"
)

// schemasWithin bounds what a start asks a schema registry, all in all.
const schemasWithin = 30 * time.Second

// prepareSchemas has codecs register or check their schemas. What is not compatible refuses the start; what cannot be asked now does not,
// since records whose schemas are not known wait by themselves.
func (e *engine) prepareSchemas(ctx context.Context) error {
	if e.opts.Schemas == SchemasOff {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, schemasWithin)
	defer cancel()
	var problems []string
	for _, t := range e.graph.plan.Topics {
		if t.Stream == nil {
			continue
		}
		for _, prepare := range t.Stream.Prepare {
			err := prepare(ctx, e.graph.plan.Names.SchemaTopic(t.Stream), e.opts.Schemas == SchemasRegister && t.Written)
			switch {
			case err == nil:
			case errors.Is(err, codecs.ErrUnavailable):
				e.log.Warn("the schema of a topic is not checked: records of schemas that are not known wait", zap.String("topic", t.Name), zap.Error(err))
			default:
				problems = append(problems, fmt.Sprintf("topic %s: %v", t.Name, err))
			}
		}
	}
	if len(problems) > 0 {
		return e.refuse(problems)
	}
	return nil
}
