package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The bounds of a config file; size and nesting are checked before it is parsed. A parser's work and memory grow with both, and a file with
// every setting and its comments is a tenth as large.
const (
	maxFileSize = 64 << 10
	maxBrackets = 64 // opened and not closed
	maxMistakes = 50 // that are listed
)

// fromFile finds the settings in a YAML file: one mapping from names to plain values, or lists of them. What YAML has
// beyond that (anchors, aliases, tags, merge keys, mappings as values, further documents) is refused where it stands: a
// file that is read otherwise than its author meant it is worse than one that is not read.
func fromFile(path string, data []byte) []given {
	f := &configFile{path: path}
	if err := f.bounded(data); err != nil {
		return []given{{err: err}}
	}
	root, err := f.parse(bytes.TrimPrefix(data, []byte("\ufeff"))) // editors on Windows begin a file so
	if err != nil {
		return []given{{err: err}}
	}
	if root == nil {
		return nil
	}
	known := fileNames()
	first := map[string]*yaml.Node{}
	var found []given
	mistakes := 0
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		g, err := f.pair(key, value, first, known)
		if err != nil {
			g = given{err: err}
			mistakes++
		}
		found = append(found, g)
		if mistakes == maxMistakes {
			return append(found, given{err: f.at(0, 0).errorf("", "too many mistakes: the rest of the file was not looked at")})
		}
	}
	return found
}

type configFile struct{ path string }

// at is a place in the file: line and column are 0 where they are not known.
func (f *configFile) at(line, column int) Origin {
	return Origin{Source: File, Name: f.path, Line: line, Column: column}
}

func (f *configFile) of(n *yaml.Node) Origin { return f.at(n.Line, n.Column) }

func (f *configFile) bounded(data []byte) error {
	switch {
	case len(data) > maxFileSize:
		return f.at(0, 0).errorf("", "has more than %d KiB: a config file of settings is far smaller, is it the right file?", maxFileSize>>10)
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return f.at(0, 0).errorf("", "is UTF-16: save it as UTF-8")
	}
	line, open := 1, 0
	for _, c := range data {
		switch c {
		case '\n':
			line++
		case '[', '{':
			open++
		case ']', '}':
			open = max(open-1, 0)
		}
		if open > maxBrackets {
			return f.at(line, 0).errorf("", "more than %d brackets are open: a value is plain, or one list of plain values", maxBrackets)
		}
	}
	return nil
}

// parse returns the mapping of the only document, or nil for a file without content.
func (f *configFile) parse(data []byte) (*yaml.Node, error) {
	docs := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := docs.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, f.notYAML(err, data)
	}
	var second yaml.Node
	switch err := docs.Decode(&second); {
	case err == nil:
		return nil, f.of(&second).errorf("", "a second document: a config file has one")
	case !errors.Is(err, io.EOF):
		return nil, f.notYAML(err, data)
	}
	root := doc.Content[0]
	if err := plainNode(root); err != nil {
		return nil, f.of(root).errorf("", "%w", err)
	}
	switch {
	case root.Kind == yaml.ScalarNode && isNull(root):
		return nil, nil
	case root.Kind != yaml.MappingNode:
		return nil, f.of(root).errorf("", "not a mapping: write one \"name: value\" on each line")
	}
	return root, nil
}

var errorLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// notYAML places an error of the parser. It says little of tabs, which most editors show as spaces.
func (f *configFile) notYAML(err error, data []byte) error {
	line, text := 0, err.Error()
	if m := errorLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	for i, l := range bytes.Split(data, []byte("\n")) {
		if indent := l[:len(l)-len(bytes.TrimLeft(l, " \t"))]; len(indent) < len(l) && bytes.ContainsRune(indent, '\t') {
			return f.at(i+1, bytes.IndexByte(indent, '\t')+1).errorf("", "not valid YAML: a tab cannot indent a line: use spaces")
		}
	}
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		return f.unknownAlias(m[1], data)
	}
	return f.at(line, 0).errorf("", "not valid YAML: %s", text)
}

var unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)

// unknownAlias finds the place that the parser's error leaves out. A password that begins with the sign is not shown.
func (f *configFile) unknownAlias(name string, data []byte) error {
	for i, l := range bytes.Split(data, []byte("\n")) {
		at := bytes.Index(l, []byte("*"+name))
		if at < 0 {
			continue
		}
		key, _, _ := strings.Cut(strings.TrimSpace(string(l)), ":")
		alias := " *" + name
		s, ok := Lookup(strings.Trim(key, `"'`))
		if ok && s.Secret {
			alias = ""
		}
		if ok {
			return f.at(i+1, at+1).errorf(s.Name, "%s: the alias%s is not supported%s", s.Name, alias, notPlain)
		}
		return f.at(i+1, at+1).errorf("", "the alias%s is not supported%s", alias, notPlain)
	}
	return f.at(0, 0).errorf("", "an alias is not supported%s", notPlain)
}

// pair is one setting of the file.
func (f *configFile) pair(key, value *yaml.Node, first map[string]*yaml.Node, known []string) (given, error) {
	switch {
	case key.Tag == "!!merge" && key.Style&yaml.TaggedStyle == 0:
		return given{}, f.of(key).errorf("", "a merge key (<<) is not supported: write the settings themselves")
	case key.Kind == yaml.MappingNode || key.Kind == yaml.SequenceNode:
		return given{}, f.of(key).errorf("", "a setting's name is plain text, and this is a %s", kindName(key))
	}
	if err := plainNode(key); err != nil {
		return given{}, f.of(key).errorf("", "%w", err)
	}
	name := key.Value
	if other, twice := first[name]; twice {
		return given{}, f.of(key).errorf("", "%s was set at %s already: remove one", quoteName(name), f.of(other).place())
	}
	first[name] = key
	s, ok := Lookup(name)
	switch {
	case !ok:
		return given{}, f.unknownKey(key, value, known)
	case s.NoFile:
		return given{}, f.of(key).errorf(s.Name, "%s cannot be set in the file: use --%s or %s", s.Name, s.Name, s.Env())
	}
	text, err := valueText(s, value)
	if err != nil && s.Secret {
		err = errors.New("is no plain value: put it in quotes") // the reason would show a part of it
	}
	if err != nil {
		return given{}, f.of(value).errorf(s.Name, "%s: %w", s.Name, err)
	}
	return given{setting: s, text: text, origin: f.of(value)}, nil
}

func quoteName(name string) string {
	if len(name) > 100 {
		name = name[:100] + "..."
	}
	return strconv.Quote(name)
}

func fileNames() []string {
	var names []string
	for _, s := range Table() {
		if !s.NoFile {
			names = append(names, s.names()...)
		}
	}
	return names
}

// unknownKey also sees the habit of other programs to split a name at its dots.
func (f *configFile) unknownKey(key, value *yaml.Node, known []string) error {
	if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
		inner := value.Content[0].Value
		for _, name := range known {
			if inner != "" && strings.HasPrefix(name, key.Value+"."+inner) {
				return f.of(key).errorf("", "unknown setting %q: names are not split at their dots, write %q", key.Value, name+": ...")
			}
		}
	}
	return f.of(key).unknown("setting", key.Value, known)
}

// valueText is the text form of a plain value, or of a list of them.
func valueText(s *Setting, node *yaml.Node) (string, error) {
	if err := plainNode(node); err != nil {
		return "", err
	}
	switch node.Kind {
	case yaml.ScalarNode:
		if isNull(node) {
			return "", errors.New("has no value: give one, or remove the line")
		}
		return node.Value, nil
	case yaml.SequenceNode:
		if !s.kind.isList() {
			return "", errors.New("is a list: give one plain value")
		}
		var items []string
		for _, item := range node.Content {
			if err := plainNode(item); err != nil {
				return "", err
			}
			if item.Kind != yaml.ScalarNode || isNull(item) {
				return "", fmt.Errorf("has a %s among its items: give plain values", kindName(item))
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), nil
	}
	return "", fmt.Errorf("is a %s: give a plain value, or a list of them", kindName(node))
}

const notPlain = ": write the value itself, in quotes if it begins with that sign"

// plainNode refuses what makes a value mean something else than what stands there.
func plainNode(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return fmt.Errorf("the alias *%s is not supported%s", n.Value, notPlain)
	case n.Anchor != "":
		return fmt.Errorf("the anchor &%s is not supported%s", n.Anchor, notPlain)
	case n.Style&yaml.TaggedStyle != 0:
		return fmt.Errorf("the tag %s is not supported%s", n.Tag, notPlain)
	}
	return nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func kindName(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "mapping"
	case n.Kind == yaml.SequenceNode:
		return "list"
	case n.Kind == yaml.AliasNode:
		return "alias"
	case isNull(n):
		return "null"
	}
	return "value"
}
