package replay

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
	"github.com/weirstream/weir/processors"
)

// The states of a job.
const (
	Begun   = "begun" // and not ended: it runs, or its process is gone
	Stopped = "stopped"
	Failed  = "failed"
	Done    = "done"
)

// Range is what a job is for in a partition.
type Range struct {
	Partition int32 `json:"partition"`
	Start     int64 `json:"start"`
	End       int64 `json:"end"`
}

// standing is a job as it stands in the topic of jobs. It is written by the process that holds the job's transactional id.
type standing struct {
	Version int    `json:"version"`
	Job     string `json:"job"`
	Run     string `json:"run"` // tells it from the job when it was forced again
	Hash    string `json:"hash"`
	File    *Job   `json:"file"`
	State   string `json:"state"`
	Reset   bool   `json:"reset,omitempty"` // the state is rebuilt, and no longer what it was
	// Emptying is set while the stores are emptied: no instance can begin.
	Emptying bool   `json:"emptying,omitempty"`
	Partial  string `json:"partial,omitempty"`  // what the rebuilt state lacks
	Answered int64  `json:"answered,omitempty"` // letters that were open until the state was rebuilt
	Reopened int64  `json:"reopened,omitempty"` // of these, those that are open again, since their records were gone before they were read
	// Disorder says where times are not in the order of offsets at the bounds of its ranges.
	Disorder []string `json:"disorder,omitempty"`
	// AnswersID tells these answers from others.
	AnswersID string    `json:"answers_id,omitempty"`
	Copied    int64     `json:"copied,omitempty"` // records that are left out: see leftOut
	TopicID   string    `json:"topic_id"`
	Build     *build    `json:"build,omitempty"` // of a shadow
	Ranges    []Range   `json:"ranges"`
	Before    []Content `json:"before"` // what its outputs and stores held when it began
	// Left is where outputs and stores ended when a run was stopped, and Others how many offsets others have written to them before the next one.
	Left    map[string]map[string]int64 `json:"left,omitempty"`
	Others  map[string]int64            `json:"others,omitempty"`
	Who     string                      `json:"who"`
	Holder  string                      `json:"holder,omitempty"` // tells the processes apart that have run it
	Why     string                      `json:"why,omitempty"`
	Began   time.Time                   `json:"began"`
	At      time.Time                   `json:"at"`
	Problem string                      `json:"problem,omitempty"` // of Failed
	Receipt *Receipt                    `json:"receipt,omitempty"` // of Done
}

// leavesOut says that what is left of a rebuild is the job's to do: instances would process the records that it leaves out.
func (s *standing) leavesOut() bool { return s.Reset && s.Copied > 0 && s.State != Done }

// holds says that the topology of a job is paused for it by right: by nobody else can it go on.
func (s *standing) holds() bool { return s.State == Begun || s.Emptying || s.leavesOut() }

// progress is how far a run is in a partition.
type progress struct {
	Version   int       `json:"version"`
	Run       string    `json:"run"`
	Partition int32     `json:"partition"`
	Position  int64     `json:"position"`
	At        time.Time `json:"at"`
	processors.ReplayCounts
	Missed missed `json:"missed,omitempty"`
}

const keys = "replay/" // what the keys of jobs begin with

func keyOf(job string) string     { return keys + job }
func stopKeyOf(job string) string { return keys + job + "/stop" }
func (s *standing) progressKey(partition int32) string {
	return fmt.Sprintf("%s%s/%s/%d", keys, s.Job, s.Run, partition)
}

// known is what the topic of jobs says.
type known struct {
	jobs     map[string]*standing
	progress map[string]map[int32]progress // by run
	stops    map[string]int64              // offsets
}

// read reads the topic of jobs. It waits for transactions that are open there.
func (t *Tool) read(ctx context.Context) (*known, error) {
	reader := t.Client.NewFetcher(readAhead)
	defer reader.Close()
	k := &known{jobs: map[string]*standing{}, progress: map[string]map[int32]progress{}, stops: map[string]int64{}}
	name := t.Names.System(system.Jobs.Name)
	err := system.Jobs.Read(ctx, t.Client, reader, name, func(r *kafka.Record) error {
		rest, ok := strings.CutPrefix(string(r.Key), keys)
		if !ok {
			return nil
		}
		parts := strings.Split(rest, "/")
		switch {
		case len(parts) == 1:
			delete(k.jobs, rest)
			if r.Value == nil {
				return nil
			}
			s := &standing{}
			if err := json.Unmarshal(r.Value, s); err != nil || s.Version != 1 {
				return fmt.Errorf("%s offset %d: job %s was not written by this version of Weir: use the newest version", name, r.Offset, rest)
			}
			k.jobs[rest] = s
		case len(parts) == 2 && parts[1] == "stop":
			k.stops[parts[0]] = r.Offset
		case len(parts) == 3:
			var p progress
			if r.Value == nil || json.Unmarshal(r.Value, &p) != nil || p.Version != 1 {
				return nil
			}
			if k.progress[p.Run] == nil {
				k.progress[p.Run] = map[int32]progress{}
			}
			k.progress[p.Run][p.Partition] = p
		}
		return nil
	})
	return k, err
}

func (k *known) list() []*standing {
	var list []*standing
	for _, s := range k.jobs {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *standing) int {
		return cmp.Or(b.Began.Compare(a.Began), cmp.Compare(a.Job, b.Job))
	})
	return list
}

// record is what is written for a key of the topic of jobs.
func (t *Tool) record(key string, value any) (*kafka.Outgoing, error) {
	data, err := json.Marshal(value)
	return &kafka.Outgoing{TopicPartition: system.Of(t.Names.System(system.Jobs.Name)), Timestamp: time.Now().UnixMilli(), Key: []byte(key), Value: data}, err
}

// progressOf is the record of a position.
func (t *Tool) progressOf(s *standing, p processors.Progress, m missed) (*kafka.Outgoing, error) {
	return t.record(s.progressKey(p.Partition), &progress{
		Version: 1, Run: s.Run, Partition: p.Partition, Position: p.Position, At: time.Now().UTC(), ReplayCounts: p.ReplayCounts, Missed: m,
	})
}

// resumed is how far a run is, in the terms of the engine, and as it stands.
func (t *Tool) resumed(ctx context.Context, s *standing) (map[kafka.TopicPartition]processors.Progress, map[int32]progress, error) {
	k, err := t.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	at := map[kafka.TopicPartition]processors.Progress{}
	for _, r := range s.Ranges {
		tp := kafka.TopicPartition{Topic: s.File.From.Topic, Partition: r.Partition}
		if p, ok := k.progress[s.Run][r.Partition]; ok {
			at[tp] = processors.Progress{TopicPartition: tp, Position: p.Position, ReplayCounts: p.ReplayCounts}
		}
	}
	return at, k.progress[s.Run], nil
}

// save writes how a job stands, and tells the audit. It is committed with what else is in the sink's transaction.
func (t *Tool) save(ctx context.Context, sink *kafka.Sink, s *standing) error {
	s.At = time.Now().UTC()
	out, err := t.record(keyOf(s.Job), s)
	if err != nil {
		return err
	}
	if err := sink.Append(out); err != nil {
		return err
	}
	if err := t.let(sink, s); err != nil {
		return err
	}
	return t.tell(ctx, sink, "replay", map[string]any{
		"state": s.State, "job": s.Job, "run": s.Run, "into": s.File.Into, "topology": s.File.Topology, "topic": s.File.From.Topic,
		"before": s.Ranges, "after": s.Receipt, "problem": s.Problem, "why": s.Why,
	})
}

// tell writes to the audit, and commits it with what else is in the sink's transaction.
func (t *Tool) tell(ctx context.Context, sink *kafka.Sink, what string, entry map[string]any) error {
	now := time.Now().UTC()
	maps.Copy(entry, map[string]any{"version": 1, "what": what, "who": t.Who, "at": now})
	data, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	key := fmt.Sprint(what, "/", entry["topology"], "/", entry["job"])
	audit := system.Of(t.Names.System(system.Audit.Name))
	if err := sink.Append(&kafka.Outgoing{TopicPartition: audit, Timestamp: now.UnixMilli(), Key: []byte(key), Value: data}); err != nil {
		return err
	}
	return sink.Commit(ctx)
}
