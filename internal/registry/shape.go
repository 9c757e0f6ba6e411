package registry

import (
	"encoding/json"
	"fmt"
)

// Metadata, rule sets and configurations are stored as they come, and other registries and clients read them from the topic as what they
// expect: of another shape they lose the version or the level that it stands with.

// shape says what is wrong with a value, after its place; nil is nothing.
type shape func(v any) error

// misshapen is what is wrong with a value as it was sent. None and null are nothing.
func misshapen(raw json.RawMessage, of shape) error {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil || v == nil {
		return nil
	}
	return of(v)
}

// text is a text; numbers and truths are read as such.
func text(v any) error {
	switch v.(type) {
	case map[string]any, []any:
		return fmt.Errorf(" is no text")
	}
	return nil
}

func truth(v any) error {
	if _, ok := v.(bool); !ok && v != nil {
		return fmt.Errorf(" is neither true nor false")
	}
	return nil
}

func oneOf(words ...string) shape {
	return func(v any) error {
		for _, word := range words {
			if v == word {
				return nil
			}
		}
		if v == nil {
			return nil
		}
		return fmt.Errorf(" is none of %v", words)
	}
}

func list(of shape) shape {
	return func(v any) error {
		all, ok := v.([]any)
		if !ok && v != nil {
			return fmt.Errorf(" is no list")
		}
		for i, one := range all {
			if err := of(one); err != nil {
				return fmt.Errorf("[%d]%w", i, err)
			}
		}
		return nil
	}
}

// object has names with shapes; others are anything.
func object(names map[string]shape) shape {
	return objectOf(func(name string) shape { return names[name] })
}

// table is an object of any names.
func table(of shape) shape { return objectOf(func(string) shape { return of }) }

func objectOf(of func(name string) shape) shape {
	return func(v any) error {
		all, ok := v.(map[string]any)
		if !ok && v != nil {
			return fmt.Errorf(" is no object")
		}
		for name, one := range all {
			if s := of(name); s != nil {
				if err := s(one); err != nil {
					return fmt.Errorf(".%s%w", name, err)
				}
			}
		}
		return nil
	}
}

var (
	metadataShape = object(map[string]shape{"tags": table(list(text)), "properties": table(text), "sensitive": list(text)})
	ruleShape     = object(map[string]shape{"name": text, "doc": text, "kind": oneOf("CONDITION", "TRANSFORM"), "mode": oneOf("UPGRADE", "DOWNGRADE", "UPDOWN", "WRITE", "READ", "WRITEREAD"),
		"type": text, "tags": list(text), "params": table(text), "expr": text, "onSuccess": text, "onFailure": text, "disabled": truth})
	ruleSetShape = object(map[string]shape{"migrationRules": list(ruleShape), "domainRules": list(ruleShape), "encodingRules": list(ruleShape)})
	configShapes = map[string]shape{"normalize": truth, "alias": text, "compatibilityGroup": text, "validateFields": truth, "validateRules": truth,
		"defaultMetadata": metadataShape, "overrideMetadata": metadataShape, "defaultRuleSet": ruleSetShape, "overrideRuleSet": ruleSetShape}
)
