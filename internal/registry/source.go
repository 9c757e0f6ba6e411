package registry

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/weirstream/weir/internal/schema"
)

// mostImports bounds what one schema may refer to, directly or not.
const mostImports = 1000

// source is an entry with what it refers to.
func (s *state) source(e *Entry) (schema.Source, error) {
	src := schema.Source{Type: schema.Type(cmp.Or(e.SchemaType, string(schema.Avro))), Text: e.Schema}
	context, _ := contextOf(e.Subject)
	err := s.imports(context, e.References, &src.Imports, 0)
	return src, err
}

func (s *state) imports(context string, references []Reference, list *[]schema.Import, depth int) error {
	if depth > 100 {
		return fmt.Errorf("references go deeper than 100")
	}
	for _, r := range references {
		subject := qualify(context, r.Subject)
		e := s.subjects[subject][r.Version]
		if r.Version == -1 {
			if all := s.versions(subject, false); len(all) > 0 {
				e = all[len(all)-1]
			}
		}
		if e == nil {
			return fmt.Errorf("no schema reference found for subject \"%s\" and version %d", r.Subject, r.Version)
		}
		if slices.ContainsFunc(*list, func(i schema.Import) bool { return i.Name == r.Name }) {
			continue
		}
		within, _ := contextOf(e.Subject)
		if err := s.imports(within, e.References, list, depth+1); err != nil {
			return err
		}
		if *list = append(*list, schema.Import{Name: r.Name, Text: e.Schema}); len(*list) > mostImports {
			return fmt.Errorf("there are more than %d references", mostImports)
		}
	}
	return nil
}
