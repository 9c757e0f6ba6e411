package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema"
)

// Changes lists how the metadata and rules of one schema differ from those of the one before it, part by part. Paths begin with metadata or ruleSet.
func Changes(oldMetadata, oldRules, newMetadata, newRules json.RawMessage) []schema.Change {
	list := []schema.Change{}
	list = append(list, differences(inParts("metadata", oldMetadata), inParts("metadata", newMetadata))...)
	return append(list, differences(inParts("ruleSet", oldRules), inParts("ruleSet", newRules))...)
}

func differences(old, next map[string]string) (list []schema.Change) {
	both := maps.Clone(old)
	maps.Copy(both, next)
	for _, path := range slices.Sorted(maps.Keys(both)) {
		before, was := old[path]
		after, is := next[path]
		switch {
		case !was:
			list = append(list, schema.Change{Kind: "added", Path: path, New: after})
		case !is:
			list = append(list, schema.Change{Kind: "removed", Path: path, Old: before})
		case before != after:
			list = append(list, schema.Change{Kind: "changed", Path: path, Old: before, New: after})
		}
	}
	return list
}

// inParts are metadata or rules by their paths: a member of a member each. The rules of a list are told by their names, whose order counts.
func inParts(name string, raw json.RawMessage) map[string]string {
	parts := map[string]string{}
	for member, v := range members(json.RawMessage(inOneForm(raw, true))) {
		path := name + "/" + member
		if rules := elements(v); name == "ruleSet" && len(rules) > 0 {
			var names []string
			for i, rule := range rules {
				called := textOf(members(rule)["name"])
				if called == "" || slices.Contains(names, called) {
					called = fmt.Sprint(i)
				}
				names = append(names, called)
				for part, v := range members(rule) {
					if part != "name" {
						parts[path+"["+called+"]/"+part] = textOf(v)
					}
				}
			}
			parts[path] = strings.Join(names, ", ")
			continue
		}
		table := members(v)
		for key, v := range table {
			parts[path+"/"+key] = textOf(v)
		}
		if len(table) == 0 {
			parts[path] = textOf(v)
		}
	}
	return parts
}

// textOf is a text, or another value as JSON.
func textOf(v json.RawMessage) string {
	var text string
	if json.Unmarshal(v, &text) == nil {
		return text
	}
	return string(v)
}
