//go:build unix

// Command kafka runs a real three-broker Kafka cluster on loopback until Ctrl-C. It is what `make kafka` starts.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/weirstream/weir/internal/kafkatest"
)

func main() {
	brokers := flag.Int("brokers", 3, "1, or 3 with a controller quorum of three")
	keep := flag.Bool("keep", false, "keep the nodes' logs")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "kafka: it takes no arguments, and was given %q: it has -brokers and -keep\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts := kafkatest.Options{Brokers: *brokers, Keep: *keep, JVM: []string{"-XX:TieredStopAtLevel=4"}}
	if err := run(ctx, opts); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, opts kafkatest.Options) error {
	if err := kafkatest.Missing(); err != nil {
		return err
	}
	fmt.Printf("starting Kafka %s; the first time its jars are fetched\n", kafkatest.Version)
	cluster, err := kafkatest.Run(ctx, opts)
	if err != nil {
		return err
	}
	defer cluster.Close()
	fmt.Printf("\n  brokers   %s\n", strings.Join(cluster.Addrs(), ","))
	if !cluster.External() {
		fmt.Printf("  logs      %s\n", cluster.Dir())
		for _, n := range cluster.Brokers() {
			fmt.Printf("  broker    %d at %s\n", n.ID, n.Addr)
		}
	}
	fmt.Printf("\nexport WEIR_KAFKA_BROKERS=%s\nCtrl-C stops it\n", strings.Join(cluster.Addrs(), ","))
	<-ctx.Done()
	fmt.Println("\nstopping")
	return nil
}
