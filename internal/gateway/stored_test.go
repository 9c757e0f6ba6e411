package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/weirstream/weir/registry"
)

// stands is a registry with one schema.
type stands struct {
	source
	schema registry.Schema
}

func (s *stands) Latest(ctx context.Context, subject string) (*registry.Registered, error) {
	if subject != orders+"-value" {
		return s.source.Latest(ctx, subject)
	}
	return &registry.Registered{ID: 7, Subject: subject, Version: 1, Schema: s.schema}, nil
}

// A schema that another registry took is checked by where its meaning is clear. One that the gateway does not understand has events refused, with 503 and what
// to do, which is not to send them again: that helps nobody.
//
// Mutation seen to fail it: give with the error of such a schema as that of a registry that is away.
func TestASchemaThatIsNotUnderstoodIsNotToBeWaitedFor(t *testing.T) {
	for kind, c := range map[registry.Type]struct{ text, answer string }{
		registry.Avro:     {`{"type":"record","name":"Envelope","namespace":"abc-123.inv","fields":[{"name":"n","type":"int"},{"name":"op","type":"string","default":null}]}`, "200"},
		registry.JSON:     {`{"type":"object","properties":{"a":{"type":"string","pattern":"(a)\\1"}}}`, "503"},
		registry.Protobuf: {`syntax = "proto3"; message M { reserved 5 to 7, 6; int32 n = 1; }`, "503"},
	} {
		r := newRig(t, func(c2 *Config) { c2.Schemas = &stands{source{}, registry.Schema{Type: kind, Text: c.text}} })
		for range 2 {
			status, answer, _ := r.post("/topics/"+orders+"/events?key=k", `{"n":1,"op":"c"}`, "Content-Type", jsonType)
			if fmt.Sprint(status) != c.answer {
				t.Errorf("%s: %d %s", kind, status, answer)
			}
			if c.answer == "503" && (strings.Contains(answer, "send again") || !strings.Contains(answer, "does not help") || !strings.Contains(answer, "NONE")) {
				t.Errorf("%s: %s", kind, answer)
			}
		}
	}
}
