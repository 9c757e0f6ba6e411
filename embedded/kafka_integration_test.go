//go:build integration

package embedded

import (
	"testing"

	"github.com/weirstream/weir/internal/kafkatest"
)

// What the embedded broker is held to is what Kafka does.
func TestKafkaBehavesLikeTheEmbeddedBroker(t *testing.T) {
	addrs := kafkatest.Start(t, kafkatest.Options{}).Addrs()
	for _, b := range behaviours {
		t.Run(b.name, func(t *testing.T) { b.test(t, addrs) })
	}
}
