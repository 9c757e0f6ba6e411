// Package announced is what instances say of themselves, in the topic _weir.status: who they are, what they were built from, what they run,
// and how their tasks are. Each instance writes under a key of its own, at intervals and when something has changed, and deletes it
// when it ends. One that is not heard of for some intervals is gone.
package announced

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/desired"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/system"
)

// Every is the time between two announcements of an instance of which nothing has changed.
const Every = 30 * time.Second

// missed is how many announcements an instance may miss before it counts as gone.
const missed = 3

// The states of an instance.
const (
	Starting = "starting"
	Running  = "running"
	Paused   = "paused" // as operators want it
	Stopping = "stopping"
)

// Announcement is what an instance says of itself.
type Announcement struct {
	Version  int             `json:"version"`
	Topology string          `json:"topology"`
	Instance string          `json:"instance"`
	Group    string          `json:"group"`
	State    string          `json:"state"`
	Holds    []desired.Hold  `json:"holds,omitempty"` // for which it is paused
	Build    Build           `json:"build"`
	Host     string          `json:"host"`
	PID      int             `json:"pid"`
	Started  time.Time       `json:"started"`
	At       time.Time       `json:"at"`          // by the instance's clock
	Interval int64           `json:"interval_ms"` // until the next one at the latest
	Tasks    []Task          `json:"tasks"`
	Copies   []Copy          `json:"copies,omitempty"`
	Problems []Problem       `json:"problems,omitempty"`
	Cut      bool            `json:"cut,omitempty"` // tasks, copies and problems are left out: they would be too large for a record
	Graph    json.RawMessage `json:"graph"`         // as topology describe writes it

	Heard time.Time `json:"-"` // when the cluster took it

	all map[string]json.RawMessage // of the record, with fields that this version does not know
}

// Build is what an instance's program was built from.
type Build struct {
	Program  string `json:"program"`
	Version  string `json:"version"` // of the program's main module
	Weir     string `json:"weir"`    // of the framework in it
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"` // built from a tree with changes that are not in the revision
}

// Task is a task that an instance runs.
type Task struct {
	Subgraph  int      `json:"subgraph"`
	Partition int32    `json:"partition"`
	State     string   `json:"state"` // created, restoring, running, closing, failed
	Lag       int64    `json:"lag"`
	Restore   *Restore `json:"restore,omitempty"`
}

// Restore is how far the restore of a task is.
type Restore struct {
	Store    string `json:"store"`
	From     int64  `json:"from"` // changelog offsets
	Position int64  `json:"position"`
	To       int64  `json:"to"`
}

// Copy is a copy of a task's state that an instance keeps.
type Copy struct {
	Subgraph  int   `json:"subgraph"`
	Partition int32 `json:"partition"`
	Lag       int64 `json:"lag"` // changelog offsets, -1 while that is not known
	Warm      bool  `json:"warm"`
}

// Problem is what a person should look at.
type Problem struct {
	Kind   string `json:"kind"`
	Cause  string `json:"cause"`
	Remedy string `json:"remedy,omitempty"`
}

// Key is the key of an instance's announcements.
func Key(topology, instance string) string { return topology + "/" + instance }

// Gone says whether the instance should have been heard of since.
func (a *Announcement) Gone(now time.Time) bool {
	interval := time.Duration(a.Interval) * time.Millisecond
	return now.Sub(a.Heard) > missed*cmp.Or(interval, Every)
}

// Record is what is written of an announcement.
func (a *Announcement) Record(topic string) (*kafka.Outgoing, error) {
	value, err := json.Marshal(a)
	return &kafka.Outgoing{TopicPartition: system.Of(topic), Timestamp: a.At.UnixMilli(), Key: []byte(Key(a.Topology, a.Instance)), Value: value}, err
}

// Farewell deletes the announcements of an instance.
func Farewell(topic, topology, instance string) *kafka.Outgoing {
	return &kafka.Outgoing{TopicPartition: system.Of(topic), Timestamp: time.Now().UnixMilli(), Key: []byte(Key(topology, instance))}
}

// parse understands a record. What it says beyond this version is kept.
func parse(r *kafka.Record) (*Announcement, error) {
	a := &Announcement{Heard: r.Time().UTC()}
	if err := json.Unmarshal(r.Value, a); err != nil {
		return nil, err
	}
	if Key(a.Topology, a.Instance) != string(r.Key) {
		return nil, fmt.Errorf("it is of instance %q of topology %q", a.Instance, a.Topology)
	}
	a.Graph = bytes.Clone(a.Graph)
	return a, json.Unmarshal(bytes.Clone(r.Value), &a.all)
}

// Listed is an announcement as commands show it.
type Listed struct {
	*Announcement
	Gone bool
}

// MarshalJSON has all that the instance said, fields included that this version does not know, and when it was heard of.
func (l Listed) MarshalJSON() ([]byte, error) {
	fields := maps.Clone(l.all)
	if fields == nil {
		fields = map[string]json.RawMessage{}
	}
	for name, value := range map[string]any{"heard": l.Heard, "gone": l.Gone} {
		data, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		fields[name] = data
	}
	return json.Marshal(fields)
}

// List reads the announcements of the instances of a topology, or of all where it is "", in the order of their names. Records that are none are
// left out, and counted.
func List(ctx context.Context, client *kafka.Client, names plan.Names, topology string) (list []Listed, strange int, err error) {
	reader := client.NewFetcher(system.FollowWindow)
	defer reader.Close()
	newest := map[string]*Announcement{}
	odd := map[string]bool{}
	err = system.Status.Read(ctx, client, reader, names.System(system.Status.Name), func(r *kafka.Record) error {
		key := string(r.Key)
		delete(newest, key)
		delete(odd, key)
		if r.Value == nil {
			return nil
		}
		a, err := parse(r)
		switch {
		case err != nil:
			odd[key] = true
		case topology == "" || a.Topology == topology:
			newest[key] = a
		}
		return nil
	})
	now := time.Now()
	list = []Listed{}
	for _, key := range slices.Sorted(maps.Keys(newest)) {
		list = append(list, Listed{newest[key], newest[key].Gone(now)})
	}
	return list, len(odd), err
}
