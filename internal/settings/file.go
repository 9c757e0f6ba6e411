package settings

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// fromFile finds the settings in a YAML file: one mapping from names to plain values, or lists of them.
func fromFile(path string, data []byte) []given {
	mistake := func(format string, args ...any) given { return given{err: fmt.Errorf(format, args...)} }
	at := func(t *token.Token) Origin {
		return Origin{Source: File, Name: path, Line: t.Position.Line, Column: t.Position.Column}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		var positioned yaml.Error
		if errors.As(err, &positioned) && positioned.GetToken() != nil {
			return []given{mistake("%s: not valid YAML: %s", at(positioned.GetToken()).place(), positioned.GetMessage())}
		}
		return []given{mistake("%s: not valid YAML: %w", path, err)}
	}
	var pairs []*ast.MappingValueNode
	for i, doc := range file.Docs {
		switch body := doc.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
			continue
		case *ast.MappingNode:
			pairs = body.Values
		case *ast.MappingValueNode:
			pairs = []*ast.MappingValueNode{body}
		default:
			return []given{mistake("%s: not a mapping: write one \"name: value\" on each line", at(body.GetToken()).place())}
		}
		if i > 0 {
			return []given{mistake("%s: a second document: a config file has one", at(doc.Body.GetToken()).place())}
		}
	}

	known := fileNames()
	var found []given
	for _, pair := range pairs {
		key := pair.Key.GetToken()
		s, ok := Lookup(key.Value)
		if !ok {
			found = append(found, given{err: unknownKey(at(key).place(), key.Value, pair.Value, known)})
			continue
		}
		if s.NoFile {
			found = append(found, mistake("%s: %s cannot be set in the file: use --%s or %s", at(key).place(), s.Name, s.Name, s.Env()))
			continue
		}
		text, err := scalarText(pair.Value)
		if err != nil {
			found = append(found, mistake("%s: %s: %w", at(pair.Value.GetToken()).place(), s.Name, err))
			continue
		}
		found = append(found, given{setting: s, text: text, origin: at(pair.Value.GetToken())})
	}
	return found
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
func unknownKey(place, key string, value ast.Node, known []string) error {
	var inner string
	switch v := value.(type) {
	case *ast.MappingNode:
		if len(v.Values) > 0 {
			inner = v.Values[0].Key.GetToken().Value
		}
	case *ast.MappingValueNode:
		inner = v.Key.GetToken().Value
	}
	if inner != "" {
		for _, name := range known {
			if strings.HasPrefix(name, key+"."+inner) {
				return fmt.Errorf("%s: unknown setting %q: names are not split at their dots, write %q", place, key, name+": ...")
			}
		}
	}
	return unknown(place, "setting", key, known)
}

// scalarText is the text form of a plain value, or of a list of them.
func scalarText(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.NullNode:
		return "", errors.New("has no value: give one, or remove the line")
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.SequenceNode:
		var items []string
		for _, value := range n.Values {
			text, err := scalarText(value)
			if err != nil {
				return "", err
			}
			items = append(items, text)
		}
		return strings.Join(items, ","), nil
	case ast.ScalarNode:
		return n.GetToken().Value, nil
	}
	return "", fmt.Errorf("is a %s: give a plain value, or a list of them", strings.ToLower(node.Type().String()))
}
