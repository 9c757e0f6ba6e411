package registry

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/evolution"
	"github.com/weirstream/weir/internal/kafka"
	client "github.com/weirstream/weir/registry"
)

// damage has the broker answer whoever reads at an offset with a batch whose checksum is wrong, until it is mended.
func (r *rig) damage(at int64) (mend func()) {
	var mended atomic.Bool
	r.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		if mended.Load() {
			r.broker.Cluster().DropControl()
			return nil, nil, false
		}
		r.broker.Cluster().KeepControl()
		req := kreq.(*kmsg.FetchRequest)
		res := req.ResponseKind().(*kmsg.FetchResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewFetchResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for n := range rt.Partitions {
				rp := &rt.Partitions[n]
				rp.PartitionMaxBytes = 1 // one batch, so that every offset is asked for
				if rp.FetchOffset != at {
					return nil, nil, false
				}
				sp := kmsg.NewFetchResponseTopicPartition()
				sp.Partition, sp.HighWatermark, sp.LastStableOffset = rp.Partition, at+1, at+1
				batch := kmsg.RecordBatch{FirstOffset: at, Magic: 2, Length: 49, CRC: 1}
				sp.RecordBatches = batch.AppendTo(nil)
				st.Partitions = append(st.Partitions, sp)
			}
			res.Topics = append(res.Topics, st)
		}
		return res, nil, len(req.Topics) > 0
	})
	return func() { mended.Store(true) }
}

func halted(l *Log) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var halted *haltedError
	return errors.As(l.failure, &halted)
}

// export writes everything that a registry has, as weir schema export does.
func export(t *testing.T, r *Registry) (int, error) {
	t.Helper()
	server := httptest.NewServer(r)
	defer server.Close()
	asked, err := client.New(client.Config{URLs: []string{server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer asked.Close()
	n, _, err := (&evolution.Tool{Client: asked}).Export(t.Context(), io.Discard, nil)
	return n, err
}

// A damaged batch stops changes and leaves reads. What it may hold is not said to be missing, and the ids in it are not given to others,
// whether it can be read later or the topic is recreated without it. What is there can be exported.
//
// Mutations seen to fail it: halt that has nothing loaded afterwards; load without skipIDs;
// an export that asks for live versions of deleted subjects.
func TestADamagedBatchStopsChangesAndLeavesReads(t *testing.T) {
	for _, end := range []string{"mended", "recreated"} {
		t.Run(end, func(t *testing.T) {
			rig := newRig(t)
			log, r := rig.open()
			if got := ask(r, "POST", "/subjects/s/versions", `{"schema":"\"int\""}`); !strings.Contains(got, `"id":1`) {
				t.Fatal(got)
			}
			ask(r, "POST", "/subjects/old/versions", `{"schema":"\"int\""}`)
			ask(r, "DELETE", "/subjects/old", "")
			log.mu.Lock()
			at := log.state.next
			log.mu.Unlock()
			mend := rig.damage(at)
			until(t, func() bool { return halted(log) })
			if err := rig.write(t.Context(), `{"keytype":"SCHEMA","subject":"theirs","version":1,"magic":1}`, `{"subject":"theirs","version":1,"id":2,"schema":"\"long\""}`); err != nil {
				t.Fatal(err)
			}
			says := []string{`"error_code":50001`, "topic _schemas, partition 0,", fmt.Sprintf("from offset %d", at), "Restore the partition's log", "nothing is changed", "do not restart this server"}
			for question, want := range map[string][]string{
				"GET /schemas/ids/1/schema":       {`"int"`},
				"GET /subjects":                   {`["s"]`},
				"GET /subjects/s/versions/latest": {`"id":1`},
				"GET /config/s":                   {`40408`},
				"GET /schemas/ids/2/schema":       says,
				"POST /subjects/new/versions":     says,
				"PUT /config/s":                   says,
				"DELETE /subjects/s":              says,
				"DELETE /subjects/s/versions/1":   says,
			} {
				body := `{"schema":"\"float\"","compatibility":"NONE"}`
				method, path, _ := strings.Cut(question, " ")
				got := ask(r, method, path, body)
				for _, part := range want {
					if !strings.Contains(got, part) {
						t.Errorf("%s: %s, want %s", question, got, part)
					}
				}
			}
			if n, err := export(t, r); n != 2 || err != nil {
				t.Errorf("%d schemas are exported: %v", n, err)
			}
			if kinds, unready := problemKinds(log), log.Unready(); !slices.Contains(kinds, "topic") || len(unready) > 0 {
				t.Errorf("problems %v, unready %v", kinds, unready)
			}
			if end == "recreated" {
				admin := kadm.NewClient(rig.other)
				if _, err := admin.DeleteTopics(t.Context(), "_schemas"); err != nil {
					t.Fatal(err)
				}
				policy := "compact"
				if _, err := admin.CreateTopics(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &policy}, "_schemas"); err != nil {
					t.Fatal(err)
				}
			}
			mend()
			until(t, func() bool { return !halted(log) && len(log.Unready()) == 0 })
			if got := ask(r, "POST", "/subjects/new/versions", `{"schema":"\"float\""}`); !strings.Contains(got, `"id":3`) {
				t.Errorf("afterwards: %s", got)
			}
			if end == "mended" {
				if got := ask(r, "GET", "/schemas/ids/2/schema", ""); got != `"long"` {
					t.Errorf("what was damaged is %s", got)
				}
				if kinds := problemKinds(log); slices.Contains(kinds, "topic") {
					t.Errorf("problems %v", kinds)
				}
			}
		})
	}
}

// A server that starts on a damaged topic answers nothing of the part that it has read, says why, and goes on when it can be read.
//
// Mutation seen to fail it: halt that takes what was read for all.
func TestAStartOnADamagedTopicAnswersNothing(t *testing.T) {
	rig := newRig(t)
	_, first := rig.open()
	for n, schema := range []string{"int", "long", "float"} {
		ask(first, "POST", fmt.Sprintf("/subjects/s%d/versions", n), fmt.Sprintf(`{"schema":"\"%s\""}`, schema))
	}
	mend := rig.damage(2)
	log, r := rig.dial()
	until(t, func() bool { return halted(log) })
	for _, question := range []string{"GET /schemas/ids/1/schema", "GET /subjects", "POST /subjects/new/versions"} {
		method, path, _ := strings.Cut(question, " ")
		got := ask(r, method, path, `{"schema":"\"bytes\""}`)
		for _, part := range []string{`"error_code":50001`, "topic _schemas, partition 0,", "from offset 2", "Nothing is answered", "export the schemas from another server"} {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %s, want %s", question, got, part)
			}
		}
	}
	if unready := log.Unready(); len(unready) != 1 || !strings.Contains(unready[0], "from offset 2") {
		t.Errorf("unready: %v", unready)
	}
	mend()
	until(t, func() bool { return len(log.Unready()) == 0 })
	if got := ask(r, "GET", "/subjects", ""); got != `["s0","s1","s2"]` {
		t.Errorf("afterwards: %s", got)
	}
}

// What is not read back in full leaves room for the ids that it may have given, whether the batch or the end is gone.
//
// Mutations seen to fail it: resume without skipIDs; whole that refuses nothing.
func TestIdsOfRecordsThatNobodyReadAreLeftOut(t *testing.T) {
	for name, c := range map[string]struct {
		batch kafka.Batch
		next  int
	}{
		"all is there":            {kafka.Batch{Position: 12, HighWatermark: 14, Records: []kafka.Record{{Offset: 10}}}, 5},
		"the batch is gone":       {kafka.Batch{Position: 13, HighWatermark: 14, Records: []kafka.Record{{Offset: 12}}}, 7},
		"the end is gone":         {kafka.Batch{Position: 10, HighWatermark: 10}, 9},
		"it is not passed":        {kafka.Batch{Position: 10, HighWatermark: 14}, 5},
		"only the end was passed": {kafka.Batch{Position: 14, HighWatermark: 14}, 9},
	} {
		r := loaded(t, [2]string{`{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}`, `{"id":4,"schema":"\"int\""}`})
		l := r.log
		l.state.next, l.end = 10, 14
		l.failure = &haltedError{l.topic, 10, true, errors.New("damaged")}
		_, err := l.write(t.Context(), false, nil)
		if refused, ok := errors.AsType[*Error](err); !ok || refused.Code != 50001 {
			t.Errorf("%s: a change is answered with %v", name, err)
		}
		l.resume(&c.batch)
		if next, err := l.state.nextID(defaultContext); err != nil || next != c.next {
			t.Errorf("%s: the next id is %d, want %d, %v", name, next, c.next, err)
		}
		if (l.failure != nil) != (name == "it is not passed") {
			t.Errorf("%s: %v", name, l.failure)
		}
	}
}
