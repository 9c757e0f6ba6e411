//go:build integration

package kafka

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/kafkatest"
)

// A broker closes a connection whose session has expired at its next request (KIP-368), so any request that fails here
// came on a connection that was not replaced in time.
//
// Mutations: sessionLifetime returns 0; due adds a minute.
func TestRawConnectionsAreReplacedBeforeTheirSessionEnds(t *testing.T) {
	kafkatest.Require(t)
	if os.Getenv("WEIR_KAFKA_BROKERS") != "" {
		t.Skip("needs a cluster with listeners of its own making, and WEIR_KAFKA_BROKERS is set")
	}
	pki := newPKI(t)
	conf := listenersConfig(t, pki, pki.issue(t, "127.0.0.1", nil))
	for _, listener := range []string{"login", "both"} {
		for _, mechanism := range []string{"plain", "scram-sha-512"} {
			conf[fmt.Sprintf("listener.name.%s.%s.connections.max.reauth.ms", listener, mechanism)] = "2000"
		}
	}
	const late = 50 * time.Millisecond // half of what a connection is replaced before its session's end, at least
	cluster := kafkatest.Start(t, kafkatest.Options{
		Listeners:  []kafkatest.Listener{{Name: "TLS", Protocol: "SSL"}, {Name: "MUTUAL", Protocol: "SSL"}, {Name: "LOGIN", Protocol: "SASL_PLAINTEXT"}, {Name: "BOTH", Protocol: "SASL_SSL"}},
		FormatArgs: []string{"--add-scram", "SCRAM-SHA-512=[name=user,password=correct-horse]"},
		Config:     conf,
	})
	for _, tc := range []struct{ listener, protocol, mechanism string }{
		{"LOGIN", "SASL_PLAINTEXT", "PLAIN"}, {"LOGIN", "SASL_PLAINTEXT", "SCRAM-SHA-512"},
		{"BOTH", "SASL_SSL", "PLAIN"}, {"BOTH", "SASL_SSL", "SCRAM-SHA-512"}, {"TLS", "SSL", ""},
	} {
		t.Run(tc.protocol+" "+tc.mechanism, func(t *testing.T) {
			t.Parallel()
			s := Security{Protocol: tc.protocol, Mechanism: tc.mechanism}
			if tc.mechanism != "" {
				s.Username, s.Password = "user", NewSecret("correct-horse")
			}
			if tc.protocol != "SASL_PLAINTEXT" {
				s.CALocation = pki.ca
			}
			addr := cluster.AddrsOf(tc.listener)[0]
			c := dial(t, Config{Brokers: []string{addr}, Security: s})
			seen := map[*rawConn]bool{}
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			again := tc.mechanism != "" // it is to be replaced, twice
			for began := time.Now(); again && len(seen) < 3 && time.Since(began) < 2*time.Minute || !again && time.Since(began) < 5*time.Second; <-tick.C {
				asked := time.Now()
				if _, err := c.admin.request(t.Context(), addr, kmsg.NewPtrMetadataRequest(), 12); err != nil {
					if time.Since(asked) > late {
						continue // where the machine stands still, a request that was sent in time comes too late
					}
					t.Fatalf("after %v: %v", time.Since(began), err)
				}
				r, err := c.admin.raw(t.Context(), addr)
				if err != nil {
					t.Fatal(err)
				}
				seen[r] = true
			}
			if (len(seen) > 2) != again {
				t.Errorf("%d connections", len(seen))
			}
		})
	}
}
