package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Describe is the plan as text, for people.
func (p *Plan) Describe() string {
	var b strings.Builder
	d := p.description()
	fmt.Fprintf(&b, "topology %s\n", d.Topology)
	if d.Group != "" {
		fmt.Fprintf(&b, "group %s\n", d.Group)
	}
	for _, g := range d.Subgraphs {
		fmt.Fprintf(&b, "\nsub-graph %d: one task for each partition of %s\n", g.Index, names(g.Inputs))
		for _, n := range g.Nodes {
			fmt.Fprintf(&b, "  node %s\n", n.Name)
			for _, r := range n.Reads {
				fmt.Fprintf(&b, "    on %s\n", r)
			}
			for _, s := range n.Uses {
				fmt.Fprintf(&b, "    uses store %s\n", s)
			}
			for _, g := range n.Globals {
				fmt.Fprintf(&b, "    looks up %s\n", g)
			}
			for _, s := range n.Services {
				fmt.Fprintf(&b, "    calls service %s, which is down after %d failures, for %v\n", s.Name, s.Failures, time.Duration(s.Pause)*time.Millisecond)
			}
			for _, o := range n.Sinks {
				fmt.Fprintf(&b, "    writes to %s %s\n", o.Type, o.Name)
			}
			for _, o := range n.Emits {
				fmt.Fprintf(&b, "    emits to %s\n", o)
			}
			if d := n.Dedup; d != nil && d.Window > 0 {
				fmt.Fprintf(&b, "    drops what has an id of the last %v, kept in store %s\n", time.Duration(d.Window)*time.Millisecond, d.Store)
			} else if d != nil {
				fmt.Fprintf(&b, "    drops what is not after the last sequence number of its key, kept in store %s\n", d.Store)
			}
			if len(n.PassHeaders) > 0 {
				fmt.Fprintf(&b, "    passes headers %s on\n", strings.Join(n.PassHeaders, ", "))
			}
			if n.Timeout > 0 {
				fmt.Fprintf(&b, "    may take %v a call\n", time.Duration(n.Timeout)*time.Millisecond)
			}
			later := ""
			for _, ms := range n.RetryLater {
				later += ", again after " + shortly(time.Duration(ms)*time.Millisecond)
			}
			fmt.Fprintf(&b, "    tries %s%s, then dead letter to %s\n", n.Retry, later, strings.Join(n.DeadLetters, ", "))
		}
		for _, s := range g.Stores {
			users := "used by " + strings.Join(s.Nodes, ", ")
			if len(s.Nodes) == 0 {
				users = "for records whose key is parked"
			}
			fmt.Fprintf(&b, "  store %s (%s), %s\n", s.Name, s.Type, users)
		}
	}
	d.listStreams(&b)
	d.listTopics(&b)
	return b.String()
}

func (d *description) listStreams(b *strings.Builder) {
	b.WriteString("\nstreams\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "  NAME\tVALUES\tKEYS\tSUBJECT\tOWNER\n")
	for _, s := range d.Streams {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", s.Name, s.Codec, s.KeyCodec, s.Subject, cmp.Or(s.Owner, "none"))
	}
	w.Flush()
}

func (d *description) listTopics(b *strings.Builder) {
	b.WriteString("\ntopics\n")
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "  NAME\tROLE\tPARTITIONS\tCLEANUP\tRETENTION\n")
	for _, t := range d.Topics {
		partitions := "any number"
		switch {
		case t.PartitionsOf != "":
			partitions = "as " + t.PartitionsOf
		case t.Partitions > 0:
			partitions = strconv.Itoa(int(t.Partitions))
		}
		role := t.Role
		if (role == InputTopic.String() || role == GlobalTopic.String()) && t.Written {
			role += ", written here too"
		}
		if t.Global {
			role += ", looked up too"
		}
		kept := retention(t.Retention)
		if t.Tiered {
			kept += ", tiered"
			if t.LocalRetention > 0 {
				kept += ", locally " + retention(&t.LocalRetention)
			}
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", t.Name, role, partitions, t.Cleanup, kept)
	}
	w.Flush()
}

// JSON is the plan for programs, indented.
func (p *Plan) JSON() ([]byte, error) {
	out, err := json.MarshalIndent(p.description(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("describe topology %s: %w", p.Topology, err)
	}
	return append(out, '\n'), nil
}

// description is a plan in plain words. Its fields are what JSON promises: names are added and never change.
type description struct {
	Topology  string              `json:"topology"`
	Group     string              `json:"group,omitempty"` // where it is not the topology's name
	Subgraphs []subgraphIn        `json:"subgraphs"`
	Streams   []streamDescription `json:"streams"`
	Topics    []topicDescription  `json:"topics"`
}

// streamDescription is what a stream says of its records; what it says of its topic is with the topics.
type streamDescription struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Codec    string `json:"codec"`
	KeyCodec string `json:"key_codec"`
	Subject  string `json:"subject"`
	Owner    string `json:"owner,omitempty"`
	Foreign  bool   `json:"foreign,omitempty"`
}

type subgraphIn struct {
	Index  int                `json:"index"`
	Inputs []valueDescription `json:"inputs"`
	Nodes  []nodeDescription  `json:"nodes"`
	Stores []storeDescription `json:"stores"`
}

type nodeDescription struct {
	Name        string               `json:"name"`
	Reads       []valueDescription   `json:"reads"`
	Uses        []string             `json:"uses"`
	Globals     []valueDescription   `json:"globals,omitempty"`
	Services    []serviceDescription `json:"services,omitempty"`
	Sinks       []valueDescription   `json:"sinks,omitempty"`
	Emits       []valueDescription   `json:"emits"`
	Retry       retryDescription     `json:"retry"`
	RetryLater  []int64              `json:"retry_later_ms,omitempty"`
	Timeout     int64                `json:"timeout_ms,omitempty"`
	DeadLetters []string             `json:"dead_letters"`
	PassHeaders []string             `json:"pass_headers,omitempty"`
	Dedup       *dedupDescription    `json:"dedup,omitempty"`
}

type dedupDescription struct {
	Store  string `json:"store"`
	Window int64  `json:"window_ms,omitempty"` // of ids; left out with sequence numbers
}

type serviceDescription struct {
	Name     string `json:"name"`
	Failures int    `json:"failures"`
	Pause    int64  `json:"pause_ms"`
}

type valueDescription struct {
	Kind string `json:"kind"` // stream, edge or global
	Name string `json:"name"`
	Type string `json:"type"`
}

func (v valueDescription) String() string { return fmt.Sprintf("%s %s (%s)", v.Kind, v.Name, v.Type) }

type retryDescription struct {
	Attempts int   `json:"attempts"`
	First    int64 `json:"first_ms"`
	Max      int64 `json:"max_ms"`
	Within   int64 `json:"within_ms,omitempty"`
}

func (r retryDescription) String() string {
	if r.Attempts == 1 {
		return "once"
	}
	text := fmt.Sprintf("%d times, %v to %v apart", r.Attempts,
		time.Duration(r.First)*time.Millisecond, time.Duration(r.Max)*time.Millisecond)
	if r.Within > 0 {
		text += fmt.Sprintf(", within %v", time.Duration(r.Within)*time.Millisecond)
	}
	return text
}

type storeDescription struct {
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	Changelog string   `json:"changelog"`
	Nodes     []string `json:"nodes"`
}

type topicDescription struct {
	Name           string `json:"name"`
	Role           string `json:"role"`
	Store          string `json:"store,omitempty"`
	PartitionsOf   string `json:"partitions_of,omitempty"`
	Partitions     int32  `json:"partitions,omitempty"` // that are stated, also by the stream of partitions_of
	Written        bool   `json:"written"`
	Global         bool   `json:"global,omitempty"` // an input that is also looked up whole
	Cleanup        string `json:"cleanup"`
	Retention      *int64 `json:"retention_ms"` // as in Kafka, -1 for ever; null for the broker's default
	Tiered         bool   `json:"tiered,omitempty"`
	LocalRetention int64  `json:"local_retention_ms,omitempty"`
}

func (p *Plan) description() description {
	d := description{Topology: p.Topology, Subgraphs: []subgraphIn{}, Streams: []streamDescription{}, Topics: []topicDescription{}}
	if p.Names.Prefix != "" {
		d.Group = p.Group()
	}
	for _, g := range p.Subgraphs {
		s := subgraphIn{Index: g.Index, Stores: []storeDescription{}}
		for _, in := range g.Inputs {
			s.Inputs = append(s.Inputs, describeOutput(in))
		}
		for _, n := range g.Nodes {
			s.Nodes = append(s.Nodes, p.describeNode(g, n))
		}
		for _, store := range g.Stores {
			sd := storeDescription{Name: store.Name, Type: store.Type, Changelog: p.Changelog(store)}
			for _, n := range g.Users(store) {
				sd.Nodes = append(sd.Nodes, n.Name)
			}
			s.Stores = append(s.Stores, sd)
		}
		d.Subgraphs = append(d.Subgraphs, s)
	}
	for _, t := range p.Topics {
		td := topicDescription{
			Name: t.Name, Role: t.Role.String(), Store: t.Store, PartitionsOf: t.PartitionsOf, Partitions: t.Partitions,
			Written: t.Written, Global: t.Global, Cleanup: t.Cleanup, Tiered: t.Tiered, LocalRetention: t.LocalRetention.Milliseconds(),
		}
		if s := t.Stream; s != nil {
			d.Streams = append(d.Streams, streamDescription{s.Name, s.Type, s.Codec, s.KeyCodec, s.Subject, s.Owner, s.Foreign})
		}
		switch {
		case t.Retention < 0:
			td.Retention = new(int64(-1))
		case t.Retention > 0:
			td.Retention = new(t.Retention.Milliseconds())
		}
		d.Topics = append(d.Topics, td)
	}
	return d
}

func (p *Plan) describeNode(g *Subgraph, n *Node) nodeDescription {
	d := nodeDescription{
		Name: n.Name, Uses: []string{}, Emits: []valueDescription{}, DeadLetters: p.DeadLetters(g, n), PassHeaders: n.PassHeaders,
		Retry:   retryDescription{n.Retry.Attempts, n.Retry.First.Milliseconds(), n.Retry.Max.Milliseconds(), n.Retry.Within.Milliseconds()},
		Timeout: n.Timeout.Milliseconds(),
	}
	if n.Dedup != nil {
		d.Dedup = &dedupDescription{n.Dedup.Store.Name, n.Dedup.Window.Milliseconds()}
	}
	for _, delay := range n.Later {
		d.RetryLater = append(d.RetryLater, delay.Milliseconds())
	}
	for _, h := range n.Reads {
		d.Reads = append(d.Reads, describeOutput(h.Input()))
	}
	for _, s := range n.Stores {
		d.Uses = append(d.Uses, s.Name)
	}
	for _, g := range n.Globals {
		d.Globals = append(d.Globals, valueDescription{"global", g.Name, g.Type})
	}
	for _, s := range n.Services {
		d.Services = append(d.Services, serviceDescription{s.Name, s.Failures, s.Pause.Milliseconds()})
	}
	for _, o := range n.Outsides {
		d.Sinks = append(d.Sinks, valueDescription{"sink", o.Name, o.Kind})
	}
	for _, o := range n.Outputs {
		d.Emits = append(d.Emits, describeOutput(o))
	}
	return d
}

func describeOutput(o Output) valueDescription {
	switch d := o.(type) {
	case *Edge:
		return valueDescription{"edge", d.Name, d.Type}
	case *Stream:
		return valueDescription{"stream", d.Name, d.Type}
	}
	return valueDescription{}
}

func names(values []valueDescription) string {
	var names []string
	for _, v := range values {
		names = append(names, v.Name)
	}
	return strings.Join(names, ", ")
}

// retention is a time in milliseconds for people.
func retention(ms *int64) string {
	const day = 24 * time.Hour
	if ms == nil {
		return "broker's default"
	}
	switch d := time.Duration(*ms) * time.Millisecond; {
	case d < 0:
		return "for ever"
	case d == day:
		return "1 day"
	case d%day == 0:
		return fmt.Sprintf("%d days", d/day)
	default:
		return d.String()
	}
}
