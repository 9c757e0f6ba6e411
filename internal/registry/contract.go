package registry

import (
	"encoding/json"
	"slices"

	"github.com/weirstream/weir/internal/schema/contract"
)

// A schema's contract is its metadata and its rule set. Serializers send neither: what a registration leaves out is that of the
// latest version, so that a producer's start takes no owner, tag or rule away. What it states counts: {} is none.

// complete gives an entry the contract that its request left out: that of the latest version, over what is configured as default and
// under what is configured to override it.
func (s *state) complete(e *Entry, live []*Entry) {
	if len(live) > 0 {
		latest := live[len(live)-1]
		e.Metadata = contract.Either(absent(latest.Metadata), e.Metadata)
		e.RuleSet = contract.Either(absent(latest.RuleSet), e.RuleSet)
	}
	e.Metadata = contract.Metadata(contract.Metadata(s.configured(e.Subject, "defaultMetadata"), e.Metadata), s.configured(e.Subject, "overrideMetadata"))
	e.RuleSet = contract.Rules(contract.Rules(s.configured(e.Subject, "defaultRuleSet"), e.RuleSet), s.configured(e.Subject, "overrideRuleSet"))
	e.Metadata, e.RuleSet = stated(e.Metadata), stated(e.RuleSet)
	e.content = contentOf(e)
}

// stated is nil for a part of a contract that is empty, so that a schema without one is the same schema however that is said.
func stated(part json.RawMessage) json.RawMessage {
	if contract.Empty(part) {
		return nil
	}
	return part
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

// sameContract says whether a schema that was sent has the contract of a version. What is empty is as what is not there, and of which version
// metadata are counts only where both say it.
func sameContract(e, old *Entry) bool {
	said, stored := contract.Version(e.Metadata), contract.Version(old.Metadata)
	if said != 0 && stored == 0 && said != old.Version {
		return false
	}
	return contract.SameMetadata(e.Metadata, old.Metadata, said != 0 && stored != 0) && contract.SameRules(e.RuleSet, old.RuleSet)
}
