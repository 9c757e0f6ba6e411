package evolution

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weirstream/weir/internal/announced"
)

// graph is what is read of a described topology.
type graph struct {
	Topology  string `json:"topology"`
	Subgraphs []struct {
		Nodes []struct {
			Name  string      `json:"name"`
			Reads []graphEdge `json:"reads"`
			Emits []graphEdge `json:"emits"`
		} `json:"nodes"`
	} `json:"subgraphs"`
	Streams []struct {
		Name    string `json:"name"`
		Codec   string `json:"codec"`
		Subject string `json:"subject"`
	} `json:"streams"`
}

type graphEdge struct{ Kind, Name string }

// uses finds the topologies that have to do with a topic or subject: those of the question's file, and those of which instances run.
func (i *Impact) uses(ctx context.Context, q *Question, topic string) error {
	if err := i.described(q, topic); err != nil {
		return err
	}
	if q.Kafka == nil {
		i.Unknown = append(i.Unknown, "which instances run: give --brokers; and programs whose topologies are not given with --topologies")
		return nil
	}
	i.Unknown = append(i.Unknown, "with which version each instance reads and writes; and programs that neither announce themselves nor are given with --topologies")
	list, _, err := announced.List(ctx, q.Kafka, q.Names, "")
	if err != nil {
		return err
	}
	for _, l := range list {
		var g graph
		if l.Gone || json.NewDecoder(bytes.NewReader(l.Graph)).Decode(&g) != nil || g.Topology != l.Topology {
			continue
		}
		for _, u := range g.uses(q, topic) {
			i.add(u, &Instance{l.Instance, l.Build.Version, l.Build.Revision, l.Host})
		}
	}
	return nil
}

// described reads the topologies of the question's file.
func (i *Impact) described(q *Question, topic string) error {
	if q.Graphs == nil {
		return nil
	}
	d := json.NewDecoder(q.Graphs)
	for n := 1; ; n++ {
		var g graph
		err := d.Decode(&g)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && g.Topology == "" {
			err = errors.New("it has no topology")
		}
		if err != nil {
			return fmt.Errorf("--topologies: document %d is none that `topology describe --output json` writes: %w", n, err)
		}
		for _, u := range g.uses(q, topic) {
			i.add(u, nil)
		}
	}
}

// uses are what the nodes of a topology do with a topic or subject.
func (g *graph) uses(q *Question, topic string) (list []Use) {
	for _, s := range g.Streams {
		if s.Name != topic && q.Names.Prefix+s.Name != topic && s.Subject != q.Subject {
			continue
		}
		reads, writes := Use{Topology: g.Topology, Role: "reads", Topic: s.Name, Codec: s.Codec}, Use{Topology: g.Topology, Role: "writes", Topic: s.Name, Codec: s.Codec}
		for _, sub := range g.Subgraphs {
			for _, node := range sub.Nodes {
				if slices.Contains(node.Reads, graphEdge{"stream", s.Name}) {
					reads.Nodes = append(reads.Nodes, node.Name)
				}
				if slices.Contains(node.Emits, graphEdge{"stream", s.Name}) {
					writes.Nodes = append(writes.Nodes, node.Name)
				}
			}
		}
		for _, u := range []Use{reads, writes} {
			if len(u.Nodes) > 0 {
				list = append(list, u)
			}
		}
	}
	return list
}

// add adds a use, or the instance to one that is known. Builds of one topology may use a topic in different ways.
func (i *Impact) add(u Use, by *Instance) {
	at := slices.IndexFunc(i.Uses, func(o Use) bool {
		return o.Topology == u.Topology && o.Role == u.Role && o.Topic == u.Topic && o.Codec == u.Codec && slices.Equal(o.Nodes, u.Nodes)
	})
	if at < 0 {
		u.Instances = []Instance{}
		at, i.Uses = len(i.Uses), append(i.Uses, i.judged(u))
	}
	if by != nil {
		i.Uses[at].Instances = append(i.Uses[at].Instances, *by)
	}
}
