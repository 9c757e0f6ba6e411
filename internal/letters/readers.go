package letters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/weirstream/weir/internal/announced"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// redrivesRead are the redrive topics that a topology reads. Its instances say so, or the program that contains it.
type redrivesRead struct {
	known  bool
	topics map[string]bool
}

// readingOf asks who knows what a topology reads. Instances come first: the program at hand may be another build, or one that has a topology of the same name.
func (t *Tool) readingOf(ctx context.Context, topology string) (*redrivesRead, error) {
	r := &redrivesRead{topics: map[string]bool{}}
	list, _, err := announced.List(ctx, t.Client, t.Names, topology)
	if _, denied := errors.AsType[*kafka.BlockedError](err); err != nil && !denied {
		return nil, err
	}
	for _, one := range list {
		if one.Gone {
			continue
		}
		var graph struct {
			Topics []struct {
				Name string `json:"name"`
				Role string `json:"role"`
			} `json:"topics"`
		}
		if json.Unmarshal(one.Graph, &graph) != nil {
			continue
		}
		for _, topic := range graph.Topics {
			r.known = true
			if topic.Role == plan.RedriveTopic.String() {
				r.topics[topic.Name] = true
			}
		}
	}
	if r.known {
		return r, nil
	}
	for _, p := range t.Plans {
		if p.Topology != topology {
			continue
		}
		r.known = true
		for _, topic := range p.Topics {
			if topic.Role == plan.RedriveTopic {
				r.topics[topic.Name] = true
			}
		}
	}
	return r, nil
}

// unread says that a way into a topology leads into a redrive topic that the topology is known not to read. Where nobody knows, the order says so.
func (e *explorer) unread(ctx context.Context, w Way, redrive string) (bool, error) {
	if w.Topology == "" || e.order.Verb != Redrive || e.order.To != "" || e.order.Force {
		return false, nil
	}
	r := e.readings[w.Topology]
	if r == nil {
		var err error
		if r, err = e.tool.readingOf(ctx, w.Topology); err != nil {
			return false, err
		}
		if e.readings == nil {
			e.readings = map[string]*redrivesRead{}
		}
		topology := strings.Clone(w.Topology)
		e.readings[topology] = r
		if !r.known {
			e.notes = append(e.notes, fmt.Sprintf("whether topology %s still reads what is redriven is not known: none of its instances has announced itself, and this program does not contain it", topology))
		}
	}
	return r.known && !r.topics[redrive], nil
}
