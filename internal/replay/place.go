package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/weirstream/weir/internal/kafka"
)

// Place is a place in a partition: earliest, latest, an offset, or the first record of a time or later.
type Place struct {
	word   string
	offset int64
	at     time.Time
}

// Places are places in several partitions: one for all, or one for each.
type Places struct {
	All  *Place          `json:"all,omitempty"`
	Each map[int32]Place `json:"each,omitempty"`
}

// IsZero says that nothing is given.
func (p Places) IsZero() bool { return p.All == nil && p.Each == nil }

func parsePlace(text string) (Place, error) {
	switch text {
	case "earliest", "latest":
		return Place{word: text}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return Place{offset: n}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return Place{at: at.UTC()}, nil
	}
	return Place{}, fmt.Errorf("%q is no place: give earliest, latest, an offset, or a time such as 2026-11-20T00:00:00Z", text)
}

// UnmarshalYAML reads a place, or one for each partition.
func (p *Places) UnmarshalYAML(n *yaml.Node) error {
	switch n.Kind {
	case yaml.ScalarNode:
		at, err := parsePlace(n.Value)
		if err != nil {
			return fmt.Errorf("line %d: %w", n.Line, err)
		}
		p.All = &at
		return nil
	case yaml.MappingNode:
		p.Each = map[int32]Place{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			number, err := strconv.ParseInt(n.Content[i].Value, 10, 31)
			if err != nil || number < 0 {
				return fmt.Errorf("line %d: %q is no partition: give a place, or places by the numbers of partitions, as in {0: 100, 1: latest}", n.Content[i].Line, n.Content[i].Value)
			}
			at, err := parsePlace(n.Content[i+1].Value)
			if err != nil {
				return fmt.Errorf("line %d: %w", n.Content[i+1].Line, err)
			}
			if _, twice := p.Each[int32(number)]; twice {
				return fmt.Errorf("line %d: partition %d has two places", n.Content[i].Line, number)
			}
			p.Each[int32(number)] = at
		}
		return nil
	}
	return fmt.Errorf("line %d: give a place, such as 2026-11-20T00:00:00Z, or places by the numbers of partitions", n.Line)
}

func (p Place) String() string {
	switch {
	case p.word != "":
		return p.word
	case !p.at.IsZero():
		return p.at.Format(time.RFC3339Nano)
	}
	return strconv.FormatInt(p.offset, 10)
}

// MarshalJSON writes what parsePlace reads.
func (p Place) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }

// UnmarshalJSON reads it.
func (p *Place) UnmarshalJSON(data []byte) (err error) {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	*p, err = parsePlace(text)
	return err
}

// in is the place for a partition, with a default.
func (p Places) in(partition int32, otherwise string) (Place, bool) {
	if p.All != nil {
		return *p.All, true
	}
	if p.Each != nil {
		at, ok := p.Each[partition]
		return at, ok
	}
	return Place{word: otherwise}, true
}

// before says that a place is before another one, whatever the partition holds. Of an offset and a time that is not known.
func (p Place) before(q Place) bool {
	switch {
	case p.word != "" || q.word != "":
		return p.word == "earliest" && q.word == "latest"
	case !p.at.IsZero() && !q.at.IsZero():
		return p.at.Before(q.at)
	}
	return p.at.IsZero() && q.at.IsZero() && p.offset < q.offset
}

// resolve is the offset that a place means. start and end are those of the partition. An offset may lie before the start: what was there
// is gone.
func (p Place) resolve(ctx context.Context, client *kafka.Client, tp kafka.TopicPartition, start, end int64) (int64, error) {
	switch {
	case p.word == "earliest":
		return start, nil
	case p.word == "latest":
		return end, nil
	case p.at.IsZero() && p.offset > end:
		return 0, fmt.Errorf("%s ends at offset %d, and %d is asked for: give an offset up to that, or latest", tp, end, p.offset)
	case p.at.IsZero():
		return p.offset, nil
	}
	found, err := client.OffsetsFor(ctx, []kafka.TopicPartition{tp}, p.at)
	if err != nil {
		return 0, err
	}
	if found[tp] < 0 {
		return end, nil
	}
	return found[tp], nil
}
