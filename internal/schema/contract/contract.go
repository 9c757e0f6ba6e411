// Package contract is what a schema is registered with beside its text: metadata and a rule set, as Confluent describes them. It merges and compares
// them, and knows no registry.
package contract

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// None states that there are no metadata, or no rules: a registry gives a schema that states nothing those of the version before it.
var None = json.RawMessage("{}")

// Empty says whether metadata or a rule set have nothing in them.
func Empty(raw json.RawMessage) bool { return inOneForm(raw, true) == "{}" }

// versionProperty is a property of metadata that says which version they are of, as Confluent's registry has it.
const versionProperty = "confluent:version"

// members are those of a JSON object; those that are null are not there.
func members(raw json.RawMessage) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	_ = json.Unmarshal(raw, &all)
	maps.DeleteFunc(all, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	return all
}

// Metadata has the tags, properties and sensitive fields of both; those of the second count where both have one.
func Metadata(first, second json.RawMessage) json.RawMessage {
	if first == nil || second == nil {
		return Either(first, second)
	}
	a, b := members(first), members(second)
	both := maps.Clone(a)
	maps.Copy(both, b)
	for _, table := range []string{"tags", "properties"} {
		if rows := members(a[table]); len(rows) > 0 {
			maps.Copy(rows, members(b[table]))
			both[table] = plain(rows)
		}
	}
	if fields := elements(a["sensitive"]); len(fields) > 0 {
		both["sensitive"] = plain(setOf(append(fields, elements(b["sensitive"])...)))
	}
	return plain(both)
}

// Rules has the rules of both; of one name it has the second one's.
func Rules(first, second json.RawMessage) json.RawMessage {
	if first == nil || second == nil {
		return Either(first, second)
	}
	a, b := members(first), members(second)
	both := maps.Clone(a)
	maps.Copy(both, b)
	for _, list := range []string{"migrationRules", "domainRules", "encodingRules"} {
		rules := slices.DeleteFunc(elements(a[list]), func(old json.RawMessage) bool {
			return slices.ContainsFunc(elements(b[list]), func(other json.RawMessage) bool {
				return string(members(old)["name"]) == string(members(other)["name"])
			})
		})
		if rules = append(rules, elements(b[list])...); len(rules) > 0 {
			both[list] = plain(rules)
		}
	}
	return plain(both)
}

// Either is the second, or the first where there is no second.
func Either(first, second json.RawMessage) json.RawMessage {
	if second == nil {
		return first
	}
	return second
}

// elements are those of a JSON array.
func elements(raw json.RawMessage) (list []json.RawMessage) {
	_ = json.Unmarshal(raw, &list)
	return list
}

// setOf are elements in order, each once.
func setOf(list []json.RawMessage) []json.RawMessage {
	compare := func(a, b json.RawMessage) int { return strings.Compare(string(a), string(b)) }
	list = slices.SortedFunc(slices.Values(list), compare)
	return slices.CompactFunc(list, func(a, b json.RawMessage) bool { return compare(a, b) == 0 })
}

// Version is the version that metadata say they are of, 0 for none.
func Version(metadata json.RawMessage) int {
	said := members(members(metadata)["properties"])[versionProperty]
	n, _ := strconv.Atoi(strings.Trim(string(said), `"`))
	return n
}

// OfVersion are metadata that say of which version they are, as those of a new version.
func OfVersion(metadata json.RawMessage, version int) json.RawMessage {
	all := members(metadata)
	properties := members(all["properties"])
	if _, has := properties[versionProperty]; !has || version == 0 {
		return metadata
	}
	properties[versionProperty] = plain(strconv.Itoa(version))
	all["properties"] = plain(properties)
	return plain(all)
}

// SameMetadata says whether metadata mean the same. What is empty is as what is not there. Which version they say they are of counts where counted is true.
func SameMetadata(a, b json.RawMessage, counted bool) bool {
	return inOneForm(a, counted) == inOneForm(b, counted)
}

// SameRules says whether rule sets mean the same.
func SameRules(a, b json.RawMessage) bool { return inOneForm(a, true) == inOneForm(b, true) }

// inOneForm is a contract's part as a text that is the same for the same meaning: without what is empty, and sets in order.
func inOneForm(raw json.RawMessage, withVersion bool) string {
	all := members(raw)
	for name, v := range all {
		var table map[string]any
		var list []any
		switch {
		case json.Unmarshal(v, &table) == nil:
			if !withVersion {
				delete(table, versionProperty)
			}
			for key, row := range table {
				if row == nil {
					delete(table, key)
				} else if name == "tags" {
					table[key] = setOf(elements(plain(row)))
				}
			}
			all[name] = plain(table)
		case json.Unmarshal(v, &list) == nil:
			if all[name] = plain(list); name == "sensitive" {
				all[name] = plain(setOf(elements(plain(list))))
			}
		}
		if len(table)+len(list) == 0 && (table != nil || list != nil) {
			delete(all, name)
		}
	}
	return string(plain(all))
}

// plain is a value as JSON. Those here have come from JSON.
func plain(v any) json.RawMessage {
	data, _ := json.Marshal(v)
	return data
}
