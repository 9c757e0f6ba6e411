//go:build unix

package command_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rightsOf reads the table of docs/rights.md that is about events and schemas: by command, what a principal needs, one operation each.
func rightsOf(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/rights.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Schemas, events, registry and gateway")
	all := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		var rights []string
		for right := range strings.SplitSeq(cells[2], ";") {
			if as, ok := strings.CutPrefix(strings.TrimSpace(right), "those of "); ok {
				rights = append(rights, all[as]...)
				continue
			}
			ops, on, ok := strings.Cut(right, " on ")
			if !ok {
				t.Fatalf("%q is no right", right)
			}
			for op := range strings.SplitSeq(ops, ",") {
				rights = append(rights, strings.TrimSpace(op)+" on "+strings.TrimSpace(on))
			}
		}
		all[strings.TrimSpace(cells[1])] = rights
	}
	return all
}

// aclsOf are the ACLs of rights.
func aclsOf(t *testing.T, rights []string) (acls []kfake.ACL) {
	t.Helper()
	for _, right := range rights {
		op, on, _ := strings.Cut(right, " on ")
		o, err := kmsg.ParseACLOperation(op)
		if err != nil {
			t.Fatalf("%q: %v", right, err)
		}
		a := kfake.ACL{Resource: kmsg.ACLResourceTypeTopic, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: o, Allow: true}
		if rest, ok := strings.CutPrefix(on, "transactional id "); ok {
			on, a.Resource = rest, kmsg.ACLResourceTypeTransactionalId
		}
		if a.Name = strings.ReplaceAll(strings.Trim(on, "`"), "EVENTS", "order.placed.v1"); strings.HasSuffix(a.Name, "-") {
			a.Pattern = kmsg.ACLResourcePatternTypePrefixed
		}
		acls = append(acls, a)
	}
	return acls
}

// login are the flags of a user.
func login(addr, who string) []string {
	return []string{"--brokers", addr, "--security.protocol", "SASL_PLAINTEXT", "--sasl.mechanism", "PLAIN", "--sasl.username", who}
}

// fresh is an empty cluster: the flags of root, and of an operator who has certain rights.
type fresh func(t *testing.T, rights []string) (root, operator []string)

func embeddedWithACLs(t *testing.T, rights []string) (root, operator []string) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableACLs(), kfake.EnableSASL(), kfake.Superuser("PLAIN", "root", "pw"), kfake.User("PLAIN", "operator", "pw", aclsOf(t, rights)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return login(cluster.ListenAddrs()[0], "root"), login(cluster.ListenAddrs()[0], "operator")
}

// order is an event as the file declares it.
const order = `event: order.placed.v1
owner: team-orders
topic: {partitions: 1, settings: {cleanup.policy: %s}}
key: id
%stype: AVRO
schema: order.avsc
`

// What the page lists is enough for each command and process, and each right is needed: without it a command ends with what to allow. (A process waits
// until it may do what it has to.)
//
// Mutations seen to fail it: the page without WRITE on _schemas, without READ on _weir.events, without DESCRIBE_CONFIGS of the gateway, without the ids of once; without one of its
// lines; with a right that event plan does not need; WithRemedies that ends at the first; Serve without it.
func TestTheRightsThatTheDocsListAreEnough(t *testing.T) { tryRights(t, embeddedWithACLs, true) }

// tryRights tries what the page lists, and with each also without each right.
func tryRights(t *testing.T, cluster fresh, each bool) {
	all := rightsOf(t)
	t.Setenv("WEIR_SASL_PASSWORD", "pw")
	t.Chdir(t.TempDir())
	write(t, "order.avsc", `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}`)
	write(t, "later.avsc", `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"},{"name":"n","type":["null","int"],"default":null}]}`)
	write(t, "plain.yaml", fmt.Sprintf(order, "delete", ""))
	write(t, "compact.yaml", fmt.Sprintf(order, "compact", ""))
	write(t, "once.yaml", fmt.Sprintf(order, "delete", "id: id\nidempotency: once\n"))

	// world is a cluster with a registry of root's, where root has applied a file, and an operator of it.
	world := func(t *testing.T, rights []string, file string) (operator []string, registry string) {
		t.Helper()
		root, operator := cluster(t, rights)
		registry = serve(t, "/subjects", append([]string{"registry", "run"}, root...)...)
		if file != "" {
			if out, code := execute(t.Context(), append([]string{"event", "apply", file, "--registry", registry}, root...)...); code != 0 {
				t.Fatal(out)
			}
		}
		return operator, registry
	}
	ask := func(t *testing.T, url, body string, want string) {
		t.Helper()
		res, err := http.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if said, _ := io.ReadAll(res.Body); res.StatusCode != 200 || !strings.Contains(string(said), want) {
			t.Errorf("%s: %d %s, want %s", url, res.StatusCode, said, want)
		}
	}
	runs := map[string]func(t *testing.T, rights []string) (string, int){
		"`registry run`": func(t *testing.T, rights []string) (string, int) {
			_, operator := cluster(t, rights)
			registry := serve(t, "/subjects", append([]string{"registry", "run"}, operator...)...)
			ask(t, registry+"/subjects/s/versions", `{"schema":"\"int\""}`, `"id":1`)
			return "", 0
		},
		"`event plan`": func(t *testing.T, rights []string) (string, int) {
			operator, registry := world(t, rights, "compact.yaml")
			return execute(t.Context(), append([]string{"event", "plan", "plain.yaml", "--registry", registry}, operator...)...)
		},
		"`event apply`": func(t *testing.T, rights []string) (string, int) {
			operator, registry := world(t, rights, "")
			out, code := execute(t.Context(), append([]string{"event", "apply", "compact.yaml", "--registry", registry}, operator...)...)
			if code == 0 {
				return execute(t.Context(), append([]string{"event", "apply", "plain.yaml", "--registry", registry}, operator...)...)
			}
			return out, code
		},
		"`schema impact`, `schema rollback` with `--brokers`": func(t *testing.T, rights []string) (string, int) {
			operator, registry := world(t, rights, "plain.yaml")
			if out, code := execute(t.Context(), "schema", "register", "order.placed.v1-value", "later.avsc", "--registry", registry, "--execute"); code != 0 {
				t.Fatal(out)
			}
			out, code := execute(t.Context(), append([]string{"schema", "impact", "order.placed.v1-value", "later.avsc", "--registry", registry}, operator...)...)
			if code == 0 {
				return execute(t.Context(), append([]string{"schema", "rollback", "order.placed.v1-value", "--to", "1", "--execute", "--registry", registry}, operator...)...)
			}
			return out, code
		},
	}
	gateway := func(file string, direct bool) func(t *testing.T, rights []string) (string, int) {
		return func(t *testing.T, rights []string) (string, int) {
			operator, registry := world(t, rights, file)
			args := append([]string{"gateway", "run"}, operator...)
			if !direct {
				args = append(args, "--registry", registry)
			}
			url := serve(t, "/readyz", args...) + "/topics/order.placed.v1/events"
			ask(t, url, `{"id":"a"}`, `"offset":0`)
			if file == "once.yaml" {
				return "", 0
			}
			ask(t, url+"?atomic=true", `[{"id":"b"},{"id":"c"}]`, `"offset":`)
			if file == "compact.yaml" {
				ask(t, url+"?key=a", "null", `"offset":`)
			}
			return "", 0
		}
	}
	runs["`gateway run`"] = gateway("compact.yaml", false)
	runs["`gateway run` without `--registry`"] = gateway("plain.yaml", true)
	runs["`gateway run` for level `once`"] = gateway("once.yaml", false)
	for command, run := range runs {
		t.Run(command, func(t *testing.T) {
			rights := all[command]
			if len(rights) == 0 {
				t.Fatal("the page says nothing of it")
			}
			if out, code := run(t, rights); code != 0 {
				t.Errorf("with what the page lists: exit %d: %s", code, out)
			}
			if !each || strings.Contains(command, "run`") {
				return
			}
			for i, right := range rights {
				if command == "`event apply`" && right == "DESCRIBE_CONFIGS on `EVENTS`" {
					continue // ALTER_CONFIGS includes it
				}
				out, code := run(t, slices.Delete(slices.Clone(rights), i, i+1))
				if command == "`event plan`" && right == "DESCRIBE_CONFIGS on `EVENTS`" {
					code = 1 // it says that it does not know
				}
				if code == 0 || !strings.Contains(out, "allow this principal to") {
					t.Errorf("without %s: exit %d: %s", right, code, out)
				}
			}
		})
	}
	t.Run("without any", func(t *testing.T) {
		operator, registry := world(t, nil, "compact.yaml")
		for want, args := range map[string][]string{
			"allow this principal to READ and DESCRIBE topic order.placed.v1; allow this principal to READ and DESCRIBE topic _weir.events": {"event", "plan", "plain.yaml", "--registry", registry},
			"allow this principal to READ and DESCRIBE topic _schemas":                                                                      {"registry", "run", "--http", "127.0.0.1:0"},
		} {
			if out, code := execute(t.Context(), append(args, operator...)...); code == 0 || !strings.Contains(out, want) {
				t.Errorf("%v: exit %d: %s, want %s", args, code, out, want)
			}
		}
	})
	for command := range all {
		if runs[command] == nil {
			t.Errorf("%s is not tried", command)
		}
	}
}
