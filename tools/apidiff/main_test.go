package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// base is a module as it was released.
var base = map[string]string{
	"go.mod":                "module example.com/m\n\ngo 1.26\n",
	"CHANGELOG.md":          "# Changelog\n\n## Unreleased\n\n## 0.1.0\n\n- **Breaking**: an old story.\n",
	"root.go":               "package m\n\nfunc Run() {}\n",
	"cmd/m/main.go":         "package main\n\nfunc Gone() {}\n\nfunc main() {}\n",
	"door/door.go":          "// Package door is one.\n//\n// # For Weir's own packages\n//\n// [New], [Options] and [Door.Plan].\npackage door\n\nimport \"example.com/m/internal/record\"\n\ntype Door struct{}\n\nfunc (*Door) Open() {}\n\nfunc (*Door) Plan() {}\n\ntype Options struct{ A int }\n\nfunc New(o Options) {}\n\ntype Header = record.Header\n",
	"internal/record/r.go":  "package record\n\ntype Header struct{ Key string }\n\ntype Hidden struct{ A int }\n",
	"examples/e/e.go":       "package e\n\nfunc E() {}\n",
	"internal/gone/gone.go": "package gone\n\nfunc G() {}\n",
}

// repository makes a repository of the files, with a commit, and with a tag if there is one.
func repository(t *testing.T, tag string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range base {
		write(t, filepath.Join(dir, name), text)
	}
	commands := [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "a"}}
	if tag != "" {
		commands = append(commands, []string{"tag", tag})
	}
	for _, args := range commands {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestWhatBreaksProgramsIsRefusedUnlessItIsAnnounced changes one thing of a release after the other.
//
// Mutations seen to fail it: changes without aliased; isOwn without members; load without the case of examples; announcesBreaking
// that reads the whole changelog.
func TestWhatBreaksProgramsIsRefusedUnlessItIsAnnounced(t *testing.T) {
	const announced = "# Changelog\n\n## Unreleased\n\n- **Breaking**: something is gone.\n\n## 0.1.0\n"
	for name, c := range map[string]struct {
		file, old, new string
		changelog      string
		says           string
		refused        bool
	}{
		"nothing":                   {says: "0 incompatible and 0 compatible"},
		"a function is removed":     {file: "root.go", old: "func Run() {}", refused: true, says: "Run: removed"},
		"it is, and announced":      {file: "root.go", old: "func Run() {}", changelog: announced, says: "Run: removed"},
		"a function is added":       {file: "root.go", old: "func Run() {}", new: "func Run() {}\n\nfunc More() {}", says: "0 incompatible and 1 compatible"},
		"a parameter is added":      {file: "root.go", old: "Run()", new: "Run(int)", refused: true, says: "Run: changed from func() to func(int)"},
		"a method is removed":       {file: "door/door.go", old: "func (*Door) Open() {}", refused: true, says: "./door.(*Door).Open: removed"},
		"a package is removed":      {file: "door/door.go", refused: true, says: "package example.com/m/door: removed"},
		"an aliased type changes":   {file: "internal/record/r.go", old: "Key string", new: "Name string", refused: true, says: "example.com/m/internal/record.Header.Key: removed"},
		"an internal type changes":  {file: "internal/record/r.go", old: "A int", new: "B int", says: "0 incompatible"},
		"an internal package ends":  {file: "internal/gone/gone.go", says: "0 incompatible"},
		"an own function changes":   {file: "door/door.go", old: "New(o Options)", new: "New()", says: "0 incompatible"},
		"an own type changes":       {file: "door/door.go", old: "A int", new: "B int", says: "0 incompatible"},
		"an own method is removed":  {file: "door/door.go", old: "func (*Door) Plan() {}", says: "0 incompatible"},
		"a program changes":         {file: "cmd/m/main.go", old: "func Gone() {}", says: "0 incompatible"},
		"an example changes":        {file: "examples/e/e.go", old: "func E() {}", says: "0 incompatible"},
		"it does not compile":       {file: "root.go", old: "func", new: "fun", refused: true},
		"the changelog is not here": {file: "CHANGELOG.md", says: "0 incompatible"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := repository(t, "v0.1.0")
			if c.file != "" {
				path := filepath.Join(dir, c.file)
				if c.old == "" {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
				} else {
					write(t, path, strings.Replace(base[c.file], c.old, c.new, 1))
				}
			}
			if c.changelog != "" {
				write(t, filepath.Join(dir, "CHANGELOG.md"), c.changelog)
			}
			var out bytes.Buffer
			if err := run(dir, &out); (err != nil) != c.refused {
				t.Errorf("refused: %v", err)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("it says %q, and should say %q", out.String(), c.says)
			}
		})
	}
}

// A repository without a release passes, and says so. Of several the newest counts, by version.
//
// Mutations seen to fail it: lastRelease without its sort, and without the suffix of candidates; any tag taken for a release.
func TestTheLastReleaseIsComparedWith(t *testing.T) {
	for _, tag := range []string{"", "benchmarks"} {
		var out bytes.Buffer
		if err := run(repository(t, tag), &out); err != nil || !strings.Contains(out.String(), "NOT COMPARED") {
			t.Errorf("tag %q: %v, %q", tag, err, out.String())
		}
	}
	dir := repository(t, "v0.1.0")
	for _, tag := range []string{"v0.10.0", "v0.9.0", "v0.10.0-rc.1", "w"} {
		cmd := exec.Command("git", "tag", tag)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if got, err := lastRelease(dir); got != "v0.10.0" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
