package letters

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// Selection says which letters are meant: those that everything in it holds for. It is kept with a job, and says later which letters the
// job has resolved, so it looks at nothing but the letter.
type Selection struct {
	Fingerprint string  `json:"fingerprint,omitempty"`
	Key         *string `json:"key,omitempty"`
	Partition   *int32  `json:"partition,omitempty"` // of the topic of dead letters
	Offset      *int64  `json:"offset,omitempty"`    // of the letter, in Partition
	All         bool    `json:"all,omitempty"`

	// Jobs with one of these are of version 2.
	KeyBytes []byte     `json:"key_bytes,omitempty"` // a key that is no text
	Headers  []HasOne   `json:"headers,omitempty"`
	From     *int64     `json:"from_offset,omitempty"` // the first offset in Partition, and the last one
	To       *int64     `json:"to_offset,omitempty"`
	Since    *time.Time `json:"since,omitempty"` // failed last at that time or later
	Until    *time.Time `json:"until,omitempty"` // failed last before that time
}

// HasOne is a header that a letter has, with the value where one is given. Of several headers with the name one is enough.
type HasOne struct {
	Name  string  `json:"name"`
	Value *string `json:"value,omitempty"`
}

// newer says whether builds that know jobs of version 1 only would misread the selection.
func (s *Selection) newer() bool {
	return s.KeyBytes != nil || len(s.Headers) > 0 || s.From != nil || s.To != nil || s.Since != nil || s.Until != nil
}

// blind says whether the selection looks at what an index does not have.
func (s *Selection) blind() bool { return s.Key != nil || s.KeyBytes != nil || len(s.Headers) > 0 }

func (s *Selection) none() bool {
	return s.Fingerprint == "" && s.Key == nil && s.Partition == nil && s.Offset == nil && !s.newer()
}

// Check refuses a selection that nobody can have meant. With any one that chooses nothing means all.
func (s Selection) Check(any bool) error {
	offset := s.Offset != nil || s.From != nil || s.To != nil
	switch {
	case s.none() && !s.All && !any:
		return errors.New("which letters? give --fingerprint, as dlq list shows it, --key, --header, --partition, with --offset or without, --since or --until, or --all")
	case !s.none() && s.All:
		return errors.New("--all is given together with something that chooses")
	case offset && s.Partition == nil:
		return errors.New("--offset is given without --partition")
	case s.From != nil && s.To != nil && *s.From > *s.To:
		return fmt.Errorf("--offset: there are no offsets from %d to %d", *s.From, *s.To)
	case s.Since != nil && s.Until != nil && !s.Since.Before(*s.Until):
		return fmt.Errorf("no letter has failed since %s and before %s", s.Since.Format(time.RFC3339), s.Until.Format(time.RFC3339))
	}
	return nil
}

func (s *Selection) has(l *Letter) bool {
	at := l.Record.Offset
	switch {
	case s.Fingerprint != "" && s.Fingerprint != l.Fingerprint,
		s.Key != nil && (l.Record.Key == nil || string(l.Record.Key) != *s.Key),
		s.KeyBytes != nil && (l.Record.Key == nil || !bytes.Equal(l.Record.Key, s.KeyBytes)),
		s.Partition != nil && *s.Partition != l.Partition,
		s.Offset != nil && *s.Offset != at,
		s.From != nil && at < *s.From, s.To != nil && at > *s.To,
		s.Since != nil && l.failed().Before(*s.Since), s.Until != nil && !l.failed().Before(*s.Until):
		return false
	}
	for i := range s.Headers {
		if !s.Headers[i].of(l) {
			return false
		}
	}
	return true
}

// of says whether a letter has the header, among those of its record and those that say why it failed.
func (h *HasOne) of(l *Letter) bool {
	for _, own := range l.Record.Headers {
		if own.Key == h.Name && (h.Value == nil || string(own.Value) == *h.Value) {
			return true
		}
	}
	return false
}
