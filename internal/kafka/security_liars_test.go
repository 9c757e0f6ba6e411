package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/xdg-go/scram"
)

// A server that is not the one that it says it is gets nothing: no request goes over a connection whose certificate does not
// hold, for whatever reason.
//
// Mutations: InsecureSkipVerify; the system's authorities in the place of ssl.ca.location.
func TestAServerWithACertificateThatDoesNotHoldGetsNoRequest(t *testing.T) {
	ours, other := newPKI(t), newPKI(t)
	for name, c := range map[string]struct {
		by     *pki
		host   string
		change func(*x509.Certificate)
		honest bool
		says   string
	}{
		"the right one":       {by: ours, host: "127.0.0.1", honest: true},
		"for another host":    {by: ours, host: "broker.example", says: "127.0.0.1"},
		"for another address": {by: ours, host: "127.0.0.2", says: "127.0.0.1"},
		"by another authority": {by: other, host: "127.0.0.1",
			says: "unknown authority"},
		"expired": {by: ours, host: "127.0.0.1", change: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Minute)
		}, says: "expired"},
		"not valid yet": {by: ours, host: "127.0.0.1", change: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Minute), time.Now().Add(time.Hour)
		}, says: "not yet valid"},
		"a client's": {by: ours, host: "127.0.0.1", change: func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, says: "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			files := c.by.issue(t, c.host, c.change) // one after the other: the files are named after the host
			cert, err := tls.LoadX509KeyPair(files.cert, files.key)
			if err != nil {
				t.Fatal(err)
			}
			cluster := fake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}),
				kfake.EnableSASL(), kfake.Superuser("PLAIN", "user", "correct-horse"))
			heard := requests(cluster)
			_, err = tryDial(t, Config{Brokers: cluster.ListenAddrs(), ConnectTimeout: 5 * time.Second, StartupTimeout: time.Millisecond, Security: Security{
				Protocol: "SASL_SSL", CALocation: ours.ca, Mechanism: "PLAIN", Username: "user", Password: NewSecret("correct-horse")}})
			if c.honest {
				if err != nil || len(heard()) == 0 {
					t.Errorf("%v after %v", err, heard())
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || ClassOf(err) != Fatal {
				t.Errorf("%v (%v), want a fatal error that says %q", err, ClassOf(err), c.says)
			}
			if h := heard(); len(h) > 0 {
				t.Errorf("the server was sent requests of the kinds %v", h)
			}
		})
	}
}

// requests records the kinds of requests that a cluster gets.
func requests(cluster *kfake.Cluster) func() []int16 {
	var mu sync.Mutex
	var keys []int16
	cluster.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, req.Key())
		return nil, nil, false
	})
	return func() []int16 {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(keys)
	}
}

// A server that takes any password proves nothing: in SCRAM it has to show that it knows the password, too (RFC 5802,
// section 5). A client that does not look talks to whoever answers at the address.
//
// Mutation: the errors of Step ignored.
func TestAServerThatDoesNotKnowThePasswordGetsNoRequest(t *testing.T) {
	const user, password = "user", "correct-horse"
	type lie func(first bool, honest, client string) string
	for name, c := range map[string]struct {
		lie    lie
		honest bool
	}{
		"honest":                  {lie: func(_ bool, honest, _ string) string { return honest }, honest: true},
		"a wrong signature":       {lie: last("v=" + base64.StdEncoding.EncodeToString(make([]byte, 64)))},
		"a short signature":       {lie: last("v=AAAA")},
		"no signature":            {lie: last("")},
		"an empty signature":      {lie: last("v=")},
		"no message":              {lie: last("ok")},
		"a wrong nonce":           {lie: first(func(string) string { return "abcdefghijklmnopqrstuvwxyz" })},
		"half of the nonce":       {lie: first(func(client string) string { return client[:len(client)/2] + "xyz" })},
		"the nonce after another": {lie: first(func(client string) string { return "x" + client })},
		"an empty nonce":          {lie: first(func(string) string { return "" })},
	} {
		for mechanism, hash := range map[string]scram.HashGeneratorFcn{"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-512": scram.SHA512} {
			t.Run(name+" "+mechanism, func(t *testing.T) {
				knows, err := hash.NewClient(user, password, "")
				if err != nil {
					t.Fatal(err)
				}
				stored := knows.GetStoredCredentials(scram.KeyFactors{Salt: "0123456789abcdef", Iters: 4096})
				cluster := fake(t, kfake.EnableSASL(), kfake.Superuser(mechanism, user, password))
				heard := requests(cluster)
				server, err := hash.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
				if err != nil {
					t.Fatal(err)
				}
				var talk *scram.ServerConversation
				cluster.ControlKey(int16(kmsg.SASLAuthenticate), func(req kmsg.Request) (kmsg.Response, error, bool) {
					cluster.KeepControl()
					r := req.(*kmsg.SASLAuthenticateRequest)
					begins := strings.HasPrefix(string(r.SASLAuthBytes), "n,")
					if begins {
						talk = server.NewConversation()
					}
					answer, _ := talk.Step(string(r.SASLAuthBytes))
					resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
					resp.SASLAuthBytes = []byte(c.lie(begins, answer, string(r.SASLAuthBytes)))
					return resp, nil, true
				})
				_, err = tryDial(t, Config{Brokers: cluster.ListenAddrs(), ConnectTimeout: 5 * time.Second, StartupTimeout: time.Millisecond, Security: Security{
					Protocol: "SASL_PLAINTEXT", Mechanism: mechanism, Username: user, Password: NewSecret(password)}})
				authenticated := slices.ContainsFunc(heard(), func(key int16) bool {
					return key != int16(kmsg.ApiVersions) && key != int16(kmsg.SASLHandshake) && key != int16(kmsg.SASLAuthenticate)
				})
				if c.honest != authenticated {
					t.Errorf("the server got requests of the kinds %v, %v", heard(), err)
				}
				if !c.honest && (err == nil || !strings.Contains(err.Error(), "SASL")) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// last lies in the server's last message, first about the nonce in its first.
func last(message string) func(bool, string, string) string {
	return func(begins bool, honest, _ string) string {
		if begins {
			return honest
		}
		return message
	}
}

func first(nonce func(client string) string) func(bool, string, string) string {
	return func(begins bool, honest, client string) string {
		if !begins {
			return honest
		}
		_, own, _ := strings.Cut(client, "r=")
		_, rest, _ := strings.Cut(honest, ",")
		return "r=" + nonce(own) + "," + rest
	}
}
