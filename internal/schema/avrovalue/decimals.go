package avrovalue

import (
	"encoding/json"
	"math"
)

// withoutSharedAliases takes aliases of fields out of a schema that are the name or an alias of another field, and says whether there were any.
func withoutSharedAliases(doc any) (found bool) {
	switch doc := doc.(type) {
	case []any:
		for _, v := range doc {
			found = withoutSharedAliases(v) || found
		}
	case map[string]any:
		for name, v := range doc {
			if name != "default" {
				found = withoutSharedAliases(v) || found
			}
		}
		fields, ok := doc["fields"].([]any)
		if !ok {
			return found
		}
		taken := map[any]bool{}
		for _, f := range fields {
			if f, ok := f.(map[string]any); ok {
				taken[f["name"]] = true
			}
		}
		for _, f := range fields {
			f, _ := f.(map[string]any)
			aliases, ok := f["aliases"].([]any)
			if !ok {
				continue
			}
			left := []any{}
			for _, a := range aliases {
				if _, text := a.(string); text && taken[a] {
					found = true
					continue
				} else if text {
					taken[a] = true
				}
				left = append(left, a)
			}
			f["aliases"] = left
		}
	}
	return found
}

// withoutDecimals takes decimals that cannot be out of a schema, and says whether there were any.
func withoutDecimals(doc any) (found bool) {
	switch doc := doc.(type) {
	case []any:
		for _, v := range doc {
			found = withoutDecimals(v) || found
		}
	case map[string]any:
		for name, v := range doc {
			if name != "default" {
				found = withoutDecimals(v) || found
			}
		}
		if doc["logicalType"] == "decimal" && (doc["type"] == "bytes" || doc["type"] == "fixed") && !canBe(doc) {
			delete(doc, "logicalType")
			delete(doc, "precision")
			delete(doc, "scale")
			found = true
		}
	}
	return found
}

func canBe(decimal map[string]any) bool {
	whole := func(name string) (int64, bool) {
		n, ok := decimal[name].(json.Number)
		if !ok {
			return 0, false
		}
		i, err := n.Int64()
		return i, err == nil
	}
	precision, ok := whole("precision")
	if !ok || precision < 1 {
		return false
	}
	if _, given := decimal["scale"]; given {
		if scale, ok := whole("scale"); !ok || scale < 0 || scale > precision {
			return false
		}
	}
	size, ok := whole("size")
	return !ok || precision <= int64(math.Floor(math.Log10(2)*float64(8*size-1)))
}
