//go:build integration

package kafka

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafkatest"
)

// The matrix of TestConnectionsAreEncryptedAndAuthenticated against the real thing, with what the embedded broker lacks:
// OAUTHBEARER, re-authentication (KIP-368), and errors in words.
func TestRealKafkaEncryptsAndAuthenticates(t *testing.T) {
	kafkatest.Require(t)
	if os.Getenv("WEIR_KAFKA_BROKERS") != "" {
		t.Skip("needs a cluster with listeners of its own making, and WEIR_KAFKA_BROKERS is set")
	}
	pki := newPKI(t)
	server, alice := pki.issue(t, "127.0.0.1", nil), pki.issue(t, "alice", nil)
	mallory := newPKI(t).issue(t, "mallory", nil)
	cluster := kafkatest.Start(t, kafkatest.Options{
		Listeners: []kafkatest.Listener{
			{Name: "TLS", Protocol: "SSL"}, {Name: "MUTUAL", Protocol: "SSL"}, {Name: "LOGIN", Protocol: "SASL_PLAINTEXT"}, {Name: "BOTH", Protocol: "SASL_SSL"},
		},
		FormatArgs: []string{
			"--add-scram", "SCRAM-SHA-256=[name=user,password=correct-horse]",
			"--add-scram", "SCRAM-SHA-512=[name=user,password=correct-horse]",
		},
		Config: listenersConfig(t, pki, server),
	})
	login := func(protocol, mechanism, password string) Security {
		s := Security{Protocol: protocol, Mechanism: mechanism, Username: "user", Password: NewSecret(password)}
		if protocol == "SASL_SSL" {
			s.CALocation = pki.ca
		}
		return s
	}
	token := func(expires time.Duration) Security {
		return Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER", Token: NewSecret(jwt(t, time.Now().Add(expires)))}
	}
	for _, tc := range []struct {
		name, listener string
		security       Security
		want           string // part of the error; empty: it connects
		class          Class
	}{
		{"TLS", "TLS", Security{Protocol: "SSL", CALocation: pki.ca}, "", 0},
		{"no authority named", "TLS", Security{Protocol: "SSL"}, "TLS handshake: failed to verify certificate", Fatal},
		{"mutual TLS", "MUTUAL", Security{Protocol: "SSL", CALocation: pki.ca, CertificateLocation: alice.cert, KeyLocation: alice.key}, "", 0},
		{"mutual TLS without a certificate", "MUTUAL", Security{Protocol: "SSL", CALocation: pki.ca}, "TLS handshake: the broker refused this client: ", Fatal},
		{"mutual TLS with a stranger's certificate", "MUTUAL", Security{Protocol: "SSL", CALocation: pki.ca, CertificateLocation: mallory.cert, KeyLocation: mallory.key}, "TLS handshake: the broker refused this client: ", Fatal},
		{"plaintext to a TLS listener", "TLS", Security{}, "does it want another security.protocol here?", Retriable},
		{"TLS to a plaintext listener", "LOGIN", Security{Protocol: "SSL", CALocation: pki.ca}, "TLS handshake: the broker does not speak TLS here", Retriable},
		{"PLAIN", "LOGIN", login("SASL_PLAINTEXT", "PLAIN", "correct-horse"), "", 0},
		{"SCRAM-SHA-256", "LOGIN", login("SASL_PLAINTEXT", "SCRAM-SHA-256", "correct-horse"), "", 0},
		{"SCRAM-SHA-512", "LOGIN", login("SASL_PLAINTEXT", "SCRAM-SHA-512", "correct-horse"), "", 0},
		{"OAUTHBEARER", "LOGIN", token(time.Hour), "", 0},
		{"PLAIN over TLS", "BOTH", login("SASL_SSL", "PLAIN", "correct-horse"), "", 0},
		{"SCRAM-SHA-512 over TLS", "BOTH", login("SASL_SSL", "SCRAM-SHA-512", "correct-horse"), "", 0},
		{"PLAIN with a wrong password", "LOGIN", login("SASL_PLAINTEXT", "PLAIN", "wrong-battery"), "SASL: ", Fatal},
		{"SCRAM-SHA-512 with a wrong password", "LOGIN", login("SASL_PLAINTEXT", "SCRAM-SHA-512", "wrong-battery"), "SASL: ", Fatal},
		{"a token that nobody signed for", "LOGIN", Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER", Token: NewSecret("opaque")}, "SASL: ", Fatal},
		{"a mechanism that the listener has not", "BOTH", login("SASL_SSL", "SCRAM-SHA-256", "correct-horse"), "SASL: ", Fatal},
		{"no login where one is wanted", "LOGIN", Security{}, "does it want another security.protocol here?", Retriable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := tryDial(t, Config{Brokers: cluster.AddrsOf(tc.listener), Security: tc.security, ConnectTimeout: 30 * time.Second, StartupTimeout: time.Millisecond})
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want == "":
				if _, err := c.Topics(t.Context(), []string{"a"}); err != nil {
					t.Error(err)
				}
			case err == nil || !strings.Contains(err.Error(), tc.want):
				t.Errorf("got %v\nwant %s", err, tc.want)
			case ClassOf(err) != tc.class:
				t.Errorf("class %v: %v", ClassOf(err), err)
			default:
				t.Log(err)
			}
			if err != nil && (strings.Contains(err.Error(), "correct-horse") || strings.Contains(err.Error(), "wrong-battery")) {
				t.Errorf("tells the password: %v", err)
			}
		})
	}
	t.Run("a token that is renewed outlives its first session", func(t *testing.T) { renewal(t, cluster.AddrsOf("LOGIN")) })
}

// renewal keeps using one client for some of the sessions of 2 s that the listener allows.
func renewal(t *testing.T, addrs []string) {
	file := writeFile(t, t.TempDir(), "token", jwt(t, time.Now().Add(4*time.Second)))
	c := dial(t, Config{Brokers: addrs, Security: Security{Protocol: "SASL_PLAINTEXT", Mechanism: "OAUTHBEARER", TokenFile: file}, APITimeout: 3 * time.Second})
	renew := func(expires time.Duration) {
		// Replaced as a whole, as those who renew tokens do.
		next := writeFile(t, filepath.Dir(file), "next", jwt(t, time.Now().Add(expires)))
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
	call := func() error { _, err := c.Topics(context.Background(), []string{"a"}); return err }
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < 7*time.Second; <-tick.C {
		renewed := time.Now()
		renew(4 * time.Second)
		if err := call(); err != nil && time.Since(renewed) < time.Second { // where the machine stands still, the token expires
			t.Fatalf("after %v: %v", time.Since(began), err)
		}
	}
	renew(-time.Second)
	var err error
	for began := time.Now(); err == nil && time.Since(began) < 2*time.Minute; <-tick.C {
		err = call()
	}
	if err == nil || !strings.Contains(err.Error(), "nobody has renewed it") || ClassOf(err) != Retriable {
		t.Errorf("with an expired token: %v", err)
	}
	renew(time.Hour)
	for began := time.Now(); err != nil && time.Since(began) < time.Minute; <-tick.C {
		err = call()
	}
	if err != nil {
		t.Errorf("renewed late: %v", err)
	}
}

func listenersConfig(t *testing.T, pki *pki, server issued) map[string]string {
	t.Helper()
	key, err := os.ReadFile(server.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(server.cert)
	if err != nil {
		t.Fatal(err)
	}
	conf := map[string]string{}
	for _, name := range []string{"tls", "mutual", "both"} {
		prefix := "listener.name." + name + "."
		conf[prefix+"ssl.keystore.type"] = "PEM"
		conf[prefix+"ssl.keystore.location"] = writeFile(t, pki.dir, "keystore.pem", string(key)+string(cert))
		conf[prefix+"ssl.truststore.type"] = "PEM"
		conf[prefix+"ssl.truststore.location"] = pki.ca
	}
	conf["listener.name.mutual.ssl.client.auth"] = "required"
	plain := `org.apache.kafka.common.security.plain.PlainLoginModule required user_user="correct-horse";`
	scram := `org.apache.kafka.common.security.scram.ScramLoginModule required;`
	bearer := `org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`
	for name, mechanisms := range map[string][]string{"login": {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}, "both": {"PLAIN", "SCRAM-SHA-512"}} {
		conf[fmt.Sprintf("listener.name.%s.sasl.enabled.mechanisms", name)] = strings.Join(mechanisms, ",")
		for _, m := range mechanisms {
			module := map[string]string{"PLAIN": plain, "OAUTHBEARER": bearer}[m]
			if module == "" {
				module = scram
			}
			conf[fmt.Sprintf("listener.name.%s.%s.sasl.jaas.config", name, strings.ToLower(m))] = module
		}
	}
	conf["listener.name.login.oauthbearer.connections.max.reauth.ms"] = "2000"
	return conf
}
