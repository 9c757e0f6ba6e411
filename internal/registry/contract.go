package registry

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A schema's contract is its metadata and its rule set. Serializers send neither: what a registration leaves out is that of the
// latest version, so that a producer's start takes no owner, tag or rule away. What it states, if only as {}, counts.

// versionProperty is a property of metadata that says which version they are of, as Confluent's registry has it.
const versionProperty = "confluent:version"

// complete gives an entry the contract that its request left out: that of the latest version, over what is configured as default and
// under what is configured to override it.
func (s *state) complete(e *Entry, live []*Entry) {
	if len(live) > 0 {
		latest := live[len(live)-1]
		e.Metadata = either(absent(latest.Metadata), e.Metadata)
		e.RuleSet = either(absent(latest.RuleSet), e.RuleSet)
	}
	e.Metadata = mergedMetadata(mergedMetadata(s.configured(e.Subject, "defaultMetadata"), e.Metadata), s.configured(e.Subject, "overrideMetadata"))
	e.RuleSet = mergedRules(mergedRules(s.configured(e.Subject, "defaultRuleSet"), e.RuleSet), s.configured(e.Subject, "overrideRuleSet"))
	e.content = contentOf(e)
}

// contracted says whether the configuration of a subject has a part in contracts.
func (s *state) contracted(subject string) bool {
	return slices.ContainsFunc([]string{"defaultMetadata", "overrideMetadata", "defaultRuleSet", "overrideRuleSet"}, func(name string) bool { return s.configured(subject, name) != nil })
}

// configured is what is configured for a subject under a name, there or in what it is in.
func (s *state) configured(subject, name string) json.RawMessage {
	for _, at := range scope(subject) {
		if v := absent(s.configs[at].raw[name]); v != nil {
			return v
		}
	}
	return nil
}

// members are those of a JSON object; those that are null are not there.
func members(raw json.RawMessage) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	_ = json.Unmarshal(raw, &all)
	maps.DeleteFunc(all, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	return all
}

// mergedMetadata has the tags, properties and sensitive fields of both; those of the second count where both have one.
func mergedMetadata(first, second json.RawMessage) json.RawMessage {
	if first == nil || second == nil {
		return either(first, second)
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

// mergedRules has the rules of both; of one name it has the second one's.
func mergedRules(first, second json.RawMessage) json.RawMessage {
	if first == nil || second == nil {
		return either(first, second)
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

// either is the second, or the first where there is no second.
func either(first, second json.RawMessage) json.RawMessage {
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

// metaVersion is the version that metadata say they are of, 0 for none.
func metaVersion(metadata json.RawMessage) int {
	said := members(members(metadata)["properties"])[versionProperty]
	n, _ := strconv.Atoi(strings.Trim(string(said), `"`))
	return n
}

// ofVersion are metadata that say of which version they are, as those of a new version.
func ofVersion(metadata json.RawMessage, version int) json.RawMessage {
	all := members(metadata)
	properties := members(all["properties"])
	if _, has := properties[versionProperty]; !has || version == 0 {
		return metadata
	}
	properties[versionProperty] = plain(strconv.Itoa(version))
	all["properties"] = plain(properties)
	return plain(all)
}

// sameContract says whether a schema that was sent has the contract of a version. What is empty is as what is not there, and of which version
// metadata are counts only where both say it.
func sameContract(e, old *Entry) bool {
	said, stored := metaVersion(e.Metadata), metaVersion(old.Metadata)
	if said != 0 && stored == 0 && said != old.Version {
		return false
	}
	both := said != 0 && stored != 0
	return inOneForm(e.Metadata, both) == inOneForm(old.Metadata, both) && inOneForm(e.RuleSet, true) == inOneForm(old.RuleSet, true)
}

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
