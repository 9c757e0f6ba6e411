package command

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/cli"
	"github.com/weirstream/weir/internal/registry/registrytest"
)

// The verbs reach a registry that asks for a user, for a token, or for a client's certificate over TLS; without these they say what is
// missing, and secrets are shown nowhere.
//
// Mutations seen to fail it: Client without User, without Token; tls without RootCAs, without Certificates.
func TestTheVerbsShowTheirCredentials(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("order.avsc", `{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}`)
	write("user", "ann:secret-a:b\n")
	write("token", "secret-token\n")
	write("wrong-user", "ann:secret-other")
	write("wrong-token", "secret-other")
	byUser, byToken := &door{}, &door{credentials: [][sha256.Size]byte{sum("Bearer", "secret-token")}}
	if err := byUser.readUsers("user"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		door  *door
		tls   bool
		with  string            // the flags that open it
		wrong map[string]string // flags that do not, and what is said
	}{
		"a user": {byUser, false, "--registry-user-file user", map[string]string{
			"": "check its credentials", "--registry-user-file wrong-user": "check its credentials", "--registry-token-file token": "check its credentials",
			"--registry-user-file user --registry-token-file token": "not both", "--registry-user-file token": "is not USER:PASSWORD",
		}},
		"a token": {byToken, false, "--registry-token-file token", map[string]string{
			"": "check its credentials", "--registry-token-file wrong-token": "check its credentials", "--registry-token-file nothing": "no such file",
		}},
		"a certificate": {&door{}, true, "--registry-ca-file ca.pem --registry-cert-file ca.pem --registry-key-file key.pem", map[string]string{
			"": "certificate", "--registry-ca-file ca.pem": "certificate required", "--registry-ca-file order.avsc": "has no certificate",
			"--registry-ca-file ca.pem --registry-cert-file ca.pem": "--registry-cert-file, --registry-key-file",
		}},
		"a user over TLS": {byUser, true, "--registry-user-file user --registry-ca-file ca.pem --registry-cert-file ca.pem --registry-key-file key.pem", map[string]string{
			"--registry-ca-file ca.pem --registry-cert-file ca.pem --registry-key-file key.pem": "check its credentials",
		}},
	} {
		api, _ := registrytest.Start(t)
		web := httptest.NewUnstartedServer(c.door.guard(api.Config.Handler))
		web.Config.ErrorLog = log.New(io.Discard, "", 0)
		if c.tls {
			web.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
			web.StartTLS()
			key, err := x509.MarshalPKCS8PrivateKey(web.TLS.Certificates[0].PrivateKey)
			if err != nil {
				t.Fatal(err)
			}
			write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})))
			write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
		} else {
			web.Start()
		}
		t.Cleanup(web.Close)
		run := func(line, flags string) (string, int) {
			root := cli.New("weir")
			root.AddCommand(Schema())
			var out strings.Builder
			root.SetOut(&out)
			root.SetErr(&out)
			err := cli.Execute(t.Context(), root, strings.Fields("schema "+line+" --registry "+web.URL+" "+flags))
			if err != nil {
				out.WriteString(err.Error())
			}
			if strings.Contains(out.String(), "secret") {
				t.Errorf("%s, %s %s: a secret is shown: %s", name, line, flags, out.String())
			}
			return out.String(), cli.ExitCode(err)
		}
		for flags, want := range c.wrong {
			if out, code := run("register s order.avsc --execute", flags); code == 0 || !strings.Contains(out, want) {
				t.Errorf("%s, with %q: exit code %d, without %q: %s", name, flags, code, want, out)
			}
		}
		for _, do := range [][2]string{
			{"list", "SUBJECT"}, {"register s order.avsc --execute", "it is now version 1"}, {"show s", `"Order"`}, {"history s", "version 1, id 1"},
			{"compat s --set FULL --execute", "and is now FULL"}, {"delete s 1 --execute", "is deleted"}, {"export", `"weirSchemas":1`},
		} {
			if out, code := run(do[0], c.with); code != 0 || !strings.Contains(out, do[1]) {
				t.Errorf("%s, %s: exit code %d, without %q: %s", name, do[0], code, do[1], out)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
