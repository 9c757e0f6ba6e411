package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// sightings are what happened to a topic that somebody should know. They are under Log.mu.
type sightings struct {
	claims    int    // times that this server took the right to write
	reloads   int    // times that the topic could not be read on
	bad       int    // records that could not be understood
	lastBad   string // why, of the last one
	others    int    // writes that met those of another registry
	otherAt   int64  // the last one
	start     int64  // of the topic, when it was read
	deleted   int64  // where it starts now, when that is later
	policy    string // of its cleanup, when that deletes
	subjects  int    // before a reload
	forgotten int    // subjects that a reload did not find again
}

func (o *sightings) odd(offset int64, err error) {
	o.bad++
	o.lastBad = fmt.Sprintf("at offset %d: %v", offset, err)
}

func (o *sightings) overtaken(offset int64) {
	o.others++
	o.otherAt = offset
}

// started notes that the topic is read from its start, and read that it was.
func (o *sightings) started(before *state, start int64) {
	o.start, o.deleted, o.bad, o.lastBad = start, 0, 0, ""
	o.subjects = max(o.subjects, len(before.subjects))
}

func (o *sightings) read(s *state) {
	o.forgotten = max(0, o.subjects-len(s.subjects))
	o.subjects = 0
}

// Problem is what is wrong with the registry, and what to do.
type Problem struct{ Kind, Cause, Remedy string }

// Unready says why nothing can be answered; empty is ready.
func (l *Log) Unready() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.loaded:
		return nil
	case l.failure != nil:
		return []string{fmt.Sprintf("the topic %s cannot be read: %v", l.topic.Topic, l.failure)}
	}
	return []string{fmt.Sprintf("the topic %s is read up to offset %d of %d", l.topic.Topic, l.state.next, l.until)}
}

// Problems are what a person should look at. Empty is healthy.
func (l *Log) Problems() (list []Problem) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add := func(kind, remedy, format string, args ...any) {
		list = append(list, Problem{kind, fmt.Sprintf(format, args...), remedy})
	}
	topic, o := l.topic.Topic, &l.seen
	if halted, ok := errors.AsType[*haltedError](l.failure); ok {
		add("topic", halted.remedy(), "%s", halted.cause())
	} else if l.failure != nil {
		add("topic", "nothing is answered until it can be read, and it is tried again every second: mend the topic, or restore it", "the topic %s cannot be read: %v", topic, l.failure)
	}
	if o.start > 0 {
		add("truncated", "register what is missing again, or import an export; ids that may have been given are not given again",
			"records of the topic %s before offset %d were deleted: schemas may be gone", topic, o.start)
	}
	if o.deleted > 0 {
		add("truncated", "do not restart this server, which has the schemas in memory, before they are saved with weir schema export; then import them into a registry on a new topic",
			"records of the topic %s before offset %d were deleted while this server ran", topic, o.deleted)
	}
	if o.policy != "" {
		add("topic", "set it to compact", "cleanup.policy of the topic %s is %q: Kafka deletes schemas with time", topic, o.policy)
	}
	if o.forgotten > 0 {
		add("truncated", "register what is missing again, or import an export; ids that were given are not given again",
			"the topic %s was truncated or recreated, and %d subjects are gone", topic, o.forgotten)
	}
	if o.bad > 0 {
		add("record", "they are passed over: see what wrote them", "%d records of the topic %s are not understood, the last one %s", o.bad, topic, o.lastBad)
	}
	if o.others > 0 {
		add("writer", "stop it, or this server: they do not keep each other from writing", "another registry writes to the topic %s too, last seen before offset %d", topic, o.otherAt)
	}
	if len(l.state.clashes) > 0 {
		var ids []string
		for key := range l.state.clashes {
			ids = append(ids, fmt.Sprint(key.context, " ", key.id))
		}
		slices.Sort(ids)
		add("id", "delete the versions for good that are not those that records were written with", "two schemas have one id in the topic %s: %s", topic, strings.Join(ids[:min(len(ids), 10)], ", "))
	}
	return list
}
