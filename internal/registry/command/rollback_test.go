//go:build unix

package command_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// A rollback brings back the metadata and rules of the older version with its schema, none where it had none, and its id. Where the configuration makes another
// schema of it, the plan says so, with what is changed, and so does the result. Each plan says what is done then.
//
// Mutations seen to fail it: goBack without stated; configured without defaultMetadata, with what holds for everything alone, without OfVersion; goBack without
// became; Rollback that plans without stated.
func TestARollbackBringsMetadataAndRulesBack(t *testing.T) {
	url := registryOfTest(t)
	for name, c := range map[string]struct {
		first, second, config string
		want                  []string // of the plan and of the result
		metadata, rules       string   // of the version that is made
	}{
		"nothing to both":       {first: "", second: "," + anOwner + "," + aRule, want: []string{"id OLD\n  - /fields[b]/type", "- metadata/properties/owner orders", "- ruleSet/domainRules r"}},
		"metadata to both":      {first: "," + anOwner, second: "," + aRule, want: []string{"id OLD\n", "- ruleSet/domainRules r"}, metadata: `{"properties":{"owner":"orders"}}`},
		"both to others":        {first: "," + anOwner + "," + aRule, second: `,"metadata": {}, "ruleSet": {}`, want: []string{"id OLD\n", "+ metadata/properties/owner orders"}, metadata: `{"properties":{"owner":"orders"}}`, rules: "message.b < 5"},
		"no contracts":          {want: []string{"id OLD\n  - /fields[b]/type"}},
		"configured afterwards": {first: "", second: "," + aRule, config: `{"defaultMetadata": {"properties": {"owner": "all"}}}`, want: []string{"id NEW, since the registry's configuration changes its metadata or rules\n  to version 1: + metadata/properties/owner all\n", "- ruleSet/domainRules r"}, metadata: `{"properties":{"owner":"all"}}`},
		"its own version":       {first: `,"metadata": {"properties": {"confluent:version": "1"}}`, want: []string{"id NEW, since", "to version 1: ~ metadata/properties/confluent:version 1 -> 3"}, metadata: `{"properties":{"confluent:version":"3"}}`},
	} {
		t.Run(name, func(t *testing.T) {
			subject := strings.ReplaceAll(name, " ", "-")
			var was struct{ ID int }
			for n, body := range []string{"{" + oldOrder + c.first + "}", "{" + newOrder + c.second + "}"} {
				if err := json.Unmarshal([]byte(send(t, "POST", url+"/subjects/"+subject+"/versions", body)), &was); err != nil {
					t.Fatal(err)
				}
				if n == 0 && c.config != "" {
					defer send(t, "DELETE", url+"/config/"+subject, "")
				}
			}
			if c.config != "" {
				send(t, "PUT", url+"/config/"+subject, c.config)
			}
			var old struct{ ID int }
			if err := json.Unmarshal([]byte(send(t, "GET", url+"/subjects/"+subject+"/versions/1", "")), &old); err != nil {
				t.Fatal(err)
			}
			for _, execute1 := range []bool{false, true} {
				args := []string{"schema", "rollback", subject, "--to", "1", "--registry", url}
				begins, newID := "version 3 would be the schema of version 1, ", "a new id"
				if execute1 {
					args, begins, newID = append(args, "--execute"), "version 3 is now the schema of version 1, ", fmt.Sprintf("id %d", was.ID+1)
				}
				out, code := execute(t, args...)
				for n, want := range c.want {
					if n == 0 {
						want = begins + want
					}
					want = strings.ReplaceAll(strings.ReplaceAll(want, "id OLD", fmt.Sprintf("id %d", old.ID)), "id NEW", newID)
					if code != 0 || !strings.Contains(out, want) {
						t.Errorf("exit code %d, without %q:\n%s", code, want, out)
					}
				}
			}
			var made struct {
				Version           int
				Metadata, RuleSet json.RawMessage
			}
			if err := json.Unmarshal([]byte(send(t, "GET", url+"/subjects/"+subject+"/versions/latest", "")), &made); err != nil {
				t.Fatal(err)
			}
			if made.Version != 3 || string(made.Metadata) != c.metadata || (c.rules == "") != (made.RuleSet == nil) || !strings.Contains(strings.ReplaceAll(string(made.RuleSet), `\u003c`, "<"), c.rules) {
				t.Errorf("version %d has the metadata %s and the rules %s", made.Version, made.Metadata, made.RuleSet)
			}
		})
	}
}

// A schema that is live as two versions is gone back to by a new one, whichever of them is named; one that is normalized since gets another id, and the plan says so.
//
// Mutations seen to fail it: goBack that takes any answer for a new version, or deletes the version that was named; configured without normalize.
func TestARollbackMakesANewVersion(t *testing.T) {
	url := registryOfTest(t)
	send(t, "PUT", url+"/config", `{"compatibility": "NONE"}`)
	for _, schema := range []string{oldOrder, newOrder} {
		send(t, "POST", url+"/subjects/s/versions", "{"+schema+"}")
	}
	for _, step := range []struct {
		args string
		want string
	}{
		{"rollback s --to 1", "version 3 is now the schema of version 1, id 1\n"},
		{"rollback s --to 2", "version 4 is now the schema of version 2, id 2\n"},
		{"rollback s --to 1", "version 5 is now the schema of version 1, id 1\n"}, // which is live as version 3
	} {
		if out, code := execute(t, append(append([]string{"schema"}, strings.Fields(step.args)...), "--execute", "--registry", url)...); code != 0 || !strings.Contains(out, step.want) {
			t.Errorf("%s: exit code %d, without %q: %s", step.args, code, step.want, out)
		}
	}
	const unordered = `{"schema": "{\"type\":\"object\",\"properties\":{\"b\":{},\"a\":{}}}", "schemaType": "JSON"}`
	send(t, "POST", url+"/subjects/n/versions", unordered)
	send(t, "POST", url+"/subjects/n/versions", `{"schema": "{\"type\":\"string\"}", "schemaType": "JSON"}`)
	send(t, "PUT", url+"/config/n", `{"normalize": true}`)
	for _, verb := range []struct{ args, want string }{
		{"rollback n --to 1", "version 3 would be the schema of version 1, a new id, since the registry's configuration (normalize) changes its text\n"},
		{"rollback n --to 1 --execute", "version 3 is now the schema of version 1, id 5, since the registry's configuration (normalize) changes its text\n"},
	} {
		if out, code := execute(t, append(append([]string{"schema"}, strings.Fields(verb.args)...), "--registry", url)...); code != 0 || !strings.Contains(out, verb.want) {
			t.Errorf("%s: exit code %d, without %q: %s", verb.args, code, verb.want, out)
		}
	}
}
