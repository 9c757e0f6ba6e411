//go:build integration && unix

package command_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/kafkatest"
)

// A real Kafka asks for no other rights than those of the page either.
//
// Mutation seen to fail it: the page without WRITE on _weir.events for event apply.
func TestTheRightsThatTheDocsListAreEnoughOnARealKafka(t *testing.T) {
	if os.Getenv("WEIR_KAFKA_BROKERS") != "" {
		t.Skip("needs a cluster with an authorizer of its own, and WEIR_KAFKA_BROKERS is set")
	}
	cluster := kafkatest.Start(t, kafkatest.Options{
		Listeners: []kafkatest.Listener{{Name: "LOGIN", Protocol: "SASL_PLAINTEXT"}},
		Config: map[string]string{
			"authorizer.class.name":                       "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"super.users":                                 "User:ANONYMOUS;User:root",
			"auto.create.topics.enable":                   "false",
			"listener.name.login.sasl.enabled.mechanisms": "PLAIN",
			"listener.name.login.plain.sasl.jaas.config":  `org.apache.kafka.common.security.plain.PlainLoginModule required user_root="pw" user_operator="pw";`,
		},
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	tryRights(t, func(t *testing.T, rights []string) (root, operator []string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		clean(ctx, t, client, aclsOf(t, rights))
		return login(cluster.AddrsOf("LOGIN")[0], "root"), login(cluster.AddrsOf("LOGIN")[0], "operator")
	}, false)
}

// clean takes away what the command before has left, and gives the operator rights.
func clean(ctx context.Context, t *testing.T, client *kgo.Client, acls []kfake.ACL) {
	t.Helper()
	all := kmsg.NewDeleteACLsRequestFilter()
	all.ResourceType, all.ResourcePatternType, all.Operation, all.PermissionType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny, kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
	req := kmsg.NewPtrDeleteACLsRequest()
	req.Filters = append(req.Filters, all)
	admin := kadm.NewClient(client)
	if _, err := req.RequestWith(ctx, client); err != nil {
		t.Fatal(err)
	}
	topics, err := admin.ListTopics(kafkatest.Uncached(ctx))
	if err == nil && len(topics) > 0 {
		_, err = admin.DeleteTopics(ctx, topics.Names()...)
	}
	if err != nil {
		t.Fatal(err)
	}
	made := kmsg.NewPtrCreateACLsRequest()
	for _, a := range acls {
		c := kmsg.NewCreateACLsRequestCreation()
		c.ResourceType, c.ResourceName, c.ResourcePatternType = a.Resource, a.Name, a.Pattern
		c.Principal, c.Host, c.Operation, c.PermissionType = "User:operator", "*", a.Operation, kmsg.ACLPermissionTypeAllow
		made.Creations = append(made.Creations, c)
	}
	res := kmsg.NewPtrCreateACLsResponse()
	if len(acls) > 0 {
		if res, err = made.RequestWith(ctx, client); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range res.Results {
		if r.ErrorCode != 0 {
			t.Fatal(errors.New("an ACL cannot be made"), r.ErrorCode)
		}
	}
	for { // the broker hears of both a moment after the controller has answered
		left, err := admin.ListTopics(kafkatest.Uncached(ctx))
		described, err2 := admin.DescribeACLs(ctx, kadm.NewACLs().Allow("User:operator").AllowHosts("*").Topics().Groups().TransactionalIDs().ResourcePatternType(kadm.ACLPatternAny).Operations(kadm.OpAny))
		n := 0
		for _, d := range described {
			n += len(d.Described)
		}
		if err == nil && err2 == nil && len(left) == 0 && n == len(acls) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d topics are left and %d of %d ACLs there: %v, %v", len(left), n, len(acls), err, err2)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
