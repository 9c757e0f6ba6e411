package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weirstream/weir/codecs"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
	"github.com/weirstream/weir/topology"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// LevelDB's pool of buffers goes away up to a second after its database was closed. No test may run an instance in the default
// state folder, which would stay here.
//
// Mutation seen to fail it: a test that runs an instance without a state folder of its own.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(tidy{m}, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

type tidy struct{ *testing.M }

func (m tidy) Run() int {
	code := m.M.Run()
	if _, err := os.Stat(settings.StateDir.Default); err == nil {
		fmt.Fprintf(os.Stderr, "a test has left the folder %s\n", settings.StateDir.Default)
		return max(code, 1)
	}
	return code
}

var (
	clicked = topology.Stream("page.clicked.v1", codecs.String())
	visited = topology.Stream("page.visited.v1", codecs.String())
	visits  = topology.Store("visits", codecs.Int64())

	sound = topology.Define("visit-counts",
		topology.Node("count",
			topology.On(clicked, func(topology.Context, string, string) error { return nil }),
			topology.Uses(visits),
			topology.Emits(visited)))
	small = topology.Define("click-log",
		topology.Node("log", topology.On(clicked, func(topology.Context, string, string) error { return nil })))
	broken = topology.Define("broken",
		topology.Node("twice", topology.On(clicked, func(topology.Context, string, string) error { return nil })),
		topology.Node("twice", topology.Uses(visits)))
)

// execute runs a command line of a program called shop and returns all that it prints, and its exit code.
func execute(args []string, topologies ...*topology.Topology) (string, int) {
	var out strings.Builder
	root := New("shop", topologies...)
	root.SetOut(&out)
	root.SetErr(&out)
	err := Execute(context.Background(), root, args)
	report(&out, "shop", err)
	return out.String(), ExitCode(err)
}

// TestCommandLinesAnswerAsWritten runs testdata/commands.txt: a command line for a program with the topologies
// visit-counts and click-log (or with the broken one, where the line begins with "broken"), what it prints, and its exit
// code.
// Mutation seen to fail this test: group without RunE, so that a mistyped command exits 0.
func TestCommandLinesAnswerAsWritten(t *testing.T) {
	path := filepath.Join("testdata", "commands.txt")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for block := range strings.SplitSeq(string(data), "\n$ ") {
		line, _, _ := strings.Cut(strings.TrimPrefix(block, "$ "), "\n")
		args := strings.Fields(line)
		topologies := []*topology.Topology{sound, small}
		if args[0] == "broken" {
			args, topologies = args[1:], []*topology.Topology{broken}
		}
		out, code := execute(args, topologies...)
		got := fmt.Sprintf("$ %s\n%s-> %d\n", line, out, code)
		if want := "$ " + strings.TrimPrefix(strings.TrimRight(block, "\n"), "$ ") + "\n"; got != want && !*update {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
		all.WriteString(got + "\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(strings.TrimSuffix(all.String(), "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlansArePrintedInEveryForm(t *testing.T) {
	p, err := sound.Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := small.Plan(plan.Names{})
	if err != nil {
		t.Fatal(err)
	}
	json, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"topology describe":                            p.Describe() + "\n" + other.Describe(),
		"topology describe visit-counts":               p.Describe(),
		"topology describe visit-counts --output json": string(json),
		"topology draw click-log visit-counts":         other.Mermaid() + "\n" + p.Mermaid(),
		"topology draw visit-counts --format=dot":      p.DOT(),
	} {
		if got, code := execute(strings.Fields(line), sound, small); got != want || code != 0 {
			t.Errorf("%s: exit %d\n%s", line, code, got)
		}
	}
}

// TestTopologiesAreShownAsTheirEnvironmentHasThem, from wherever the prefix comes: operators delete topics by these names.
//
// Mutations seen to fail it: overTopologies with plan.Names{} in the place of namesOf; check without the names; OfNames without the
// file.
func TestTopologiesAreShownAsTheirEnvironmentHasThem(t *testing.T) {
	p, err := sound.Plan(plan.Names{Prefix: "staging."})
	if err != nil {
		t.Fatal(err)
	}
	json, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if text := p.Describe(); !strings.Contains(text, "group staging.visit-counts\n") || !strings.Contains(text, "staging.visit-counts-visits-changelog") {
		t.Fatal(text)
	}
	file := filepath.Join(t.TempDir(), "weir.yaml")
	wide := topology.Define("wide", topology.Node("log", topology.On(topology.Stream(strings.Repeat("x", 200), codecs.String(), topology.Foreign()),
		func(topology.Context, string, string) error { return nil })))
	if err := wide.Check(); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("y", 60)
	for place, prefix := range map[string]func(t *testing.T, text string) []string{
		"flag": func(t *testing.T, text string) []string { return []string{"--topic.prefix", text} },
		"env":  func(t *testing.T, text string) []string { t.Setenv("WEIR_TOPIC_PREFIX", text); return nil },
		"file": func(t *testing.T, text string) []string {
			if err := os.WriteFile(file, []byte("topic.prefix: "+text+"\nbrokers: a:1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"--config", file}
		},
	} {
		t.Run(place, func(t *testing.T) {
			for line, want := range map[string]string{
				"topology describe":               p.Describe(),
				"topology describe --output json": string(json),
				"topology draw":                   p.Mermaid(),
				"topology draw --format dot":      p.DOT(),
				"topology check":                  "visit-counts: sound\n",
			} {
				if out, code := execute(append(strings.Fields(line), prefix(t, "staging.")...), sound); out != want || code != 0 {
					t.Errorf("%s: exit %d\n%s", line, code, out)
				}
			}
			for _, verb := range []string{"check", "describe", "draw"} {
				if out, code := execute(append([]string{"topology", verb}, prefix(t, long)...), wide); code != exitRefused || !strings.Contains(out, long) {
					t.Errorf("%s of a name that is too long with its prefix: exit %d: %s", verb, code, out)
				}
			}
		})
	}
}

// Mutation seen to fail this test: listedOnce not called.
func TestATopologyIsListedOnce(t *testing.T) {
	again := topology.Define("visit-counts",
		topology.Node("log", topology.On(clicked, func(topology.Context, string, string) error { return nil })))
	for _, line := range []string{"topology check", "topology draw", "run --brokers a:1", "version"} {
		for want, list := range map[string][]*topology.Topology{
			"shop: topology \"visit-counts\" is given to weir.Main twice: remove one\n":                                                 {sound, small, sound},
			"shop: two topologies given to weir.Main have the name \"visit-counts\", which is that of the consumer group: rename one\n": {sound, again},
		} {
			if out, code := execute(strings.Fields(line), list...); out != want || code != exitRefused {
				t.Errorf("%s: exit %d, %s", line, code, out)
			}
		}
	}
}

func TestHelpOfEveryCommandHasAnExample(t *testing.T) {
	root := New("shop", sound)
	root.InitDefaultCompletionCmd()
	for _, cmd := range commands(root) {
		if cmd.HasSubCommands() || cmd.Name() == "help" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
			continue
		}
		if !strings.Contains(cmd.Example, "shop "+strings.TrimPrefix(cmd.CommandPath(), "shop ")) {
			t.Errorf("%s: example %q", cmd.CommandPath(), cmd.Example)
		}
	}
}

func TestHelpOfRunListsEverySettingUnderItsHeading(t *testing.T) {
	out, code := execute([]string{"run", "--help"}, sound)
	if code != 0 {
		t.Fatalf("exit %d", code)
	}
	for _, s := range settings.Table() {
		if s.Secret {
			continue
		}
		_, behind, ok := strings.Cut(out, "\n"+s.Group+":\n")
		if !ok || !strings.Contains(behind, "\n  --"+s.Name) && !strings.HasPrefix(behind, "  --"+s.Name) {
			t.Errorf("%s is not under %s", s.Name, s.Group)
		}
	}
	for line := range strings.SplitSeq(out, "\n") {
		if len(line) > 120 {
			t.Errorf("a line of %d letters: %s", len(line), line)
		}
	}
}

func TestEveryShellHasItsCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, code := execute([]string{"completion", shell}, sound); code != 0 || !strings.Contains(out, "shop") {
			t.Errorf("%s: exit %d, %d bytes", shell, code, len(out))
		}
	}
	for line, want := range map[string]string{
		"topology draw ":               "click-log",
		"topology draw --format ":      "dot",
		"run --guarantee ":             "at_least_once",
		"run --topology ":              "visit-counts",
		"run --security.protocol ":     "SASL_SSL",
		"run --print-config --output ": "json",
	} {
		out, _ := execute(append([]string{"__complete"}, strings.Split(line, " ")...), sound, small)
		if !strings.Contains(out, want+"\n") {
			t.Errorf("%q is completed with %q, want %s among it", line, out, want)
		}
	}
}

// Mutation seen to fail this test: FetchMaxWait left out of ClientConfig.
func TestEverySettingReachesTheEngine(t *testing.T) {
	elsewhere := map[string]bool{ // used by the command itself
		"config": true, "topology": true, "http": true, "http-token-file": true, "topic.prefix": true, "log-level": true, "log-format": true,
	}
	values := map[string]string{
		"brokers": "other:9092", "guarantee": "at_least_once", "partitioner": "fnv1a", "auto.offset.reset": "none",
		"compression.type": "zstd", "security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN",
		"max.request.size": "2MiB", "on.corrupt.batch": "skip", "accept-empty-state": "true", "schemas": "register",
	}
	plain := resolved(t, "WEIR_BROKERS=localhost:9092", "WEIR_CREATE_TOPICS=true")
	for _, s := range settings.Table() {
		if elsewhere[s.Name] {
			continue
		}
		text, ok := values[s.Name]
		for _, try := range []string{"7", "7ms", "7s", "2MiB", "false"} {
			if ok {
				break
			}
			_, err := settings.Resolve(settings.Sources{Env: []string{s.Env() + "=" + try}})
			text, ok = try, err == nil
		}
		if s.Name == "max.in.flight.requests.per.connection" {
			text = "2"
		}
		env := map[string]string{"WEIR_BROKERS": "localhost:9092", "WEIR_CREATE_TOPICS": "true", s.Env(): text}
		var list []string
		for name, value := range env {
			list = append(list, name+"="+value)
		}
		changed := resolved(t, list...)
		if same(plain, changed) {
			t.Errorf("%s=%s changes nothing", s.Name, text)
		}
	}
}

type resolvedSettings struct {
	kafka   kafka.Config
	options processors.Options
}

func resolved(t *testing.T, env ...string) resolvedSettings {
	t.Helper()
	v, err := settings.Resolve(settings.Sources{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	conf, _ := ClientConfig(v) // some values make no sense together
	opts, err := InstanceOptions(v)
	if err != nil {
		t.Fatal(err)
	}
	return resolvedSettings{conf, opts}
}

func same(a, b resolvedSettings) bool { return reflect.DeepEqual(a, b) }

// Mutations seen to fail this test: the default of session.timeout.ms in the table changed to 45s, that of partitions to 5;
// WithDefaults without stall-after.
func TestDefaultsAreThoseOfTheEngine(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	addr := broker.Addrs()[0]
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: []string{addr}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := resolved(t, "WEIR_BROKERS="+addr, "WEIR_CREATE_TOPICS=true")
	if want := client.Config(); !reflect.DeepEqual(got.kafka, want) {
		t.Errorf("settings: %+v\n  engine: %+v", got.kafka, want)
	}
	given := processors.Options{StateDir: settings.StateDir.Default, Announce: true, Create: &processors.Creation{}}
	want := given.WithDefaults()
	want.Log = nil // of the command
	if *got.options.Create != *want.Create {
		t.Errorf("settings: %+v\n  engine: %+v", *got.options.Create, *want.Create)
	}
	if got.options.Create = want.Create; !reflect.DeepEqual(got.options, want) {
		t.Errorf("settings: %+v\n  engine: %+v", got.options, want)
	}
	zero := reflect.ValueOf(want)
	for _, name := range []string{"Guarantee", "CommitInterval", "CommitBytes", "Workers", "CacheBytes", "StallAfter", "StopLineAfter", "StopLineWindow", "ParkedRecords", "ParkedBytes", "Partitioner", "OffsetReset", "CorruptBatch"} {
		if zero.FieldByName(name).IsZero() {
			t.Errorf("%s has no default", name)
		}
	}
}

func TestAMistakeAmongSettingsNamesTheOneThatWasGiven(t *testing.T) {
	v, err := settings.Resolve(settings.Sources{Env: []string{"WEIR_BROKERS=a:1", "WEIR_SESSION_TIMEOUT_MS=500ms"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ClientConfig(v)
	if err == nil || !strings.HasPrefix(err.Error(), "WEIR_SESSION_TIMEOUT_MS: heartbeat.interval.ms") {
		t.Errorf("got %v", err)
	}
}

// Mutations seen to fail this test: the timeout does not follow the interval; the interval compared with the whole timeout;
// <= in the place of <; the guarantee not looked at.
func TestACommitIntervalLeavesItsTransactionTime(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want string // how the error begins
	}{
		{nil, ""},
		{[]string{"WEIR_COMMIT_INTERVAL=40s"}, ""}, // the timeout follows
		{[]string{"WEIR_COMMIT_INTERVAL=7999ms", "WEIR_TRANSACTION_TIMEOUT_MS=10000"}, ""},
		{[]string{"WEIR_COMMIT_INTERVAL=8s", "WEIR_TRANSACTION_TIMEOUT_MS=10000"}, "WEIR_COMMIT_INTERVAL: commit-interval: 8s is not under 4/5 of transaction.timeout.ms, 10s"},
		{[]string{"WEIR_COMMIT_INTERVAL=8s", "WEIR_TRANSACTION_TIMEOUT_MS=10000", "WEIR_GUARANTEE=at_least_once"}, ""},
		{[]string{"WEIR_COMMIT_INTERVAL=8s", "WEIR_TRANSACTION_TIMEOUT_MS=20000"}, ""},
	} {
		v, err := settings.Resolve(settings.Sources{Env: c.env})
		if err != nil {
			t.Fatal(err)
		}
		err = commitsInTime(v)
		if (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v: %v", c.env, err)
		}
	}
}

func TestAnInstanceHasOneID(t *testing.T) {
	for _, c := range []struct {
		env    []string
		id     string
		static bool
		ok     bool
	}{
		{nil, "", false, true},
		{[]string{"WEIR_INSTANCE_ID=a"}, "a", false, true},
		{[]string{"WEIR_GROUP_INSTANCE_ID=a"}, "a", true, true},
		{[]string{"WEIR_GROUP_INSTANCE_ID=a", "WEIR_INSTANCE_ID=a"}, "a", true, true},
		{[]string{"WEIR_GROUP_INSTANCE_ID=a", "WEIR_INSTANCE_ID=b"}, "", false, false},
	} {
		v, err := settings.Resolve(settings.Sources{Env: c.env})
		if err != nil {
			t.Fatal(err)
		}
		o, err := InstanceOptions(v)
		if (err == nil) != c.ok || c.ok && (o.InstanceID != c.id || o.Static != c.static) {
			t.Errorf("%v: %q, static %v, %v", c.env, o.InstanceID, o.Static, err)
		}
	}
}

func TestExitCodesFollowTheError(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{withCode(exitFailure, errors.New("x")), 1},
		{errors.New("unknown flag"), 2},
		{UsageError(errors.New("x")), 2},
		{classified(&processors.RefusedTopologyError{}), 3},
		{classified(fmt.Errorf("wrapped: %w", &processors.FatalError{Err: errors.New("x")})), 4},
	} {
		if got := ExitCode(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}

func TestLogsAreJSONWhereThereIsNoTerminal(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"auto", `"msg":"hello","after":"1.5s"`},
		{"json", `"msg":"hello","after":"1.5s"`},
		{"console", `INFO  hello  {"after": "1.5s"}`},
	} {
		v, err := settings.Resolve(settings.Sources{Env: []string{"WEIR_LOG_FORMAT=" + c.format}})
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		log, err := NewLog(&out, v)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("quiet")
		log.Sugar().Infow("hello", "after", 1500*time.Millisecond)
		if got := out.String(); !strings.Contains(got, c.want) || strings.Contains(got, "quiet") {
			t.Errorf("%s: %s", c.format, got)
		}
	}
}

// Signals within milliseconds are one request, as those of coreutils' timeout to its child and to the process group are. Only a later
// one is impatience, whatever came before it.
//
// Mutations seen to fail it: the second signal taken at once; the time counted from the signal before; cancel after the second.
func TestSignalsTogetherAreOneRequest(t *testing.T) {
	for name, c := range map[string]struct {
		after []time.Duration // the first signal
		want  time.Duration
	}{
		"two at once":              {[]time.Duration{0, time.Second}, time.Second},
		"a burst":                  {[]time.Duration{0, time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond}, 400 * time.Millisecond},
		"just within":              {[]time.Duration{oneRequest, oneRequest + 1}, oneRequest + 1},
		"a second one, much later": {[]time.Duration{time.Hour}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals, cancelled := make(chan os.Signal, 2), false
				began := time.Now()
				got := make(chan os.Signal)
				var took time.Duration
				go func() {
					s := secondSignal(signals, func() { cancelled = true })
					took = time.Since(began)
					got <- s
				}()
				signals <- syscall.SIGTERM
				synctest.Wait()
				if !cancelled {
					t.Error("the first signal is not answered at once")
				}
				for i, after := range c.after {
					time.Sleep(after - time.Since(began))
					signals <- syscall.Signal(40 + i)
					synctest.Wait()
				}
				if s := <-got; took != c.want || s != syscall.Signal(40+len(c.after)-1) {
					t.Errorf("signal %d ended it after %v, want the last one after %v", s, took, c.want)
				}
			})
		})
	}
}
