package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/examples/totals/orders"
)

// said is what a command says while it runs.
type said struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestAVerbThatWaitsForAnOpenTransactionSaysSo: which transaction it is, since when it is open, and what ends the wait. The result is whole when the
// transaction has ended, and standard output has nothing but the result.
//
// Mutations: WithClient without OnWait, Text without the transactional id.
func TestAVerbThatWaitsForAnOpenTransactionSaysSo(t *testing.T) {
	d := newLetters(t)
	producer, err := kgo.NewClient(kgo.SeedBrokers(d.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("left-open"), kgo.TransactionTimeout(10*time.Minute))
	d.must(err)
	t.Cleanup(producer.Close)
	d.must(producer.BeginTransaction())
	d.must(producer.ProduceSync(t.Context(), letter(0, 20, "never seen"), &kgo.Record{Topic: "order.placed.v1", Value: []byte("x")}).FirstErr())
	dir := t.TempDir()
	file := filepath.Join(dir, "replay.yaml")
	d.must(os.WriteFile(file, []byte("replay: late\nfrom: { topic: "+lettersOf+" }\nwhere: { keys: [\"k*\"] }\ninto: topic\ntopic: order.placed.v1\n"), 0o600))

	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	var verbs sync.WaitGroup
	var waiting []*said
	for _, line := range []string{
		"dlq list --topic " + lettersOf,
		"dlq list --json --topic " + lettersOf,
		"dlq show --limit 0 --json --topic " + lettersOf,
		"dlq export --file " + filepath.Join(dir, "letters") + " --topic " + lettersOf,
		"dlq try --all --json --topic " + lettersOf,
		"dlq redrive --all --json --topic " + lettersOf,
		"replay plan --json " + file,
	} {
		messages := &said{more: make(chan struct{}, 1)}
		waiting = append(waiting, messages)
		verbs.Go(func() {
			var out strings.Builder
			root := New("shop", orders.Totals)
			root.SetOut(&out)
			root.SetErr(messages)
			err := Execute(ctx, root, append(strings.Fields(line), "--brokers", d.addr))
			if err != nil || strings.Contains(out.String(), "left-open") || strings.Contains(line, "--json") && !strings.HasPrefix(out.String(), "{") && !strings.HasPrefix(out.String(), "[") {
				t.Errorf("%s: %v: %s%s", line, err, out.String(), messages)
			}
		})
		verbs.Go(func() {
			for want := []string{`an open transaction of "left-open"`, lettersOf + "/0 is read up to offset ", " since ", "wait, since the brokers abort it at ", "kafka-transactions.sh --bootstrap-server " + d.addr + " abort "}; ; {
				select {
				case <-messages.more:
				case <-ctx.Done():
					t.Errorf("%s: it says %q", line, messages)
					return
				}
				missing := false
				for _, text := range want {
					missing = missing || !strings.Contains(messages.String(), text)
				}
				if !missing {
					return
				}
			}
		})
	}
	// Each has said it before the transaction ends.
	for _, messages := range waiting {
		for !strings.Contains(messages.String(), "kafka-transactions.sh") && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	d.must(producer.EndTransaction(t.Context(), kgo.TryAbort))
	verbs.Wait()
}

// TestAReplayThatWaitsForAnOpenTransactionSaysSo: its engine restores a store from a changelog in which somebody else has a transaction open.
//
// Mutations, each seen to fail it: catchUp without still; StandsStill that says nothing.
func TestAReplayThatWaitsForAnOpenTransactionSaysSo(t *testing.T) {
	d, file := begunAndStopped(t)
	producer, err := kgo.NewClient(kgo.SeedBrokers(d.addr), kgo.TransactionalID("left-open"), kgo.TransactionTimeout(10*time.Minute))
	d.must(err)
	t.Cleanup(producer.Close)
	d.must(producer.BeginTransaction())
	d.must(producer.ProduceSync(t.Context(), &kgo.Record{Topic: tallyLog, Key: []byte("never seen"), Value: []byte("1")}).FirstErr())
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	messages := &said{more: make(chan struct{}, 1)}
	done := make(chan error, 1)
	go func() {
		root := New("tallies", d.program())
		root.SetOut(&strings.Builder{})
		root.SetErr(messages)
		done <- Execute(ctx, root, []string{"replay", "resume", file, "--state-dir", "state", "--log-level", "error", "--brokers", d.addr})
	}()
	for !strings.Contains(messages.String(), tallyLog+"/0 is read up to offset ") || !strings.Contains(messages.String(), `an open transaction of "left-open"`) {
		select {
		case <-messages.more:
		case err := <-done:
			t.Fatalf("it has ended: %v: %s", err, messages)
		case <-ctx.Done():
			t.Fatalf("it says %q", messages)
		}
	}
	d.must(producer.EndTransaction(ctx, kgo.TryAbort))
	d.must(<-done)
}
