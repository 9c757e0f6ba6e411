package termtext

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Mutations seen to fail this test: C1 let through; Cf let through.
func TestNothingThatCommandsATerminalPasses(t *testing.T) {
	for text, want := range map[string]string{
		"plain, ä, 日本, 😀":     "plain, ä, 日本, 😀",
		"\x1b[2J\x1b]0;x\x07": `\u001b[2J\u001b]0;x\u0007`,
		"\u009b31m":           `\u009b31m`,
		"\x9b31m":             `\x9b31m`,
		"a\u202eb\u2066c":     `a\u202eb\u2066c`,
		"\u200b\ufeff\u2028":  `\u200b\ufeff\u2028`,
		"\U000e0041":          `\udb40\udc41`,
		"a\rb\x08\x7f\x00":    `a\u000db\u0008\u007f\u0000`,
		"one\ntwo\tthree":     "one\ntwo\tthree",
	} {
		if got := Lines(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	if got := Text("one\ntwo"); got != `one\u000atwo` {
		t.Errorf("one line: %s", got)
	}
}

// However a text is cut into writes, what comes out is clean and the same; and JSON keeps its meaning.
//
// Mutations: rest dropped; \x written for a control character.
func TestAWriterCleansWhateverTheCuts(t *testing.T) {
	piece := rapid.SampledFrom([]string{"a", "\n", "\x1b[31m", "\u009b", "\u202e", "ä", "😀", "\U000e0041", "\xff", "\xc3", "\xf0\x9f", "\x7f", "\"", "\\"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 20).Draw(t, "text"), "")
		var out strings.Builder
		w := NewWriter(&out)
		for rest := text; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
			if wrote, err := w.Write([]byte(rest[:n])); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		got := out.String()
		if want := Lines(text); got != want && !strings.HasPrefix(want, got) || len(w.rest) == 0 && got != want {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
		for _, r := range got {
			if r == utf8.RuneError || r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
				t.Fatalf("%q: %q", text, got)
			}
		}
		data, err := json.Marshal([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		var before, after []string
		if err := json.Unmarshal(data, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(Lines(string(data))), &after); err != nil || !reflect.DeepEqual(before, after) && !strings.Contains(before[0], "\ufffd") {
			t.Fatalf("%q: %q, %v", before, after, err)
		}
	})
}

func TestAnEntryOfALogIsOneLine(t *testing.T) {
	var out strings.Builder
	if _, err := NewLog(&out).Write([]byte("INFO x\nERROR forged\n")); err != nil || out.String() != "INFO x\\u000aERROR forged\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// Every print of the program goes through this package: nothing else names the process's outputs or prints to them. Programs for
// those who work on Weir (bench, integration, tools, faults on purpose) are left out.
//
// Mutation seen to fail this test: report(os.Stderr, ...) put back into cli.Main.
func TestNoPrintPassesBy(t *testing.T) {
	root := filepath.Join("..", "..")
	looked := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if entry.IsDir() {
			switch name {
			case "bench", "integration", "tools", "bin", ".git", filepath.Join("internal", "termtext"), filepath.Join("internal", "wiretest"), filepath.Join("internal", "fault"),
				filepath.Join("gateway", "rpc", "generate"): // what those run who work on Weir
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		looked++
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				of, ok := n.X.(*ast.Ident)
				if !ok || of.Obj != nil { // a variable of that name
					return true
				}
				what := of.Name + "." + n.Sel.Name
				switch what {
				case "os.Stdout", "os.Stderr", "fmt.Print", "fmt.Println", "fmt.Printf",
					"log.Print", "log.Println", "log.Printf", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Default":
					t.Errorf("%s: %s: use termtext.Stdout, termtext.Stderr or the command's own outputs", set.Position(n.Pos()), what)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "println" || f.Name == "print") && f.Obj == nil {
					t.Errorf("%s: %s", set.Position(n.Pos()), f.Name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || looked < 100 {
		t.Errorf("%d files looked at: %v", looked, err)
	}
}
