//go:build unix

package command_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The lines that apply prints publish an event, for curl as for Go: with its key and id where these are declared or have to stand beside it, and in
// quotes that keep what the schema names. Where no event is found that the gateway takes, it says so.
//
// Mutations, each seen to fail it: sample without keys; a Field without Texts; without the key of a compacted topic; without SampleID; an array that is
// no event of an array; backticks that are taken out; an unquoted sample.
func TestTheLinesThatArePrintedPublishAnEvent(t *testing.T) {
	brokers, registry := start(t)
	door := serve(t, "/", "gateway", "run", "--brokers", brokers, "--registry", registry)
	t.Chdir(t.TempDir())
	const id = `{"type":"record","name":"A","fields":[{"name":"id","type":["null","string"],"default":null}]}`
	for n, c := range []struct{ yaml, schema, keys, want string }{
		{"key: id", id, ``, `{"id":"a"}`},
		{"key: id\nid: id\nidempotency: once", id, ``, `{"id":"a"}`},
		{"key: id", id, `"long"`, `{"id":"1"}`},
		{"key: id", id, `{"type":"string","logicalType":"uuid"}`, `{"id":"6f1c2a7e-`},
		{"key: id", `{"type":"record","name":"A","fields":[{"name":"id","type":{"type":"enum","name":"E","symbols":["P","Q"]}}]}`, `{"type":"enum","name":"F","symbols":["Q","R"]}`, `{"id":"Q"}`},
		{"key: id", `{"type":"record","name":"A","fields":[{"name":"id","type":"long"}]}`, `{"type":"enum","name":"F","symbols":["Q","R"]}`, `VALUE`},
		{"keyless: true", `{"type":"array","items":"string"}`, ``, `[[]]`},
		{"keyless: true\nidempotency: once", `{"type":"string","const":"it's ` + "`x`" + `\u202e"}`, ``, `"it's ` + "`x`" + `\u202e"`},
		{"keyless: true\ntopic: {partitions: 2, settings: {cleanup.policy: compact}}", `"string"`, ``, `"a"`},
		{"keyless: true", `"string"`, `{"type":"record","name":"K","fields":[{"name":"ab","type":["null","string"]}]}`, `"a"`},
	} {
		name := "line.number" + strconv.Itoa(n) + ".v1"
		text := "event: " + name + "\nowner: x\nschema: " + name + ".schema\ntype: " + typeOf(c.schema) + "\n" + c.yaml + "\n"
		if !strings.Contains(text, "topic:") {
			text += "topic: {partitions: 2}\n"
		}
		if c.keys != "" {
			text += "key-schema: {schema: " + name + ".key, type: " + typeOf(c.keys) + "}\n"
			write(t, name+".key", c.keys)
		}
		write(t, name+".schema", c.schema)
		write(t, name+".yaml", text)
		out, code := execute(t.Context(), "event", "apply", name+".yaml", "--brokers", brokers, "--registry", registry, "--gateway", door)
		if code != 0 {
			t.Errorf("%s: exit code %d: %s", text, code, out)
			continue
		}
		req, body := curled(t, out)
		if !strings.HasPrefix(body, c.want) {
			t.Errorf("%s: %s, want %s", text, body, c.want)
		}
		if gone := goBody(t, out); gone != body {
			t.Errorf("%s: in Go %s, and for curl %s", text, gone, body)
		}
		if c.want == "VALUE" {
			if !strings.Contains(out, "No event could be made up that a gateway takes: write its value in place of VALUE. Why not, of {\"id\":1}: the key: ") {
				t.Errorf("%s: %s", text, out)
			}
			continue
		}
		answer := ""
		for began := time.Now(); time.Since(began) < time.Minute && !strings.Contains(answer, `"offset":0`); time.Sleep(20 * time.Millisecond) {
			again := req.Clone(t.Context())
			again.Body = io.NopCloser(strings.NewReader(body))
			res, err := http.DefaultClient.Do(again)
			if err != nil {
				t.Fatal(err)
			}
			data, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			answer = string(data)
		}
		if !strings.Contains(answer, `"offset":0`) {
			t.Errorf("%s: %s, answered %s", text, out, answer)
		}
	}
}

func typeOf(schema string) string {
	if strings.Contains(schema, "const") {
		return "json"
	}
	return "avro"
}

// curled is the request of the line with curl, whose arguments are read as a shell reads them.
func curled(t *testing.T, out string) (*http.Request, string) {
	t.Helper()
	line := regexp.MustCompile(`(?m)^curl (.*)$`).FindStringSubmatch(out)
	if line == nil {
		t.Fatalf("no line with curl: %s", out)
	}
	var args []string
	arg, quoted := "", false
	for i := 0; i < len(line[1]); i++ {
		switch c := line[1][i]; {
		case c == '\'':
			quoted = !quoted
		case quoted:
			arg += string(c)
		case c == '\\':
			i++
			arg += string(line[1][i])
		case c == ' ':
			args, arg = append(args, arg), ""
		default:
			arg += string(c)
		}
	}
	args = append(args, arg)
	if len(args) < 5 || args[0] != "-X" || strings.ContainsAny(line[1], "?*") && !strings.Contains(line[1], "'http") {
		t.Fatalf("curl %q", args)
	}
	req, err := http.NewRequest(args[1], args[2], nil)
	if err != nil {
		t.Fatal(err)
	}
	body := ""
	for i := 3; i+1 < len(args); i += 2 {
		if args[i] == "-d" {
			body = args[i+1]
			continue
		}
		name, value, _ := strings.Cut(args[i+1], ": ")
		req.Header.Set(name, value)
	}
	return req, body
}

// goBody is what the program in Go sends.
func goBody(t *testing.T, out string) (body string) {
	t.Helper()
	_, lines, _ := strings.Cut(out, "In Go:\n")
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, []byte("package main\nfunc main() {"+lines+"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatalf("%s: %v", lines, err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 1 {
			if of, ok := call.Fun.(*ast.SelectorExpr); ok && of.Sel.Name == "NewReader" {
				if literal, ok := call.Args[0].(*ast.BasicLit); ok {
					body, _ = strconv.Unquote(literal.Value)
				}
			}
		}
		return true
	})
	return body
}
