//go:build unix

package command_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/registry/registrytest"
	"github.com/weirstream/weir/registry"
)

// orders are the files that docs/schemas.md names, in a folder of their own.
func orders(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, fields := range map[string]string{
		"order.v1.avsc": `{"name":"id","type":"string"}`,
		"order.v2.avsc": `{"name":"id","type":"string"},{"name":"note","type":"string","default":""}`,
		"broken.avsc":   `{"name":"id","type":"long"},{"name":"more","type":"string"}`,
	} {
		if err := os.WriteFile(filepath.Clean(name), []byte(`{"type":"record","name":"Order","fields":[`+fields+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// commandsOf are the lines of a section of docs/schemas.md that are commands of weir, without its name.
func commandsOf(t *testing.T, title string) (lines []string) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/schemas.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## "+title+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range regexp.MustCompile(`(?m)^weir (.*)$`).FindAllStringSubmatch(section, -1) {
		lines = append(lines, m[1])
	}
	return lines
}

func registryOfTest(t *testing.T) (url string) {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	return "http://" + serve(t, broker.Addrs())
}

// The commands of docs/schemas.md under "Change a schema" are run as they stand there, one after the other.
//
// Mutations seen to fail it: show that does not say what is deleted; a text that is written as one line.
func TestTheCommandsOfTheDocsChangeASchema(t *testing.T) {
	lines := commandsOf(t, "Change a schema")
	data, err := os.ReadFile("../../../docs/schemas.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	orders(t)
	for _, name := range []string{"invoice.v1.avsc", "invoice.v2.avsc"} { // as the page writes them
		_, before, _ := strings.Cut(page, "```sh\necho '")
		text, _, ok := strings.Cut(before, "' > "+name)
		if err := os.WriteFile(name, []byte(text[strings.LastIndex(text, "'")+1:]), 0o600); err != nil || !ok {
			t.Fatalf("%v: the page has no %s", err, name)
		}
	}
	url := registryOfTest(t)
	wants := []string{
		"it is now version 1 of invoice.sent.v1-value, id 1",
		"it would be version 2 of invoice.sent.v1-value (BACKWARD)",
		"it is now version 2 of invoice.sent.v1-value, id 2",
		"invoice.sent.v1-value  AVRO  1 2       2   BACKWARD",
		`"name":"note"`,
		"+ /fields[note]/type \"string\"\n+ /fields[note]/default \"\"\nversion 2 reads what version 1 wrote\nversion 1 reads what version 2 writes\n",
		"version 1, id 1, AVRO\nversion 2, id 2, AVRO\n  + /fields[note]/type",
		"the level of invoice.sent.v1-value was BACKWARD and is now FULL",
		"version 1 of invoice.sent.v1-value is deleted",
		"schemas.jsonl: 2 schemas",
		"2 schemas: 0 new, 2 there already, 0 in the way",
	}
	if len(lines) != len(wants) {
		t.Fatalf("%d commands stand there, want %d", len(lines), len(wants))
	}
	for n, line := range lines {
		args := strings.ReplaceAll(line, "http://127.0.0.1:8081", url)
		if out, code := execute(t, strings.Fields(args)...); code != 0 || !strings.Contains(out, wants[n]) {
			t.Errorf("%s: exit code %d, without %q:\n%s", line, code, wants[n], out)
		}
	}

	// What is deleted is shown, and said to be; a schema of several lines stays one.
	if out, code := execute(t, "schema", "show", "invoice.sent.v1-value", "1", "--registry", url); code != 0 || !strings.Contains(out, "version 1 of invoice.sent.v1-value, which is deleted, id 1") {
		t.Errorf("exit code %d: %s", code, out)
	}
	const lined = "syntax = \"proto3\";\r\npackage shop;\r\nmessage M {\r\n\tint32 a = 1;\r\n}\r\n"
	if err := os.WriteFile("m.proto", []byte(lined), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := execute(t, "schema", "register", "m", "m.proto", "--registry", url, "--execute"); code != 0 {
		t.Fatal(out)
	}
	if out, code := execute(t, "schema", "show", "m", "--registry", url); code != 0 || !strings.HasPrefix(out, "syntax = \"proto3\";\npackage shop;\n") {
		t.Errorf("exit code %d: %s", code, out)
	}

	// Another registry gets all of it under the same ids, what is deleted included, and a second time nothing.
	other := registryOfTest(t)
	for n, want := range []string{"2 new, 0 there already", "2 new, 0 there already", "0 new, 2 there already"} {
		args := []string{"schema", "import", "schemas.jsonl", "--registry", other}
		if n == 1 {
			args = append(args, "--execute")
		}
		if out, code := execute(t, args...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("import %d: exit code %d, without %q:\n%s", n, code, want, out)
		}
	}
	for path, want := range map[string]string{
		"/subjects/invoice.sent.v1-value/versions":              "[2]",
		"/subjects/invoice.sent.v1-value/versions?deleted=true": "[1,2]",
		"/schemas/ids/1/versions?deleted=true":                  `[{"subject":"invoice.sent.v1-value","version":1}]`,
		"/config/invoice.sent.v1-value":                         `{"compatibilityLevel":"FULL"}`,
		"/mode/invoice.sent.v1-value?defaultToGlobal=true":      `{"mode":"READWRITE"}`,
	} {
		if _, body := get(strings.TrimPrefix(other, "http://"), path); body != want {
			t.Errorf("%s of the other registry: %s, want %s", path, body, want)
		}
	}
	// An id that is another schema's is in the way, and nothing is imported.
	third := registryOfTest(t)
	if out, code := execute(t, "schema", "register", "else", "broken.avsc", "--registry", third, "--execute"); code != 0 {
		t.Fatal(out)
	}
	out, code := execute(t, "schema", "import", "schemas.jsonl", "--registry", third, "--execute")
	if code != 1 || !strings.Contains(out, "id 1 of version 1 of invoice.sent.v1-value is that of another schema there") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, body := get(strings.TrimPrefix(third, "http://"), "/subjects"); body != `["else"]` {
		t.Errorf("after a refused import: %s", body)
	}
}

// A subject is after an import in the mode of before, and one that an import which was killed left in the mode IMPORT takes registrations again.
//
// Mutations seen to fail it: Import without Left; inImport that resets each mode; levels after the modes.
func TestAnImportLeavesModesAsTheyWere(t *testing.T) {
	orders(t)
	from, to := registryOfTest(t), registryOfTest(t)
	ask := func(url, path, body string) string {
		t.Helper()
		q, _ := http.NewRequestWithContext(t.Context(), http.MethodPut, url+path, strings.NewReader(body))
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		data, _ := io.ReadAll(res.Body)
		return string(data)
	}
	run := func(want string, args ...string) {
		t.Helper()
		if out, code := execute(t, append([]string{"schema"}, args...)...); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%v: exit code %d, without %q: %s", args, code, want, out)
		}
	}
	for _, subject := range []string{"a", "b"} {
		run("it is now version 1", "register", subject, "order.v1.avsc", "--registry", from, "--execute")
		run("and is now FULL", "compat", subject, "--set", "FULL", "--registry", from, "--execute")
	}
	run("all.jsonl: 2 schemas", "export", "--file", "all.jsonl", "--registry", from)
	ask(to, "/mode/b", `{"mode":"READONLY"}`)
	modes := func(when string, want ...string) {
		t.Helper()
		for i, subject := range []string{"a", "b"} {
			if _, body := get(strings.TrimPrefix(to, "http://"), "/mode/"+subject); !strings.Contains(body, want[i]) {
				t.Errorf("%s, the mode of %s: %s, want %s", when, subject, body, want[i])
			}
		}
	}
	for _, want := range []string{"2 new, 0 there already", "0 new, 2 there already"} {
		run(want, "import", "all.jsonl", "--registry", to, "--execute")
		modes(want, "does not have subject-level mode", `"READONLY"`)
	}
	if _, body := get(strings.TrimPrefix(to, "http://"), "/config/b"); body != `{"compatibilityLevel":"FULL"}` {
		t.Errorf("the level of what is read-only: %s", body)
	}

	ask(to, "/mode/a?force=true", `{"mode":"IMPORT"}`)
	run("subjects in the mode IMPORT, as an interrupted import leaves them: a", "import", "all.jsonl", "--registry", to)
	modes("planned", `"IMPORT"`, `"READONLY"`)
	run("subjects in the mode IMPORT", "import", "all.jsonl", "--registry", to, "--execute")
	modes("killed, and run again", "does not have subject-level mode", `"READONLY"`)
	run("it is now version 2", "register", "a", "order.v2.avsc", "--registry", to, "--execute")
}

// A version that is deleted in the export stands before one that refers to a later subject: its deletion comes last, since a subject
// without versions loses its mode. What an interrupted import did not come to delete is deleted when it is run again.
//
// Mutations seen to fail it: deleteSoftly after each round of register; Import without what is to be removed.
func TestAnImportDeletesLast(t *testing.T) {
	orders(t)
	const lines = `{"weirSchemas":1}
{"schema":{"subject":"a","version":1,"id":1,"schemaType":"AVRO","schema":"\"int\"","deleted":true}}
{"schema":{"subject":"a","version":2,"id":3,"schemaType":"AVRO","schema":"{\"type\":\"array\",\"items\":\"Z\"}","references":[{"name":"Z","subject":"z","version":1}]}}
{"schema":{"subject":"z","version":1,"id":2,"schemaType":"AVRO","schema":"{\"type\":\"fixed\",\"name\":\"Z\",\"size\":1}"}}
`
	if err := os.WriteFile("all.jsonl", []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	to := registryOfTest(t)
	versions := func() string {
		_, live := get(strings.TrimPrefix(to, "http://"), "/subjects/a/versions")
		_, all := get(strings.TrimPrefix(to, "http://"), "/subjects/a/versions?deleted=true")
		return live + " of " + all
	}
	if out, code := execute(t, "schema", "import", "all.jsonl", "--registry", to, "--execute"); code != 0 || versions() != "[2] of [1,2]" {
		t.Fatalf("exit code %d, versions %s: %s", code, versions(), out)
	}

	to = registryOfTest(t)
	client := registrytest.Client(t, to)
	err := client.SetMode(t.Context(), "a", "IMPORT", true)
	if err == nil {
		err = client.RegisterAs(t.Context(), &registry.Registered{Schema: registry.Schema{Type: "AVRO", Text: `"int"`}, ID: 1, Subject: "a", Version: 1})
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, code := execute(t, "schema", "import", "all.jsonl", "--registry", to, "--execute"); code != 0 || versions() != "[2] of [1,2]" {
		t.Errorf("after an interrupted one: exit code %d, versions %s: %s", code, versions(), out)
	}
}

// Nothing is changed without --execute.
func TestNothingIsChangedWithoutExecute(t *testing.T) {
	orders(t)
	url := registryOfTest(t)
	if out, code := execute(t, "schema", "register", "s", "order.v1.avsc", "--registry", url, "--execute"); code != 0 {
		t.Fatal(out)
	}
	state := func() (all string) {
		for _, path := range []string{"/schemas?deleted=true", "/config/s", "/config", "/mode"} {
			_, body := get(strings.TrimPrefix(url, "http://"), path)
			all += body
		}
		return all
	}
	before := state()
	for _, args := range []string{"register s order.v2.avsc", "compat s --set NONE", "compat --set NONE", "delete s", "delete s 1"} {
		for _, output := range []string{"text", "json"} {
			out, code := execute(t, append([]string{"schema"}, strings.Fields(args+" --output "+output+" --registry "+url)...)...)
			if code != 0 || !strings.Contains(out, "add --execute to do it") {
				t.Errorf("%s: exit code %d: %s", args, code, out)
			}
		}
	}
	if after := state(); after != before {
		t.Errorf("%s, want %s", after, before)
	}
}

// A deletion says what follows from it before it is made, and when it is.
//
// Mutations seen to fail it: PlanDelete that never finds none left; one that always does.
func TestADeletionSaysWhatFollows(t *testing.T) {
	orders(t)
	url := registryOfTest(t)
	run := func(args string) string {
		t.Helper()
		out, code := execute(t, append([]string{"schema"}, strings.Fields(args+" --registry "+url)...)...)
		if code != 0 {
			t.Fatalf("%s: exit code %d: %s", args, code, out)
		}
		return out
	}
	const none, unread = "no version is left: gateways refuse events for topic s.v1 with 503", "cannot be read any more"
	for _, subject := range []string{"s.v1-value", "shared"} {
		run("register " + subject + " order.v1.avsc --execute")
		run("register " + subject + " order.v2.avsc --execute")
		for _, step := range []struct {
			args string
			none bool
		}{{"1", false}, {"1 --execute", false}, {"2", true}, {"", true}, {"2 --execute", true}, {"--permanent", true}} {
			out := run("delete " + subject + " " + step.args)
			if want := step.none && subject == "s.v1-value"; strings.Contains(out, none) != want || strings.Contains(out, unread) != strings.Contains(step.args, "permanent") {
				t.Errorf("delete %s %s says %s", subject, step.args, out)
			}
		}
	}
}

// Wrong use, and what is not there, is said so that one can put it right.
func TestVerbsSayWhatIsWrong(t *testing.T) {
	orders(t)
	url := registryOfTest(t)
	for args, want := range map[string]string{
		"list":                               "give its URL with --registry",
		"list --registry localhost:8081":     "does not begin with http:// or https://",
		"register s --registry " + url:       "SUBJECT FILE",
		"register s order --registry " + url: "give --type avro, protobuf or json",
		"register s order.v1.avsc --reference x --registry " + url:               "is not NAME=SUBJECT:VERSION",
		"diff s 1 x --registry " + url:                                           `"x" is no version`,
		"show --registry " + url:                                                 "give a subject, or --id",
		"compat s order.v1.avsc --set FULL --registry " + url:                    "leave out the file",
		"list --registry-user-file /nowhere --registry " + url:                   "--registry-user-file",
		"show none --registry " + url + "!1":                                     "Subject 'none' not found",
		"history none --registry " + url + "!1":                                  "Subject 'none' not found",
		"delete none --registry " + url + "!1":                                   "Subject 'none' not found",
		"register s order.v1.avsc --reference A=none:1 --registry " + url + "!1": "reference A:",
		"import order.v1.avsc --registry " + url + "!1":                          "it is no export of",
		"compat s --set SIDEWAYS --registry " + url:                              "is no level of compatibility",
		"list --registry http://127.0.0.1:1!1":                                   "the registry at 127.0.0.1:1 cannot be reached: ",
		"register s nothing.avsc --registry " + url + "!1":                       "no such file",
		"register s broken.avsc --type protobuf --registry " + url + "!1":        "broken.avsc: it is no schema",
		"register s order.v1.avsc --type json --registry " + url + "!1":          "order.v1.avsc: it is no schema: at #/type: ",
		"impact s order.v1.avsc --last x --registry " + url:                      `--last: "x" is not allowed: want a number`,
		"rollback s --registry " + url:                                           "give the one to go back to with --to",
		"history --registry " + url:                                              "takes SUBJECT, and was given no arguments",
	} {
		code := 2
		if rest, ok := strings.CutSuffix(args, "!1"); ok {
			args, code = rest, 1
		}
		if out, got := execute(t, append([]string{"schema"}, strings.Fields(args)...)...); got != code || !strings.Contains(out, want) {
			t.Errorf("%s: exit code %d, want %d with %q: %s", args, got, code, want, out)
		}
	}
	if out, code := execute(t, "schema", "export", "none", "--registry", url); code != 1 || !strings.Contains(out, "Subject 'none' not found") || strings.Contains(out, "weirSchemas") {
		t.Errorf("an export of nothing: exit code %d: %s", code, out) // half a file would be taken for a whole one
	}
}
