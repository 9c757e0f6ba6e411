// Command gateway loads a gateway with an open loop: events are due at a rate, whatever the answers take, and a latency counts from when its
// event was due. -batch sends streams of lines as fast as they are acknowledged instead.
//
//	go -C bench run ./gateway -url http://127.0.0.1:8080 -topic order.placed.v1 -rate 10000 -for 20s
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

var (
	url     = flag.String("url", "http://127.0.0.1:8080", "the gateway's")
	topic   = flag.String("topic", "order.placed.v1", "topic to publish to")
	rate    = flag.Int("rate", 10_000, "events a second")
	length  = flag.Duration("for", 20*time.Second, "how long to measure, after 3s of warming up")
	clients = flag.Int("clients", 200, "connections")
	batch   = flag.Bool("batch", false, "send streams of lines instead, as fast as they are acknowledged, on -clients connections")
	lines   = flag.Int("lines", 10_000, "lines of a stream")
)

func body(n int64) []byte {
	return fmt.Appendf(nil, `{"order_id":"o%d","customer_id":"c%d","amount_cents":%d}`, n, n%10_000, n%100_000)
}

func main() {
	flag.Parse()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: *clients, MaxConnsPerHost: *clients}}
	target := *url + "/topics/" + *topic + "/events"
	if *batch {
		streams(client, target)
		return
	}
	singles(client, target)
}

// singles sends each event at its time.
func singles(client *http.Client, target string) {
	latencies := hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
	var mu sync.Mutex
	var accepted, refused, failed atomic.Int64
	due := make(chan time.Time, *rate*60)
	var wg sync.WaitGroup
	var next atomic.Int64
	began := time.Now()
	from := began.Add(3 * time.Second)
	for range *clients {
		wg.Go(func() {
			for at := range due {
				res, err := client.Post(target, "application/json", bytes.NewReader(body(next.Add(1))))
				if err != nil {
					failed.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				took := time.Since(at)
				if at.Before(from) {
					continue
				}
				switch {
				case res.StatusCode == http.StatusOK:
					accepted.Add(1)
					mu.Lock()
					_ = latencies.RecordValue(took.Microseconds())
					mu.Unlock()
				case res.StatusCode == http.StatusTooManyRequests:
					refused.Add(1)
				default:
					failed.Add(1)
				}
			}
		})
	}
	total := time.Duration(*length) + 3*time.Second
	for n := 0; ; {
		want := int(time.Since(began).Seconds() * float64(*rate))
		for ; n < want; n++ {
			due <- began.Add(time.Duration(float64(n) / float64(*rate) * float64(time.Second)))
		}
		if time.Since(began) > total {
			break
		}
		time.Sleep(time.Millisecond)
	}
	close(due)
	wg.Wait()
	q := func(p float64) time.Duration { return time.Duration(latencies.ValueAtQuantile(p)) * time.Microsecond }
	fmt.Printf("%d/s for %s: %d accepted, %d answered 429, %d failed; until acknowledged p50 %s, p99 %s, p99.9 %s\n",
		*rate, *length, accepted.Load(), refused.Load(), failed.Load(), q(50), q(99), q(99.9))
}

// streams sends streams of lines.
func streams(client *http.Client, target string) {
	var acknowledged, other atomic.Int64
	var next atomic.Int64
	until := time.Now().Add(*length)
	var wg sync.WaitGroup
	began := time.Now()
	for range *clients {
		wg.Go(func() {
			for time.Now().Before(until) {
				var b bytes.Buffer
				for range *lines {
					b.Write(body(next.Add(1)))
					b.WriteByte('\n')
				}
				res, err := client.Post(target, "application/x-ndjson", &b)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				for s := bufio.NewScanner(res.Body); s.Scan(); {
					if bytes.HasPrefix(s.Bytes(), []byte(`{"status":200`)) {
						acknowledged.Add(1)
					} else {
						other.Add(1)
					}
				}
				_ = res.Body.Close()
			}
		})
	}
	wg.Wait()
	fmt.Printf("%.0f acknowledged events/s over %s, %d others\n", float64(acknowledged.Load())/time.Since(began).Seconds(), time.Since(began).Round(time.Second), other.Load())
}
