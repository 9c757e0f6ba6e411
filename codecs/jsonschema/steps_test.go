package jsonschema_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/codecs/jsonschema"
)

// A record that would take for ever to check by its schema is a dead letter that says so, and so is a value that would: no registry is away.
//
// Mutation seen to fail it: a checker that does not count (by a test that does not end).
func TestAValueThatTakesTooManyStepsIsAnError(t *testing.T) {
	const base = `{"type":"object","properties":{"child":{"$ref":"#"}},"allOf":[{"properties":{"kind":{"const":"KIND"}},"required":["kind"]}]}`
	codec := jsonschema.Of[map[string]any](`{"oneOf":[` + strings.ReplaceAll(base, "KIND", "a") + "," + strings.ReplaceAll(base, "KIND", "b") + `]}`)
	document := strings.Repeat(`{"kind":"a","child":`, 60) + `{"kind":"a"}` + strings.Repeat("}", 60)
	if _, err := codec.Parse([]byte(document)); err == nil || errors.Is(err, codecs.ErrUnavailable) || !strings.Contains(err.Error(), "too many steps") {
		t.Errorf("read: %v", err)
	}
	var v any = "end"
	for range 60 {
		v = map[string]any{"kind": "a", "child": v}
	}
	if _, err := codec.Append(nil, v.(map[string]any)); err == nil || !strings.Contains(err.Error(), "too many steps") {
		t.Errorf("written: %v", err)
	}
}
