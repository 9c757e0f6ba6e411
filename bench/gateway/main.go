//go:build unix

// Command gateway loads a gateway with an open loop: events are due at a rate, whatever the answers take, and a latency counts from when its
// event was due. A rate above what it can take shows how it refuses. -send lines and -send protobuf send streams instead, and -send arrays
// requests with many events, as fast as they are acknowledged.
//
//	go -C bench run ./gateway -address 127.0.0.1:8080 -topic order.placed.v1 -rate 10000 -for 20s
//
// With -floor it is a server itself, which does the least that a gateway written with net/http and franz-go could do. Several addresses are loaded in
// turn, so that the two can be compared on one broker:
//
//	go -C bench run ./gateway -floor 127.0.0.1:9092 -address 127.0.0.1:8090
//	go -C bench run ./gateway -address 127.0.0.1:8080,127.0.0.1:8090 -rounds 3
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

var (
	address = flag.String("address", "127.0.0.1:8080", "the gateway's; several, with commas between them, have single events in turn")
	rounds  = flag.Int("rounds", 1, "how often each address has its turn")
	brokers = flag.String("floor", "", "brokers, with commas between them: serve at -address instead, and write what comes without looking at it")
	linger  = flag.Duration("linger", 0, "of the floor's producer")
	topic   = flag.String("topic", "order.placed.v1", "topic to publish to")
	send    = flag.String("send", "singles", "singles: requests with one event; arrays: with many; lines, protobuf: streams")
	rate    = flag.Int("rate", 10_000, "events a second of singles")
	length  = flag.Duration("for", 20*time.Second, "how long to measure, singles after 3s of warming up")
	clients = flag.Int("clients", 200, "connections, or streams at a time")
	lines   = flag.Int("lines", 10_000, "events of a stream or an array")
)

const warmUp = 3 * time.Second

// run is in the ids: those of another run would be repetitions.
var run = time.Now().Unix()

func body(n int64) []byte {
	return fmt.Appendf(nil, `{"order_id":"o%d-%d","customer_id":"c%d","amount_cents":%d}`, run, n, n%10_000, n%100_000)
}

func main() {
	flag.Parse()
	if *brokers != "" {
		fail(floor(*address, strings.Split(*brokers, ",")))
		return
	}
	addresses := strings.Split(*address, ",")
	base := "http://" + addresses[0]
	kept := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *clients}}
	var err error
	switch *send {
	case "singles":
		for n := range *rounds * len(addresses) {
			if err = singles(addresses[n%len(addresses)]); err != nil {
				break
			}
		}
	case "arrays":
		err = streams(arrays(kept, base))
	case "lines":
		err = streams(lineStream(kept, base))
	case "protobuf":
		err = streams(protobufStream(base))
	default:
		err = fmt.Errorf("-send %s: want singles, arrays, lines or protobuf", *send)
	}
	fail(err)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
