package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// Plan is what a job would do.
type Plan struct {
	Job        string             `json:"job"`
	State      string             `json:"state"` // new, or as the job stands
	Into       Into               `json:"into"`
	Topology   string             `json:"topology,omitempty"`
	From       string             `json:"from"`
	To         string             `json:"to,omitempty"`
	Partitions []PlannedPartition `json:"partitions"`
	Offsets    int64              `json:"offsets"`
	Records    int64              `json:"records"` // before they are chosen; an estimate where Exact is false
	Bytes      int64              `json:"bytes"`
	Exact      bool               `json:"exact"`
	Seconds    float64            `json:"seconds"`
	Touches    []string           `json:"touches"`
	Letters    int64              `json:"letters"` // open dead letters of records of the ranges, of a replay into the topology; of one from dead letters, those that are copied and open
	Removed    int64              `json:"removed"` // offsets that are asked for, and that retention has removed
	Earliest   *time.Time         `json:"earliest,omitempty"`
	Partial    string             `json:"partial,omitempty"` // what a state that is rebuilt lacks
	Notes      []string           `json:"notes"`
	Refused    string             `json:"refused,omitempty"` // why a run would be refused

	info     kafka.TopicInfo
	disorder []string // among Notes
	gone     *removal // what retention has removed of what is asked for, nil for nothing
	graph    *plan.Plan
	ranges   []Range
	copied   int64 // records that are left out: see leftOut
}

// PlannedPartition is a partition of a plan.
type PlannedPartition struct {
	Range
	Earliest int64 `json:"earliest"` // the first offset that the partition still holds
	Latest   int64 `json:"latest"`
	Removed  int64 `json:"removed"`
}

// RefusedError is why a job is refused: as its plan says.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return e.Why }

// sample is how many records of a partition are looked at for an estimate, and the largest range that is counted whole.
const sample = 2000

// readAhead is how many bytes of a partition are read before they are looked at.
const readAhead = 4 << 20

// resolve finds the ranges that a job means now.
func (t *Tool) resolve(ctx context.Context, j *Job, fromEarliest bool) (*Plan, error) {
	p := &Plan{Job: j.Name, Into: j.Into, Topology: j.Topology, From: j.From.Topic, To: j.Topic, Exact: true, Notes: []string{}, Touches: []string{}, Partitions: []PlannedPartition{}}
	infos, err := t.Client.Topics(ctx, []string{j.From.Topic})
	if err != nil {
		return nil, err
	}
	info, ok := infos[j.From.Topic]
	if !ok {
		return nil, fmt.Errorf("from.topic: %s does not exist: give the topic as it is called in the cluster, with its topic.prefix", j.From.Topic)
	}
	p.info = info
	tps, err := j.From.meant(info)
	if err != nil {
		return nil, err
	}
	if err := t.bounds(ctx, j, p, tps); err != nil {
		return nil, err
	}
	if p.gone != nil {
		if p.Earliest = &p.gone.earliest; !fromEarliest {
			p.Refused = p.gone.refusal()
		} else {
			p.Notes = append(p.Notes, fmt.Sprintf("retention has removed %d offsets that were asked for: the replay begins with what is there", p.Removed))
		}
	}
	if j.Into != IntoTopic {
		if err := t.ofTopology(ctx, j, p, fromEarliest); err != nil {
			return nil, err
		}
	} else if err := t.ofTopic(ctx, j, p); err != nil {
		return nil, err
	}
	for _, one := range p.Partitions {
		p.ranges = append(p.ranges, one.Range)
		p.Offsets += one.End - one.Start
	}
	if j.Into != IntoTopic {
		return p, t.withLetters(ctx, j, p)
	}
	return p, nil
}

// ofTopic says what a job into a topic touches.
func (t *Tool) ofTopic(ctx context.Context, j *Job, p *Plan) error {
	infos, err := t.Client.Topics(ctx, []string{j.Topic})
	if err != nil {
		return err
	}
	info, ok := infos[j.Topic]
	if !ok {
		return fmt.Errorf("topic: %s does not exist: create it first, with the partitions and the retention that it is to have", j.Topic)
	}
	p.Touches = append(p.Touches, fmt.Sprintf("topic %s: records are written", j.Topic))
	if info.Partitions != p.info.Partitions {
		p.Notes = append(p.Notes, fmt.Sprintf("%s has %d partitions and %s %d: records go where their keys belong", j.Topic, info.Partitions, j.From.Topic, p.info.Partitions))
	}
	p.Notes = append(p.Notes, "records keep their timestamps: where those are older than the retention of the topic, it removes them at once")
	return nil
}

// ofTopology says what a job into a topology, or a shadow of it, touches, and bounds its ranges.
func (t *Tool) ofTopology(ctx context.Context, j *Job, p *Plan, fromEarliest bool) error {
	graph, err := t.Topology(j.Topology, t.Names)
	if err != nil {
		return err
	}
	p.graph = graph
	sub := inputOf(graph, j.From.Topic)
	if sub == nil {
		return fmt.Errorf("from.topic: %s is no input of topology %s: there is %s", j.From.Topic, j.Topology, strings.Join(inputsOf(graph), ", "))
	}
	var tps []kafka.TopicPartition
	for _, one := range p.Partitions {
		tps = append(tps, kafka.TopicPartition{Topic: j.From.Topic, Partition: one.Partition})
	}
	committed, err := t.Client.Committed(ctx, graph.Group(), tps)
	if err != nil {
		return err
	}
	for n := range p.Partitions {
		one := &p.Partitions[n]
		at := int64(-1)
		if c, ok := committed[tps[n]]; ok {
			at = c.Offset
		}
		if end := max(at, 0); one.End > end {
			what := fmt.Sprintf("%s: the group has read up to offset %d, and what follows is not done again but yet to be done: the replay ends there", tps[n], end)
			if at < 0 {
				what = fmt.Sprintf("%s: the group has read nothing of it, so there is nothing to replay", tps[n])
			}
			p.Notes = append(p.Notes, what)
			one.End = end
		}
		one.Start = min(one.Start, one.End)
		if j.State.Mode == StateReset && one.End < max(at, 0) {
			return fmt.Errorf("from.end: a state that is rebuilt up to offset %d of %s would lack what was processed after it, up to offset %d: leave from.end out", one.End, tps[n], at)
		}
	}
	if j.State.Mode == StateReset && len(sub.Inputs) > 1 {
		return fmt.Errorf("state: the stores of %s are changed by %d inputs, and one is replayed: a rebuilt state would lack the others; give state: keep", j.Topology, len(sub.Inputs))
	}
	if j.State.Mode == StateReset && len(sub.Stores) > 0 {
		p.partial(j, fromEarliest)
	}
	p.Touches = append(p.Touches, called(graph, sub, j.From.Topic)...)
	p.Touches = append(p.Touches, outside(j, graph, sub)...)
	p.Notes = append(p.Notes, later(j, sub)...)
	if j.Into == IntoShadow {
		return t.ofShadow(j, p)
	}
	p.Touches = append(p.Touches, fmt.Sprintf("group %s: its instances are paused; the replay is its only member while it runs", graph.Group()))
	if j.State.Mode == StateReset {
		p.Touches = append(p.Touches, fmt.Sprintf("group %s: its offsets go back to the start, which is recorded in %s, and end where they are now", graph.Group(), t.Names.System(system.Jobs.Name)))
	} else {
		p.Notes = append(p.Notes, "the offsets of the group stay where they are")
	}
	for _, s := range sub.Stores {
		what := "records that are not dropped as duplicates change it again"
		if j.State.Mode == StateReset {
			what = "all its keys are deleted, and what the records say is written again"
		}
		p.Touches = append(p.Touches, fmt.Sprintf("store %s (topic %s): %s", s.Name, graph.Changelog(s), what))
	}
	for _, topic := range graph.Topics {
		if topic.Written && (topic.Stream != nil || topic.Role == plan.DeadLetterTopic) {
			what := "outputs of records that are not dropped as duplicates are written again"
			if topic.Role == plan.DeadLetterTopic {
				what = "records that fail are written, but for those that have a letter there already; records of open letters are left out"
				if j.State.Mode == StateReset {
					what = "records that fail are written; open letters of the range are not open any more"
				}
			}
			if j.Outputs == "suppress" {
				what = "nothing is written"
			}
			p.Touches = append(p.Touches, fmt.Sprintf("topic %s: %s", topic.Name, what))
		}
	}
	return nil
}

// partial refuses to rebuild a state without the records before the start of the range, of which it was made too, unless that is meant.
func (p *Plan) partial(j *Job, fromEarliest bool) {
	var asked, gone int64 // offsets that are there and not asked for, and that retention has removed
	for _, one := range p.Partitions {
		if one.Start > one.Earliest {
			asked += one.Start - one.Earliest
		}
		if one.End > one.Start || one.Start > 0 {
			gone += min(one.Earliest, one.Start)
		}
	}
	lacks := fmt.Sprintf("the state would be rebuilt without what the %d offsets before the start have led to", asked+gone)
	switch {
	case asked+gone == 0:
	case j.Accept == AcceptPartial || asked == 0 && fromEarliest:
		p.Partial = fmt.Sprintf("the state is rebuilt without what the %d offsets before the start have led to: that is lost", asked+gone)
		p.Notes = append(p.Notes, p.Partial)
	case asked > 0:
		p.Refused = cmp.Or(p.Refused, fmt.Sprintf("state: %s, such as totals of them: give from.start: earliest, or state: keep, or, where that is meant, accept: %s", lacks, AcceptPartial))
	default:
		p.Refused = cmp.Or(p.Refused, fmt.Sprintf("state: %s, and retention has removed them: give state: keep, restore a snapshot (state restore), or, where that is meant, accept: %s or --from-earliest", lacks, AcceptPartial))
	}
}

// called lists the services that nodes may call for the records of a topic.
func called(graph *plan.Plan, sub *plan.Subgraph, topic string) (touches []string) {
	for _, n := range reached(graph, sub, topic) {
		for _, s := range n.Services {
			touches = append(touches, fmt.Sprintf("service %s: node %s calls it again, and what such a call changes outside of Kafka, it changes", s.Name, n.Name))
		}
	}
	return touches
}

// reached are the nodes that may see the records of a topic.
func reached(graph *plan.Plan, sub *plan.Subgraph, topic string) (nodes []*plan.Node) {
	for _, n := range sub.Nodes {
		if slices.ContainsFunc(n.Reads, func(h plan.Handler) bool { return h.Edge != nil || graph.Topic(h.Stream) == topic }) {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// outside says what of the records goes into systems besides Kafka that nodes write to: see docs/guarantees.md#databases.
func outside(j *Job, graph *plan.Plan, sub *plan.Subgraph) (says []string) {
	what := "it is not set back: of records that it has already nothing is written, whatever comes of them now, and others are written"
	switch {
	case j.Into == IntoShadow:
		what = "nothing is written to it, and it is not asked whether it would take what the shadow makes of the records"
	case j.Outputs == "suppress":
		what = "nothing is written to it"
	case j.State.Mode == StateReset:
		what = "it is not rebuilt with the state: of records that it has already nothing is written, whatever comes of them now, and others are written; where its tables are to be written again, see Sink.Reset"
	}
	named := map[string]bool{}
	for _, n := range reached(graph, sub, j.From.Topic) {
		for _, o := range n.Outsides {
			if name := o.Kind + " " + o.Name; !named[name] {
				named[name] = true
				says = append(says, name+": "+what)
			}
		}
	}
	return says
}

// later says what becomes of records that the topology would try again later, or that others of their key wait for.
func later(j *Job, sub *plan.Subgraph) (notes []string) {
	delays := slices.ContainsFunc(sub.Inputs, func(in *plan.Stream) bool { return len(sub.Delays(in)) > 0 })
	own := j.Into == IntoTopology && j.Outputs != "suppress"
	switch {
	case own && (delays || sub.Parked != nil):
		return []string{"records that fail are delayed and their keys parked as with instances, which go on with both when the replay has ended: until then the state lacks what comes of them"}
	case delays:
		notes = append(notes, "nothing goes into a retry topic: a record that fails is tried again in its place after each delay, of 10 s at most, and its partition waits; when that has been in vain for a minute, it is not done any more")
	}
	switch {
	case sub.Parked == nil:
	case j.Into == IntoShadow:
		notes = append(notes, "later records of a key wait behind its dead letter, as with instances: their outputs are missing in the shadow")
	default:
		notes = append(notes, "a record that fails leaves no letter and parks no key: later records of its key are processed (dead_lettered says how many there were)")
	}
	return notes
}

func inputOf(p *plan.Plan, topic string) *plan.Subgraph {
	for _, g := range p.Subgraphs {
		if slices.ContainsFunc(g.Inputs, func(s *plan.Stream) bool { return p.Topic(s) == topic }) {
			return g
		}
	}
	return nil
}

func inputsOf(p *plan.Plan) (names []string) {
	for _, g := range p.Subgraphs {
		for _, in := range g.Inputs {
			names = append(names, p.Topic(in))
		}
	}
	return names
}

// measure counts records and bytes, by a sample of each partition, and how long they take.
func (t *Tool) measure(ctx context.Context, j *Job, p *Plan) error {
	reader := t.Client.NewFetcher(1 << 20)
	defer reader.Close()
	takes, err := j.predicate()
	if err != nil {
		return err
	}
	began, read := time.Now(), int64(0)
	var chosen float64 // of all records: the rate bounds these
	enough := errors.New("enough")
	for _, r := range p.ranges {
		tp := kafka.TopicPartition{Topic: j.From.Topic, Partition: r.Partition}
		var records, bytes, taken int64
		before := p.Records
		last := r.Start
		err := kafka.Scan(ctx, reader, tp, r.Start, r.End, func(one *kafka.Record) error {
			if one.Offset >= r.End {
				return nil
			}
			records++
			bytes += int64(len(one.Key) + len(one.Value))
			if takes == nil || takes(tp, one) {
				taken++
			}
			if last = one.Next(); records >= sample {
				return enough
			}
			return nil
		})
		switch {
		case errors.Is(err, enough) && last < r.End:
			p.Exact = false
			share := float64(r.End-r.Start) / float64(max(1, last-r.Start))
			p.Records += int64(float64(records) * share)
			p.Bytes += int64(float64(bytes) * share)
		case err != nil && !errors.Is(err, enough):
			return fmt.Errorf("read %s: %w", tp, err)
		default:
			p.Records += records
			p.Bytes += bytes
		}
		read += records
		chosen += float64(p.Records-before) * float64(taken) / float64(max(1, records))
	}
	if perSecond := float64(read) / max(time.Since(began).Seconds(), 0.001); perSecond > 0 {
		p.Seconds = float64(p.Records) / perSecond
	}
	if rate := float64(j.Rate); rate > 0 {
		p.Seconds = max(p.Seconds, chosen/rate)
	}
	return nil
}
