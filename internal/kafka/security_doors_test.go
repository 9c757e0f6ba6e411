//go:build unix

package kafka

import (
	"os"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirstream/weir/embedded"
)

// What a hostile server may make a client compute is bounded at both ends: few iterations make the password easy to guess
// from what was sent, many stop the client.
//
// Mutations: Step of ours removed; > turned to >= and the library's minimum lowered.
func TestAServerDoesNotDecideHowMuchAClientComputes(t *testing.T) {
	for iterations, refused := range map[string]string{
		"4096": "", "16384": "", "1": "too few", "1000001": "at most 1000000", "2147483648": "at most", "99999999999999999999": "at most", "x": "at most",
	} {
		c := &conversation{hash: scram.SHA256}
		if err := c.Begin("alice", "secret", ""); err != nil {
			t.Fatal(err)
		}
		first, err := c.Step("")
		if err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(first, ",r=")
		_, err = c.Step("r=" + nonce + "server,s=c2FsdA==,i=" + iterations)
		if refused == "" && err != nil || refused != "" && (err == nil || !strings.Contains(err.Error(), refused)) {
			t.Errorf("%s iterations: %v", iterations, err)
		}
	}
}

// Every file that holds a secret is judged by who else can get at it: one that others can write is refused, one that they
// can read is logged once. The secrets themselves never are.
//
// Mutations: readSecret that drops the warning; checkToken without Check; os.ReadFile for the key.
func TestEverySecretFileIsJudgedByWhoElseCanGetAtIt(t *testing.T) {
	pki := newPKI(t)
	alice := pki.issue(t, "alice", nil)
	dir := t.TempDir()
	password, token := writeFile(t, dir, "password", "hunter2"), writeFile(t, dir, "token", "hunter2")
	for what, c := range map[string]struct {
		file     string
		security Security
	}{
		"sasl.password.file":          {password, Security{Protocol: "SASL_SSL", Mechanism: "PLAIN", Username: "u", PasswordFile: password}},
		"sasl.oauthbearer.token.file": {token, Security{Protocol: "SASL_SSL", Mechanism: "OAUTHBEARER", TokenFile: token}},
		"ssl.key.location":            {alice.key, Security{Protocol: "SSL", CertificateLocation: alice.cert, KeyLocation: alice.key}},
	} {
		for mode, want := range map[os.FileMode]string{0o600: "", 0o644: "warned", 0o640: "warned", 0o606: "refused", 0o660: "refused"} {
			if err := os.Chmod(c.file, mode); err != nil {
				t.Fatal(err)
			}
			creds, err := c.security.load()
			got := ""
			switch {
			case err != nil && strings.Contains(err.Error(), what) && strings.Contains(err.Error(), c.file) && strings.Contains(err.Error(), "chmod"):
				got = "refused"
			case err != nil:
				t.Errorf("%s, mode %#o: %v", what, mode, err)
			case len(creds.warnings) == 1 && strings.Contains(creds.warnings[0], c.file):
				got = "warned"
			case len(creds.warnings) > 0:
				t.Errorf("%s, mode %#o: %q", what, mode, creds.warnings)
			}
			if got != want {
				t.Errorf("%s, mode %#o: %s, want %s (%v)", what, mode, got, want, err)
			}
		}
	}
}

// Mutation: the warnings are not logged by Dial; SASL_SSL is warned of.
func TestASecretOnAPlaintextConnectionIsWarnedOf(t *testing.T) {
	users := []embedded.User{{Mechanism: "PLAIN", Name: "alice", Password: "hunter2"}, {Mechanism: "SCRAM-SHA-256", Name: "bob", Password: "hunter2"}}
	broker, err := embedded.Start(embedded.Options{Users: users})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	for _, u := range users {
		core, logs := observer.New(zapcore.WarnLevel)
		client, err := Dial(t.Context(), Config{Brokers: broker.Addrs(), Security: Security{
			Protocol: "SASL_PLAINTEXT", Mechanism: u.Mechanism, Username: u.Name, Password: NewSecret(u.Password)}}, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		warned := logs.FilterMessageSnippet("does not encrypt").Len()
		if want := map[string]int{"PLAIN": 1, "SCRAM-SHA-256": 0}[u.Mechanism]; warned != want {
			t.Errorf("%s: warned %d times: %v", u.Mechanism, warned, logs.All())
		}
		for _, entry := range logs.All() {
			if strings.Contains(entry.Message, "hunter2") {
				t.Errorf("the secret is in the log: %s", entry.Message)
			}
		}
	}
	secure := Security{Protocol: "SASL_SSL", Mechanism: "PLAIN", Username: "u", Password: NewSecret("x")}
	if creds, err := secure.load(); err != nil || len(creds.warnings) > 0 {
		t.Errorf("over TLS: %q, %v", creds.warnings, err)
	}
}
