package letters

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// A command whose place another one takes says so, how far it has come, and what the other one has done so far.
//
// Mutations, each seen to fail it: Execute without TakenOverError; Execute without reckon; reckon that counts what was done before the command began; Open without the others' share.
func TestACommandSaysThatAnotherOneHasTakenItsPlace(t *testing.T) {
	s := takenOver(t, 40)
	early, err := s.tool.Execute(t.Context(), Order{Verb: Discard, Selection: Selection{All: true}, Limit: 3}, 0)
	s.must(err)
	order := Order{Verb: Redrive, Selection: Selection{All: true}, Why: "mended"}
	const until = 12 // the letter before which the first one stands still
	standing, goOn := make(chan struct{}), make(chan struct{})
	pass, last := 1, int64(0) // over the letters: the first is that of the plan
	one := *s.tool
	one.Who, one.Progress = "alice", func(read, _ int64) {
		if read < last {
			pass++
		}
		if last = read; pass == 2 && read == until {
			close(standing)
			<-goOn
		}
	}
	type end struct {
		r   *Result
		err error
	}
	ended := make(chan end, 1)
	go func() {
		r, err := one.Execute(t.Context(), order, 10) // so a transaction has one letter
		ended <- end{r, err}
	}()
	<-standing
	two := *s.tool
	two.Who = "bob"
	second, err := two.Execute(t.Context(), order, 0)
	s.must(err)
	close(goOn)
	first := <-ended
	over, is := errors.AsType[*TakenOverError](first.err)
	if !is || over.Done != until-early.Done || over.Selected != 40-early.Done || over.Topic != indexTopic {
		t.Errorf("%v", first.err)
	}
	want := []Share{{Job: second.Job, How: "redriven", Who: "bob", Done: 40 - until}}
	if r := first.r; !r.TakenOver || r.Done != over.Done || r.Selected != over.Selected || r.Open != 0 || !slices.Equal(r.Others, want) {
		t.Errorf("%+v, want others %+v", first.r, want)
	}
	if second.TakenOver || second.Selected != 40-until || second.Done != second.Selected || second.Resolved != until || second.Open != 0 || len(second.Others) != 0 {
		t.Errorf("the second one: %+v", second)
	}
}

// The answer to a command's last commit may be what was lost when another one took its place: what the topic of jobs says of it counts.
//
// Mutation seen to fail it: reckon that leaves the command's own count as it is.
func TestACommandThatLostItsPlaceCountsACommitWithoutAnAnswer(t *testing.T) {
	s := takenOver(t, 5)
	r, err := s.tool.Execute(t.Context(), Order{Verb: Discard, Selection: Selection{All: true}, Limit: 2}, 0)
	s.must(err)
	reader := s.tool.reader()
	defer reader.Close()
	p, err := s.tool.look(t.Context(), reader)
	s.must(err)
	r.Done, r.Open = 1, 4 // as far as it has heard
	(&move{tool: s.tool, place: p, result: r}).reckon(t.Context(), reader)
	if r.Done != 2 || r.Open != 3 || !r.TakenOver {
		t.Errorf("%+v", r)
	}
}
