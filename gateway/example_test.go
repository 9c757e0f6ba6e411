package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/gateway"
)

// A program takes events beside whatever else it serves. This one has an embedded broker, which knows no topic yet.
func ExampleNew() {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		panic(err)
	}
	defer broker.Close()
	events, err := gateway.New(context.Background(), gateway.Options{Brokers: broker.Addrs()})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/events/", http.StripPrefix("/events", events))
	server := httptest.NewServer(mux)
	defer server.Close()

	res, err := http.Post(server.URL+"/events/topics/order.placed.v1/events?key=c1", "application/json", strings.NewReader(`{"order_id": "o1"}`))
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	fmt.Println(res.Status)

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := events.Close(ctx); err != nil {
		panic(err)
	}
	// Output: 404 Not Found
}
