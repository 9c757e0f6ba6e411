package cli

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/offsets"
)

// rightsOf reads the table of docs/rights.md: by command, what a principal needs.
func rightsOf(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/rights.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	table, _, _ := strings.Cut(string(page), "\n## ") // the other one is of commands that package event/command tries
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		var rights []string
		for right := range strings.SplitSeq(cells[2], ";") {
			rights = append(rights, strings.TrimSpace(right))
		}
		for command := range strings.SplitSeq(cells[1], ",") {
			all[strings.Trim(strings.TrimSpace(command), "`")] = rights
		}
	}
	return all
}

// ofThisWard are the names in the cluster that those of the page stand for: of visit-counts, and of the topology that the ward has a letter of.
var ofThisWard = map[string][]string{
	"LETTERS": {lettersOf, clicked.Name() + ".dlq"}, "INPUT": {clicked.Name(), "order.placed.v1"}, "CHANGELOGS-": {"visit-counts-"}, "OUTPUTS": {visited.Name()},
	"REDRIVE": {"customer-totals-order.placed.v1-redrive", "visit-counts-" + clicked.Name() + "-redrive"}, "GROUP": {"visit-counts"}, "TOPOLOGY": {"visit-counts"}, "JOB": {"again"},
}

// grants are the ACLs of rights such as "READ, WRITE on `_weir.jobs`".
func grants(t *testing.T, rights []string) (acls []kfake.ACL) {
	t.Helper()
	for _, right := range rights {
		ops, on, ok := strings.Cut(right, " on ")
		if !ok {
			t.Fatalf("%q is no right", right)
		}
		kind := kmsg.ACLResourceTypeTopic
		for word, k := range map[string]kmsg.ACLResourceType{"transactional id ": kmsg.ACLResourceTypeTransactionalId, "group ": kmsg.ACLResourceTypeGroup} {
			if rest, ok := strings.CutPrefix(on, word); ok {
				on, kind = rest, k
			}
		}
		names := []string{strings.Trim(on, "` ")}
		for as, is := range ofThisWard {
			if strings.Contains(names[0], as) {
				var all []string
				for _, name := range is {
					all = append(all, strings.ReplaceAll(names[0], as, name))
				}
				names = all
				break
			}
		}
		for _, name := range names {
			pattern := kmsg.ACLResourcePatternTypeLiteral
			if strings.HasSuffix(name, "-") {
				pattern = kmsg.ACLResourcePatternTypePrefixed
			}
			for op := range strings.SplitSeq(ops, ", ") {
				o, err := kmsg.ParseACLOperation(op)
				if err != nil {
					t.Fatalf("%q: %v", right, err)
				}
				acls = append(acls, kfake.ACL{Resource: kind, Name: name, Pattern: pattern, Operation: o, Allow: true})
			}
		}
	}
	return acls
}

// whole are rights with those of other commands written out, one operation each.
func whole(all map[string][]string, rights []string) (list []string) {
	for _, right := range rights {
		if as, ok := strings.CutPrefix(right, "those of "); ok {
			list = append(list, whole(all, all[strings.Trim(as, "`")])...)
			continue
		}
		ops, on, _ := strings.Cut(right, " on ")
		for op := range strings.SplitSeq(ops, ", ") {
			list = append(list, op+" on "+on)
		}
	}
	return slices.Compact(list)
}

// TestCommandsNeedTheRightsThatTheDocsList: what the page lists is enough, and of transactional ids no more than is needed.
//
// Mutations, each seen to fail it: the page without weir-dlq-LETTERS of a redrive, without READ on the letters of a replay, and without the line of a command; with a
// transactional id that discard does not need.
func TestCommandsNeedTheRightsThatTheDocsList(t *testing.T) {
	all := rightsOf(t)
	told := map[string]bool{}
	for command, rights := range all {
		i := slices.IndexFunc(verbs, func(line string) bool { return strings.HasPrefix(line, command) })
		if i < 0 {
			t.Errorf("%q is none of the verbs", command)
			continue
		}
		line := verbs[i]
		told[line] = true
		t.Run(command, func(t *testing.T) {
			list := whole(all, rights)
			if a := newOperator(t, grants(t, list)).ask(t.Context(), "operator", line); a.code != 0 && !strings.Contains(a.messages, "there is no job") && !strings.Contains(a.messages, "none of the 1 letters was tried") {
				t.Errorf("with what the page lists: exit %d: %s", a.code, a.messages)
			}
			for i, right := range list {
				if !strings.Contains(right, "transactional id") || strings.HasPrefix(command, "replay stop") || strings.HasPrefix(command, "replay resume") || strings.HasPrefix(command, "offsets accept") || strings.HasPrefix(command, "dlq parked") || strings.Contains(right, "GROUP-") {
					continue // in a ward there is nothing to do for these, and an engine waits until it may use its id
				}
				a := newOperator(t, grants(t, slices.Delete(slices.Clone(list), i, i+1))).ask(t.Context(), "operator", line)
				if a.code == 0 || !strings.Contains(a.messages, "allow this principal to") {
					t.Errorf("without %s: exit %d: %s", right, a.code, a.messages)
				}
			}
		})
	}
	for _, line := range verbs {
		if !told[line] && !strings.HasPrefix(line, "topology") && line != "status" {
			t.Errorf("the page says nothing of %q", line)
		}
	}
}

// newOperator is a ward whose topology has read its input, and has a letter of its own, with a user who has certain rights.
func newOperator(t *testing.T, acls []kfake.ACL) *ward {
	t.Helper()
	w := newWard(t, kfake.User("PLAIN", "operator", "pw", acls...))
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.SASL(plain.Auth{User: "root", Pass: "pw"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	own := letter(0, 1, "no visitor")
	own.Topic = clicked.Name() + ".dlq"
	for i := range own.Headers {
		switch own.Headers[i].Key {
		case deadletter.HeaderTopology, deadletter.HeaderGroup:
			own.Headers[i].Value = []byte("visit-counts")
		case deadletter.HeaderTopic:
			own.Headers[i].Value = []byte(clicked.Name())
		case deadletter.HeaderOffset:
			own.Headers[i].Value = []byte("0")
		}
	}
	_, err = admin.CreateTopics(t.Context(), 1, 1, nil, own.Topic, visited.Name())
	if err == nil {
		err = client.ProduceSync(t.Context(), own).FirstErr()
	}
	if err == nil {
		var set kadm.Offsets
		set.Add(kadm.Offset{Topic: clicked.Name(), Partition: 0, At: 1, LeaderEpoch: -1, Metadata: offsets.Mark{}.String()})
		_, err = admin.CommitOffsets(t.Context(), "visit-counts", set)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}
