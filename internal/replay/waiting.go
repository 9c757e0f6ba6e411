package replay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/desired"
)

// A job into a topology pauses it before it is written down itself. One that stands nowhere, or as ended, and holds its topology all the same, waits for the instances to
// leave, or its process has ended while it did: whichever it is, the topology is paused for it, and whoever asks for the job is to know.

// Waiting is the state of a job that has paused its topology and has not begun.
const Waiting = "waiting"

// WaitingError says that a job has paused its topology and has not begun.
type WaitingError struct {
	Job  string
	Hold desired.Hold
}

func (e *WaitingError) Error() string {
	return fmt.Sprintf("job %s has paused topology %s (since %s, by %s) and has not begun: its process waits for the instances to leave the group, or has ended while it did; "+
		"replay run goes on with it, replay stop gives it up and has the topology resumed", e.Job, e.Hold.Topology, e.Hold.At.Format(time.RFC3339), e.Hold.Who)
}

// waits says whether a job waits. s is how it stands, nil where it stands nowhere.
func (t *Tool) waits(ctx context.Context, topology, job string, s *standing) (*WaitingError, error) {
	if topology == "" || s != nil && s.holds() { // these hold the topology by right
		return nil, nil
	}
	h, err := t.desired(topology).Read(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range h.Paused() {
		if one.Owner == owner(job) {
			return &WaitingError{job, one}, nil
		}
	}
	return nil, nil
}

// receipt is what there is to say of a job that waits and has not been written down.
func (e *WaitingError) receipt() *Receipt {
	return &Receipt{Job: e.Job, State: Waiting, Into: IntoTopology, Topology: e.Hold.Topology, Downstream: []Downstream{}, Partitions: []Part{},
		Who: e.Hold.Who, Why: e.Hold.Why, Began: e.Hold.At, At: e.Hold.At, Problem: e.Error()}
}

// waiting lists the jobs that wait.
func (t *Tool) waiting(ctx context.Context, k *known) (list []*WaitingError, err error) {
	all, err := desired.All(ctx, t.Client, t.Names)
	for _, holds := range all {
		for _, h := range holds {
			job, ok := jobOf(h.Owner)
			if s := k.jobs[job]; ok && (s == nil || !s.holds()) {
				list = append(list, &WaitingError{job, h})
			}
		}
	}
	slices.SortFunc(list, func(a, b *WaitingError) int { return cmp.Compare(a.Job, b.Job) })
	return list, err
}

// giveUp takes back the hold of a job that waits.
func (t *Tool) giveUp(ctx context.Context, j *Job) error {
	sink, err := t.Client.NewSink(ctx, t.transactionalID(j.Name))
	if err != nil {
		return err
	}
	defer sink.Leave()
	if err := t.hold(sink, j, false, ""); err != nil {
		return err
	}
	t.say("the job had paused topology %s and never began: it is resumed", j.Topology)
	return t.tell(ctx, sink, "topology resume", map[string]any{"topology": j.Topology, "job": j.Name, "owner": owner(j.Name), "why": "the replay never began"})
}
