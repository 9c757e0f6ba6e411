package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Mutations: refuseTooLarge ignores max.message.bytes, or max.request.size, or buffer.memory; room waits for a record that
// never fits; refuseTooLarge names only the first limit.
func TestARecordOverALimitIsRefusedAloneByAppend(t *testing.T) {
	for _, c := range []struct {
		limits          string
		message         string
		request, memory int
		size            int
	}{
		{"max.message.bytes", "1000", 0, 0, 950},
		{"max.request.size", "1048588", 2000, 0, 1950},
		{"buffer.memory", "1048588", 0, 2000, 2000},
		{"max.request.size, max.message.bytes", "1000", 1000, 0, 950},
		{"max.request.size, buffer.memory, max.message.bytes", "1000", 1000, 1000, 950},
		{"max.request.size, max.message.bytes", "16777216", 0, 0, 16 << 20}, // by default
	} {
		t.Run(c.limits, func(t *testing.T) {
			cfg := fastConfig()
			cfg.Sink.MaxRequestSize, cfg.Sink.BufferMemory = c.request, c.memory
			test := newSinkTest(t, cfg)
			test.ok(test.cluster.CreateTopic("out", 1, map[string]string{"max.message.bytes": c.message}))
			s := test.sink("tx")
			test.append(s, "out", 0, "before")
			big := text("out", 0, string(make([]byte, c.size)))
			big.Origin = 42
			var refused *RefusedError
			if err := s.Append(big); !errors.As(err, &refused) || refused.Origin != 42 || refused.TopicPartition != big.TopicPartition {
				t.Fatalf("got %v, want a refusal of 42", err)
			}
			if got := strings.Join(refused.Limits, ", "); got != c.limits {
				t.Errorf("over %s, want %s", got, c.limits)
			}
			for _, limit := range refused.Limits {
				if !strings.Contains(refused.Error(), limit+" allows ") {
					t.Errorf("%q does not name %s", refused, limit)
				}
			}
			fits := string(make([]byte, c.size-80))
			test.append(s, "out", 0, fits, "after")
			test.ok(s.Commit(test.within(10 * time.Second)))
			test.visible("out", 0, "before", fits, "after")
		})
	}
}

// A limit that the client cannot know of, or that is measured after compression, is named from the broker's answer.
//
// Mutation: the refusal of refusal has no Limits, or has them for any answer.
func TestARecordThatTheBrokerFindsTooLargeIsRefusedWithTheLimit(t *testing.T) {
	for code, want := range map[*kerr.Error]string{
		kerr.MessageTooLarge:    "[max.message.bytes]",
		kerr.RecordListTooLarge: "[segment.bytes]",
		kerr.InvalidRecord:      "[]",
	} {
		test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
		test.poison(code, false)
		s := test.sink("tx")
		test.append(s, "out", 0, "1", "2", "poison", "4")
		var refused *RefusedError
		if err := s.Flush(test.within(10 * time.Second)); !errors.As(err, &refused) || fmt.Sprint(refused.Limits) != want {
			t.Errorf("%v: got %v, over %v, want %s", code, err, refused, want)
		}
	}
}

// Mutations: round fills requests up to max.request.size; a batch over fullRequest is never sent.
func TestLargeRecordsAreAllowedAndRequestsAreNotFilledWithThem(t *testing.T) {
	test := newSinkTest(t, fastConfig())
	test.ok(test.cluster.CreateTopic("out", 8, map[string]string{"max.message.bytes": "16777216"}))
	s := test.sink("tx")
	var several, alone int // the largest request with batches of several partitions, and with one
	test.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		test.cluster.KeepControl()
		batches, size := 0, 0
		for _, topic := range req.(*kmsg.ProduceRequest).Topics {
			for _, p := range topic.Partitions {
				batches, size = batches+1, size+len(p.Records)
			}
		}
		if batches > 1 {
			several = max(several, size)
		} else {
			alone = max(alone, size)
		}
		return nil, nil, false
	})
	large := string(make([]byte, 3<<20))
	// First what is asked for before the first request, so that then all batches can go at once.
	for _, size := range []int{1, 300 << 10, 200 << 10} {
		for i := range 8 {
			test.append(s, "out", int32(i), string(make([]byte, size)))
		}
		if size == 200<<10 {
			test.append(s, "out", 3, large)
		}
		test.ok(s.Flush(test.within(20 * time.Second)))
	}
	test.ok(s.Commit(test.within(20 * time.Second)))
	if several < 500<<10 || several > 1<<20 || alone < len(large) {
		t.Errorf("requests of up to %d bytes with several batches, of %d with one", several, alone)
	}
}

// Mutation: a batch that is too large is sent again as it is; the halves get new numbers.
func TestABatchThatBecameTooLargeIsSplit(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	test.append(s, "out", 0, "first")
	test.ok(s.Flush(t.Context()))
	value := "400"
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	alter.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "out",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "max.message.bytes", Value: &value}}}}
	test.request(alter)
	test.append(s, "out", 0, numbers(0, 200)...)
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, append([]string{"first"}, numbers(0, 200)...)...)
	test.ok(s.wait(test.within(10*time.Second), "learn the new limit", func() bool { return !s.curious }))
	var refused *RefusedError
	if err := s.Append(text("out", 0, string(make([]byte, 500)))); !errors.As(err, &refused) {
		t.Fatalf("got %v, want a refusal", err)
	}
}

// An operator who raises the limit of a topic helps the very next record, without a restart, also when the limit was looked up
// a moment before, and when it was being looked up meanwhile.
//
// Mutations: refreshLimits does nothing; setLimits believes whatever comes.
func TestARaisedLimitOfATopicIsNoticedBeforeARecordIsRefused(t *testing.T) {
	test := newSinkTest(t, fastConfig())
	test.ok(test.cluster.CreateTopic("out", 1, map[string]string{"max.message.bytes": "400"}))
	s := test.sink("tx")
	large := string(make([]byte, 500))
	var refused *RefusedError
	if err := s.Append(text("out", 0, large)); !errors.As(err, &refused) {
		t.Fatalf("got %v, want a refusal", err)
	}
	value := "10000"
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	alter.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: "out",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "max.message.bytes", Value: &value}}}}
	test.request(alter)
	test.append(s, "out", 0, large)
	s.setLimits(s.topics["out"], 400, time.Now().Add(-time.Minute)) // the answer to a question of before is late
	test.append(s, "out", 0, large)
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, large, large)
	wanted := s.topics["out"]
	wanted.wanted = time.Now()
	if s.setLimits(wanted, 400, wanted.wanted.Add(-1)); wanted.known {
		t.Error("an answer to an earlier question is believed")
	}
}

// poison makes the cluster refuse batches that hold the value "poison", as a broker does that validates records.
func (t *sinkTest) poison(code *kerr.Error, named bool) {
	t.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		t.cluster.KeepControl()
		produce := req.(*kmsg.ProduceRequest)
		res := produce.ResponseKind().(*kmsg.ProduceResponse)
		found := false
		for _, topic := range produce.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic = topic.Topic
			for _, p := range topic.Partitions {
				var b kmsg.RecordBatch
				if err := b.ReadFrom(p.Records); err != nil {
					t.Error(err)
				}
				records, err := kfake.BatchRecords(b)
				if err != nil {
					t.Error(err)
				}
				at := slices.IndexFunc(records, func(r kmsg.Record) bool { return string(r.Value) == "poison" })
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition = p.Partition
				// A real broker would take the other partitions' batches. Here they are to be sent again.
				rp.ErrorCode = kerr.NotEnoughReplicas.Code
				if at >= 0 {
					found = true
					rp.ErrorCode = code.Code
					if named {
						e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
						e.RelativeOffset = int32(at)
						rp.ErrorRecords = append(rp.ErrorRecords, e)
					}
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			res.Topics = append(res.Topics, rt)
		}
		return res, nil, found
	})
}

// Mutations, each fails: refusal takes the first record of the batch; Abort does not initialise the producer again.
func TestARefusedRecordIsNamedAmongItsNeighbours(t *testing.T) {
	for _, named := range []bool{true, false} {
		for _, id := range []string{"tx", ""} {
			t.Run(fmt.Sprintf("named=%v,id=%s", named, id), func(t *testing.T) {
				test := newSinkTest(t, fastConfig(), kfake.SeedTopics(2, "out"))
				test.poison(kerr.InvalidRecord, named)
				s := test.sink(id)
				all := append(append(numbers(0, 30), "poison"), numbers(31, 50)...)
				for i, v := range all {
					r := text("out", 0, v)
					r.Origin = int64(1000 + i)
					test.ok(s.Append(r))
					test.append(s, "out", 1, strconv.Itoa(i))
				}
				err := s.Flush(test.within(10 * time.Second))
				var refused *RefusedError
				if !errors.As(err, &refused) || refused.Origin != 1030 || refused.TopicPartition != (TopicPartition{Topic: "out", Partition: 0}) || !errors.Is(err, error(refused.Err)) {
					t.Fatalf("got %v, want a refusal of 1030", err)
				}
				if again := s.Append(text("out", 0, "x")); again != err {
					t.Fatalf("Append before Abort answers %v", again)
				}
				test.ok(s.Abort(test.within(10 * time.Second)))
				good := append(numbers(0, 30), numbers(31, 50)...)
				test.append(s, "out", 0, good...)
				test.ok(s.Commit(test.within(10 * time.Second)))
				if id != "" { // without a transaction what was written before the refusal stays
					test.visible("out", 0, good...)
				}
			})
		}
	}
}

// Mutations: unknownTopic never blocks, which fails without a transaction; nor does join, which fails with one; a topic that
// is known to be away is waited for as long as the first time.
func TestATopicThatIsNotThereBlocks(t *testing.T) {
	t.Run("in a transaction", func(t *testing.T) { absentTopic(t, "tx") })
	t.Run("without", func(t *testing.T) { absentTopic(t, "") })
}

func absentTopic(t *testing.T, id string) {
	test := newSinkTest(t, fastConfig())
	s := test.sink(id)
	s.limits.grace, s.coord.grace = 50*time.Millisecond, 50*time.Millisecond
	if id != "" {
		s.limits.grace = time.Hour
	}
	for range 2 {
		r := text("nowhere", 0, "v")
		r.Origin = 7
		test.ok(s.Append(r))
		var blocked *BlockedError
		if err := s.Flush(test.within(10 * time.Second)); !errors.As(err, &blocked) || blocked.Origin != 7 || blocked.TopicPartition != (TopicPartition{Topic: "nowhere", Partition: 0}) || !strings.Contains(blocked.Remedy, "make topic nowhere again") {
			t.Fatalf("got %v, want one that says that nowhere/0 is blocked", err)
		}
		test.ok(s.Abort(test.within(10 * time.Second)))
		s.limits.grace, s.coord.grace = time.Hour, time.Hour
	}
	test.ok(test.cluster.CreateTopic("nowhere", 1, nil))
	test.append(s, "nowhere", 0, "now")
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.visible("nowhere", 0, "now")
}

// What is blocked is the partition, the topic or everything, as the code says; the rest can be written after Abort.
//
// Mutations: block without the -1 of a topic; batchAnswered without default.
func TestABlockedErrorSaysHowFarItReaches(t *testing.T) {
	for code, want := range map[*kerr.Error]TopicPartition{
		kerr.TopicAuthorizationFailed:         {Topic: "out", Partition: -1},
		kerr.PolicyViolation:                  {Topic: "out", Partition: -1},
		kerr.ClusterAuthorizationFailed:       {Topic: "", Partition: -1},
		kerr.UnknownServerError:               {Topic: "out", Partition: 1},
		kerr.InvalidReplicaAssignment:         {Topic: "out", Partition: 1}, // no answer to a produce request
		{Code: 1234, Message: "NOBODY_KNOWS"}: {Topic: "out", Partition: 1},
	} {
		t.Run(code.Message, func(t *testing.T) {
			test := newSinkTest(t, fastConfig(), kfake.SeedTopics(2, "out"))
			s := test.sink("tx")
			test.append(s, "out", 0, "a")
			test.ok(s.Flush(t.Context()))
			test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: code})
			test.append(s, "out", 1, "b")
			blocked, ok := errors.AsType[*BlockedError](s.Flush(test.within(10 * time.Second)))
			if !ok || blocked.TopicPartition != want || ClassOf(blocked) != Blocked || blocked.Remedy == "" {
				t.Fatalf("got %+v, want %v", blocked, want)
			}
			test.ok(s.Abort(test.within(10 * time.Second)))
			test.append(s, "out", 0, "c")
			test.ok(s.Commit(test.within(10 * time.Second)))
			test.visible("out", 0, "c")
		})
	}
}

// Too few replicas for longer than delivery.timeout.ms is nobody's fault but the cluster's, and of every partition that is
// concerned. The next try is short.
//
// Mutations: expired without block; block without Also; postpone without stuck.
func TestWhatCannotBeDeliveredInTimeBlocksItsPartitions(t *testing.T) {
	cfg := fastConfig()
	test := newSinkTest(t, cfg, kfake.SeedTopics(3, "out"))
	s := test.sink("tx")
	s.limits.delivery = 500 * time.Millisecond
	fault := test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	for range 2 {
		for p := range int32(3) {
			test.append(s, "out", p, "no")
		}
		blocked, ok := errors.AsType[*BlockedError](s.Flush(test.within(10 * time.Second)))
		if !ok || blocked.Topic != "out" || !strings.Contains(blocked.Remedy, "min.insync.replicas") {
			t.Fatalf("got %+v", blocked)
		}
		if s.limits.delivery < time.Minute && len(blocked.Also) != 2 {
			t.Errorf("blocked: %v and %v", blocked.TopicPartition, blocked.Also)
		}
		test.ok(s.Abort(test.within(10 * time.Second)))
		s.limits.delivery = time.Hour // the second try does not wait for it
	}
	fault.Remove()
	test.append(s, "out", 0, "yes")
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, "yes")
}

// A topic that was missing, and is there again, is asked for its id before anything is written to it: in the new one of a
// changelog the state would begin with the next change.
//
// Mutation seen to fail this test: block leaves the leaders as they are (the new topic takes the record).
func TestATopicThatWasMissingIsLookedAtBeforeItIsWrittenTo(t *testing.T) {
	for _, id := range []string{"tx", ""} {
		test := newSinkTest(t, fastConfig(), kfake.SeedTopics(2, "out"))
		s := test.sink(id)
		s.limits.grace = 0
		s.coord.grace = 0
		test.append(s, "out", 0, "a")
		test.append(s, "out", 1, "a")
		test.ok(s.Commit(test.within(10 * time.Second)))
		test.ok(test.cluster.DeleteTopic("out"))
		test.append(s, "out", 0, "b")
		if blocked, ok := errors.AsType[*BlockedError](s.Flush(test.within(10 * time.Second))); !ok || !blocked.Missing() {
			t.Fatalf("%q: got %v", id, blocked)
		}
		test.ok(s.Abort(test.within(10 * time.Second)))
		test.ok(test.cluster.CreateTopic("out", 2, nil))
		test.append(s, "out", 1, "b") // the other partition
		if _, ok := errors.AsType[*OutputRecreatedError](s.Flush(test.within(10 * time.Second))); !ok {
			t.Errorf("%q: the new topic was written to as if it were the former one", id)
		}
	}
}

// So it is when the topic was away for a moment only, and the request that adds it to the transaction was repeated meanwhile.
//
// Mutation seen to fail this test: joined is not told that a topic was absent.
func TestATopicThatWasMissingForAMomentIsLookedAt(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	test.append(s, "out", 0, "a")
	test.ok(s.Commit(test.within(10 * time.Second)))
	fault := test.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Topic: "out", Err: kerr.UnknownTopicOrPartition, Count: 2})
	test.ok(test.cluster.DeleteTopic("out"))
	test.ok(test.cluster.CreateTopic("out", 1, nil))
	test.append(s, "out", 0, "b")
	if err := s.Flush(test.within(10 * time.Second)); fault.Hits() != 2 {
		t.Fatalf("%d requests met the fault: %v", fault.Hits(), err)
	} else if _, ok := errors.AsType[*OutputRecreatedError](err); !ok {
		t.Errorf("the new topic was written to as if it were the former one: %v", err)
	}
}

// A transaction that has written to a topic that is then recreated is done again, whole, into the new one.
//
// Mutation: identify without fail: the first record is missing.
func TestAnOutputThatIsRecreatedIsNoticed(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	s := test.sink("tx")
	test.append(s, "out", 0, "a")
	test.ok(s.Flush(t.Context()))
	test.ok(test.cluster.DeleteTopic("out"))
	test.append(s, "out", 0, "b")
	s.sealAll()
	test.ok(s.wait(test.within(10*time.Second), "hear that it is gone", func() bool { return s.parts[TopicPartition{Topic: "out", Partition: 0}].cause != nil }))
	test.ok(test.cluster.CreateTopic("out", 1, nil))
	err := s.Flush(test.within(10 * time.Second))
	recreated, ok := errors.AsType[*OutputRecreatedError](err)
	if !ok || recreated.Topic != "out" || recreated.Old == recreated.New || ClassOf(err) != Abortable {
		t.Fatalf("got %v", err)
	}
	if end := s.End(TopicPartition{Topic: "out", Partition: 0}); end != -1 {
		t.Errorf("the new topic is said to end at %d", end)
	}
	test.ok(s.Abort(test.within(10 * time.Second)))
	test.append(s, "out", 0, "a", "b")
	test.ok(s.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, "a", "b")
}

// A topic that was recreated before the sink has written to it at all is noticed where the former one was expected.
//
// Mutation seen to fail this test: Expect that does nothing.
func TestATopicThatIsNotTheExpectedOneIsNotWrittenTo(t *testing.T) {
	test := newSinkTest(t, fastConfig(), kfake.SeedTopics(1, "out"))
	expected := func() string {
		infos, err := test.client.Topics(t.Context(), []string{"out"})
		test.ok(err)
		return infos["out"].ID
	}
	s := test.sink("tx")
	s.Expect("out", expected())
	test.ok(test.cluster.DeleteTopic("out"))
	test.ok(test.cluster.CreateTopic("out", 1, nil))
	test.append(s, "out", 0, "a")
	if _, ok := errors.AsType[*OutputRecreatedError](s.Flush(test.within(10 * time.Second))); !ok {
		t.Fatal("the new topic was written to as if it were the former one")
	}
	again := test.sink("tx")
	again.Expect("out", expected())
	test.append(again, "out", 0, "a")
	test.ok(again.Commit(test.within(10 * time.Second)))
	test.visible("out", 0, "a")
}
