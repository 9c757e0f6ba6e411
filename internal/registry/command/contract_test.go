//go:build unix

package command_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const (
	oldOrder = `"schema": "{\"type\":\"record\",\"name\":\"Order\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}"`
	newOrder = `"schema": "{\"type\":\"record\",\"name\":\"Order\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"},{\"name\":\"b\",\"type\":\"int\",\"default\":0}]}"`
	aRule    = `"ruleSet": {"domainRules": [{"name": "r", "kind": "CONDITION", "mode": "WRITE", "type": "CEL", "expr": "message.b < 5"}]}`
	anOwner  = `"metadata": {"properties": {"owner": "orders"}}`
)

// send sends a request to a registry, and expects 200.
func send(t *testing.T, method, url, body string) string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %v %s", method, url, a.StatusCode, err, text)
	}
	return strings.TrimSpace(string(text))
}

// Versions that differ in metadata or rules alone are told apart by diff and history, and show prints what they have; registering tells no change of what it keeps.
//
// Mutations seen to fail it: tellDiff without Contract; show without metadata; compare that leaves metadata or rules nil.
func TestMetadataAndRulesAreShown(t *testing.T) {
	url := registryOfTest(t)
	for _, more := range []string{"", "," + anOwner, `,"metadata": {"properties": {"owner": "shop"}},` + aRule} {
		send(t, "POST", url+"/subjects/s/versions", "{"+newOrder+more+"}")
	}
	orders(t)
	for args, wants := range map[string][]string{
		"diff s 1 2":               {"+ metadata/properties/owner orders\nversion 2 reads"},
		"diff s 2 3":               {"~ metadata/properties/owner orders -> shop\n+ ruleSet/domainRules r\n", "+ ruleSet/domainRules[r]/expr message.b < 5\n"},
		"diff s 2 3 --json":        {`"path": "metadata/properties/owner"`},
		"history s":                {"version 2, id 2, AVRO\n  + metadata/properties/owner orders\n", "version 3, id 3, AVRO\n  ~ metadata/properties/owner orders -> shop\n"},
		"show s":                   {"metadata: {\"properties\":{\"owner\":\"shop\"}}\n", "rule set: {\"domainRules\":[{\"name\":\"r\""},
		"register s order.v2.avsc": {"it would be version 4 of s (BACKWARD)\n", "- /fields[b]/type"},
		"register s order.v1.avsc": {"it would be version 4 of s (BACKWARD)\n", "- /fields[b]/type"},
		"diff s 1 1":               {"no difference in meaning\n"},
	} {
		out, code := execute(t, append(append([]string{"schema"}, strings.Fields(args)...), "--registry", url)...)
		for _, want := range wants {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("%s: exit code %d, without %q:\n%s", args, code, want, out)
			}
		}
		if strings.HasPrefix(args, "register") && (strings.Contains(out, "metadata") || strings.Contains(out, "ruleSet")) {
			t.Errorf("%s: what stays is told as a change: %s", args, out)
		}
	}
}
