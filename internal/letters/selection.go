package letters

import (
	"errors"
	"fmt"
)

// Selection says which letters are meant.
type Selection struct {
	Fingerprint string  `json:"fingerprint,omitempty"`
	Key         *string `json:"key,omitempty"`
	Partition   *int32  `json:"partition,omitempty"` // of the topic of dead letters
	Offset      *int64  `json:"offset,omitempty"`    // of the letter, in Partition
	All         bool    `json:"all,omitempty"`
}

// Check refuses a selection that nobody can have meant.
func (s Selection) Check() error {
	none := s.Fingerprint == "" && s.Key == nil && s.Partition == nil && s.Offset == nil
	switch {
	case none && !s.All:
		return errors.New("which letters? give --fingerprint, as dlq list shows it, --key, --partition, with --offset or without, or --all")
	case !none && s.All:
		return errors.New("--all is given together with something that chooses")
	case s.Offset != nil && s.Partition == nil:
		return fmt.Errorf("--offset %d is given without --partition", *s.Offset)
	}
	return nil
}

func (s Selection) has(l *Letter) bool {
	switch {
	case s.Fingerprint != "" && s.Fingerprint != l.Fingerprint,
		s.Key != nil && (l.Record.Key == nil || string(l.Record.Key) != *s.Key),
		s.Partition != nil && *s.Partition != l.Partition,
		s.Offset != nil && *s.Offset != l.Record.Offset:
		return false
	}
	return true
}
