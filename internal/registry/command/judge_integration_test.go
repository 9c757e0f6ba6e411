//go:build integration && unix

package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/fetched"
	"github.com/weirstream/weir/internal/kafkatest"
)

var rewriteJudge = flag.Bool("rewrite-judge", false, "write testdata/apicurio.txt with the differences that there are; reasons stay")

const apicurioVersion = "3.0.9"

// apicurio starts the registry of that name and returns the URL of its Confluent API.
func apicurio(t *testing.T) string {
	t.Helper()
	dir, have := fetched.Folder("apicurio", apicurioVersion, []byte("all1"))
	if !have {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		err := fetched.Make(dir, func(part string) (string, error) {
			err := fetched.Maven(ctx, part, "dependency:copy", "-Dartifact=io.apicurio:apicurio-registry-app:"+apicurioVersion+":tar.gz:all", "-DoutputDirectory="+part)
			if err != nil {
				return "", err
			}
			whole := filepath.Join(part, "app")
			out, err := exec.CommandContext(ctx, "sh", "-c", `mkdir "$1" && tar xzf "$0"/*.tar.gz -C "$1"`, part, whole).CombinedOutput()
			if err != nil {
				err = fmt.Errorf("unpack Apicurio: %w\n%s", err, out)
			}
			return whole, err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	addr := kafkatest.FreeAddress(t)
	host, port, _ := strings.Cut(addr, ":")
	cmd := exec.Command("java", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host="+host, "-Dquarkus.http.port="+port, "-jar", "apicurio-registry-app-"+apicurioVersion+"-runner.jar")
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() && out.Len() > 0 {
			t.Logf("Apicurio says: %.2000s", out.String())
		}
	})
	for began := time.Now(); time.Since(began) < 3*time.Minute; time.Sleep(100 * time.Millisecond) {
		if code, _ := get(addr, "/apis/ccompat/v7/subjects"); code == 200 {
			return "http://" + addr + "/apis/ccompat/v7"
		}
	}
	t.Fatal("Apicurio does not answer within three minutes")
	return ""
}

// asking is one registry that is asked.
type asking struct {
	url    string
	client *http.Client
	ids    map[float64]string // what the ids of a question are called
}

// do asks, and returns what counts of the answer: the status, the code of an error, and the members that Confluent documents.
func (a *asking) do(method, path, body string) string {
	q, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	q.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	res, err := a.client.Do(q)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	var v any
	if json.Unmarshal(data, &v) != nil {
		if res.StatusCode == 400 {
			return "400 400" // of a body that is no JSON, Confluent's servers say nothing in JSON either
		}
		return fmt.Sprint(res.StatusCode, " ", strings.TrimSpace(string(data)))
	}
	o, isObject := v.(map[string]any)
	switch list, isList := v.([]any); {
	case isObject && res.StatusCode >= 300:
		return fmt.Sprint(res.StatusCode, " ", o["error_code"])
	case isObject && method == "POST" && strings.HasSuffix(path, "/versions") && o["id"] != nil:
		v = map[string]any{"id": o["id"]} // Confluent's own servers answer more in newer versions
	case isList && strings.HasSuffix(path, "/referencedby"):
		for i := range list {
			list[i] = map[string]any{"id": list[i]}
		}
	}
	text, _ := json.Marshal(a.counts(v))
	return fmt.Sprint(res.StatusCode, " ", string(text))
}

var documented = []string{"subject", "version", "id", "schema", "schemaType", "references", "compatibilityLevel", "compatibility", "mode", "is_compatible", "name", "type"}

func (a *asking) counts(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = a.counts(v[i])
		}
	case map[string]any:
		kept := map[string]any{}
		for _, name := range documented {
			switch value := v[name]; {
			case value == nil, name == "references" && len(value.([]any)) == 0, name == "schemaType" && value == "AVRO":
			case name == "id":
				if n, ok := value.(float64); ok {
					if a.ids[n] == "" {
						a.ids[n] = fmt.Sprint("#", len(a.ids)+1)
					}
					kept[name] = a.ids[n]
				}
			case name == "schema":
				var doc any
				if text, _ := value.(string); json.Unmarshal([]byte(text), &doc) == nil {
					value = doc
				}
				kept[name] = value
			case name == "references":
				kept[name] = a.counts(value)
			default:
				kept[name] = value
			}
		}
		return kept
	}
	return v
}

// question is a way to a state of the subject $, and what is asked there.
type question struct {
	name  string
	steps [][3]string // the last one is the question
}

func posted(kind, text string, more string) string {
	return fmt.Sprintf(`{"schema":%s,"schemaType":%q%s}`, quote(text), kind, more)
}

func quote(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

const (
	avroV1     = `{"type":"record","name":"R","namespace":"$","fields":[{"name":"a","type":"int"}]}`
	avroV2     = `{"type":"record","name":"R","namespace":"$","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}`
	avroBroken = `{"type":"record","name":"R","namespace":"$","fields":[{"name":"a","type":"int"},{"name":"c","type":"string"}]}`
)

// questions are those of every state with every request, and every pair of schemas of the rules of compatibility.
func questions(t *testing.T) (list []question) {
	post := func(path, schema string) [3]string { return [3]string{"POST", path, posted("AVRO", schema, "")} }
	states := map[string][][3]string{
		"nothing":            nil,
		"one version":        {post("/subjects/$/versions", avroV1)},
		"two versions":       {post("/subjects/$/versions", avroV1), post("/subjects/$/versions", avroV2)},
		"deleted":            {post("/subjects/$/versions", avroV1), {"DELETE", "/subjects/$", ""}},
		"version 1 deleted":  {post("/subjects/$/versions", avroV1), post("/subjects/$/versions", avroV2), {"DELETE", "/subjects/$/versions/1", ""}},
		"gone":               {post("/subjects/$/versions", avroV1), {"DELETE", "/subjects/$", ""}, {"DELETE", "/subjects/$?permanent=true", ""}},
		"with a level":       {post("/subjects/$/versions", avroV1), {"PUT", "/config/$", `{"compatibility":"NONE"}`}},
		"with a level alone": {{"PUT", "/config/$", `{"compatibility":"FULL_TRANSITIVE"}`}},
		"referred to": {post("/subjects/$/versions", avroV1), {"POST", "/subjects/$-by/versions", posted("AVRO", `{"type":"record","name":"By","namespace":"$","fields":[{"name":"r","type":"$.R"}]}`,
			`,"references":[{"name":"$.R","subject":"$","version":1}]`)}},
	}
	asks := map[string][3]string{
		"versions":                       {"GET", "/subjects/$/versions", ""},
		"versions with deleted":          {"GET", "/subjects/$/versions?deleted=true", ""},
		"version 1":                      {"GET", "/subjects/$/versions/1", ""},
		"version 1 with deleted":         {"GET", "/subjects/$/versions/1?deleted=true", ""},
		"version 2":                      {"GET", "/subjects/$/versions/2", ""},
		"version 9":                      {"GET", "/subjects/$/versions/9", ""},
		"version latest":                 {"GET", "/subjects/$/versions/latest", ""},
		"version -1":                     {"GET", "/subjects/$/versions/-1", ""},
		"version 0":                      {"GET", "/subjects/$/versions/0", ""},
		"version x":                      {"GET", "/subjects/$/versions/x", ""},
		"schema of version 1":            {"GET", "/subjects/$/versions/1/schema", ""},
		"schema of version 9":            {"GET", "/subjects/$/versions/9/schema", ""},
		"referencedby of version 1":      {"GET", "/subjects/$/versions/1/referencedby", ""},
		"look up the first":              post("/subjects/$", avroV1),
		"look up the first with deleted": post("/subjects/$?deleted=true", avroV1),
		"look up another":                post("/subjects/$", avroBroken),
		"look up nonsense":               {"POST", "/subjects/$", `{"schema":"{"}`},
		"register the first":             post("/subjects/$/versions", avroV1),
		"register the second":            post("/subjects/$/versions", avroV2),
		"register a broken one":          post("/subjects/$/versions", avroBroken),
		"register JSON Schema":           {"POST", "/subjects/$/versions", posted("JSON", `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","title":"$"}`, "")},
		"register nonsense":              {"POST", "/subjects/$/versions", `{"schema":"{"}`},
		"register of no type":            {"POST", "/subjects/$/versions", posted("XML", "<a/>", "")},
		"register without a reference":   {"POST", "/subjects/$/versions", posted("AVRO", avroV2, `,"references":[{"name":"x","subject":"$-none","version":1}]`)},
		"register no JSON":               {"POST", "/subjects/$/versions", `nonsense`},
		"check the first":                post("/compatibility/subjects/$/versions/latest", avroV1),
		"check the second":               post("/compatibility/subjects/$/versions/latest", avroV2),
		"check a broken one":             post("/compatibility/subjects/$/versions/latest", avroBroken),
		"check against all":              post("/compatibility/subjects/$/versions", avroBroken),
		"check against version 1":        post("/compatibility/subjects/$/versions/1", avroBroken),
		"check against version 9":        post("/compatibility/subjects/$/versions/9", avroV2),
		"check nonsense":                 {"POST", "/compatibility/subjects/$/versions/latest", `{"schema":"{"}`},
		"level":                          {"GET", "/config/$", ""},
		"level in force":                 {"GET", "/config/$?defaultToGlobal=true", ""},
		"set a level":                    {"PUT", "/config/$", `{"compatibility":"FORWARD"}`},
		"set a level that there is not":  {"PUT", "/config/$", `{"compatibility":"MOSTLY"}`},
		"delete the level":               {"DELETE", "/config/$", ""},
		"delete the subject":             {"DELETE", "/subjects/$", ""},
		"delete the subject for good":    {"DELETE", "/subjects/$?permanent=true", ""},
		"delete version 1":               {"DELETE", "/subjects/$/versions/1", ""},
		"delete version 1 for good":      {"DELETE", "/subjects/$/versions/1?permanent=true", ""},
		"delete version latest":          {"DELETE", "/subjects/$/versions/latest", ""},
		"delete version 9":               {"DELETE", "/subjects/$/versions/9", ""},
		"delete version x":               {"DELETE", "/subjects/$/versions/x", ""},
	}
	for _, state := range slices.Sorted(maps.Keys(states)) {
		for _, ask := range slices.Sorted(maps.Keys(asks)) {
			list = append(list, question{state + ": " + ask, append(slices.Clone(states[state]), asks[ask])})
		}
	}
	for file, kind := range map[string]string{"avro": "AVRO", "protobuf": "PROTOBUF", "json": "JSON"} {
		n := 0
		datadriven.RunTest(t, "../../schema/testdata/"+file+".txt", func(t *testing.T, d *datadriven.TestData) string {
			n++
			old, next, _ := strings.Cut(d.Input, "\n=>\n")
			name := strings.ReplaceAll(old+" => "+next, "\n", " ")
			for _, text := range []*string{&old, &next} {
				switch {
				case kind == "PROTOBUF" && !strings.Contains(*text, "syntax"):
					*text = `syntax = "proto3"; ` + *text
				case kind == "JSON" && strings.HasPrefix(*text, "{") && !strings.Contains(*text, "$schema"): // by which Apicurio tells the type
					*text = strings.Replace(`{"$schema":"http://json-schema.org/draft-07/schema#",`+(*text)[1:], ",}", "}", 1)
				}
			}
			for _, level := range []string{"BACKWARD", "FORWARD"} {
				list = append(list, question{fmt.Sprintf("%s %d %s: %s", file, n, level, name), [][3]string{
					{"POST", "/subjects/$/versions", posted(kind, old, "")},
					{"PUT", "/config/$", `{"compatibility":"` + level + `"}`},
					{"POST", "/compatibility/subjects/$/versions/latest", posted(kind, next, "")},
				}})
			}
			return d.Expected
		})
	}
	return list
}

// difference is a question that is answered in two ways, and why that is right.
type difference struct{ weir, apicurio, why string }

const judgeFile = "testdata/apicurio.txt"

// justified reads the differences that are known: a line # with the reason stands above those that it is for.
func justified(t *testing.T) map[string]difference {
	t.Helper()
	data, err := os.ReadFile(judgeFile)
	if err != nil {
		t.Fatal(err)
	}
	known, why, name := map[string]difference{}, "", ""
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		switch text, ok := strings.CutPrefix(line, "# "); {
		case ok:
			why = text
		case strings.HasPrefix(line, "    weir      "):
			d := known[name]
			d.weir, d.why = line[14:], why
			known[name] = d
		case strings.HasPrefix(line, "    apicurio  "):
			d := known[name]
			d.apicurio = line[14:]
			known[name] = d
		case line != "":
			name = line
		}
	}
	return known
}

// Apicurio, which others made to speak Confluent's API, is asked the same questions as Weir's registry: several hundred, of every state of
// a subject and of every rule of compatibility. Each difference is in a file with the reason why Weir is right, and no other is there.
func TestApicurioGivesTheSameAnswers(t *testing.T) {
	kafkatest.Require(t)
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	weir, other := "http://"+serve(t, broker.Addrs()), apicurio(t)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	for _, url := range []string{weir, other} { // their defaults differ
		(&asking{url, client, map[float64]string{}}).do("PUT", "/config", `{"compatibility":"BACKWARD"}`)
	}
	t.Run("Weir's client", func(t *testing.T) { clientOfApicurio(t, other) })
	all := questions(t)
	found := make([]difference, len(all))
	var wg sync.WaitGroup
	ask := func(url string, answer func(*difference) *string) { // one after the other: Apicurio fails at times under more
		for n := range all {
			subject := fmt.Sprintf("q%d", n)
			named := strings.NewReplacer("$schema", "$schema", "$ref", "$ref", "$defs", "$defs", "$id", "$id", "$", subject)
			a := &asking{url, client, map[float64]string{}}
			said := ""
			for i, step := range all[n].steps {
				said = strings.ReplaceAll(a.do(step[0], named.Replace(step[1]), named.Replace(step[2])), subject, "$")
				if i < len(all[n].steps)-1 && !strings.HasPrefix(said, "200 ") {
					said = "does not come to that: " + said
					break
				}
			}
			*answer(&found[n]) = said
		}
	}
	wg.Go(func() { ask(weir, func(d *difference) *string { return &d.weir }) })
	wg.Go(func() { ask(other, func(d *difference) *string { return &d.apicurio }) })
	wg.Wait()
	known := justified(t)
	differ := 0
	var reasons []string
	listed := map[string]string{} // by reason
	for n, q := range all {
		d := found[n]
		d.why = known[q.name].why
		if d.weir == d.apicurio {
			if _, stale := known[q.name]; stale && !*rewriteJudge {
				t.Errorf("%s: both answer %s: take it out of %s", q.name, d.weir, judgeFile)
			}
			continue
		}
		differ++
		if listed[d.why] == "" {
			reasons = append(reasons, d.why)
		}
		listed[d.why] += fmt.Sprintf("%s\n    weir      %s\n    apicurio  %s\n", q.name, d.weir, d.apicurio)
		if d != known[q.name] && !*rewriteJudge {
			t.Errorf("%s: Weir answers %s, Apicurio %s, and %s does not say why", q.name, d.weir, d.apicurio, judgeFile)
		}
		if d.why == "" && !*rewriteJudge {
			t.Errorf("%s: %s gives no reason", q.name, judgeFile)
		}
	}
	t.Logf("%d questions, %d of them answered differently", len(all), differ)
	if len(all) < 600 {
		t.Errorf("only %d questions", len(all))
	}
	if *rewriteJudge {
		var out strings.Builder
		for _, why := range reasons {
			fmt.Fprintf(&out, "# %s\n%s\n", why, listed[why])
		}
		if err := os.WriteFile(judgeFile, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
