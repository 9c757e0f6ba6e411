package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/jsonscan"
)

// What producers write themselves, and envelopes only carry: it is read by the topic's schema, or not at all.
const v3Opaque = "data"

var v2Opaque = []string{"key", "value"}

// unmarshal reads an envelope. It refuses names that it does not know, and those that come twice in an object, in whatever letters: encoding/json passes over
// the former and takes the last of the latter, so that what an event was to hold, or to be partitioned by, would be left out without a word. A value that is left
// out is a tombstone. The members of the opaque names are not looked into.
func unmarshal(data []byte, into any, opaque ...string) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return jsonscan.Plain(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("after the JSON document stands something else")
	}
	return checkNames(data, opaque...)
}

// checkNames refuses a document with a name that comes twice in an object, or with a text that is none: half of a surrogate pair, or bytes that are no UTF-8,
// which encoding/json reads as U+FFFD, so that two ids or keys would be one.
func checkNames(document []byte, opaque ...string) error {
	e := envelope{json.NewDecoder(bytes.NewReader(document)), document, opaque}
	e.UseNumber() // of any size
	return e.value()
}

// envelope is a document that is looked through. It is for valid JSON, whose depth is bounded.
type envelope struct {
	*json.Decoder
	document []byte
	opaque   []string
}

// token is the next one, of which a text is one.
func (e *envelope) token() (json.Token, error) {
	before := e.InputOffset()
	t, err := e.Token()
	if text, ok := t.(string); ok && strings.ContainsRune(text, utf8.RuneError) {
		raw := e.document[before:e.InputOffset()]
		_, err = textOf(raw[bytes.IndexByte(raw, '"'):])
	}
	return t, err
}

// textOf is the text of a JSON string.
func textOf(raw []byte) (string, error) {
	s := jsonscan.New(raw)
	text, err := s.String()
	return string(text), err
}

func (e *envelope) value() error {
	first, err := e.token()
	if err != nil {
		return err
	}
	switch first {
	case json.Delim('{'):
		err = e.object()
	case json.Delim('['):
		for e.More() && err == nil {
			err = e.value()
		}
	default:
		return nil
	}
	if err == nil {
		_, err = e.Token() // the end
	}
	return err
}

func (e *envelope) object() error {
	seen := map[string]bool{}
	for e.More() {
		token, err := e.token()
		if err != nil {
			return err
		}
		name := strings.ToLower(strings.ToUpper(token.(string))) // encoding/json finds a field by any of its cases
		if seen[name] {
			return fmt.Errorf("the name %q comes twice", token)
		}
		seen[name] = true
		if slices.Contains(e.opaque, name) {
			var skipped json.RawMessage
			err = e.Decode(&skipped)
		} else {
			err = e.value()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
