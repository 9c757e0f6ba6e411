package evolution

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/schema"
	"github.com/weirstream/weir/registry"
)

// referenced is how two schemas differ by what they refer to: which version each reference leads to, and by meaning what is there, also by
// references of references.
func referenced(old, next *registry.Registered) (list []schema.Change, err error) {
	was := func(all []registry.Reference, name string) string {
		if i := slices.IndexFunc(all, func(r registry.Reference) bool { return r.Name == name }); i >= 0 {
			return fmt.Sprintf("version %d of %s", all[i].Version, all[i].Subject)
		}
		return ""
	}
	names := map[string]bool{}
	for _, r := range append(slices.Clone(old.References), next.References...) {
		before, after := was(old.References, r.Name), was(next.References, r.Name)
		if names[r.Name] || before == after {
			continue
		}
		names[r.Name] = true
		kind := "changed"
		if before == "" {
			kind = "added"
		} else if after == "" {
			kind = "removed"
		}
		list = append(list, schema.Change{Kind: kind, Path: place(r.Name), Old: before, New: after})
	}
	for i, in := range next.Imports {
		n := slices.IndexFunc(old.Imports, func(have registry.Import) bool { return have.Name == in.Name })
		if n < 0 || old.Imports[n].Text == in.Text {
			continue
		}
		before, err := Parse(&registry.Registered{Schema: registry.Schema{Type: old.Type, Text: old.Imports[n].Text}, Imports: old.Imports[:n]})
		if err != nil {
			return nil, err
		}
		after, err := Parse(&registry.Registered{Schema: registry.Schema{Type: next.Type, Text: in.Text}, Imports: next.Imports[:i]})
		if err != nil {
			return nil, err
		}
		for _, c := range schema.Changes(before, after) {
			c.Path = place(in.Name) + c.Path
			list = append(list, c)
		}
	}
	return list, nil
}

func place(name string) string {
	return "/references/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
