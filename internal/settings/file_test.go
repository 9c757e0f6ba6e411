package settings

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// hostileFiles are config files that cost a parser much.
func hostileFiles() map[string]string {
	fill := func(piece string) string { return strings.Repeat(piece, maxFileSize/len(piece)) }
	return map[string]string{
		"brackets":                fill("["),
		"200 KB of brackets":      strings.Repeat("[", 200_000),
		"closed brackets":         strings.Repeat("[", maxFileSize/2) + strings.Repeat("]", maxFileSize/2),
		"closed only in comments": fill("[ # ]\n"),
		"braces":                  fill("{"),
		"mappings in mappings":    fill("{a: "),
		"lists in lists":          fill("- "),
		"keys of keys":            fill("? "),
		"names":                   fill("a: b\n"),
		"anchors":                 fill("&a "),
		"aliases of aliases":      "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nclient.id: [*c,*c,*c]\n",
		"an alias of itself":      "client.id: &a [*a]\n",
		"tags":                    fill("!a "),
		"quotes":                  fill("'"),
		"lines":                   fill("a\n"),
		"a long name":             fill("a") + ": b",
		"a gigabyte":              strings.Repeat("#", 1<<20),
	}
}

// Mutations seen to fail this test: bounded not called; a bound of brackets of a million; the alias case of plainNode removed.
func TestHostileFilesAreRefusedAndCostLittle(t *testing.T) {
	for name, text := range hostileFiles() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Resolve(Sources{Env: []string{"WEIR_CONFIG=f"}, ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
		runtime.ReadMemStats(&after)
		if err == nil || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("%s: %.200v", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 64<<20 {
			t.Errorf("%s: took %d MiB", name, used>>20)
		}
	}
}

// Mutation: os.ReadFile in readConfig's place, which ends in no memory.
func TestAConfigFileWithoutAnEndIsRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no /dev/zero")
	}
	if _, err := readConfig("/dev/zero"); err == nil || !strings.Contains(err.Error(), "has more than 64 KiB") {
		t.Errorf("got %v", err)
	}
}

// A byte order mark is an editor's, and UTF-16 is said by its name.
func TestByteOrderMarks(t *testing.T) {
	v, err := resolve(t, []string{"--config=weir.yaml"}, nil, "\ufeffworkers: 7\n")
	if err != nil || Workers.Of(v) != 7 {
		t.Errorf("UTF-8: %v", err)
	}
	for _, text := range []string{"\xff\xfew\x00:\x001\x00", "\xfe\xff\x00w\x00:\x001"} {
		if _, err := resolve(t, []string{"--config=weir.yaml"}, nil, text); err == nil || err.Error() != "weir.yaml: is UTF-16: save it as UTF-8" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A file that holds secrets is judged like any other secret file; one without is not.
//
// Mutation seen to fail this test: CheckSecrets not asked.
func TestAConfigFileWithSecretsIsJudgedByWhoElseCanGetAtIt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes")
	}
	for _, c := range []struct {
		text     string
		mode     os.FileMode
		refused  bool
		warnings int
	}{
		{"workers: 3\n", 0o666, false, 0},
		{"sasl.password: hunter2\n", 0o600, false, 0},
		{"sasl.password: hunter2\n", 0o644, false, 1},
		{"sasl.password: hunter2\n", 0o666, true, 0},
	} {
		path := filepath.Join(t.TempDir(), "weir.yaml")
		write(t, path, c.text)
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		src := FromSystem(nil, nil)
		src.Env = []string{"WEIR_CONFIG=" + path}
		v, err := Resolve(src)
		if (err != nil) != c.refused || err == nil && len(v.Warnings()) != c.warnings {
			t.Errorf("%q, mode %#o: %v", c.text, c.mode, err)
		}
	}
}

// FuzzConfigFile: no file makes it panic, and every mistake names the file. What a file sets is what its author wrote there:
// a value holds no sign that means something else in YAML unless it was quoted.
func FuzzConfigFile(f *testing.F) {
	for _, text := range hostileFiles() {
		f.Add(text[:min(len(text), 200)])
	}
	for _, text := range []string{"client.id: &b x", "client.id: *b", "brokers:\n- a:1\n- 'b:2'\n", "workers: 4 # four\n", "client.id: |\n  a\n  b\n", "\"a\": {b: [c]}\n---\n..."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, g := range fromFile("f", []byte(text)) {
			switch {
			case g.err != nil && !strings.HasPrefix(g.err.Error(), "f:"):
				t.Fatalf("a mistake without its place: %v", g.err)
			case g.err == nil && (g.setting == nil || g.origin.Line < 1 || g.origin.Column < 1):
				t.Fatalf("a value without its setting or place: %+v", g)
			case g.err == nil && g.text != "" && slices.Contains([]byte("&*!"), g.text[0]) && !strings.ContainsAny(text, `"'|>\`):
				t.Fatalf("%q was read as a value", g.text)
			}
		}
	})
}
