package registry

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/schema"
)

func versionNumber(text string) (int, error) {
	if text == "latest" || text == "-1" {
		return -1, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, invalidVersion(text)
	}
	return int(n), nil
}

// modes are what may be done to a subject, a context or everything.
var modes = []string{"READWRITE", "READONLY", "READONLY_OVERRIDE", "IMPORT"}

func (s *state) setMode(subject, mode string, force bool) (string, []kafka.Outgoing, error) {
	if !validScope(subject) {
		return "", nil, invalidSubject(subject)
	}
	mode = strings.ToUpper(mode)
	if !slices.Contains(modes, mode) {
		return "", nil, invalidMode()
	}
	if mode == "IMPORT" && !force && s.mode(subject) != "IMPORT" {
		// Ids that are imported would meet those that are there.
		within, name := contextOf(subject)
		for _, other := range s.names(false) {
			if context, _ := contextOf(other); other == subject || name == "" && (subject == "" || context == within) {
				return "", nil, notPermitted("Cannot import since found existing subjects")
			}
		}
	}
	return mode, []kafka.Outgoing{record(scoped("MODE", subject), map[string]string{"mode": mode})}, nil
}

// deleteMode plans the removal of a mode, and tells what it was.
func (s *state) deleteMode(subject string) (string, []kafka.Outgoing, error) {
	was, ok := s.modes[subject]
	if !ok && subject != "" {
		return "", nil, noSubject(subject)
	}
	if !ok {
		return "READWRITE", nil, nil
	}
	return was, s.gone(scoped("MODE", subject)), nil
}

// configNames are what a configuration has beside its level, by Confluent's names. They are kept and returned; of these
// normalize and what is merged into contracts mean something here.
var configNames = slices.Sorted(maps.Keys(configShapes))

// setConfig plans a change of a configuration: what the request does not name stays. PUT has the level as "compatibility".
func (s *state) setConfig(subject string, body map[string]json.RawMessage) (map[string]json.RawMessage, []kafka.Outgoing, error) {
	if !validScope(subject) {
		return nil, nil, invalidSubject(subject)
	}
	if err := s.writable(subject); err != nil {
		return nil, nil, err
	}
	stored, answer := maps.Clone(s.configs[subject].raw), map[string]json.RawMessage{}
	if stored == nil {
		stored = map[string]json.RawMessage{}
	}
	given, ok := body["compatibility"]
	if !ok {
		given, ok = body["compatibilityLevel"]
	}
	if ok {
		var name string
		_ = json.Unmarshal(given, &name)
		level, err := schema.ParseLevel(name)
		if err != nil {
			return nil, nil, invalidLevel()
		}
		stored["compatibilityLevel"], answer["compatibility"] = plain(level), plain(level)
	}
	for _, name := range configNames {
		if v, ok := body[name]; ok {
			if err := misshapen(v, configShapes[name]); err != nil {
				return nil, nil, badJSON(fmt.Errorf("%s%w", name, err))
			}
			stored[name], answer[name] = v, v
		}
	}
	if len(answer) == 0 { // nothing of it is known, a misspelt level perhaps
		return nil, nil, invalidLevel()
	}
	if subject != "" {
		stored["subject"] = plain(subject)
	}
	return answer, []kafka.Outgoing{record(scoped("CONFIG", subject), stored)}, nil
}

func (s *state) deleteConfig(subject string) (map[string]json.RawMessage, []kafka.Outgoing, error) {
	if err := s.writable(subject); err != nil {
		return nil, nil, err
	}
	was, ok := s.configs[subject]
	if !ok && subject != "" {
		return nil, nil, noSubject(subject) // which is what theirs answers to this, and 40408 to GET
	}
	if !ok {
		return map[string]json.RawMessage{"compatibilityLevel": plain(schema.Backward)}, nil, nil
	}
	return shown(was), s.gone(scoped("CONFIG", subject)), nil
}

// shown is a configuration as it is answered.
func shown(c Config) map[string]json.RawMessage {
	answer := maps.Clone(c.raw)
	delete(answer, "subject")
	return answer
}

// config is what GET answers for a subject; fallback is whether what holds for it from elsewhere counts. A configuration need not have a level.
func (s *state) config(subject string, fallback bool) (map[string]json.RawMessage, error) {
	answer := map[string]json.RawMessage{}
	for i, at := range scope(subject) {
		if i > 0 && !fallback {
			break
		}
		if c, ok := s.configs[at]; ok {
			answer = shown(c)
			break
		}
	}
	if subject != "" && !fallback {
		if len(answer) == 0 {
			return nil, noSubjectLevel(subject)
		}
		return answer, nil
	}
	if _, ok := answer["compatibilityLevel"]; !ok {
		answer["compatibilityLevel"] = plain(s.level(subject))
	}
	return answer, nil
}
