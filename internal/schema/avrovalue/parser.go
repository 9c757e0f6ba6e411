package avrovalue

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/twmb/avro"
)

// parser has the library understand schemas that refer to each other. It gives it another form of what the library refuses and other libraries of
// Avro take.
type parser struct {
	cache      avro.SchemaCache
	defaults   defaults
	written    bool // aliases mean nothing
	references bool // what is referred to is stored
	stored     bool // the schema itself is
}

// anyNames has the library take all names.
var anyNames = avro.WithLaxNames(func(string) error { return nil })

func (p *parser) parse(text string, stored bool) (*avro.Schema, error) {
	doc, ok := decoded(text)
	if !ok {
		return p.cache.Parse(text)
	}
	changed := withoutDecimals(doc) // the specification has those ignored
	if p.written {
		changed = withoutSharedAliases(doc) || changed
	}
	changed = respelled(doc) || changed
	p.defaults.whole = stored
	none := p.defaults.none(doc)
	s, err := p.understood(text, doc, changed)
	switch {
	case err != nil && stored:
		for _, f := range none {
			delete(f.of, "default")
		}
		return p.understood(text, doc, changed || len(none) > 0, anyNames)
	case err != nil || !p.written || stored:
		return s, err
	case len(none) > 0:
		return nil, fmt.Errorf("record field %q: invalid default: %v is not of its type", none[0].of["name"], none[0].of["default"])
	case len(p.defaults.unsized) > 0: // which Java never reads
		return nil, fmt.Errorf("fixed %s: its size is no number", p.defaults.unsized[0])
	}
	return s, nil
}

// understood has the library understand a text, or the changed one in its place.
func (p *parser) understood(text string, doc any, changed bool, how ...avro.SchemaOpt) (*avro.Schema, error) {
	if changed {
		without, err := json.Marshal(doc)
		if err != nil {
			return nil, err
		}
		text = string(without)
	}
	return p.cache.Parse(text, how...)
}

// decoded is a schema as JSON.
func decoded(text string) (doc any, ok bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	ok = d.Decode(&doc) == nil && !d.More()
	return doc, ok
}

// respelled has what other libraries take in several spellings in that of the library, and says whether there was any: no namespace as null, an order of
// fields in capitals, and bytes that are none in a default.
func respelled(doc any) (found bool) {
	switch doc := doc.(type) {
	case []any:
		for _, v := range doc {
			found = respelled(v) || found
		}
	case map[string]any:
		for name, v := range doc {
			if name != "default" {
				found = respelled(v) || found
			}
		}
		if space, has := doc["namespace"]; has && space == nil {
			delete(doc, "namespace")
			found = true
		}
		if order, ok := doc["order"].(string); ok && order != strings.ToLower(order) {
			doc["order"] = strings.ToLower(order)
			found = true
		}
		found = question(doc) || found
	}
	return found
}
