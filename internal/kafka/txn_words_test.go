package kafka

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/weirstream/weir/embedded"
)

// A transaction timeout over the brokers' is answered with both settings by their names.
//
// Mutation seen to fail this test: the case for the code removed from named.
func TestATransactionTimeoutOverTheBrokersNamesBothSettings(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	client, err := Dial(t.Context(), Config{Brokers: broker.Addrs(), Sink: SinkTuning{TransactionTimeout: 100 * time.Hour}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sink, err := client.NewSink(t.Context(), "id")
	if err == nil {
		sink.Close()
	}
	if !errors.Is(err, sarama.ErrInvalidTransactionTimeout) {
		t.Fatal(err)
	}
	namesBothTimeouts(t, err)
}

func TestTheWordsForATransactionTimeout(t *testing.T) {
	err := (&coordinators{}).verdict("initialise producer", sarama.ErrInvalidTransactionTimeout, nil)
	if !errors.Is(err, sarama.ErrInvalidTransactionTimeout) || ClassOf(err) != Fatal {
		t.Errorf("got %v", err)
	}
	namesBothTimeouts(t, err)
}

func namesBothTimeouts(t *testing.T, err error) {
	t.Helper()
	for _, want := range []string{" transaction.max.timeout.ms", " transaction.timeout.ms", "commit-interval"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "max.transaction.timeout.ms") {
		t.Errorf("no broker has that setting: %v", err)
	}
}
