package gateway

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/weirstream/weir/gateway/rpc"
)

// certificate is one of a client, signed by itself.
func certificate(t *testing.T, name string, until time.Time) *x509.Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until}
	data, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// A stream goes on for as long as what it came in with is good: an API key, token or certificate that is taken out of the file of clients ends it, also where the
// client stays, and so does the time at which it expires. Another quota in the file holds for what comes from then on.
//
// Mutations seen to fail it: the client's name looked for in the file; no look at the time; the client as it was when the stream began; no look at all in a
// stream of v3.
func TestAStreamEndsWithItsPass(t *testing.T) {
	i := newIssuer(t)
	close(i.answer)
	core, seen := observer.New(zap.WarnLevel)
	file := func(clients string) *Clients {
		t.Helper()
		c, err := ParseClients(fmt.Appendf(nil, "jwt: {issuer: %q, audience: weir, jwks: %q}\nclients:\n%s", i.server.URL, i.server.URL+"/keys", clients))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const others = "  - {name: other, keys: [\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"]}\n"
	good := fmt.Sprintf("  - {name: shop, keys: [%q], subject: svc-billing, certificate: crm, topics: [order.]}\n", HashKey("secret")) + others
	crm := certificate(t, "crm", time.Now().Add(time.Hour))
	r := newRig(t, func(c *Config) { c.Clients, c.Log = file(good), zap.New(core) })
	behind := r.server // what a server knows of a certificate is given in a header, in place of TLS
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Certificate") != "" {
			q.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{crm}}}
		}
		r.gate.ServeHTTP(w, q)
	}))
	t.Cleanup(r.server.Close)
	t.Cleanup(behind.Close)
	for name, c := range map[string]struct {
		headers []string
		then    string // the file
		want    string
	}{
		"a key that is replaced":         {[]string{"Authorization", "Bearer secret"}, fmt.Sprintf("  - {name: shop, keys: [%q], topics: [order.]}\n", HashKey("new")) + others, "not known any more"},
		"a key that another one has now": {[]string{"Authorization", "Bearer secret"}, fmt.Sprintf("  - {name: crm, keys: [%q], topics: [customer.]}\n", HashKey("secret")) + others, "may not publish"},
		"a name with its key":            {[]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("shop:secret"))}, fmt.Sprintf("  - {name: crm, keys: [%q], topics: [order.]}\n", HashKey("secret")) + others, "not known any more"},
		"a key that stays":               {[]string{"X-Api-Key", "secret"}, good, `200`},
		"a key whose client is lowered":  {[]string{"X-Api-Key", "secret"}, fmt.Sprintf("  - {name: shop, keys: [%q], topics: [order.], bytes_per_second: 0.01}\n", HashKey("secret")) + others, "are allowed"},
		"a subject that is gone":         {[]string{"Authorization", "Bearer " + i.token(nil)}, others, "not known any more"},
		"a subject that stays":           {[]string{"Authorization", "Bearer " + i.token(nil)}, good, `200`},
		"a certificate that is gone":     {[]string{"Certificate", "crm"}, fmt.Sprintf("  - {name: shop, keys: [%q], topics: [order.]}\n", HashKey("secret")) + others, "not known any more"},
		"a certificate that stays":       {[]string{"Certificate", "crm"}, good, `200`},
	} {
		for form, stream := range map[string]struct{ path, form, event string }{
			"lines": {"/topics/" + orders + "/events?key=k", ndjsonType, `{"a":1}`},
			"v3":    {"/v3/clusters/" + r.cluster() + "/topics/" + orders + "/records", jsonType, `{"key":{"data":"k"},"value":{"data":{"a":1}}}`},
		} {
			r.gate.SetClients(file(good))
			in, out := io.Pipe()
			q, _ := http.NewRequest("POST", r.server.URL+stream.path, in)
			q.Header.Set("Content-Type", stream.form)
			for n := 0; n < len(c.headers); n += 2 {
				q.Header.Set(c.headers[n], c.headers[n+1])
			}
			go func() { _, _ = io.WriteString(out, stream.event+"\n") }()
			res, err := r.server.Client().Do(q)
			if err != nil {
				t.Fatal(err)
			}
			answers := json.NewDecoder(res.Body)
			var first, second json.RawMessage
			if err := answers.Decode(&first); err != nil || !strings.Contains(string(first), "200") {
				t.Fatalf("%s, %s: %s %v", name, form, first, err)
			}
			r.gate.SetClients(file(c.then))
			if strings.Contains(c.want, "allowed") { // the first is more than a burst, and is paid off for longer than any event waits
				_, _ = io.WriteString(out, stream.event+"\n")
				_ = answers.Decode(&first)
			}
			_, _ = io.WriteString(out, stream.event+"\n")
			if err := answers.Decode(&second); err != nil || !strings.Contains(string(second), c.want) {
				t.Errorf("%s, %s: %s %v, want %s", name, form, second, err, c.want)
			}
			_ = out.Close()
			_ = res.Body.Close()
		}
	}
	r.gate.SetClients(file(good))
	h2, url := r.h2()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream := rpc.NewEventsClient(h2, url, connect.WithGRPC()).PublishStream(ctx)
	stream.RequestHeader().Set("X-Api-Key", "secret")
	answer := func(n int) string {
		if err := stream.Send(&rpc.PublishStreamRequest{Topic: orders, Number: uint64(n), Event: jsonEvent(n)}); err != nil {
			t.Fatal(err)
		}
		a, err := stream.Receive()
		return fmt.Sprint(a, err)
	}
	if a := answer(1); !strings.Contains(a, "200") {
		t.Error(a)
	}
	r.gate.SetClients(file(others))
	if a := answer(2); !strings.Contains(a, "not known any more") {
		t.Errorf("a stream by gRPC: %s", a)
	}
	_ = stream.CloseRequest()
	_, _ = stream.Receive()
	_ = stream.CloseResponse()
	if text := fmt.Sprint(seen.All()); strings.Count(text, "not known any more") < 5 {
		t.Errorf("streams that end for want of a pass are not all in the audit: %.2000s", text)
	}
	r.gate.SetClients(file(good))
	until := time.Now().Add(time.Hour)
	q := httptest.NewRequest("POST", "/", nil)
	q.Header.Set("Authorization", "Bearer "+i.token(map[string]any{"exp": until.Unix()}))
	token, p := r.gate.identify(q)
	if p != nil {
		t.Fatal(p)
	}
	if far := token.until.Sub(until).Abs(); far > time.Minute {
		t.Errorf("a pass is good until %s", token.until)
	}
	if p := token.show(r.gate.clients.Load()); p != nil {
		t.Error(p)
	}
	token.until = time.Now().Add(-time.Second)
	if p := token.show(r.gate.clients.Load()); p == nil || p.Status != 401 || !strings.Contains(p.Detail, "has expired") {
		t.Errorf("a pass that has expired: %+v", p)
	}
}

// A certificate is looked at with each request and each event of a stream, not only when its connection begins: when it, or an authority of its chain, has expired, or
// the authority is trusted no more, the answer is 401, and the connection ends with it, over HTTP/1.1 and HTTP/2. One good chain of several is enough. A key
// beside such a certificate changes nothing.
//
// Mutations seen to fail it: no look at the time; the time of the certificate alone; no look at the authority; the connection kept; the last chain's word for all;
// streams without it.
func TestAConnectionOutlivesNoCertificate(t *testing.T) {
	clients, err := ParseClients(fmt.Appendf(nil, "clients:\n  - {name: crm, certificate: crm.example.org, topics: [order.]}\n  - {name: shop, keys: [%q], topics: [order.]}\n", HashKey("secret")))
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Now().Add(time.Hour)
	good, over := certificate(t, "crm.example.org", hour), certificate(t, "crm.example.org", time.Now().Add(-time.Minute))
	ca, old, stranger := certificate(t, "authority", hour), certificate(t, "old", time.Now().Add(-time.Minute)), certificate(t, "stranger", hour)
	var chains atomic.Pointer[[][]*x509.Certificate]
	r := newRig(t, func(c *Config) {
		c.Clients, c.Trusts = clients, func(authority *x509.Certificate) bool { return authority != stranger }
	})
	r.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		q.TLS = &tls.ConnectionState{VerifiedChains: *chains.Load()}
		r.gate.ServeHTTP(w, q)
	})
	h2, url := r.h2()
	for name, c := range map[string]struct {
		chains [][]*x509.Certificate
		key    string
		want   string // of the refusal
	}{
		"good":                              {chains: [][]*x509.Certificate{{good, ca}}},
		"one of two":                        {chains: [][]*x509.Certificate{{good, ca}, {good, stranger}, {good, old}}},
		"expired":                           {chains: [][]*x509.Certificate{{over, ca}}, want: "has expired"},
		"expired, with a key":               {chains: [][]*x509.Certificate{{over, ca}}, key: "secret", want: "has expired"},
		"of an authority that has expired":  {chains: [][]*x509.Certificate{{good, old}}, want: "has expired"},
		"of an authority that is taken out": {chains: [][]*x509.Certificate{{good, stranger}}, want: "trusted no more"},
	} {
		chains.Store(&c.chains)
		for protocol, client := range map[string]*http.Client{"HTTP/1.1": r.server.Client(), "HTTP/2": h2} {
			kept := false
			traced := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { kept = i.Reused }})
			ask := func() {
				q, _ := http.NewRequestWithContext(traced, "POST", url+"/topics/"+orders+"/events?key=k", strings.NewReader(`{"a":1}`))
				if c.key != "" {
					q.Header.Set("X-Api-Key", c.key)
				}
				q.Header.Set("Content-Type", jsonType)
				res, err := client.Do(q)
				if err != nil {
					t.Fatal(err)
				}
				data, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if c.want == "" && res.StatusCode != 200 || c.want != "" && (res.StatusCode != 401 || !strings.Contains(string(data), c.want)) {
					t.Fatalf("%s, %s: %d %s", name, protocol, res.StatusCode, data)
				}
			}
			ask()
			ask()
			for deadline := time.Now().Add(20 * time.Second); kept && c.want != "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				ask() // over HTTP/2 the client may not have heard yet
			}
			if kept != (c.want == "") {
				t.Fatalf("%s, %s: the connection is kept: %v", name, protocol, kept)
			}
		}
	}
	for form, stream := range map[string]struct{ path, form, event string }{
		"lines": {"/topics/" + orders + "/events?key=k", ndjsonType, `{"a":1}`},
		"v3":    {"/v3/clusters/" + r.cluster() + "/topics/" + orders + "/records", jsonType, `{"key":{"data":"k"},"value":{"data":{"a":1}}}`},
	} {
		chain := []*x509.Certificate{good, ca}
		chains.Store(&[][]*x509.Certificate{chain})
		in, out := io.Pipe()
		q, _ := http.NewRequest("POST", r.server.URL+stream.path, in)
		q.Header.Set("Content-Type", stream.form)
		go func() { _, _ = io.WriteString(out, stream.event+"\n") }()
		res, err := r.server.Client().Do(q)
		if err != nil {
			t.Fatal(err)
		}
		answers := json.NewDecoder(res.Body)
		var first, second json.RawMessage
		if err := answers.Decode(&first); err != nil || !strings.Contains(string(first), "200") {
			t.Fatalf("%s: %s %v", form, first, err)
		}
		chain[0] = over // as time does it
		_, _ = io.WriteString(out, stream.event+"\n")
		if err := answers.Decode(&second); err != nil || !strings.Contains(string(second), "has expired") {
			t.Errorf("%s: %s %v", form, second, err)
		}
		_ = out.Close()
		_ = res.Body.Close()
	}
}

// Whoever is refused hears what is wrong with what he came in with, in the form that his protocol has, and the audit has a line with the reason, and with what tells
// the credential from others.
//
// Mutations seen to fail it: problem+json for gRPC; a status of 200 audited; no reason in the line; a certificate of nobody taken for none.
func TestARefusalSaysWhyToItsClientAndToTheAudit(t *testing.T) {
	core, seen := observer.New(zap.WarnLevel)
	i := newIssuer(t)
	clients, err := ParseClients(fmt.Appendf(nil, "jwt: {issuer: %q, audience: weir, jwks: %q}\nclients:\n  - {name: shop, keys: [%q], topics: [customer.]}\n", i.server.URL, i.server.URL+"/keys", HashKey("secret")))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *Config) { c.Clients, c.Log = clients, zap.New(core) })
	other := certificate(t, "other.example.org", time.Now().Add(time.Hour))
	r.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Certificate") != "" {
			q.TLS = &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{other}}}
		}
		r.gate.ServeHTTP(w, q)
	})
	hash := HashKey("stranger")[:len(keyHash)+8]
	for name, c := range map[string]struct {
		headers      []string
		status       int
		answer, line string
	}{
		"nothing":                 {nil, 401, "has no credentials", "has no credentials"},
		"a key of nobody":         {[]string{"X-Api-Key", "stranger"}, 401, "the credentials are not known", hash},
		"a key with another name": {[]string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("crm:secret"))}, 401, "the credentials are not known", "crm"},
		"a certificate of nobody": {[]string{"Certificate", "x"}, 401, "other.example.org", "other.example.org"},
		"a token that is old":     {[]string{"Authorization", "Bearer " + i.token(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})}, 401, "expired", "expired"},
		"a token for ever":        {[]string{"Authorization", "Bearer " + i.token(map[string]any{"exp": nil})}, 401, "has no exp", "has no exp"},
		"a token of nobody":       {[]string{"Authorization", "Bearer " + i.token(nil)}, 403, "svc-billing", "svc-billing"},
		"another's topic":         {[]string{"X-Api-Key", "secret"}, 403, "may not publish to topic " + orders, "may not publish to topic " + orders},
	} {
		seen.TakeAll()
		status, body, _ := r.post("/topics/"+orders+"/events?key=k", `{}`, c.headers...)
		if status != c.status || !strings.Contains(body, c.answer) {
			t.Errorf("%s: %d %s", name, status, body)
		}
		check := func(form string) {
			t.Helper()
			logged := seen.TakeAll()
			if len(logged) != 1 || logged[0].LoggerName != "audit" || logged[0].ContextMap()["status"] != int64(c.status) || !strings.Contains(fmt.Sprint(logged[0].ContextMap()["why"]), c.line) {
				t.Errorf("%s, %s: the audit has %v, want %s", name, form, logged, c.line)
			}
			if text := fmt.Sprint(logged); strings.Contains(text, "secret") || strings.Contains(text, "stranger") {
				t.Errorf("%s: a key is in the log: %s", name, text)
			}
		}
		check("HTTP")
		h2, url := r.h2()
		if c.headers != nil && c.headers[0] == "Certificate" {
			continue
		}
		for form, options := range map[string][]connect.ClientOption{"Connect": {connect.WithProtoJSON()}, "gRPC": {connect.WithGRPC()}, "gRPC-Web": {connect.WithGRPCWeb()}} {
			q := connect.NewRequest(&rpc.PublishRequest{Topic: orders, Event: jsonEvent(1)})
			for n := 0; n < len(c.headers); n += 2 {
				q.Header().Set(c.headers[n], c.headers[n+1])
			}
			_, err := rpc.NewEventsClient(h2, url, options...).Publish(t.Context(), q)
			if connect.CodeOf(err) != codes[c.status] || !strings.Contains(err.Error(), c.answer) {
				t.Errorf("%s, %s: %v", name, form, err)
			}
			check(form)
		}
	}
}
