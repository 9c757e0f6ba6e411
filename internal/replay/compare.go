package replay

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/processors"
)

// Compared says how the outputs of a shadow compare with those of production.
type Compared struct {
	Keys      int64            `json:"keys"` // that the shadow wrote, or that only production wrote
	Equal     int64            `json:"equal"`
	Different int64            `json:"different"`
	Unknown   int64            `json:"unknown"` // of them: only production wrote something, at times that do not say whether it is of the range
	Ends      map[string]int64 `json:"ends"`    // up to where production was looked at, by TOPIC/PARTITION
	Records   int64            `json:"records"`
}

// Difference is a key whose values differ.
type Difference struct {
	Topic      string   `json:"topic"`
	Key        string   `json:"key"`
	Production string   `json:"production"` // the value at the place of the first difference, or "nothing"
	Shadow     string   `json:"shadow"`
	Causes     []string `json:"causes"` // records that led to the shadow's value, as TOPIC/PARTITION/OFFSET
}

// written is what the shadow wrote of a key, in order.
type written struct {
	hashes []uint64
	causes []string
}

// maxDifferences is how many are listed.
const maxDifferences = 100

// output is what production wrote of a key.
type output struct {
	hash uint64
	when
}

// when is what the time of an output says.
type when struct {
	due   bool // it is one of the range's, in all partitions: the shadow should have written it too
	maybe bool // it is one of the range's, in some partition
	edge  bool // or the same as that of its first or last record
}

// compareShadow compares the outputs, key by key: what the shadow wrote must stand in production, one value after the other, with nothing
// between, and production must have written nothing else with a time of the range, which outputs have from their inputs. Production may
// have written before and after that; it may run on while it is compared. Its memory depends on the number of outputs of the range.
func (r *running) compareShadow(ctx context.Context, real, shadow *plan.Plan, receipt *Receipt) error {
	c := &Compared{Ends: map[string]int64{}}
	times, err := r.window(ctx)
	if err != nil {
		return err
	}
	for i, topic := range real.Topics {
		if topic.Role != plan.OutputTopic {
			continue
		}
		if err := r.compareTopic(ctx, topic.Name, shadow.Topics[i].Name, times.of, c, receipt); err != nil {
			return fmt.Errorf("compare %s with %s: %w", shadow.Topics[i].Name, topic.Name, err)
		}
	}
	receipt.Compared = c
	if unchanged := c.Different == 0; !unchanged || c.Unknown == 0 {
		receipt.DownstreamUnchanged = &unchanged
		return nil
	}
	receipt.Notes = append(receipt.Notes, fmt.Sprintf("whether the downstream is unchanged is not known: of %d keys only production wrote something at times at which it may be of the range", c.Unknown))
	return nil
}

func (r *running) compareTopic(ctx context.Context, production, shadow string, of func(int64) when, c *Compared, receipt *Receipt) error {
	mine := map[string]*written{}
	err := r.tool.each(ctx, shadow, func(tp kafka.TopicPartition, one *kafka.Record) error {
		w := mine[string(one.Key)]
		if w == nil {
			w = &written{}
			mine[string(one.Key)] = w
		}
		w.hashes = append(w.hashes, hashed(one.Value))
		for _, h := range one.Headers {
			if h.Key == processors.HeaderCause {
				w.causes = append(w.causes, string(h.Value))
			}
		}
		c.Records++
		return nil
	}, nil)
	if err != nil {
		return err
	}
	theirs := map[string][]output{}
	err = r.tool.each(ctx, production, func(tp kafka.TopicPartition, one *kafka.Record) error {
		key := string(one.Key)
		at := of(one.Timestamp)
		if mine[key] == nil && at.edge {
			mine[key] = &written{}
		}
		if mine[key] != nil {
			theirs[key] = append(theirs[key], output{hashed(one.Value), at})
		}
		return nil
	}, c.Ends)
	if err != nil {
		return err
	}
	// Where they differ: the place in each of the two, by key.
	type place struct{ mine, theirs int }
	wrong := map[string]place{}
	for _, key := range slices.Sorted(maps.Keys(mine)) {
		c.Keys++
		at, same := align(mine[key].hashes, theirs[key])
		differ := place{same, at + same}
		if same == len(mine[key].hashes) {
			if differ.theirs = missing(theirs[key], at, same, func(w when) bool { return w.due }); differ.theirs < 0 {
				wrote := same > 0
				if missing(theirs[key], at, same, func(w when) bool { return w.maybe || w.edge && !wrote }) < 0 {
					c.Equal++
				} else {
					c.Unknown++
				}
				continue
			}
		}
		c.Different++
		if len(receipt.Differences)+len(wrong) < maxDifferences {
			wrong[key] = differ
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	values := func(topic string, of func(place) int) (map[string]string, error) {
		found, seen := map[string]string{}, map[string]int{}
		return found, r.tool.each(ctx, topic, func(_ kafka.TopicPartition, one *kafka.Record) error {
			if w, ok := wrong[string(one.Key)]; ok {
				if seen[string(one.Key)] == of(w) {
					found[string(one.Key)] = shown(one.Value)
				}
				seen[string(one.Key)]++
			}
			return nil
		}, nil)
	}
	has, err := values(production, func(p place) int { return p.theirs })
	if err != nil {
		return err
	}
	is, err := values(shadow, func(p place) int { return p.mine })
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(wrong)) {
		d := Difference{Topic: production, Key: key, Production: "nothing", Shadow: "nothing", Causes: []string{}}
		if v, ok := has[key]; ok {
			d.Production = v
		}
		if v, ok := is[key]; ok {
			d.Shadow = v
		}
		if n := wrong[key].mine; n < len(mine[key].causes) {
			d.Causes = append(d.Causes, mine[key].causes[n])
		}
		receipt.Differences = append(receipt.Differences, d)
	}
	return nil
}

// align finds where a sequence stands in what production wrote, or the first place where most of its beginning does, and how much that is.
func align(part []uint64, all []output) (at, same int) {
	at = max(0, len(all)-len(part))
	if len(part) == 0 {
		return at, 0
	}
	// As Knuth, Morris and Pratt do it: back is how much of the beginning still stands there when the next value is another one.
	back := make([]int, len(part)+1)
	for i, n := 1, 0; i < len(part); i++ {
		for n > 0 && part[n] != part[i] {
			n = back[n]
		}
		if part[n] == part[i] {
			n++
		}
		back[i+1] = n
	}
	n := 0
	for i, o := range all {
		for n > 0 && part[n] != o.hash {
			n = back[n]
		}
		if part[n] == o.hash {
			n++
		}
		if n > same {
			at, same = i+1-n, n
		}
		if n == len(part) {
			break
		}
	}
	return at, same
}

// missing is the first output that the shadow should have written too, beside those that it did write; -1 where there is none.
func missing(all []output, at, same int, should func(when) bool) int {
	for i, o := range all {
		if should(o.when) && (i < at || i >= at+same) {
			return i
		}
	}
	return -1
}

// span is a time from a millisecond up to another one.
type span struct{ from, to int64 }

func (s span) has(at int64) bool { return s.from <= at && at <= s.to }

// times are those of the range. Where there are records before or after it, some may have the time at its edge: that is left out but in
// edges. Where records were chosen no time is sure to be the range's.
type times struct {
	all, some, edges span // in all partitions: from the latest start up to the earliest end of one; in any of them; with the edges
}

func (t *times) of(at int64) when { return when{t.all.has(at), t.some.has(at), t.edges.has(at)} }

// window says which times are the range's.
func (r *running) window(ctx context.Context) (*times, error) {
	none := span{math.MaxInt64, math.MinInt64}
	t := &times{all: none, some: none, edges: none}
	_, starts, ends, err := r.tool.partitions(ctx, r.File.From.Topic)
	if err != nil {
		return nil, err
	}
	reader := r.tool.Client.NewFetcher(1 << 20)
	defer reader.Close()
	any := false
	for _, one := range r.Ranges {
		tp := kafka.TopicPartition{Topic: r.File.From.Topic, Partition: one.Partition}
		if one.Start == one.End {
			continue
		}
		begin, err := r.tool.timeOf(ctx, tp, one.Start, one.End)
		if err != nil {
			return nil, err
		}
		end := begin.UnixMilli()
		err = kafka.Scan(ctx, reader, tp, max(one.Start, one.End-sample), one.End, func(rec *kafka.Record) error {
			if rec.Offset < one.End {
				end = rec.Timestamp
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		first := begin.UnixMilli()
		t.edges = span{min(t.edges.from, first), max(t.edges.to, end)}
		if one.Start > starts[tp] {
			first++
		}
		if one.End < ends[tp] {
			end--
		}
		t.some = span{min(t.some.from, first), max(t.some.to, end)}
		if !any {
			any, t.all = true, span{first, end}
		}
		t.all = span{max(t.all.from, first), min(t.all.to, end)}
	}
	if r.File.Where.any() {
		t.all = none
	}
	return t, nil
}

// shown is a value for a person.
func shown(value []byte) string {
	const most = 200
	switch {
	case value == nil:
		return "a deletion"
	case !utf8.Valid(value):
		return fmt.Sprintf("%d bytes, %x", len(value), value[:min(len(value), 32)])
	}
	text := strings.ToValidUTF8(string(value[:min(len(value), most)]), "")
	if len(value) > most {
		text += "…"
	}
	return text
}

// each calls do with the records that a topic holds now. ends, if not nil, takes where that is.
func (t *Tool) each(ctx context.Context, topic string, do func(kafka.TopicPartition, *kafka.Record) error, into map[string]int64) error {
	tps, starts, ends, err := t.partitions(ctx, topic)
	if err != nil {
		return err
	}
	reader := t.Client.NewFetcher(readAhead)
	defer reader.Close()
	for _, tp := range tps {
		if into != nil {
			into[topic+"/"+strconv.Itoa(int(tp.Partition))] = ends[tp]
		}
		err := kafka.Scan(ctx, reader, tp, starts[tp], ends[tp], func(one *kafka.Record) error {
			if one.Offset >= ends[tp] {
				return nil
			}
			return do(tp, one)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
