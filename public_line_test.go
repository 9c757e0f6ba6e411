package weir_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module   = "github.com/weirstream/weir"
	linePage = "docs/public-line.md"
	// ownSection is the section of a package's doc comment that names, in brackets, what it exports for Weir's own packages only.
	ownSection = "# For Weir's own packages"
)

// TestUsersImportWhatIsListed compares the packages that users can import with the table in docs/public-line.md.
//
// Mutations seen to fail it: a folder wire at the top with an exported function; the line of codecs taken from the table; a line
// for a package that is not there.
func TestUsersImportWhatIsListed(t *testing.T) {
	var importable []string
	for _, p := range importables(t) {
		importable = append(importable, placeOf(p.types.Path()))
	}
	page, err := os.ReadFile(linePage)
	if err != nil {
		t.Fatal(err)
	}
	var public []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z/]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		public = append(public, row[1])
	}
	slices.Sort(importable)
	slices.Sort(public)
	if !slices.Equal(importable, public) {
		t.Errorf("packages that users can import: %q\n%s lists %q\nWhat is not for users belongs under internal/.", importable, linePage, public)
	}
}

// TestUsersCanNameWhatTheyAreGiven goes through the exported names of every public package: a type under internal/ that one of
// them mentions has a public name too, by alias, or the package says that the name is for Weir's own packages; and what is for
// users mentions nothing that is not.
//
// Mutations seen to fail it: weir.Secret as a type of its own, with kafka.Secret in Security; New taken from the section of
// processors; a name there that does not exist; Stats in an event of a hook.
func TestUsersCanNameWhatTheyAreGiven(t *testing.T) {
	line := publicLine{own: map[types.Object]bool{}, named: map[*types.TypeName]bool{}}
	packages := importables(t)
	for _, p := range packages {
		scope := p.types.Scope()
		for name := range p.own(t) {
			if obj := lookup(p.types, name); obj == nil || !obj.Exported() {
				t.Errorf("%s names [%s] for Weir's own packages, and exports nothing of that name", p.types.Path(), name)
			} else {
				line.own[obj] = true
			}
		}
		for _, name := range scope.Names() {
			if tn, ok := scope.Lookup(name).(*types.TypeName); ok && tn.Exported() {
				if named, ok := types.Unalias(tn.Type()).(*types.Named); ok {
					line.named[named.Obj()] = true
				}
			}
		}
	}
	for _, p := range packages {
		scope := p.types.Scope()
		for _, name := range scope.Names() {
			if obj := scope.Lookup(name); obj.Exported() && !line.isOwn(obj) {
				for _, m := range line.mentions(obj) {
					t.Error(m)
				}
			}
		}
	}
}

// TestAProgramLinksWhatIsListed compares the modules of the reference job's program with the list in docs/public-line.md.
//
// Mutations seen to fail it: internal/cli imports embedded; a module taken from the list.
func TestAProgramLinksWhatIsListed(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./examples/totals")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := slices.DeleteFunc(strings.Fields(string(out)), func(path string) bool { return path == module })
	page, err := os.ReadFile(linePage)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## What comes along")
	var listed []string
	for _, name := range regexp.MustCompile("`([a-z.]+\\.[a-z]+/[^`]+)`").FindAllStringSubmatch(section, -1) {
		listed = append(listed, name[1])
	}
	slices.Sort(linked)
	slices.Sort(listed)
	if linked = slices.Compact(linked); !slices.Equal(linked, listed) {
		t.Errorf("a program links %q\n%s lists %q", linked, linePage, listed)
	}
}

// importable is a package that users can import, and that exports something.
type importable struct {
	dir   string
	files []string
	types *types.Package
}

// importables are the packages of this module that are neither internal nor a program.
func importables(t *testing.T) (list []importable) {
	t.Helper()
	// go test caches by what a test itself opens, and knows nothing of what go list reads.
	if err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", "-export", "-json=ImportPath,Name,Dir,Export,GoFiles", "./...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	exports := map[string]string{}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath, Name, Dir, Export string
			GoFiles                       []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export // dependencies come first
		if !ours(p.ImportPath) || p.Name == "main" || strings.Contains(p.ImportPath+"/", "/internal/") || len(p.GoFiles) == 0 {
			continue
		}
		pkg, err := imports.Import(p.ImportPath)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(pkg.Scope().Names(), token.IsExported) {
			list = append(list, importable{p.Dir, p.GoFiles, pkg})
		}
	}
}

func ours(path string) bool { return strings.HasPrefix(path+"/", module+"/") }

// own are the names that a package says it exports for Weir's own packages.
func (p importable) own(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, file := range p.files {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.dir, file), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(parsed.Doc.Text(), ownSection)
		section, _, _ = strings.Cut(section, "\n# ")
		for _, link := range regexp.MustCompile(`\[([\w.]+)\]`).FindAllStringSubmatch(section, -1) {
			names[link[1]] = true
		}
	}
	return names
}

// lookup finds a name of a package, or of a method as Type.Method.
func lookup(pkg *types.Package, name string) types.Object {
	name, method, _ := strings.Cut(name, ".")
	obj := pkg.Scope().Lookup(name)
	if obj != nil && method != "" {
		obj, _, _ = types.LookupFieldOrMethod(obj.Type(), true, pkg, method)
	}
	return obj
}

// publicLine is what is known of the exported names of all public packages.
type publicLine struct {
	own   map[types.Object]bool    // for Weir's own packages only
	named map[*types.TypeName]bool // types that have a public name
}

// isOwn says whether a name is for Weir's own packages: it is listed so, or is a constant of a type that is.
func (l *publicLine) isOwn(obj types.Object) bool {
	if c, ok := obj.(*types.Const); ok {
		if named, ok := c.Type().(*types.Named); ok {
			return l.own[named.Obj()]
		}
	}
	return l.own[obj]
}

// mentions says what of an exported name's type is not for users.
func (l *publicLine) mentions(obj types.Object) (bad []string) {
	what := placeOf(obj.Pkg().Path()) + "." + obj.Name()
	look := func(what string, t types.Type) {
		for named := range typesIn(t) {
			tn := named.Obj()
			switch {
			case tn.Pkg() == nil || !ours(tn.Pkg().Path()):
			case !l.named[tn] && tn.Exported():
				bad = append(bad, fmt.Sprintf("%s mentions %s.%s, which users cannot name", what, placeOf(tn.Pkg().Path()), tn.Name()))
			case l.own[tn]:
				bad = append(bad, fmt.Sprintf("%s mentions %s.%s, which is for Weir's own packages", what, placeOf(tn.Pkg().Path()), tn.Name()))
			}
		}
	}
	named, ok := types.Unalias(obj.Type()).(*types.Named)
	if _, isType := obj.(*types.TypeName); !isType || !ok {
		look(what, obj.Type())
		slices.Sort(bad)
		return bad
	}
	methods := types.NewMethodSet(types.NewPointer(named))
	for m := range methods.Methods() {
		if m.Obj().Exported() && !l.own[m.Obj()] {
			look(what+"."+m.Obj().Name(), m.Type())
		}
	}
	look(what, named.Underlying())
	slices.Sort(bad)
	return slices.Compact(bad)
}

// typesIn are the named types that a type is made of, without what is inside those and without what is not exported.
func typesIn(t types.Type) map[*types.Named]bool {
	found := map[*types.Named]bool{}
	var walk func(types.Type)
	walk = func(t types.Type) {
		switch t := types.Unalias(t).(type) {
		case *types.Named:
			found[t.Origin()] = true
			for arg := range t.TypeArgs().Types() {
				walk(arg)
			}
		case *types.Map:
			walk(t.Key())
			walk(t.Elem())
		case interface{ Elem() types.Type }: // pointer, slice, array, channel
			walk(t.Elem())
		case *types.Tuple:
			for v := range t.Variables() {
				walk(v.Type())
			}
		case *types.Signature:
			walk(t.Params())
			walk(t.Results())
			for p := range t.TypeParams().TypeParams() {
				walk(p.Constraint())
			}
		case *types.Struct:
			for f := range t.Fields() {
				if f.Exported() {
					walk(f.Type())
				}
			}
		case *types.Interface:
			for m := range t.ExplicitMethods() {
				if m.Exported() {
					walk(m.Type())
				}
			}
			for e := range t.EmbeddedTypes() {
				walk(e)
			}
		case *types.Union:
			for term := range t.Terms() {
				walk(term.Type())
			}
		}
	}
	walk(t)
	return found
}

// placeOf is a package's path below the module, "weir" for its root.
func placeOf(path string) string {
	if path == module {
		return "weir"
	}
	return strings.TrimPrefix(path, module+"/")
}
