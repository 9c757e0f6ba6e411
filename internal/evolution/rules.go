package evolution

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weirstream/weir/internal/schema/protovalue"
	"github.com/weirstream/weir/registry"
)

// Referred adds to a Protobuf schema a reference to the file of protovalidate's rules, where it imports that and does not say where it is. This program knows
// the file; other clients ask the registry for it, as for any file, and find it in a subject of its path, where codecs register it too. With execute it is
// registered where it is not; else it is told whether it is missing, and the schema stays as it is.
func (t *Tool) Referred(ctx context.Context, s registry.Schema, execute bool) (_ registry.Schema, missing bool, err error) {
	if s.Type != registry.Protobuf || slices.ContainsFunc(s.References, func(ref registry.Reference) bool { return ref.Name == protovalue.RulesPath }) {
		return s, false, nil
	}
	imports, err := t.Imports(ctx, s.References)
	if err != nil {
		return s, false, err
	}
	if file, err := protovalue.Compile(s.Text, imports); err != nil || !protovalue.ImportsRules(file) {
		return s, false, nil // what is wrong with it is said where it is read
	}
	find := t.lookup
	if execute {
		find = t.Client.Register
	}
	found, err := find(ctx, protovalue.RulesPath, registry.Schema{Type: registry.Protobuf, Text: protovalue.RulesText()})
	if errors.Is(err, registry.ErrNotFound) {
		return s, true, nil
	}
	if err != nil {
		return s, false, fmt.Errorf("%s, which the schema imports: %w", protovalue.RulesPath, err)
	}
	s.References = append(slices.Clip(s.References), registry.Reference{Name: protovalue.RulesPath, Subject: protovalue.RulesPath, Version: found.Version})
	return s, false, nil
}
