package command_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/registry/command"
)

func execute(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	return executeIn(context.Background(), t, args...)
}

func executeIn(ctx context.Context, t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	root := cli.New("weir")
	root.AddCommand(command.Registry(), command.Schema())
	var out strings.Builder
	root.SetOut(&out)
	root.SetErr(&out)
	err := cli.Execute(ctx, root, args)
	if err != nil {
		out.WriteString(err.Error())
	}
	return out.String(), cli.ExitCode(err)
}

// The command of docs/schemas.md is run as it stands there, on a change that is allowed and on one that is not.
func TestCheckFindsWhatBreaks(t *testing.T) {
	page, err := os.ReadFile("../../../docs/schemas.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^weir (schema check .*)$`).FindStringSubmatch(string(page))
	if line == nil {
		t.Fatal("docs/schemas.md has no line that checks a schema")
	}
	t.Chdir(t.TempDir())
	write := func(name, fields string) {
		if err := os.WriteFile(filepath.Clean(name), []byte(`{"type":"record","name":"Order","fields":[`+fields+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("order.v1.avsc", `{"name":"id","type":"string"}`)
	write("order.v2.avsc", `{"name":"id","type":"string"},{"name":"note","type":"string","default":""}`)
	if out, code := execute(t, strings.Fields(line[1])...); code != 0 || !strings.Contains(out, "order.v2.avsc is compatible") {
		t.Errorf("exit code %d: %s", code, out)
	}
	write("order.v2.avsc", `{"name":"id","type":"long"},{"name":"note","type":"string"}`)
	out, code := execute(t, strings.Fields(line[1])...)
	for _, want := range []string{"TYPE_MISMATCH: it is read as long, and was written as string at path '/fields/0/type'", "READER_FIELD_MISSING_DEFAULT_VALUE: ", "order.v2.avsc cannot read what is written with order.v1.avsc; allowed is: give the field a default"} {
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, without %q: %s", code, want, out)
		}
	}
	if out, code := execute(t, append(strings.Fields(line[1]), "--json")...); code != 1 || !strings.Contains(out, `"path": "/fields/1"`) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// Only what is not compatible has the exit code that says so: what cannot be compared has another, with the file that is to blame.
//
// Mutations seen to fail it: compare's errors as they are; references' too; no ofOneType.
func TestCheckSaysWhatCannotBeCompared(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"a.avsc": `"int"`, "none.avsc": `{"type":"nothing"}`, "a.proto": `syntax = "proto3"; message M {}`, "a.json": `{}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for args, want := range map[string]string{
		"nowhere.avsc a.avsc":                          "nowhere.avsc",
		"a.avsc nowhere.avsc":                          "nowhere.avsc",
		"a.avsc none.avsc":                             "none.avsc: ",
		"none.avsc a.avsc":                             "none.avsc: ",
		". a.avsc":                                     "",
		"--reference X=nowhere.avsc a.avsc a.avsc":     "nowhere.avsc",
		"--reference X a.avsc a.avsc":                  "is not NAME=FILE",
		"a.proto a.avsc":                               "a.proto is of type PROTOBUF, and a.avsc of type AVRO",
		"a.avsc a.json a.proto":                        "a.avsc is of type AVRO, and a.proto of type PROTOBUF",
		"--reference X=none.avsc --type avro a.avsc a": "a",
	} {
		if out, code := execute(t, append([]string{"schema", "check"}, strings.Fields(args)...)...); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d: %s", args, code, out)
		}
	}
}

func TestWrongUseIsRefusedBeforeAnythingIsReached(t *testing.T) {
	for args, want := range map[string]string{
		"schema check --type avro a":                               "give at least two files",
		"schema check --type xml a b":                              `--type: "xml" is no type of schemas`,
		"schema check --type avro --level SIDEWAYS a b":            `"SIDEWAYS" is no level of compatibility`,
		"registry run --brokers 127.0.0.1:1 --http 0.0.0.0:0":      "give --users-file or --http-token-file, or listen on 127.0.0.1",
		"registry run --brokers 127.0.0.1:1 --tls-cert a":          "give --tls-cert and --tls-key together",
		"registry run --http 127.0.0.1:0":                          "no brokers",
		"registry run --brokers 127.0.0.1:1 --users-file /nowhere": "--users-file",
	} {
		if out, code := execute(t, strings.Fields(args)...); code != 2 || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d: %s", args, code, out)
		}
	}
}

// The help says what an address is for in this command, not what the setting does where topologies run.
//
// Mutation seen to fail it: run without Reword.
func TestTheHelpIsTheRegistrys(t *testing.T) {
	out, code := execute(t, "registry", "run", "--help")
	_, help, _ := strings.Cut(out, "--http HOST:PORT\n")
	help, _, _ = strings.Cut(help, "\n  --")
	help = strings.Join(strings.Fields(help), " ")
	if code != 0 || !strings.HasPrefix(help, "serve schemas at this address;") || !strings.HasSuffix(help, "(default 127.0.0.1:8081)") {
		t.Errorf("exit code %d, --http: %q", code, help)
	}
}
