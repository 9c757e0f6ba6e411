package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// txnKeys are the requests of a transaction.
var txnKeys = []kmsg.Key{kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.Produce, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.OffsetCommit, kmsg.EndTxn}

// trace notes the requests that concern transactions, in order. A run of produce requests is one line.
func (t *sinkTest) trace() func() []string {
	var mu sync.Mutex
	var lines []string
	for _, key := range txnKeys {
		t.cluster.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			t.cluster.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			line := key.Name()
			switch req := req.(type) {
			case *kmsg.InitProducerIDRequest:
				line += fmt.Sprintf(" epoch=%d", req.ProducerEpoch)
			case *kmsg.AddPartitionsToTxnRequest:
				n := 0
				for _, topic := range req.Topics {
					n += len(topic.Partitions)
				}
				line += fmt.Sprintf(" partitions=%d epoch=%d", n, req.ProducerEpoch)
			case *kmsg.TxnOffsetCommitRequest:
				line += fmt.Sprintf(" group=%s member=%s generation=%d instance=%s", req.Group, req.MemberID, req.Generation, deref(req.InstanceID))
			case *kmsg.EndTxnRequest:
				line += fmt.Sprintf(" commit=%v epoch=%d", req.Commit, req.ProducerEpoch)
			}
			if len(lines) == 0 || lines[len(lines)-1] != line {
				lines = append(lines, line)
			}
			return nil, nil, false
		})
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		got := lines
		lines = nil
		return got
	}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (t *sinkTest) traced(trace func() []string, want ...string) {
	t.Helper()
	if got := trace(); !slices.Equal(got, want) {
		t.Fatalf("requests:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// lose has the broker hang up on the next n requests with that key, until healed. It returns what was lost.
func (t *sinkTest) lose(key kmsg.Key, n int64) (lost <-chan kmsg.Request, heal func()) {
	requests := make(chan kmsg.Request, n)
	var left atomic.Int64
	left.Store(n)
	t.cluster.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
		t.cluster.KeepControl()
		if left.Add(-1) < 0 {
			return nil, nil, false
		}
		requests <- req
		return nil, errCut, true
	})
	return requests, func() { left.Store(0) }
}

var (
	in     = TopicPartition{Topic: "in", Partition: 0}
	member = Member{Group: "g", Generation: -1}
)

// Mutations, each fails: Offsets before Flush; AddPartitionsToTxn for one partition at a time; Commit of nothing talks.
func TestTheOrderOfRequestsInATransaction(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(3, "out"), kfake.SeedTopics(1, "in"))
	trace := test.trace()
	s := test.sink("tx")
	test.traced(trace, "InitProducerID epoch=-1")

	test.ok(s.Commit(t.Context()))
	test.ok(s.Abort(t.Context()))
	test.ok(s.Flush(t.Context()))
	test.ok(s.Offsets(t.Context(), member, nil))
	test.traced(trace)

	m := Member{Group: "g", ID: "", InstanceID: "i", Generation: -1}
	for p := range int32(3) {
		test.append(s, "out", p, "a")
	}
	test.ok(s.Offsets(t.Context(), m, map[TopicPartition]CommittedOffset{in: {Offset: 1}}))
	test.ok(s.Commit(t.Context()))
	test.traced(trace, "AddPartitionsToTxn partitions=3 epoch=0", "Produce", "AddOffsetsToTxn",
		"TxnOffsetCommit group=g member= generation=-1 instance=i", "EndTxn commit=true epoch=0")

	test.ok(s.Offsets(t.Context(), m, map[TopicPartition]CommittedOffset{in: {Offset: 2}}))
	test.ok(s.Commit(t.Context()))
	test.traced(trace, "AddOffsetsToTxn", "TxnOffsetCommit group=g member= generation=-1 instance=i", "EndTxn commit=true epoch=0")

	test.append(s, "out", 0, "dropped")
	test.ok(s.Abort(t.Context()))
	test.traced(trace)
	test.append(s, "out", 0, "aborted")
	test.ok(s.Flush(t.Context()))
	test.ok(s.Abort(t.Context()))
	test.traced(trace, "AddPartitionsToTxn partitions=1 epoch=0", "Produce", "EndTxn commit=false epoch=0")
}

// Partitions of which it is said that they follow are added with those that come first, in that transaction only.
//
// Mutations seen to fail it: coming not looked at; not forgotten when the transaction ends.
func TestWhatFollowsIsAddedToTheTransactionWithTheRest(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(2, "out"))
	trace := test.trace()
	s := test.sink("tx")
	write := func(partitions ...int32) {
		for _, p := range partitions {
			test.append(s, "out", p, "a")
			test.ok(s.Flush(t.Context()))
		}
		test.ok(s.Commit(t.Context()))
	}
	follows := TopicPartition{Topic: "out", Partition: 1}
	s.Coming(follows) // it is not known yet
	write(0, 1)
	test.traced(trace, "InitProducerID epoch=-1", "AddPartitionsToTxn partitions=1 epoch=0", "Produce", "AddPartitionsToTxn partitions=1 epoch=0", "Produce", "EndTxn commit=true epoch=0")
	s.Coming(follows)
	write(0, 1)
	test.traced(trace, "AddPartitionsToTxn partitions=2 epoch=0", "Produce", "EndTxn commit=true epoch=0")
	write(0)
	test.traced(trace, "AddPartitionsToTxn partitions=1 epoch=0", "Produce", "EndTxn commit=true epoch=0")
}

// Mutations: Abort keeps what waits; Abort commits.
func TestWhatIsAbortedIsNeverSeen(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out", "in"))
	s := test.sink("tx")
	for i := range 3 {
		test.append(s, "out", 0, "no", "no")
		test.ok(s.Flush(t.Context()))
		test.append(s, "out", 0, "no")
		test.ok(s.Abort(t.Context()))
		test.append(s, "out", 0, fmt.Sprint(i))
		test.ok(s.Commit(t.Context()))
	}
	test.visible("out", 0, "0", "1", "2")
	if n := len(test.read("out", 0, false)); n != 9 {
		t.Fatalf("%d records written, want 9", n)
	}
}

// Mutations: NewSink does not initialise the producer; the codes of fencing are all taken for abortable.
func TestASecondSinkFencesTheFirstAndEndsItsTransaction(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	for name, use := range map[string]func(s *Sink) error{
		"append": func(s *Sink) error {
			test.append(s, "out", 0, "no")
			// The embedded broker only says that there is no such transaction.
			if err := s.Flush(t.Context()); ClassOf(err) != Abortable {
				return err
			}
			return s.Abort(t.Context())
		},
		"commit": func(s *Sink) error { return s.Commit(t.Context()) },
		"offsets": func(s *Sink) error {
			return s.Offsets(t.Context(), member, map[TopicPartition]CommittedOffset{in: {Offset: 1}})
		},
		"abort": func(s *Sink) error { return s.Abort(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			zombie := test.sink(name)
			test.append(zombie, "out", 0, "no")
			test.ok(zombie.Flush(t.Context()))
			heir := test.sink(name)
			if err := use(zombie); ClassOf(err) != Fenced {
				t.Fatalf("got %v, want fenced", err)
			}
			test.append(heir, "out", 0, "yes")
			test.ok(heir.Commit(t.Context()))
			if err := zombie.Abort(t.Context()); ClassOf(err) != Fenced {
				t.Fatalf("Abort of the zombie: %v", err)
			}
		})
	}
	test.visible("out", 0, "yes", "yes", "yes", "yes")
}

// Mutation: Commit does not ask for a new epoch after a doubtful answer.
func TestALostCommitCannotTouchTheNextTransaction(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	test.append(s, "out", 0, "first")
	lost, _ := test.lose(kmsg.EndTxn, 1)
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.append(s, "out", 0, "second")
	test.ok(s.Flush(t.Context()))
	// Now the first request arrives, late.
	late := (<-lost).(*kmsg.EndTxnRequest)
	if res := test.request(late).(*kmsg.EndTxnResponse); res.ErrorCode == 0 {
		t.Error("the late request was taken")
	}
	test.visible("out", 0, "first")
	test.ok(s.Abort(test.within(10 * time.Second)))
	test.append(s, "out", 0, "third")
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, "first", "third")
}

// Mutations, each fails: renewIfLost does nothing; Commit forgets what was lost before it.
func TestALostRequestIsNotHeardInTheNextTransaction(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit} {
		t.Run(key.Name(), func(t *testing.T) {
			test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out", "in"))
			s := test.sink("tx")
			lost, _ := test.lose(key, 1)
			test.append(s, "out", 0, "first")
			test.ok(s.Offsets(test.within(10*time.Second), member, map[TopicPartition]CommittedOffset{in: {Offset: 1}}))
			test.ok(s.Commit(test.within(10 * time.Second)))
			epoch := s.as.epoch
			test.append(s, "out", 0, "second")
			test.ok(s.Offsets(test.within(10*time.Second), member, map[TopicPartition]CommittedOffset{in: {Offset: 2}}))
			if s.as.epoch == epoch {
				t.Fatal("the epoch was not raised")
			}
			late := <-lost
			late.SetVersion(min(late.MaxVersion(), 3))
			_ = test.request(late)
			test.ok(s.Commit(test.within(10 * time.Second)))
			test.visible("out", 0, "first", "second")
			if got, err := test.client.Committed(t.Context(), "g", []TopicPartition{in}); err != nil || got[in].Offset != 2 {
				t.Fatalf("committed %v, %v, want 2", got, err)
			}
		})
	}
}

// Mutation: Offsets calls renewIfLost, and the second call initialises the producer, which aborts what was flushed.
func TestALostRequestDoesNotEndItsOwnTransaction(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out", "in"))
	s := test.sink("tx")
	test.append(s, "out", 0, "before")
	test.ok(s.Flush(t.Context()))
	test.lose(kmsg.AddOffsetsToTxn, 1)
	test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration})
	if err := s.Offsets(test.within(10*time.Second), member, map[TopicPartition]CommittedOffset{in: {Offset: 1}}); err != ErrStaleGeneration {
		t.Fatalf("got %v", err)
	}
	trace := test.trace()
	test.append(s, "out", 0, "after")
	test.ok(s.Offsets(test.within(10*time.Second), member, map[TopicPartition]CommittedOffset{in: {Offset: 1}}))
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.traced(trace, "Produce", "TxnOffsetCommit group=g member= generation=-1 instance=", "EndTxn commit=true epoch=0")
	test.append(s, "out", 0, "next")
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.traced(trace, "InitProducerID epoch=0", "AddPartitionsToTxn partitions=1 epoch=1", "Produce", "EndTxn commit=true epoch=1")
	test.visible("out", 0, "before", "after", "next")
}

// Mutation: committed gives Retriable when an earlier try may have taken effect; Abort takes INVALID_TXN_STATE for an
// error.
func TestACommitWithoutAnAnswerIsIndefinite(t *testing.T) {
	for _, done := range []bool{false, true} {
		t.Run(fmt.Sprintf("done=%v", done), func(t *testing.T) {
			test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
			s := test.sink("tx")
			test.append(s, "out", 0, "maybe")
			test.ok(s.Flush(t.Context()))
			_, heal := test.lose(kmsg.EndTxn, 1000)
			if err := s.Commit(test.within(100 * time.Millisecond)); ClassOf(err) != Indefinite || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v, want indefinite", err)
			}
			heal()
			want := []string{"after"}
			if done {
				want = []string{"maybe", "after"}
				if res := test.request(endTxn(s, true)).(*kmsg.EndTxnResponse); res.ErrorCode != 0 {
					t.Fatal(kerr.ErrorForCode(res.ErrorCode))
				}
			}
			test.ok(s.Abort(test.within(10 * time.Second)))
			test.append(s, "out", 0, "after")
			test.ok(s.Commit(test.within(10 * time.Second)))
			test.visible("out", 0, want...)
		})
	}
}

func endTxn(s *Sink, commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 3, s.coord.id, s.as.id, s.as.epoch, commit
	return req
}

// Mutation: committed gives Indefinite for every error.
func TestACommitThatWasNeverSentIsRetriable(t *testing.T) {
	cfg := fastConfig()
	cfg.RetryBackoff, cfg.RetryBackoffMax = time.Minute, time.Minute // so that the time runs out between two requests
	test := newSinkTest(t, cfg, kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	test.append(s, "out", 0, "no")
	test.ok(s.Flush(t.Context()))
	fault := test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress, Count: -1})
	if err := s.Commit(test.within(999 * time.Millisecond)); ClassOf(err) != Retriable { // within prolongs a second and more
		t.Fatalf("got %v, want retriable", err)
	}
	fault.Remove()
	test.ok(s.Abort(test.within(10 * time.Second)))
	test.append(s, "out", 0, "yes")
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, "yes")
}

// Mutation: Abort does not raise the epoch.
func TestAbortEndsATransactionWhoseBeginningWasLost(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	lost, heal := test.lose(kmsg.AddPartitionsToTxn, 1000)
	test.append(s, "out", 0, "no")
	if err := s.Flush(test.within(100 * time.Millisecond)); ClassOf(err) != Retriable {
		t.Fatalf("got %v, want retriable", err)
	}
	test.ok(s.Abort(test.within(10 * time.Second)))
	late := (<-lost).(*kmsg.AddPartitionsToTxnRequest)
	heal()
	if late.ProducerEpoch >= s.as.epoch {
		t.Fatalf("epoch is still %d", s.as.epoch)
	}
	if res := test.request(late).(*kmsg.AddPartitionsToTxnResponse); res.Topics[0].Partitions[0].ErrorCode == 0 {
		t.Fatal("the late request was taken")
	}
	test.append(s, "out", 0, "yes")
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, "yes")
}

// staleCodes say that the group has a newer generation.
var staleCodes = []*kerr.Error{kerr.IllegalGeneration, kerr.RebalanceInProgress, kerr.StaleMemberEpoch}

// Mutations: ErrStaleGeneration makes the sink fail; a row of coordinatorAnswers that is stale left out.
func TestAStaleGenerationLeavesTheTransactionUnharmed(t *testing.T) {
	for _, id := range []string{"tx", ""} {
		for _, code := range staleCodes {
			t.Run(id+code.Message, func(t *testing.T) {
				test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out", "in"))
				s := test.sink(id)
				test.append(s, "out", 0, "a")
				test.ok(s.Flush(t.Context()))
				test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.OffsetCommit}, Err: code})
				offsets := map[TopicPartition]CommittedOffset{in: {Offset: 1}}
				if err := s.Offsets(t.Context(), member, offsets); err != ErrStaleGeneration {
					t.Fatalf("got %v", err)
				}
				test.ok(s.Offsets(t.Context(), member, offsets))
				test.ok(s.Commit(t.Context()))
				test.visible("out", 0, "a")
				if got, err := test.client.Committed(t.Context(), "g", []TopicPartition{in}); err != nil || got[in].Offset != 1 {
					t.Fatalf("committed %v, %v", got, err)
				}
			})
		}
	}
}

// Mutations, each fails: verdict gives Abortable, or Fatal, for codes that it does not know; a row of coordinatorAnswers left out,
// but for those whose remedy commitOffsets words itself.
func TestAnswersToTransactionalRequestsHaveTheirClass(t *testing.T) {
	tried := map[sarama.KError]bool{
		sarama.ErrUnknownTopicOrPartition: true, // is waited for; its remedy is that of commitOffsets
	}
	for _, code := range staleCodes {
		tried[sarama.KError(code.Code)] = true
	}
	for _, c := range []struct {
		key  kmsg.Key
		err  *kerr.Error
		want Class
	}{
		{kmsg.AddPartitionsToTxn, kerr.TransactionalIDAuthorizationFailed, Blocked},
		{kmsg.AddPartitionsToTxn, kerr.TopicAuthorizationFailed, Blocked},
		{kmsg.AddPartitionsToTxn, &kerr.Error{Code: 1234, Message: "NOBODY_KNOWS"}, Blocked},
		{kmsg.AddOffsetsToTxn, kerr.GroupAuthorizationFailed, Blocked},
		{kmsg.TxnOffsetCommit, kerr.TopicAuthorizationFailed, Blocked},
		{kmsg.TxnOffsetCommit, kerr.InvalidCommitOffsetSize, Fatal},
		{kmsg.FindCoordinator, kerr.GroupAuthorizationFailed, Blocked},
		{kmsg.AddPartitionsToTxn, kerr.ProducerFenced, Fenced},
		{kmsg.AddPartitionsToTxn, kerr.InvalidProducerEpoch, Fenced},
		{kmsg.AddPartitionsToTxn, kerr.InvalidProducerIDMapping, Fenced},
		{kmsg.AddPartitionsToTxn, kerr.InvalidTxnState, Abortable},
		{kmsg.Produce, kerr.InvalidProducerEpoch, Fenced},
		{kmsg.Produce, kerr.InvalidTxnState, Abortable},
		{kmsg.Produce, kerr.ClusterAuthorizationFailed, Blocked},
		{kmsg.TxnOffsetCommit, kerr.UnknownMemberID, Fenced},
		{kmsg.TxnOffsetCommit, kerr.FencedInstanceID, Fenced},
		{kmsg.TxnOffsetCommit, kerr.GroupAuthorizationFailed, Blocked},
		{kmsg.EndTxn, kerr.ProducerFenced, Fenced},
		{kmsg.EndTxn, kerr.InvalidTxnState, Abortable},
		{kmsg.EndTxn, kerr.UnknownServerError, Indefinite},
		{kmsg.EndTxn, kerr.TransactionalIDAuthorizationFailed, Blocked},
		{kmsg.EndTxn, &kerr.Error{Code: 1234, Message: "NOBODY_KNOWS"}, Blocked},
		{kmsg.TxnOffsetCommit, &kerr.Error{Code: 1234, Message: "NOBODY_KNOWS"}, Blocked},
		{kmsg.AddOffsetsToTxn, kerr.UnknownProducerID, Abortable},
		{kmsg.AddOffsetsToTxn, kerr.UnknownServerError, Abortable},
		{kmsg.AddOffsetsToTxn, kerr.TransactionAbortable, Abortable},
		{kmsg.TxnOffsetCommit, kerr.FencedMemberEpoch, Fenced},
		{kmsg.AddOffsetsToTxn, kerr.InvalidTransactionTimeout, Fatal},
		{kmsg.AddOffsetsToTxn, kerr.UnsupportedVersion, Fatal},
		{kmsg.AddOffsetsToTxn, kerr.InvalidGroupID, Fatal},
		{kmsg.TxnOffsetCommit, kerr.OffsetMetadataTooLarge, Fatal},
		{kmsg.AddOffsetsToTxn, kerr.ClusterAuthorizationFailed, Blocked},
	} {
		tried[sarama.KError(c.err.Code)] = true
		t.Run(c.key.Name()+" "+c.err.Message, func(t *testing.T) {
			test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out", "in"))
			s := test.sink("tx")
			top := c.key == kmsg.EndTxn
			test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{c.key}, TopLevel: top, Err: c.err})
			test.append(s, "out", 0, "a")
			err := s.Offsets(test.within(10*time.Second), member, map[TopicPartition]CommittedOffset{in: {Offset: 1}})
			if err == nil {
				err = s.Commit(test.within(10 * time.Second))
			}
			if err == nil || ClassOf(err) != c.want || !errors.Is(err, error(sinkCode(c.err))) {
				t.Fatalf("got %v (%v), want %v", err, ClassOf(err), c.want)
			}
			if b, ok := errors.AsType[*BlockedError](err); ok && strings.HasPrefix(b.Remedy, "see the log") != (c.err.Code == 1234) {
				t.Errorf("the remedy is to %s", b.Remedy)
			}
			if c.want != Fenced || c.key == kmsg.TxnOffsetCommit {
				test.ok(s.Abort(test.within(10 * time.Second)))
				test.append(s, "out", 0, "b")
				test.ok(s.Commit(test.within(10 * time.Second)))
				test.visible("out", 0, "b")
			}
		})
	}
	for code := range coordinatorAnswers {
		if !tried[code] {
			t.Errorf("%v is not tried", code)
		}
	}
}

// Mutation: renew returns no producer when it fails.
func TestARenewalThatFailsCanBeDoneAgain(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	for _, id := range []string{"tx", ""} {
		s := test.sink(id)
		s.txn.renew = true
		fault := test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.InitProducerID}, TopLevel: true, Err: kerr.CoordinatorLoadInProgress, Count: -1})
		test.append(s, "out", 0, "no")
		if err := s.Flush(test.within(50 * time.Millisecond)); ClassOf(err) != Retriable {
			t.Fatalf("got %v, want retriable", err)
		}
		if err := s.Abort(test.within(50 * time.Millisecond)); ClassOf(err) != Retriable {
			t.Fatalf("got %v, want retriable", err)
		}
		fault.Remove()
		test.ok(s.Abort(test.within(10 * time.Second)))
		test.append(s, "out", 0, "yes")
		test.ok(s.Commit(test.within(10 * time.Second)))
	}
	test.visible("out", 0, "yes", "yes")
}

// Mutation: Abort returns the error of a fenced sink at once.
func TestAFencedMemberStillEndsItsTransaction(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out", "in"))
	s := test.sink("tx")
	test.append(s, "out", 0, "no")
	test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID})
	if err := s.Offsets(t.Context(), member, map[TopicPartition]CommittedOffset{in: {Offset: 1}}); ClassOf(err) != Fenced {
		t.Fatalf("got %v, want fenced", err)
	}
	trace := test.trace()
	test.ok(s.Abort(t.Context()))
	test.traced(trace, "EndTxn commit=false epoch=0", "InitProducerID epoch=0")
	test.visible("out", 0)
}

// Mutation: soon waits as long as the back-off.
func TestTheMarkersOfTheTransactionBeforeAreWaitedForBriefly(t *testing.T) {
	cfg := fastConfig()
	cfg.RetryBackoff, cfg.RetryBackoffMax = time.Minute, time.Minute
	test := newSinkTest(t, cfg, kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Err: kerr.ConcurrentTransactions, Count: 5})
	test.append(s, "out", 0, "a")
	test.ok(s.Commit(test.within(5 * time.Second)))
	test.visible("out", 0, "a")
}

// Mutation: dispatch gives up batches because of the transaction's age, as Retriable; doing the work again would then
// take as long again, for ever.
func TestATransactionThatTookTooLongFences(t *testing.T) {
	cfg := fastConfig()
	cfg.Sink.TransactionTimeout = 300 * time.Millisecond
	test := newSinkTest(t, cfg, kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	ctx := test.within(20 * time.Second)
	var err error
	for err == nil {
		test.append(s, "out", 0, "no")
		if err = s.Flush(ctx); err == nil {
			<-time.After(50 * time.Millisecond)
		}
	}
	if ClassOf(err) != Fenced && ClassOf(err) != Abortable {
		t.Fatalf("got %v (%v)", err, ClassOf(err))
	}
	if err := s.Abort(ctx); ClassOf(err) != Fenced {
		t.Fatalf("Abort: got %v, want fenced", err)
	}
	heir := test.sink("tx")
	test.append(heir, "out", 0, "yes")
	test.ok(heir.Commit(ctx))
	test.visible("out", 0, "yes")
}

// An offset is committed with the epoch of the record before it and with what its committer adds, in a transaction and
// without one, and comes back with both.
//
// Mutations tried: the epoch -1 in txnOffsets; no metadata in plainOffsets; the block's epoch left out of committedOnce.
func TestAnOffsetIsCommittedWithItsEpochAndMetadata(t *testing.T) {
	for _, id := range []string{"t", ""} {
		test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "in"))
		s := test.sink(id)
		want := map[TopicPartition]CommittedOffset{
			{Topic: "in", Partition: 0}: {Offset: 7, LeaderEpoch: 3, Metadata: "weir1:xyz"},
		}
		test.ok(s.Offsets(test.within(10*time.Second), Member{Group: "g", Generation: -1}, want))
		test.ok(s.Commit(test.within(10 * time.Second)))
		for _, read := range []func(context.Context, string, []TopicPartition) (map[TopicPartition]CommittedOffset, error){test.client.Committed, test.client.CommittedNow} {
			got, err := read(test.within(10*time.Second), "g", []TopicPartition{{Topic: "in", Partition: 0}})
			test.ok(err)
			if !maps.Equal(got, want) {
				t.Errorf("transactional id %q: committed %v, want %v", id, got, want)
			}
		}
	}
}

// A sink that a command leaves ends what it has open, also where what the command waited for was interrupted, and asks nothing of the cluster where nothing is open, or the
// transactional id is another one's.
//
// Mutations, each seen to fail it: Leave that only closes; that looks at nothing before it aborts.
func TestASinkThatIsLeftEndsItsTransaction(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	trace := test.trace()
	s := test.sink("tx")
	test.append(s, "out", 0, "never sent")
	trace()
	test.ok(s.Leave())
	test.traced(trace)

	s = test.sink("tx")
	test.append(s, "out", 0, "sent")
	test.ok(s.Flush(t.Context()))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	test.append(s, "out", 0, "interrupted")
	if err := s.Commit(ended); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	trace()
	test.ok(s.Leave())
	if got := trace(); !slices.Contains(got, "EndTxn commit=false epoch=1") {
		t.Errorf("requests: %q", got)
	}
	test.visible("out", 0)

	s = test.sink("tx")
	test.append(s, "out", 0, "fenced")
	test.ok(s.Flush(t.Context()))
	other := test.sink("tx")
	if err := s.Commit(t.Context()); ClassOf(err) != Fenced {
		t.Fatal(err)
	}
	trace()
	test.ok(s.Leave())
	test.traced(trace)
	test.append(other, "out", 0, "theirs")
	test.ok(other.Commit(t.Context()))
	test.visible("out", 0, "theirs")
}
