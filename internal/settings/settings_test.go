package settings

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/mistake"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// resolve runs Resolve on a command line, an environment and the content of weir.yaml.
func resolve(t *testing.T, args, env []string, file string) (*Values, error) {
	t.Helper()
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	AddFlags(flags, Table(), nil)
	if err := flags.Parse(args); err != nil {
		return nil, FlagError(flags, err)
	}
	return Resolve(Sources{Flags: flags, Env: env, ReadFile: func(name string) ([]byte, error) {
		if name != "weir.yaml" {
			return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("no such file or directory")}
		}
		return []byte(file), nil
	}})
}

// Mutation seen to fail this test: maps.Copy of the environment and the file swapped.
func TestAStrongerSourceWins(t *testing.T) {
	const fileText = "commit-interval: 3s\n"
	env := []string{"WEIR_COMMIT_INTERVAL=2s"}
	args := []string{"--commit-interval", "1s"}
	for _, c := range []struct {
		name      string
		args, env []string
		file      string
		want      time.Duration
		origin    string
	}{
		{"nothing", nil, nil, "", 100 * time.Millisecond, "default"},
		{"file", nil, nil, fileText, 3 * time.Second, "weir.yaml:1:18"},
		{"env", nil, env, "", 2 * time.Second, "env WEIR_COMMIT_INTERVAL"},
		{"env and file", nil, env, fileText, 2 * time.Second, "env WEIR_COMMIT_INTERVAL"},
		{"flag", args, nil, "", time.Second, "flag --commit-interval"},
		{"flag and file", args, nil, fileText, time.Second, "flag --commit-interval"},
		{"flag and env", args, env, "", time.Second, "flag --commit-interval"},
		{"flag, env and file", args, env, fileText, time.Second, "flag --commit-interval"},
		{"empty env and file", nil, []string{"WEIR_COMMIT_INTERVAL="}, fileText, 3 * time.Second, "weir.yaml:1:18"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.file != "" {
				c.args = append(slices.Clone(c.args), "--config", "weir.yaml")
			}
			v, err := resolve(t, c.args, c.env, c.file)
			if err != nil {
				t.Fatal(err)
			}
			if got, origin := CommitInterval.Of(v), CommitInterval.Origin(v).String(); got != c.want || origin != c.origin {
				t.Errorf("got %v from %s, want %v from %s", got, origin, c.want, c.origin)
			}
		})
	}
}

func TestTheEnvironmentCanNameTheFile(t *testing.T) {
	v, err := resolve(t, nil, []string{"WEIR_CONFIG=weir.yaml"}, "workers: 7")
	if err != nil || Workers.Of(v) != 7 {
		t.Fatalf("workers %d, %v", Workers.Of(v), err)
	}
}

// Mutation: Resolve asks the environment for the file first.
func TestTheFileOfTheFlagBeatsThatOfTheEnvironment(t *testing.T) {
	v, err := resolve(t, []string{"--config", "weir.yaml"}, []string{"WEIR_CONFIG=absent.yaml"}, "workers: 7")
	if err != nil || Workers.Of(v) != 7 {
		t.Fatalf("workers %d, %v", Workers.Of(v), err)
	}
	if _, err := resolve(t, []string{"--config", "absent.yaml"}, []string{"WEIR_CONFIG=weir.yaml"}, "workers: 7"); err == nil {
		t.Error("the file of the flag is not there, and it is not said")
	}
}

func TestAValueIsTheSameFromEverySource(t *testing.T) {
	for _, c := range []struct{ name, text, file, want string }{
		{"brokers", "a:1,b:2", "brokers: [a:1, b:2]", "a:1,b:2"},
		{"bootstrap.servers", "a:1, b:2", "bootstrap.servers:\n- a:1\n- 'b:2'", "a:1,b:2"},
		{"brokers", "a:1, b:2, ", "brokers: 'a:1,,b:2,'", "a:1,b:2"},
		{"session.timeout.ms", "45000", "session.timeout.ms: 45000", "45000"},
		{"session.timeout.ms", "45s", "session.timeout.ms: 45s", "45000"},
		{"commit-interval", "1m", "commit-interval: 1m", "1m"},
		{"commit-bytes", "1024", "commit-bytes: 1024", "1KiB"},
		{"cache-bytes", "0", "cache-bytes: 0", "0"},
		{"cache-bytes", "3 GiB", "cache-bytes: 3 GiB", "3GiB"},
		{"create-topics", "true", "create-topics: true", "true"},
		{"http", ":9090", "http: :9090", ":9090"},
		{"instance-id", "7", "instance-id: 7", "7"},
		{"log-level", "debug", "log-level: \"debug\"", "debug"},
	} {
		s, ok := Lookup(c.name)
		if !ok {
			t.Fatal(c.name)
		}
		for source, run := range map[string]func() (*Values, error){
			"flag": func() (*Values, error) { return resolve(t, []string{"--" + c.name + "=" + c.text}, nil, "") },
			"env":  func() (*Values, error) { return resolve(t, nil, []string{envName(c.name) + "=" + c.text}, "") },
			"file": func() (*Values, error) { return resolve(t, []string{"--config=weir.yaml"}, nil, c.file) },
		} {
			v, err := run()
			if err != nil {
				t.Errorf("%s from %s: %v", c.name, source, err)
				continue
			}
			i := slices.Index(Table(), s)
			if got := v.Lines()[i].Value; got != c.want {
				t.Errorf("%s from %s: %q, want %q", c.name, source, got, c.want)
			}
		}
	}
}

// TestEveryMistakeNamesItsPlaceAndTheWayOut runs testdata/mistakes.txt: a case is lines "flag ARG", "env VAR" and
// "file TEXT", then ----, then the error.
// Mutations seen to fail this test: the column of the value given for unknown keys; secrets left out of what may be meant.
func TestEveryMistakeNamesItsPlaceAndTheWayOut(t *testing.T) {
	path := filepath.Join("testdata", "mistakes.txt")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for i, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
		input, want, _ := strings.Cut(block+"\n", "\n----\n")
		want = strings.TrimSuffix(want, "\n")
		var args, env, file []string
		for line := range strings.SplitSeq(input, "\n") {
			kind, text, _ := strings.Cut(line, " ")
			switch kind {
			case "flag":
				args = append(args, text)
			case "env":
				env = append(env, text)
			case "file":
				file = append(file, text)
			}
		}
		if file != nil {
			args = append(args, "--config", "weir.yaml")
		}
		_, err := resolve(t, args, env, strings.Join(file, "\n"))
		got := "ok"
		if err != nil {
			got = err.Error()
		}
		if got != want && !*update {
			t.Errorf("%s\n got: %s\nwant: %s", input, got, want)
		}
		if i > 0 {
			out.WriteString("\n")
		}
		out.WriteString(input + "\n----\n" + got + "\n")
	}
	if *update {
		write(t, path, out.String())
	}
}

// Mutation seen to fail this test: Lines without redaction.
func TestPrintConfigShowsEveryValueAndItsOriginAndNoSecret(t *testing.T) {
	v, err := resolve(t, []string{"--config", "weir.yaml", "--workers", "3"},
		[]string{"WEIR_SESSION_TIMEOUT_MS=20s", "WEIR_SASL_PASSWORD=hunter2"},
		"brokers: [kafka-1:9092, kafka-2:9092]\nsasl.oauthbearer.token: hunter3\nlog-level: debug\n")
	if err != nil {
		t.Fatal(err)
	}
	var text, json strings.Builder
	if err := errors.Join(v.Print(&text), v.PrintJSON(&json)); err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "print.txt"), text.String())
	golden(t, filepath.Join("testdata", "print.json"), json.String())
	if all := text.String() + json.String(); strings.Contains(all, "hunter") {
		t.Error("a secret was printed")
	}
}

// Mutation seen to fail this test: a setting's help changed without -update.
func TestDocsAreMadeFromTheTable(t *testing.T) {
	golden(t, filepath.Join("..", "..", "docs", "configuration.md"), markdown())
}

func TestTheTableIsSound(t *testing.T) {
	seen := map[string]string{}
	for _, s := range Table() {
		for _, name := range s.names() {
			if other, twice := seen[envName(name)]; twice {
				t.Errorf("%s and %s have the same variable", name, other)
			}
			seen[envName(name)] = name
		}
		if s.Default != "" {
			if _, err := s.kind.parse(s.Default); err != nil {
				t.Errorf("the default of %s is not allowed: %v", s.Name, err)
			}
		}
		if s.Help == "" || strings.HasSuffix(s.Help, ".") || s.Group == "" {
			t.Errorf("%s has no help, no group, or a full stop", s.Name)
		}
		if strings.HasSuffix(s.Name, ".ms") != (s.kind.name == "duration" && s.Kafka) {
			t.Errorf("%s: a Kafka duration ends in .ms and nothing else does", s.Name)
		}
		if s.Kafka && strings.Contains(s.Name, "-") || !s.Kafka && strings.Contains(s.Name, ".") && s.Name != "topic.prefix" { // the one word for it in all of Weir
			t.Errorf("%s: Kafka's names have dots, ours hyphens", s.Name)
		}
	}
}

func TestAnEmptyFlagTakesAValueBack(t *testing.T) {
	v, err := resolve(t, []string{"--http="}, []string{"WEIR_HTTP=:9090"}, "")
	if err != nil || HTTP.Of(v) != "" || HTTP.Origin(v).Source != Flag {
		t.Fatalf("http %q, %v", HTTP.Of(v), err)
	}
	if _, err := resolve(t, []string{"--state-dir="}, nil, ""); err == nil {
		t.Fatal("an empty state-dir was accepted")
	}
}

func TestNoFileMakesItPanic(t *testing.T) {
	piece := rapid.SampledFrom([]string{"workers", "brokers", "config", ": ", ":", "4", "\n", "\n  ", "- ", "&a ", "*a", "!!int ", "!x ", "? ", "{", "}", "[", "]",
		",", "|", ">", "\"", "'", "#", "---\n", "...\n", "<<", "\t", "%YAML 1.2\n", "\x00", "\xff", "~", "null", "@"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "file"), "")
		_, err := Resolve(Sources{Env: []string{"WEIR_CONFIG=f"}, ReadFile: func(string) ([]byte, error) { return []byte(text), nil }})
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Fatalf("%q: %v", text, err)
		}
	})
}

func TestASecretIsNoFlag(t *testing.T) {
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	AddFlags(flags, Table(), nil)
	for _, s := range Table() {
		if flag := flags.Lookup(s.Name); (flag == nil) != s.Secret {
			t.Errorf("%s: secret %v, flag %v", s.Name, s.Secret, flag)
		}
	}
}

// Mutation seen to fail this test: the swap case removed from distance.
func TestOneSlipOfTheFingerFindsTheName(t *testing.T) {
	var names []string
	for _, s := range Table() {
		names = append(names, s.names()...)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Filter(func(s string) bool { return len(s) > 5 }).Draw(t, "name")
		at := rapid.IntRange(0, len(name)-2).Draw(t, "at")
		var typed string
		switch rapid.IntRange(0, 3).Draw(t, "slip") {
		case 0: // left out
			typed = name[:at] + name[at+1:]
		case 1: // swapped
			typed = name[:at] + name[at+1:at+2] + name[at:at+1] + name[at+2:]
		case 2: // doubled
			typed = name[:at+1] + name[at:]
		case 3: // other words' sign and case
			typed = strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
		}
		if got := Nearest(typed, names); distance(plainName(got), plainName(typed)) > distance(plainName(name), plainName(typed)) || got == "" {
			t.Fatalf("%q: nearest is %q, not %q", typed, got, name)
		}
	})
}

// What is wrong is data, wherever it is found: the setting, and the place where it stands.
//
// Mutations seen to fail it: entry without the setting's name; of with the column for the line; an environment variable
// that is taken for a flag.
func TestMistakesAreData(t *testing.T) {
	file := "workers: 0\nbatch.size: 1\nlinger: 5\n"
	_, err := resolve(t, []string{"--config", "weir.yaml", "--commit-interval", "soon"}, []string{"WEIR_HTTP=x", "WEIR_WORKER=1"}, file)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatal(err)
	}
	var got []string
	var collect func(error)
	collect = func(err error) {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				collect(e)
			}
			return
		}
		wrong, ok := errors.AsType[*Error](err)
		if !ok {
			t.Fatalf("%v is no *Error", err)
		}
		got = append(got, fmt.Sprintf("%s %s", wrong.Setting, wrong.Origin))
	}
	for _, e := range joined.Unwrap() {
		collect(e)
	}
	want := []string{"commit-interval flag --commit-interval", "http env WEIR_HTTP", " env environment", "workers weir.yaml:1:10", " weir.yaml:3:1"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A mistake is located by the settings that it names as data, not by its text, and keeps its class.
//
// Mutations seen to fail it: the last setting that was given; a text with two causes taken apart.
func TestAMistakeIsLocatedWhereItsSettingWasGiven(t *testing.T) {
	v, err := resolve(t, nil, []string{"WEIR_WORKERS=2", "WEIR_SESSION_TIMEOUT_MS=3s", "WEIR_BROKERS=a:1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("workers is a fine name for a file")
	for _, c := range []struct {
		err     error
		setting string
		want    string
	}{
		{mistake.In("heartbeat.interval.ms", "session.timeout.ms").Errorf("late: %w", cause), "session.timeout.ms", "WEIR_SESSION_TIMEOUT_MS: late: " + cause.Error()},
		{mistake.In("bootstrap.servers", "workers").Errorf("none: %w", cause), "brokers", "WEIR_BROKERS: none: " + cause.Error()},
		{fmt.Errorf("open: %w", mistake.In("workers").Errorf("%w", cause)), "workers", "WEIR_WORKERS: open: " + cause.Error()},
		{mistake.In("state-dir").Errorf("default: %w", cause), "", "default: " + cause.Error()},
		{errors.Join(cause, mistake.In("workers").Errorf("few")), "workers", cause.Error() + "\nWEIR_WORKERS: few"},
		{fmt.Errorf("%w, and %w", cause, mistake.In("workers").Errorf("few")), "", cause.Error() + ", and few"},
		{cause, "", cause.Error()},
	} {
		got := v.Locate(c.err)
		if got.Error() != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		if wrong, ok := errors.AsType[*Error](got); ok != (c.setting != "") || ok && wrong.Setting != c.setting {
			t.Errorf("%q is located at %+v", got, wrong)
		}
		if !errors.Is(got, cause) {
			t.Errorf("%q has lost its cause", got)
		}
	}
	if v.Locate(nil) != nil {
		t.Error("an error of nothing")
	}
}

func TestDistanceIsSymmetricAndZeroForTheSameOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-c]{0,6}`)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if d := distance(a, b); d != distance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Fatalf("distance(%q, %q) = %d, back %d", a, b, d, distance(b, a))
		}
	})
}

func TestPrintedSizesAndDurationsReadBackTheSame(t *testing.T) {
	size, duration := sizeKind(0, 1<<62), durationKind("x", 0)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<62).Draw(t, "n") >> rapid.IntRange(0, 62).Draw(t, "shift")
		if back, err := size.parse(size.format(n)); err != nil || back != n {
			t.Fatalf("%d is %s is %v, %v", n, size.format(n), back, err)
		}
		d := time.Duration(n)
		if back, err := duration.parse(duration.format(d)); err != nil || back != d {
			t.Fatalf("%d is %s is %v, %v", d, duration.format(d), back, err)
		}
	})
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		write(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what it was; if that is right, run the test with -update. Got:\n%s", path, got)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
