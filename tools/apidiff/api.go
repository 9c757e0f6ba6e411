package main

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"go/types"
	"regexp"
	"strings"

	"golang.org/x/exp/apidiff"
	"golang.org/x/tools/go/packages"
)

// api is what users of a module see.
type api struct {
	module   string
	packages []*types.Package
	own      map[string]bool           // names for the module's own packages: package path, name and maybe method, with dots between
	internal map[string]*types.Package // all internal packages, by path
}

// load reads the module in a folder.
func load(dir string) (*api, error) {
	list, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports | packages.NeedTypes |
			packages.NeedExportFile | packages.NeedModule,
		Dir: dir,
	}, "./...")
	if err != nil {
		return nil, err
	}
	a := &api{own: map[string]bool{}, internal: map[string]*types.Package{}}
	for _, p := range list {
		if len(p.Errors) > 0 {
			return nil, p.Errors[0]
		}
		if len(p.GoFiles) == 0 || p.Name == "main" {
			continue
		}
		a.module = p.Module.Path
		switch {
		case strings.Contains(p.PkgPath+"/", "/internal/"):
			a.internal[p.PkgPath] = p.Types
		case strings.HasPrefix(p.PkgPath, a.module+"/examples/"): // to be copied, not imported
		default:
			a.packages = append(a.packages, p.Types)
			if err := a.addOwn(p); err != nil {
				return nil, err
			}
		}
	}
	if len(a.packages) == 0 {
		return nil, errors.New("no package that can be imported")
	}
	return a, nil
}

// ownSection begins the section of a package's doc comment that names, in brackets, what is for the module's own packages.
const ownSection = "# For Weir's own packages"

var link = regexp.MustCompile(`\[([\w.]+)\]`)

func (a *api) addOwn(p *packages.Package) error {
	for _, file := range p.GoFiles {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			return err
		}
		_, section, _ := strings.Cut(parsed.Doc.Text(), ownSection)
		section, _, _ = strings.Cut(section, "\n# ")
		for _, name := range link.FindAllStringSubmatch(section, -1) {
			a.own[p.PkgPath+"."+name[1]] = true
		}
	}
	return nil
}

// changes are those between two states of a module that concern users.
func changes(old, new *api) (list []apidiff.Change) {
	public := apidiff.ModuleChanges(&apidiff.Module{Path: old.module, Packages: old.packages}, &apidiff.Module{Path: new.module, Packages: new.packages})
	for _, c := range public.Changes {
		pkg, name, member := subject(c.Message)
		if pkg = strings.TrimSuffix(old.module+"/"+pkg, "/"); !old.isOwn(pkg, name, member) {
			list = append(list, c)
		}
	}
	// An alias is compared by the name of its target. What that is made of is looked at here.
	for path, names := range old.aliased() {
		now, ok := new.internal[path]
		if !ok {
			continue // the aliases have changed then
		}
		for _, c := range apidiff.Changes(old.internal[path], now).Changes {
			if _, name, _ := subject(c.Message); names[name] {
				list = append(list, apidiff.Change{Message: fmt.Sprintf("%s.%s", path, c.Message), Compatible: c.Compatible})
			}
		}
	}
	return list
}

// isOwn says whether a name, or what it is a member or a constant of, is for the module's own packages.
func (a *api) isOwn(pkg, name, member string) bool {
	if a.own[pkg+"."+name] || a.own[pkg+"."+name+"."+member] {
		return true
	}
	for _, p := range a.packages {
		if c, ok := p.Scope().Lookup(name).(*types.Const); ok && p.Path() == pkg {
			named, ok := c.Type().(*types.Named)
			return ok && a.own[pkg+"."+named.Obj().Name()]
		}
	}
	return false
}

// aliased are the internal types that have a name in a public package, by path.
func (a *api) aliased() map[string]map[string]bool {
	found := map[string]map[string]bool{}
	for _, p := range a.packages {
		for _, name := range p.Scope().Names() {
			obj, ok := p.Scope().Lookup(name).(*types.TypeName)
			if !ok || !obj.Exported() || !obj.IsAlias() {
				continue
			}
			named, ok := types.Unalias(obj.Type()).(*types.Named)
			if !ok || named.Obj().Pkg() == nil || a.internal[named.Obj().Pkg().Path()] == nil {
				continue
			}
			path := named.Obj().Pkg().Path()
			if found[path] == nil {
				found[path] = map[string]bool{}
			}
			found[path][named.Obj().Name()] = true
		}
	}
	return found
}

var subjects = regexp.MustCompile(`^(?:\./([^.(]+)\.)?\(?\*?(\w+)(?:\[[^\]]*\])?\)?(?:\.(\w+))?[,:]`)

// subject is what a change is about, as "./codecs.(*T).Method: changed", "./codecs.T.Field: removed" or "Name: added" say it.
func subject(message string) (pkg, name, member string) {
	if m := subjects.FindStringSubmatch(message); m != nil {
		return m[1], m[2], m[3]
	}
	return "", "", ""
}
