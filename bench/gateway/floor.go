//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
)

// floor serves what a gateway has to do at the least, written with net/http and franz-go as somebody would who knows both: a request is one record, which
// is acknowledged by all in-sync replicas before it is answered. No schema, no credentials, no limits; the key is what follows its name. What an
// event takes here is what the machine, the broker and net/http take, so a gateway cannot do better without another HTTP server.
func floor(address string, brokers []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(*linger), kgo.MaxBufferedRecords(1<<20),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		return err
	}
	defer client.Close()
	debug.SetGCPercent(400)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	server := &http.Server{Addr: address}
	http.HandleFunc("POST /topics/{topic}/events", func(w http.ResponseWriter, r *http.Request) {
		value, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, rest, _ := bytes.Cut(value, []byte(`"customer_id":"`))
		key, _, _ := bytes.Cut(rest, []byte{'"'})
		written, err := client.ProduceSync(r.Context(), &kgo.Record{Topic: r.PathValue("topic"), Key: key, Value: value}).First()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer := fmt.Appendf(nil, `{"status":200,"partition":%d,"offset":%d}`, written.Partition, written.Offset)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer)
	})
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}
