//go:build integration && linux

package letters

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/kafkatest"
)

var moved = flag.Int("moved-letters", 0, "how many letters TestManyLettersAreMovedOnKafka writes, redrives and discards; 0: it is left out")

// movedAt is the variable by which the test runs itself as a command: an address and a verb.
const movedAt = "WEIR_TEST_MOVE"

// TestManyLettersAreMovedOnKafka redrives and discards many letters with a command that is killed half way and run again, and says how long that
// took and how much memory: go test -tags integration ./internal/letters -run TestManyLettersAreMovedOnKafka -moved-letters 1000000 -v -timeout 1h
func TestManyLettersAreMovedOnKafka(t *testing.T) {
	if at := os.Getenv(movedAt); at != "" {
		moveHere(t, at)
		return
	}
	if *moved == 0 {
		t.Skip("give -moved-letters")
	}
	addr := kafkatest.Start(t, kafkatest.Options{Brokers: 1}).Addrs()[0]
	s := newShelf(t, addr)
	s.addRejected(*moved)
	for _, verb := range []Verb{Redrive, Discard} {
		if verb == Discard {
			s.addRejected(*moved)
		}
		killed := s.move(verb, true)
		rest := s.move(verb, false)
		again := s.move(verb, false)
		t.Logf("%s of %d letters: %d done in %s when it was killed; the other %d in %s with %d MB; once more: %d in %s",
			verb, *moved, *moved-rest.Selected, killed.took.Round(time.Millisecond), rest.Done, rest.took.Round(time.Millisecond), rest.Peak>>10, again.Selected, again.took.Round(time.Millisecond))
		if rest.Done != rest.Selected || rest.Done == 0 || rest.Done >= *moved || again.Selected != 0 || again.Open != 0 {
			t.Errorf("%s: %+v, and then %+v", verb, rest, again)
		}
	}
	offsets := map[string]int{}
	s.each("totals-order.placed.v1-redrive", func(r *kafka.Record) {
		for _, h := range r.Headers {
			if h.Key == deadletter.HeaderOffset {
				offsets[string(h.Value)]++
			}
		}
	})
	if len(offsets) != *moved {
		t.Errorf("%d records were redriven of %d letters", len(offsets), *moved)
	}
	for offset, n := range offsets {
		if n != 1 {
			t.Fatalf("the record of offset %s was redriven %d times", offset, n)
		}
	}
}

// addRejected adds letters that can be redriven, of 200 bytes of JSON each.
func (s *shelf) addRejected(n int) {
	s.t.Helper()
	var failed error
	for range n {
		i := s.n
		s.n++
		c := deadletter.Cause{Topology: "totals", Group: "totals", Node: "add", Topic: "order.placed.v1", Partition: int32(i % 2), Offset: int64(i), Attempts: 1,
			Reason: "rejected", At: int64(1_700_000_000_000 + i), Err: fmt.Errorf("amount %d is negative", i)}
		r := &kgo.Record{Topic: indexTopic, Partition: int32(i % 2), Key: fmt.Appendf(nil, "customer-%d", i%100_000), Value: fmt.Appendf(nil, `{"event_id":"%036d","seq":%d,"pad":"%0130d"}`, i, i, i)}
		for _, h := range deadletter.Headers(nil, c) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		s.client.Produce(s.t.Context(), r, func(_ *kgo.Record, err error) { failed = errors.Join(failed, err) })
	}
	s.must(s.client.Flush(s.t.Context()))
	s.must(failed)
}

// each calls do with the committed records of a topic.
func (s *shelf) each(topic string, do func(*kafka.Record)) {
	s.t.Helper()
	ends, err := s.tool.Client.Ends(s.t.Context(), []kafka.TopicPartition{{Topic: topic}, {Topic: topic, Partition: 1}})
	s.must(err)
	fetcher := s.tool.Client.NewFetcher(readAhead)
	defer fetcher.Close()
	for tp, end := range ends {
		s.must(kafka.Scan(s.t.Context(), fetcher, tp, 0, end, func(r *kafka.Record) error {
			do(r)
			return nil
		}))
	}
}

// moveResult is what a command said before it ended.
type moveResult struct {
	Selected, Done, Open int
	Peak                 int // KiB
	took                 time.Duration
}

// move runs the verb over all letters in a process of its own, which is killed half way when asked to.
func (s *shelf) move(verb Verb, kill bool) (r moveResult) {
	s.t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestManyLettersAreMovedOnKafka$")
	cmd.Env = append(os.Environ(), movedAt+"="+s.addr+" "+string(verb))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	s.must(err)
	began := time.Now()
	s.must(cmd.Start())
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if kill && lines.Text() == "half" {
			s.must(cmd.Process.Kill())
		}
		if text, ok := strings.CutPrefix(lines.Text(), "result "); ok {
			s.must(json.Unmarshal([]byte(text), &r))
		}
	}
	err = cmd.Wait()
	r.took = time.Since(began)
	if (err != nil) != kill {
		s.t.Fatalf("%s: %v", verb, err)
	}
	return r
}

// moveHere is the command.
func moveHere(t *testing.T, at string) {
	addr, verb, _ := strings.Cut(at, " ")
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: []string{addr}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	tool := &Tool{Client: client, Topic: indexTopic, Who: "test"}
	looked, last, said := false, int64(0), false
	tool.Progress = func(read, of int64) { // once for looking, and once for doing
		looked = looked || read < last
		if last = read; looked && !said && read > of/2 {
			said = true
			fmt.Println("half")
		}
	}
	r, err := tool.Execute(t.Context(), Order{Verb: Verb(verb), Selection: Selection{All: true}, Why: "test"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	status, _ := os.ReadFile("/proc/self/status")
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	kib := 0
	_, _ = fmt.Sscan(peak, &kib)
	text, err := json.Marshal(map[string]any{"Selected": r.Selected, "Done": r.Done, "Open": r.Open, "Peak": kib})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("result " + string(text))
}
