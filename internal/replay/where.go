package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
)

// Predicate says whether a record is meant. It may be called from several goroutines.
type Predicate func(tp kafka.TopicPartition, r *kafka.Record) bool

// Compile makes a predicate of an expression; nil where the program has no language for them. Package replay/cel sets it.
var Compile func(expression string) (Predicate, error)

func compile(expression string) (Predicate, error) {
	if Compile == nil {
		return nil, errors.New("this program knows no expressions: import _ \"github.com/weirstream/weir/replay/cel\" in its main package and build it again, or choose by keys and headers")
	}
	return Compile(expression)
}

// predicate is what a job chooses by; nil where it takes all.
func (j *Job) predicate() (Predicate, error) {
	var all []Predicate
	if len(j.Where.Keys) > 0 {
		all = append(all, j.Where.key)
	}
	if len(j.Where.Headers) > 0 {
		all = append(all, j.Where.header)
	}
	if j.From.DLQ != nil {
		all = append(all, j.From.DLQ.has)
	}
	if j.Where.Expression != "" {
		p, err := compile(j.Where.Expression)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return func(tp kafka.TopicPartition, r *kafka.Record) bool {
		for _, one := range all {
			if !one(tp, r) {
				return false
			}
		}
		return true
	}, nil
}

// matches compares with a glob. A slash is a character like others.
func matches(glob, text string) bool {
	ok, err := path.Match(strings.ReplaceAll(glob, "/", "\x00"), strings.ReplaceAll(text, "/", "\x00"))
	return ok && err == nil
}

func (w Where) key(_ kafka.TopicPartition, r *kafka.Record) bool {
	for _, glob := range w.Keys {
		if r.Key != nil && matches(glob, string(r.Key)) {
			return true
		}
	}
	return false
}

func (w Where) header(_ kafka.TopicPartition, r *kafka.Record) bool {
	for name, glob := range w.Headers {
		has := false
		for _, h := range r.Headers {
			has = has || h.Key == name && matches(glob, string(h.Value))
		}
		if !has {
			return false
		}
	}
	return true
}

func (l *Letters) has(_ kafka.TopicPartition, r *kafka.Record) bool {
	letter, err := deadletter.ReadAny(r.Headers)
	return err == nil && letter.Fingerprint == l.Fingerprint
}

// rewriter makes the key and the headers of what goes into a topic.
type rewriter struct {
	Rewrite
	pattern *regexp.Regexp
	letters bool
}

func (j *Job) rewriter() (*rewriter, error) {
	w := &rewriter{Rewrite: j.Rewrite, letters: j.From.DLQ != nil}
	var err error
	if w.Key != nil && w.Key.Pattern != "" {
		w.pattern, err = regexp.Compile(w.Key.Pattern)
	}
	return w, err
}

func (w *rewriter) apply(r *kafka.Record) (key []byte, headers []kafka.Header, err error) {
	key, headers = r.Key, r.Headers
	if w.letters {
		l, err := deadletter.ReadAny(r.Headers)
		if err != nil {
			return nil, nil, err
		}
		if l.Cut || l.Excess != nil {
			return nil, nil, errors.New("the letter does not hold its whole record")
		}
		headers = l.Headers
	}
	switch {
	case w.Key == nil:
	case w.Key.From != "":
		if key, err = pointer(r.Value, w.Key.From); err != nil {
			return nil, nil, err
		}
	case r.Key != nil:
		key = w.pattern.ReplaceAll(r.Key, []byte(w.Key.To))
	}
	if len(w.Headers) == 0 {
		return key, headers, nil
	}
	var kept []kafka.Header
	for _, h := range headers {
		if _, changed := w.Headers[h.Key]; !changed {
			kept = append(kept, h)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Headers)) {
		if value := w.Headers[name]; value != nil {
			kept = append(kept, kafka.Header{Key: name, Value: []byte(*value)})
		}
	}
	return key, kept, nil
}

// pointer is what stands at a JSON pointer, as text.
func pointer(value []byte, at string) ([]byte, error) {
	var doc any
	d := json.NewDecoder(strings.NewReader(string(value)))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("the value is no JSON, so it has no %s for the key: %w", at, err)
	}
	for _, name := range strings.Split(at, "/")[1:] {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		switch in := doc.(type) {
		case map[string]any:
			next, ok := in[name]
			if !ok {
				return nil, fmt.Errorf("the value has no %s for the key", at)
			}
			doc = next
		case []any:
			n, err := strconv.Atoi(name)
			if err != nil || n < 0 || n >= len(in) {
				return nil, fmt.Errorf("the value has no %s for the key", at)
			}
			doc = in[n]
		default:
			return nil, fmt.Errorf("the value has no %s for the key", at)
		}
	}
	switch v := doc.(type) {
	case string:
		return []byte(v), nil
	case json.Number:
		return []byte(v.String()), nil
	}
	return nil, fmt.Errorf("%s in the value is neither text nor a number, and can be no key", at)
}
