package protovalue

import (
	"regexp"

	"github.com/bufbuild/protocompile/ast"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	anEdition  = regexp.MustCompile(`\bedition\s*=`)
	quotedName = regexp.MustCompile(`\breserved\s*["']`)
)

// quotedInEdition says whether a text may be a file of an edition in which reserved names are quoted.
func quotedInEdition(text string) bool {
	return quotedName.MatchString(text) && anEdition.MatchString(text)
}

// unquote makes identifiers of the reserved names that are quoted in a file of an edition, where the compiler, as protoc, takes nothing else. Registries
// that write the text of a schema themselves have stored such files.
func unquote(tree *ast.FileNode) {
	if tree.Edition == nil {
		return
	}
	_ = ast.Walk(tree, &ast.SimpleVisitor{DoVisitReservedNode: func(n *ast.ReservedNode) error {
		for _, name := range n.Names {
			if !protoreflect.Name(name.AsString()).IsValid() {
				return nil
			}
		}
		for _, name := range n.Names {
			n.Identifiers = append(n.Identifiers, ast.NewIdentNode(name.AsString(), name.Start()))
		}
		n.Names = nil
		return nil
	}})
}
