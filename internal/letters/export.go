package letters

import (
	"context"
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Exported is a letter as it is exported: all that is needed to write its record again. What is no UTF-8 is base64, and then the text is not there.
type Exported struct {
	Topic string `json:"topic"`
	At
	Time        time.Time  `json:"time"` // of the letter
	Open        bool       `json:"open"`
	System      string     `json:"system"`
	Fingerprint string     `json:"fingerprint"`
	Topology    string     `json:"topology,omitempty"`
	Node        string     `json:"node,omitempty"`
	Reason      string     `json:"reason"`
	Failed      time.Time  `json:"failed"`                 // the last time
	FirstFailed *time.Time `json:"first_failed,omitempty"` // where the letter says it
	Answer      *Answer    `json:"resolved,omitempty"`     // how it was resolved
	Origin      Spot       `json:"origin"`                 // where the record stood when it failed first
	Whole       bool       `json:"whole"`                  // the letter holds its whole record

	Key     *string  `json:"key"` // null for none, or where there is key_base64
	KeyB64  []byte   `json:"key_base64,omitempty"`
	Value   *string  `json:"value"`
	ValB64  []byte   `json:"value_base64,omitempty"`
	Headers []Header `json:"headers"` // all of the letter, in their order
}

// Spot is a place in a topic; -1 for what the letter does not say.
type Spot struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Header is a header of an exported letter.
type Header struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	ValB64 []byte  `json:"value_base64,omitempty"`
}

// Export calls put with the letters of a selection, open or not, at most limit of them (0: all). value is that of the record, and put's until it returns.
func (t *Tool) Export(ctx context.Context, s Selection, limit int64, put func(e *Exported, value []byte) error) (n int64, err error) {
	reader := t.reader()
	defer reader.Close()
	p, err := t.look(ctx, reader)
	if err != nil {
		return 0, err
	}
	return t.first(ctx, reader, p, limit, func(l *Letter, _ bool) bool { return s.has(l) }, func(l *Letter, open bool) error {
		e := l.exported(t.Topic, open)
		e.Answer = p.done.answer(l)
		return put(e, l.Record.Value)
	})
}

func (l *Letter) exported(topic string, open bool) *Exported {
	e := &Exported{
		Topic: topic, At: At{l.Partition, l.Record.Offset}, Time: instant(l.Record.Timestamp), Open: open && !l.stranger(), System: string(l.System), Fingerprint: l.Fingerprint,
		Topology: l.Topology, Node: l.Node, Reason: l.reason(), Failed: l.failed(), FirstFailed: l.firstFailed(), Origin: Spot{l.First.Topic, l.First.Partition, l.First.Offset},
		Whole: !l.Cut && l.Excess == nil, Headers: []Header{},
	}
	e.Key, e.KeyB64 = either(l.Record.Key)
	e.Value, e.ValB64 = either(l.Record.Value)
	for _, h := range l.Record.Headers {
		one := Header{Key: h.Key}
		one.Value, one.ValB64 = either(h.Value)
		e.Headers = append(e.Headers, one)
	}
	return e
}

// either is bytes as text where they are that, else as they are. The bytes are not copied.
func either(b []byte) (*string, []byte) {
	switch {
	case b == nil:
		return nil, nil
	case utf8.Valid(b):
		return new(string(b)), nil
	}
	return nil, b
}

// Line is the letter as a line of JSON.
func (e *Exported) Line() ([]byte, error) {
	line, err := json.Marshal(e)
	return append(line, '\n'), err
}
