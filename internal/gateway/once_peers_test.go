package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/declared"
	"github.com/weirstream/weir/internal/kafka"
)

// peer is another gateway on the rig's cluster. It dies once.
type peer struct {
	*rig
	once sync.Once
}

func (r *rig) peer(https bool, change func(*Config)) *peer {
	r.t.Helper()
	server := httptest.NewUnstartedServer(nil)
	scheme := map[bool]string{false: "http://", true: "https://"}[https]
	c := Config{Client: r.client, URL: scheme + server.Listener.Addr().String()}
	change(&c)
	gate, err := New(r.t.Context(), c)
	if err != nil {
		r.t.Fatal(err)
	}
	server.Config.Handler = gate
	if https {
		server.StartTLS()
	} else {
		server.Start()
	}
	p := &peer{rig: &rig{r.t, r.client, gate, server}}
	r.t.Cleanup(p.die)
	return p
}

func (p *peer) die() {
	p.once.Do(func() {
		p.server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		p.gate.Close(ctx)
	})
}

// takeovers is how often the ids were taken.
func (r *rig) takeovers() int64 {
	r.t.Helper()
	tp := kafka.TopicPartition{Topic: r.gate.once.owners}
	records, _ := r.read(tp.Topic)
	return int64(len(records))
}

// A gateway that owns the ids and lives keeps them, whatever keeps another one from asking it: a certificate of an authority that is not known, other tokens,
// or none. The other one refuses events of such topics, and its health says what to do. When the owner has gone its place is taken, also where another
// program answers at its address now.
//
// Mutations seen to fail it: apartFrom that says nothing; a refusal of whoever answers, without a look at its name; an owner that is asked for its name in a
// way that trusts its certificate; one token of several that is known.
func TestAnOwnerThatLivesKeepsTheIDs(t *testing.T) {
	clients := func() *Clients {
		c, err := ParseClients(fmt.Appendf(nil, "clients: [{name: shop, keys: [%q], topics: [order.]}]", HashKey("secret")))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	trusted := func(owner *peer) *tls.Config {
		pool := x509.NewCertPool()
		pool.AddCert(owner.server.Certificate())
		return &tls.Config{RootCAs: pool}
	}
	for name, c := range map[string]struct {
		https        bool
		first, other string // tokens
		remedy       string
		mended       func(owner *peer, c *Config) // nil: it is not tried
	}{
		"authority": {https: true, first: "a", other: "a", remedy: "--peer-ca-file", mended: func(owner *peer, c *Config) { c.PeerToken, c.PeerTLS = "a", trusted(owner) }},
		"token":     {first: "a\nb", other: "c", remedy: "--peer-token-file", mended: func(_ *peer, c *Config) { c.PeerToken = "b\na" }},
		"no token":  {first: "a", remedy: "--peer-token-file"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			declare(t, r.client, declared.Event{Version: 1, Topic: orders, Key: "customer", ID: "id", Idempotency: declared.Once})
			with := func(token string) func(*Config) {
				return func(c *Config) { c.PeerToken, c.Clients = token, clients() }
			}
			owner, other := r.peer(c.https, with(c.first)), r.peer(c.https, with(c.other))
			n := 0
			send := func(to *peer, want int) string {
				t.Helper()
				n++
				status, answer, _ := to.post("/topics/"+orders+"/events", fmt.Sprintf(`{"id":"e%d","customer":"c1"}`, n), "Authorization", "Bearer secret")
				if status != want {
					t.Fatalf("event %d: %d %s, want %d", n, status, answer, want)
				}
				return answer
			}
			send(owner, 200)
			for range 3 {
				if answer := send(other, 503); !strings.Contains(answer, "do not know each other") || strings.Contains(answer, "127.0.0.1") {
					t.Errorf("the refusal is %s", answer)
				}
				send(owner, 200)
			}
			if list := other.gate.Health(); len(list) != 1 || !strings.Contains(list[0].Remedy, c.remedy) || !strings.Contains(list[0].Cause, owner.server.URL) {
				t.Errorf("its health is %v", list)
			}
			if c.mended != nil {
				mended := r.peer(c.https, func(conf *Config) {
					with("")(conf)
					c.mended(owner, conf)
				})
				send(mended, 200)
				if list := mended.gate.Health(); len(list) > 0 {
					t.Errorf("the health of one that knows the owner is %v", list)
				}
			}
			if n := owner.takeovers(); n != 1 {
				t.Errorf("the ids were taken %d times", n)
			}
			address := owner.server.Listener.Addr().String()
			owner.die()
			if name == "token" { // another program has the address now, and refuses everybody
				listener, err := net.Listen("tcp", address)
				if err != nil {
					t.Skipf("another program has the address: %v", err)
				}
				stranger := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who?", http.StatusForbidden) }))
				_ = stranger.Listener.Close()
				stranger.Listener = listener
				stranger.Start()
				defer stranger.Close()
			}
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) { // the refusal stands for a moment
				n++
				status, answer, _ := other.post("/topics/"+orders+"/events", fmt.Sprintf(`{"id":"e%d","customer":"c1"}`, n), "Authorization", "Bearer secret")
				if status == 200 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the owner has gone: %d %s", status, answer)
				}
			}
			if list := other.gate.Health(); len(list) > 0 {
				t.Errorf("the health of the new owner is %v", list)
			}
		})
	}
}
