//go:build integration

package letters

import (
	"flag"
	"testing"

	"github.com/weirstream/weir/internal/kafkatest"
)

var measured = flag.Int("index-letters", 0, "how many letters TestTheIndexOnKafka writes and lists; 0: it is left out")

// TestTheIndexOnKafka measures what the first and the second listing of many letters cost: go test -tags integration ./internal/letters -run
// TestTheIndexOnKafka -index-letters 10000000 -v -timeout 1h
func TestTheIndexOnKafka(t *testing.T) {
	if *measured == 0 {
		t.Skip("give -index-letters")
	}
	measureIndex(newShelf(t, kafkatest.Start(t, kafkatest.Options{Brokers: 1}).Addrs()[0]), *measured)
}
