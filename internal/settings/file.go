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
			return append(found, given{err: fmt.Errorf("%s: too many mistakes: the rest of the file was not looked at", path)})
		}
	}
	return found
}

type configFile struct{ path string }

func (f *configFile) place(n *yaml.Node) string {
	return Origin{Source: File, Name: f.path, Line: n.Line, Column: n.Column}.place()
}

func (f *configFile) bounded(data []byte) error {
	switch {
	case len(data) > maxFileSize:
		return fmt.Errorf("%s: has more than %d KiB: a config file of settings is far smaller, is it the right file?", f.path, maxFileSize>>10)
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return fmt.Errorf("%s: is UTF-16: save it as UTF-8", f.path)
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
			return fmt.Errorf("%s:%d: more than %d brackets are open: a value is plain, or one list of plain values", f.path, line, maxBrackets)
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
		return nil, fmt.Errorf("%s: a second document: a config file has one", f.place(&second))
	case !errors.Is(err, io.EOF):
		return nil, f.notYAML(err, data)
	}
	root := doc.Content[0]
	if err := plainNode(root); err != nil {
		return nil, fmt.Errorf("%s: %w", f.place(root), err)
	}
	switch {
	case root.Kind == yaml.ScalarNode && isNull(root):
		return nil, nil
	case root.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%s: not a mapping: write one \"name: value\" on each line", f.place(root))
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
			return fmt.Errorf("%s:%d:%d: not valid YAML: a tab cannot indent a line: use spaces", f.path, i+1, bytes.IndexByte(indent, '\t')+1)
		}
	}
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		return f.unknownAlias(m[1], data)
	}
	if line == 0 {
		return fmt.Errorf("%s: not valid YAML: %s", f.path, text)
	}
	return fmt.Errorf("%s:%d: not valid YAML: %s", f.path, line, text)
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
		place := fmt.Sprintf("%s:%d:%d", f.path, i+1, at+1)
		if ok {
			place += ": " + s.Name
		}
		return fmt.Errorf("%s: the alias%s is not supported%s", place, alias, notPlain)
	}
	return fmt.Errorf("%s: an alias is not supported%s", f.path, notPlain)
}

// pair is one setting of the file.
func (f *configFile) pair(key, value *yaml.Node, first map[string]*yaml.Node, known []string) (given, error) {
	switch {
	case key.Tag == "!!merge" && key.Style&yaml.TaggedStyle == 0:
		return given{}, fmt.Errorf("%s: a merge key (<<) is not supported: write the settings themselves", f.place(key))
	case key.Kind == yaml.MappingNode || key.Kind == yaml.SequenceNode:
		return given{}, fmt.Errorf("%s: a setting's name is plain text, and this is a %s", f.place(key), kindName(key))
	}
	if err := plainNode(key); err != nil {
		return given{}, fmt.Errorf("%s: %w", f.place(key), err)
	}
	name := key.Value
	if other, twice := first[name]; twice {
		return given{}, fmt.Errorf("%s: %s was set at %s already: remove one", f.place(key), quoteName(name), f.place(other))
	}
	first[name] = key
	s, ok := Lookup(name)
	switch {
	case !ok:
		return given{}, unknownKey(f.place(key), name, value, known)
	case s.NoFile:
		return given{}, fmt.Errorf("%s: %s cannot be set in the file: use --%s or %s", f.place(key), s.Name, s.Name, s.Env())
	}
	text, err := valueText(s, value)
	if err != nil && s.Secret {
		err = errors.New("is no plain value: put it in quotes") // the reason would show a part of it
	}
	if err != nil {
		return given{}, fmt.Errorf("%s: %s: %w", f.place(value), s.Name, err)
	}
	return given{setting: s, text: text, origin: Origin{Source: File, Name: f.path, Line: value.Line, Column: value.Column}}, nil
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
func unknownKey(place, key string, value *yaml.Node, known []string) error {
	if value.Kind == yaml.MappingNode && len(value.Content) > 0 {
		inner := value.Content[0].Value
		for _, name := range known {
			if inner != "" && strings.HasPrefix(name, key+"."+inner) {
				return fmt.Errorf("%s: unknown setting %q: names are not split at their dots, write %q", place, key, name+": ...")
			}
		}
	}
	return unknown(place, "setting", key, known)
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
