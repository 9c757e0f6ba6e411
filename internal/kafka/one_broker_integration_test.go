//go:build integration

package kafka

import (
	"testing"

	"github.com/weirstream/weir/internal/kafkatest"
)

// shared is the cluster of one broker for tests that leave it as it was: its start takes longer than most of them.
var shared *kafkatest.Cluster

func init() {
	closeShared = func() {
		if shared != nil {
			shared.Close()
		}
	}
}

// oneBroker is a cluster of one broker that other tests have used, and will. Its logs are kept when a test fails that has it.
func oneBroker(t *testing.T) *kafkatest.Cluster {
	t.Helper()
	kafkatest.Require(t)
	if shared == nil {
		cluster, err := kafkatest.Run(t.Context(), kafkatest.Options{Config: map[string]string{"broker.session.timeout.ms": "60000"}}) // it is never killed, but may stand still
		if err != nil {
			t.Fatal(err)
		}
		shared = cluster
	}
	t.Cleanup(func() {
		if t.Failed() {
			shared.KeepLogs()
			t.Logf("the node's logs are kept in %s", shared.Dir())
		}
	})
	return shared
}
