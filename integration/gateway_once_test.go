//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Clients send each event to one gateway and, while they get no answer, to the other, in turn, and both gateways are killed again and again:
// the topic holds each id once, at the place that was answered.
func TestAnIDIsTakenOnceWhenGatewaysAreKilled(t *testing.T) {
	c := theCluster(t)
	topic := fmt.Sprintf("order.once-%d.v1", time.Now().UnixNano())
	gatewayTopic(t, c.Cluster, topic)
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Addrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	config := map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}
	if _, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, -1, config, "_weir.events"); err != nil && !strings.Contains(err.Error(), "ALREADY_EXISTS") {
		t.Fatal(err)
	}
	declaration := fmt.Sprintf(`{"version":1,"topic":%q,"key":"customer","id":"id","idempotency":"once"}`, topic)
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "_weir.events", Key: []byte(topic), Value: []byte(declaration)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	binary := buildWeir(t)
	gateways := []*gatewayProcess{startGateway(t, binary, c.Addrs()), startGateway(t, binary, c.Addrs())}
	const clients, kills = 4, 4
	answered := make([]map[string]string, clients) // id -> place
	var mu sync.Mutex
	total := 0
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for p := range clients {
		answered[p] = map[string]string{}
		wg.Go(func() {
			client := &http.Client{Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			for n := 0; ; n++ {
				id := fmt.Sprintf("e%d-%d", p, n)
				body := fmt.Sprintf(`{"id":%q,"customer":"c%d"}`, id, n%7)
				for try := 0; ; try++ {
					select {
					case <-stop:
						return
					default:
					}
					res, err := client.Post(fmt.Sprintf("http://%s/topics/%s/events", gateways[(p+try)%2].addr, topic), "application/json", strings.NewReader(body))
					if err != nil {
						time.Sleep(10 * time.Millisecond)
						continue
					}
					data, _ := io.ReadAll(res.Body)
					_ = res.Body.Close()
					var a gatewayAnswer
					if res.StatusCode == http.StatusOK && json.Unmarshal(data, &a) == nil {
						mu.Lock()
						answered[p][id] = fmt.Sprintf("%d/%d", a.Partition, a.Offset)
						total++
						mu.Unlock()
						break
					}
					if res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests {
						t.Errorf("%d %s", res.StatusCode, data)
						return
					}
				}
			}
		})
	}
	for kill := range kills {
		mu.Lock()
		until := total + 40
		mu.Unlock()
		for deadline := time.Now().Add(drainBound); ; time.Sleep(5 * time.Millisecond) {
			mu.Lock()
			done := total >= until
			mu.Unlock()
			if done {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the gateways accept nothing more")
			}
		}
		g := gateways[kill%2]
		g.end(syscall.SIGKILL)
		g.start()
	}
	close(stop)
	wg.Wait()
	ids := map[string]string{}
	for place, r := range readTopic(t, c.Cluster, topic) {
		for _, h := range r.Headers {
			if h.Key != "event-id" {
				continue
			}
			if other := ids[string(h.Value)]; other != "" {
				t.Errorf("%s is at %s and at %s", h.Value, other, place)
			}
			ids[string(h.Value)] = place
		}
	}
	for p := range clients {
		for id, place := range answered[p] {
			if ids[id] != place {
				t.Errorf("%s was answered to be at %s, and is at %q", id, place, ids[id])
			}
		}
	}
	t.Logf("%d events were accepted", total)
}
