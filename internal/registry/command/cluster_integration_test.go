//go:build integration && unix

package command_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafkatest"
)

var realKafka struct {
	sync.Once
	cluster *kafkatest.Cluster
	err     error
}

// theCluster is one node of a real Kafka, which the tests of this package share: each has topics of its own.
func theCluster(t *testing.T) *kafkatest.Cluster {
	t.Helper()
	kafkatest.Require(t)
	realKafka.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		realKafka.cluster, realKafka.err = kafkatest.Run(ctx, kafkatest.Options{})
	})
	if realKafka.err != nil {
		t.Fatal(realKafka.err)
	}
	return realKafka.cluster
}

func TestMain(m *testing.M) {
	code := m.Run()
	if realKafka.cluster != nil {
		if code != 0 {
			realKafka.cluster.KeepLogs()
			fmt.Fprintln(os.Stderr, "the node's log is in", realKafka.cluster.Dir())
		}
		realKafka.cluster.Close()
	}
	os.Exit(code)
}
