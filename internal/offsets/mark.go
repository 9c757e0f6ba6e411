package offsets

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Mark is what Weir writes into the metadata of an offset that it commits.
type Mark struct {
	TopicID string
	// State is how far the state has read the input, where that is further than the committed offset and known to be so:
	// after a reset that was accepted, until reading has come to where the state was. 0 otherwise.
	State int64
	// Partitions is how many partitions the topic had when this one was begun, 0 where that is not known. A partition with a
	// higher number was added later.
	Partitions int32
	// Logs are the changelogs of the state that the offset belongs to, by the name of the store or its short form, nil where it
	// says nothing of them. Cut says that it had no room for all of them.
	Logs map[string]Log
	Cut  bool
	// Set says that an operator has set the offset with Weir's own tool: the state need not belong to it.
	Set bool
}

// Log is how a partition of a changelog was when an offset was committed.
type Log struct {
	TopicID string // or its short form
	Start   int64  // from which on it holds the whole state: above 0 only where a loss was accepted
	End     int64  // the offset after what the state had written
	Epoch   int32  // leader epoch of the record before End, -1 when it is not known
}

const (
	markPrefix = "weir1:"
	setPrefix  = "weir1-set:"
)

// maxMark bounds the metadata in bytes: brokers take 4096 (offset.metadata.max.bytes). Where the changelogs would not fit, their
// names and topic ids are shortened, and those for which there is still no room are left out.
const maxMark = 3 << 10

// String is the metadata: "weir1:<topic id>", then, where there are such, ":<state>", ":p<partitions>" and
// ":l<store>=<topic id>,<start>,<end>,<epoch>;...", with ":m" where there are more.
func (m Mark) String() string {
	text, whole := m.text(long)
	if !whole {
		text, _ = m.text(short)
	}
	return text
}

// Roomy says whether a mark can tell all changelogs of these stores, however long their names, as long as none of them was
// written to ten trillion times.
func Roomy(stores iter.Seq[string]) bool {
	m := Mark{TopicID: strings.Repeat("i", 22), State: 1e13, Partitions: 1e6, Logs: map[string]Log{}}
	for store := range stores {
		m.Logs[store] = Log{TopicID: "id", End: 1e13 - 1, Epoch: 1e5 - 1}
	}
	_, whole := m.text(short)
	return whole
}

// text is the metadata with names and topic ids of changelogs as say says them. whole says that there is room for all.
func (m Mark) text(say func(string) string) (text string, whole bool) {
	prefix := markPrefix
	if m.Set {
		prefix = setPrefix
	}
	b := append([]byte(prefix), m.TopicID...)
	if m.State > 0 {
		b = strconv.AppendInt(append(b, ':'), m.State, 10)
	}
	if m.Partitions > 0 {
		b = strconv.AppendInt(append(b, ":p"...), int64(m.Partitions), 10)
	}
	separator := ":l"
	for _, store := range slices.Sorted(maps.Keys(m.Logs)) {
		log, before := m.Logs[store], len(b)
		b = append(append(append(append(b, separator...), say(store)...), '='), say(log.TopicID)...)
		b = strconv.AppendInt(append(b, ','), log.Start, 10)
		b = strconv.AppendInt(append(b, ','), log.End, 10)
		b = strconv.AppendInt(append(b, ','), int64(log.Epoch), 10)
		if len(b) > maxMark {
			return string(b[:before]) + ":m", false
		}
		separator = ";"
	}
	if m.Cut {
		b = append(b, ":m"...)
	}
	return string(b), true
}

const shortPrefix = "#" // no name and no id begins with it

func long(text string) string { return text }

// short is the short form of a store's name or of a topic id, which may be one already. No id stays none.
func short(text string) string {
	if text == "" || strings.HasPrefix(text, shortPrefix) {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return shortPrefix + base64.RawURLEncoding.EncodeToString(sum[:6])
}

// of is what the mark says of the changelog of a store.
func (m *Mark) of(store string) (log Log, ok bool) {
	if log, ok = m.Logs[store]; !ok {
		log, ok = m.Logs[short(store)]
	}
	return log, ok
}

// is says whether the changelog may be the topic with this id: one without an id may be any.
func (l *Log) is(id string) bool {
	return l.TopicID == "" || id == "" || l.TopicID == id || l.TopicID == short(id)
}

// ParseMark reads the metadata of a committed offset. ok is false for what Weir has not written. Fields of a kind that is
// not known are left aside.
func ParseMark(metadata string) (m Mark, ok bool) {
	rest, ok := strings.CutPrefix(metadata, markPrefix)
	if !ok {
		if rest, ok = strings.CutPrefix(metadata, setPrefix); !ok {
			return Mark{}, false
		}
		m.Set = true
	}
	fields := strings.Split(rest, ":")
	m.TopicID = fields[0]
	for _, field := range fields[1:] {
		if err := m.take(field); err != nil {
			return Mark{}, false
		}
	}
	return m, true
}

// take reads one field.
func (m *Mark) take(field string) error {
	switch {
	case field == "":
		return errors.New("an empty field")
	case field[0] == 'p':
		n, err := strconv.ParseUint(field[1:], 10, 31)
		m.Partitions = int32(n)
		return err
	case field[0] == 'l':
		m.Logs = map[string]Log{}
		for entry := range strings.SplitSeq(field[1:], ";") {
			store, log, err := parseLog(entry)
			if err != nil {
				return err
			}
			m.Logs[store] = log
		}
	case field == "m":
		m.Cut = true
	case field[0] >= '0' && field[0] <= '9' && m.State == 0:
		n, err := strconv.ParseUint(field, 10, 63)
		m.State = int64(n)
		return err
	case field[0] < 'a' || field[0] > 'z':
		return fmt.Errorf("the field %q", field)
	}
	return nil
}

func parseLog(entry string) (store string, log Log, err error) {
	store, said, ok := strings.Cut(entry, "=")
	fields := strings.Split(said, ",")
	if !ok || store == "" || len(fields) != 4 {
		return "", Log{}, fmt.Errorf("%q is no changelog", entry)
	}
	var n [3]int64
	for i, field := range fields[1:] {
		if n[i], err = strconv.ParseInt(field, 10, 64); err != nil {
			return "", Log{}, err
		}
	}
	if n[0] < 0 || n[1] < 0 || n[2] < -1 || int64(int32(n[2])) != n[2] {
		return "", Log{}, fmt.Errorf("%q is out of range", entry)
	}
	return store, Log{TopicID: fields[0], Start: n[0], End: n[1], Epoch: int32(n[2])}, nil
}
