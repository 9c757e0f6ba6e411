// Crossbuild checks that all packages compile for the systems that Weir supports, tests included where they can be built.
//
// It checks types from source and compiles nothing: a compiler would make the standard library and every dependency for each
// system anew, a minute of two cores for each, where the checks take seconds. What a compiler finds beyond that (assembly,
// linking) does not differ between systems in code without either.
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/tools/go/packages"
)

var targets = []string{
	"linux/amd64", "linux/arm64", "linux/386", "darwin/amd64", "darwin/arm64",
	"windows/amd64", "windows/arm64", "freebsd/amd64", "freebsd/arm64",
}

func main() {
	dir := flag.String("C", ".", "folder of the module")
	flag.Parse()
	root, err := filepath.Abs(*dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "crossbuild:", err)
		os.Exit(1)
	}
	failed := false
	for _, target := range targets {
		began := time.Now()
		mistakes := check(root, target)
		fmt.Printf("crossbuild: %-14s %d mistakes, %.1fs\n", target, len(mistakes), time.Since(began).Seconds())
		for _, m := range mistakes[:min(len(mistakes), 20)] {
			fmt.Printf("  %s\n", m)
		}
		failed = failed || len(mistakes) > 0
	}
	if failed {
		os.Exit(1)
	}
}

// check lists what does not compile in the module's own packages.
func check(root, target string) []string {
	system, processor, _ := strings.Cut(target, "/")
	conf := &packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedDeps |
			packages.NeedTypes | packages.NeedTypesSizes | packages.NeedSyntax | packages.NeedTypesInfo,
		Dir: root,
		Env: append(os.Environ(), "GOOS="+system, "GOARCH="+processor, "CGO_ENABLED=0"),
		ParseFile: func(set *token.FileSet, name string, src []byte) (*ast.File, error) {
			file, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
			if err == nil && !strings.HasPrefix(name, root+string(filepath.Separator)) {
				withoutBodies(file)
			}
			return file, err
		},
	}
	found, err := packages.Load(conf, "./...")
	if err != nil {
		return []string{err.Error()}
	}
	if len(found) == 0 {
		return []string{"no packages"}
	}
	var mistakes []string
	for _, p := range found {
		for _, e := range p.Errors {
			mistakes = append(mistakes, e.Error())
		}
	}
	return mistakes
}

// withoutBodies leaves of a dependency what others see of it.
func withoutBodies(file *ast.File) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			f.Body = &ast.BlockStmt{Lbrace: f.Body.Lbrace, Rbrace: f.Body.Rbrace}
		}
	}
}
