package gateway

import (
	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/partitioner"
	"github.com/weirstream/weir/internal/schema/values"
)

// Trial is an event of a declared topic that is to be looked at before there is any.
type Trial struct {
	Declared  *declared.Event
	Values    *values.Schema
	Keys      *values.Schema // nil: keys are text
	Compacted bool           // the topic is

	Document []byte
	Key, ID  string // that stand beside the event, "" for none
}

// Try makes the checks of a gateway: by the schemas, and of key and id. Its error is what a client would read; nil says that a gateway takes the event.
func (t *Trial) Try() error {
	g := &Gateway{Config: Config{Limits: Limits{}.withDefaults(), Partitioner: partitioner.Murmur2}, schemas: &schemas{}}
	at := &topic{name: t.Declared.Topic, cluster: t.Declared.Topic, valueName: t.Declared.Topic + "-value", keyName: t.Declared.Topic + "-key", partitions: 1, compacted: t.Compacted, keeps: !t.Compacted}
	e := &event{value: t.Document, null: string(t.Document) == "null", id: t.ID, keyText: true, partition: -1, schema: t.Values, keySchema: t.Keys}
	if t.Key != "" {
		e.key = []byte(t.Key)
	}
	if _, _, p := g.admit(at, t.Declared, e); p != nil {
		return p
	}
	return nil
}
