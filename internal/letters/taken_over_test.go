package letters

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/system"
)

// takenOver is a shelf with letters that can be redriven.
func takenOver(t *testing.T, letters int) *shelf {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	s := newShelf(t, broker.Addrs()[0])
	for i := range letters {
		r := &kgo.Record{Topic: indexTopic, Value: []byte("v")}
		for _, h := range deadletter.Headers(nil, deadletter.Cause{Topology: "totals", Topic: "order.placed.v1", Offset: int64(i), Err: errors.New("bad")}) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		s.must(s.client.ProduceSync(t.Context(), r).FirstErr())
	}
	return s
}

// A command that is run again after kill -9 ends the transaction that the dead one has left open, and does not wait until the brokers do.
//
// Mutation seen to fail it: Execute that reads the topic of jobs before it has the transactional id.
func TestACommandDoesNotWaitForTheTransactionOfItsDeadPredecessor(t *testing.T) {
	s := takenOver(t, 3)
	_, err := s.tool.ready(t.Context(), nil)
	s.must(err)
	dead, err := kgo.NewClient(kgo.SeedBrokers(s.addr), kgo.TransactionalID(s.tool.TransactionalID(indexTopic)), kgo.TransactionTimeout(15*time.Minute))
	s.must(err)
	t.Cleanup(dead.Close)
	s.must(dead.BeginTransaction())
	s.must(dead.ProduceSync(t.Context(), &kgo.Record{Topic: system.Jobs.Name, Key: []byte(keyOf(indexTopic) + "x/0"), Value: []byte("{}")}).FirstErr())
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	s.tool.Client.OnWait(func(w kafka.Wait) { stop(fmt.Errorf("it waits: %s", w.Text(kafka.Config{}))) })
	r, err := s.tool.Execute(ctx, Order{Verb: Discard, Selection: Selection{All: true}}, 0)
	if err != nil || r.Done != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A command whose place another one takes says so, and how far it has come.
//
// Mutation seen to fail it: Execute without TakenOverError.
func TestACommandSaysThatAnotherOneHasTakenItsPlace(t *testing.T) {
	s := takenOver(t, 40)
	order := Order{Verb: Discard, Selection: Selection{All: true}}
	type end struct {
		r   *Result
		err error
	}
	ended := make(chan end, 1)
	go func() {
		r, err := s.tool.Execute(t.Context(), order, 1)
		ended <- end{r, err}
	}()
	for n := int64(0); n == 0; {
		l, err := s.tool.List(t.Context(), Selection{})
		s.must(err)
		n = l.Resolved
	}
	second, err := s.tool.Execute(t.Context(), order, 0)
	s.must(err)
	first := <-ended
	over, is := errors.AsType[*TakenOverError](first.err)
	if !is || over.Done == 0 || over.Done != first.r.Done || over.Selected != 40 || over.Done+second.Done != 40 || over.Topic != indexTopic {
		t.Errorf("%+v, %v; then %+v", first.r, first.err, second)
	}
}
