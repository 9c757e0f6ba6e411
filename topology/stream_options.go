package topology

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/internal/plan"
)

// StreamOption is something that a stream says of its topic: [Partitions], [Retention], [Compacted], [Tiered], [LocalRetention],
// [KeyCodec], [Subject], [Owner], [Foreign], [Unprefixed] or [Replayed]. Check reports what makes no sense. Of two options of one kind the last one holds.
//
// Where Weir creates the topic it does as the stream says. Where the topic exists, a start is refused when the number of partitions is
// another one, and warns of each setting that differs, with the command that changes it. What a stream does not say is left to the
// flags and to the broker.
type StreamOption struct{ apply func(*plan.Stream) }

// Foreign admits a name outside entity.event_type.vN: a topic that others have named.
func Foreign() StreamOption { return StreamOption{func(d *plan.Stream) { d.Foreign = true }} }

// Unprefixed has the topic's name in the cluster be the stream's, also where names have a prefix (topic.prefix): a topic that several
// environments share. What Weir makes of it, such as its dead letters, has the prefix.
func Unprefixed() StreamOption { return StreamOption{func(d *plan.Stream) { d.Unprefixed = true }} }

// Replayed says that nobody writes to the topic but replays into it (into: topic), so that what its records say of themselves is believed: a
// copy has the IdempotencyKey of the record that it was made of, in the same node of the same topology, and is the same record to a sink
// that writes each once. Anybody else who may write there could have a record pass for another one.
func Replayed() StreamOption { return StreamOption{func(d *plan.Stream) { d.Replayed = true }} }

// Partitions is the number of partitions that the topic has; which partition a key belongs to depends on it. Inputs that are processed
// together have the same number, so it holds for those of them that state none. Default: what the topic has, or --partitions where it
// is created.
func Partitions(n int32) StreamOption {
	return StreamOption{func(d *plan.Stream) {
		if n <= 0 {
			note(d, "state 1 or more, or leave Partitions out", "has %d Partitions", n)
		}
		d.Partitions = n
	}}
}

// Forever is the [Retention] of records that are never deleted for their age.
const Forever = plan.Forever

// Retention is how long the topic keeps its records (retention.ms), in milliseconds: one at least, or [Forever]. Default: what the
// broker says, and Forever for a [Compacted] topic.
func Retention(keep time.Duration) StreamOption {
	return StreamOption{func(d *plan.Stream) {
		if keep != Forever && keep < time.Millisecond {
			note(d, "keep records for a millisecond or more, or Forever", "has a Retention of %v", keep)
		}
		d.Retention = keep
	}}
}

// Compacted has the topic keep the last record of each key (cleanup.policy is compact). With a [Retention] other than [Forever] records
// that are older are deleted as well (compact,delete). Default: records are deleted by age only.
func Compacted() StreamOption { return StreamOption{func(d *plan.Stream) { d.Compacted = true }} }

// Tiered has the topic's older records kept in remote storage (remote.storage.enable), which the brokers must be set up for. Kafka
// has it for topics that are not compacted. Default: what an existing topic has, and not where it is created.
func Tiered() StreamOption { return StreamOption{func(d *plan.Stream) { d.Tiered = true }} }

// LocalRetention is how long the brokers of a [Tiered] topic keep records on their own disks as well (local.retention.ms), in
// milliseconds: one at least, and no longer than the Retention. Default: what the broker says.
func LocalRetention(keep time.Duration) StreamOption {
	return StreamOption{func(d *plan.Stream) {
		if keep < time.Millisecond {
			note(d, "keep records for a millisecond or more, or leave LocalRetention out", "has a LocalRetention of %v", keep)
		}
		d.LocalRetention = keep
	}}
}

// KeyCodec says what the bytes of the topic's keys are. Nodes get and give keys as those bytes in a string, with or without it; with it
// each key is parsed as well, for what it is worth: a record that is read with a key that cannot be parsed, or without one where the
// codec takes no empty key, is a dead letter, and one that is emitted fails its input record. Default: any string.
//
// A codec that looks at records, as those that are bound to a schema registry, has keys in two forms: on the wire, by which records are
// partitioned, with the schema that each was written with; and in nodes and stores as the codec writes them alone. So a key is one
// key of a store, whichever version of its schema it was written with.
func KeyCodec[K any](codec codecs.Codec[K]) StreamOption {
	return StreamOption{func(d *plan.Stream) {
		if isNil(codec) {
			note(d, "give KeyCodec a codec or leave it out", "has a nil KeyCodec")
			return
		}
		d.KeyCodec = codecs.Name(codec)
		if in, ok := codec.(codecs.InRecord[K]); ok {
			keysInRecords(d, in)
			return
		}
		d.CheckKey = func(key string) error {
			_, err := codec.Parse([]byte(key))
			return err
		}
	}}
}

// keysInRecords has nodes work with keys without what says how they were written.
func keysInRecords[K any](d *plan.Stream, codec codecs.InRecord[K]) {
	alone := codec.Alone()
	d.ReadKey = func(r *plan.Record, key string) (string, error) {
		k, err := codec.ParseIn(&codecs.Record{Topic: r.Topic, Key: true, Time: r.Timestamp, Headers: r.Headers}, []byte(key))
		if errors.Is(err, codecs.ErrUnavailable) {
			return "", fmt.Errorf("decode key of %s: %w", d.Name, err)
		}
		var own []byte
		if err == nil {
			own, err = alone.Append(nil, k)
		}
		if err != nil {
			return "", &DecodeError{Stream: d.Name, Key: true, Err: err}
		}
		return string(own), nil
	}
	d.WriteKey = func(topic, key string) (string, []Header, error) {
		k, err := alone.Parse([]byte(key))
		if err != nil {
			return "", nil, fmt.Errorf("emit to stream %s with key %q: %w", d.Name, key, err)
		}
		wire, headers, err := codec.AppendIn(&codecs.Record{Topic: topic, Key: true}, nil, k)
		if err != nil {
			err = fmt.Errorf("emit to stream %s with key %q: %w", d.Name, key, err)
		}
		return string(wire), headers, err
	}
	prepareWith(d, codec, codecs.Record{Key: true})
}

// prepareWith has a codec's schema registered or checked when the topology starts, where it has one.
func prepareWith(d *plan.Stream, codec any, r codecs.Record) {
	if p, ok := codec.(codecs.Prepared); ok {
		d.Prepare = append(d.Prepare, func(ctx context.Context, topic string, register bool) error {
			r := r
			r.Topic, r.Subject = topic, statedSubject(d)
			return p.Prepare(codecs.Preparation{Context: ctx, Record: r, Register: register})
		})
	}
}

// statedSubject is the Subject that a stream states, "" where it does not.
func statedSubject(d *plan.Stream) string {
	if d.Subject == d.Name+defaultSubject {
		return ""
	}
	return d.Subject
}

// Subject is the name under which a schema registry has the schemas of the topic's values. Default: the topic's name and "-value", as
// most registries' clients have it.
func Subject(name string) StreamOption {
	return StreamOption{func(d *plan.Stream) {
		if !printable(name) {
			note(d, "give it printable text, or leave Subject out for <topic>-value", "has the Subject %q", name)
		}
		d.Subject = name
	}}
}

// Owner says who answers for the stream: a team, an address. It is for people, in what describe prints.
func Owner(who string) StreamOption {
	return StreamOption{func(d *plan.Stream) {
		if !printable(who) {
			note(d, "give it printable text on one line, or leave Owner out", "has the Owner %q", who)
		}
		d.Owner = who
	}}
}

// printable says whether text is there and can be shown on a line.
func printable(text string) bool {
	return strings.TrimSpace(text) != "" && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// note notes what is wrong with an option.
func note(d *plan.Stream, do, what string, args ...any) {
	d.Mistakes = append(d.Mistakes, plan.Mistake{What: fmt.Sprintf("stream %s ", d.Name) + fmt.Sprintf(what, args...), Do: do})
}

// options are what the stream says of its topic, as in its declaration.
func options(d *plan.Stream) string {
	var said []string
	add := func(there bool, format string, args ...any) {
		if there {
			said = append(said, fmt.Sprintf(format, args...))
		}
	}
	add(d.Partitions != 0, "Partitions(%d)", d.Partitions)
	add(d.Retention == Forever, "Retention(Forever)")
	add(d.Retention != 0 && d.Retention != Forever, "Retention(%v)", d.Retention)
	add(d.Compacted, "Compacted()")
	add(d.Tiered, "Tiered()")
	add(d.LocalRetention != 0, "LocalRetention(%v)", d.LocalRetention)
	add(d.CheckKey != nil, "KeyCodec(%s)", d.KeyCodec)
	add(d.Subject != d.Name+defaultSubject, "Subject(%q)", d.Subject)
	add(d.Owner != "", "Owner(%q)", d.Owner)
	add(d.Foreign, "Foreign()")
	add(d.Unprefixed, "Unprefixed()")
	add(d.Replayed, "Replayed()")
	if len(said) == 0 {
		return "no options"
	}
	return strings.Join(said, ", ")
}
