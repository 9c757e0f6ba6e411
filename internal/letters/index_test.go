package letters

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weirstream/weir/deadletter"
	"github.com/weirstream/weir/embedded"
	"github.com/weirstream/weir/internal/filelock"
	"github.com/weirstream/weir/internal/kafka"
)

const indexTopic = "order.placed.v1.dlq"

// shelf is a topic of letters in two partitions, on an embedded broker.
type shelf struct {
	t      *testing.T
	tool   *Tool
	client *kgo.Client
	addr   string
	n      int
}

// connect makes a client that has met no topic yet.
func (s *shelf) connect() {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(200_000), kgo.ProducerBatchMaxBytes(900_000))
	s.must(err)
	s.t.Cleanup(client.Close)
	s.client = client
}

func (s *shelf) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func newShelf(t *testing.T, addr string) *shelf {
	s := &shelf{t: t, addr: addr}
	s.connect()
	_, err := kadm.NewClient(s.client).CreateTopics(t.Context(), 2, 1, nil, indexTopic, "order.placed.v1")
	s.must(err)
	client, err := kafka.Dial(t.Context(), kafka.Config{Brokers: []string{addr}}, nil)
	s.must(err)
	t.Cleanup(func() { _ = client.Close() })
	s.tool = &Tool{Client: client, Topic: indexTopic, Who: "test"}
	return s
}

// add adds letters: of each seven one is another system's, one was redriven, one is cut.
func (s *shelf) add(n int) {
	s.t.Helper()
	var failed error
	for range n {
		i := s.n
		s.n++
		c := deadletter.Cause{Topology: "totals", Node: fmt.Sprint("node ", i%3), Topic: "order.placed.v1", Partition: int32(i % 2), Offset: int64(i), Attempts: 1,
			Reason: "rejected", At: int64(1_700_000_000_000 + i*7%1000), Err: fmt.Errorf("a secret %d", i)}
		headers := deadletter.Headers([]deadletter.Header{{Key: "shop", Value: fmt.Append(nil, i%5)}}, c)
		switch i % 7 {
		case 1:
			headers = []deadletter.Header{{Key: "__connect.errors.topic", Value: []byte("in")}, {Key: "__connect.errors.exception.class.name", Value: []byte("E")}}
		case 2:
			headers = append(headers, deadletter.Header{Key: deadletter.HeaderRedrives, Value: []byte("3")})
		case 3:
			headers = append(headers, deadletter.Header{Key: deadletter.HeaderCut, Value: []byte("99")})
		case 4:
			headers = append(headers, deadletter.Header{Key: deadletter.HeaderFirstTime, Value: fmt.Append(nil, c.At-int64(i)*1000)})
		}
		r := &kgo.Record{Topic: indexTopic, Partition: int32(i % 2), Key: fmt.Appendf(nil, "secret key %d", i%11), Value: []byte("secret value")}
		for _, h := range headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		s.client.Produce(s.t.Context(), r, func(_ *kgo.Record, err error) { failed = errors.Join(failed, err) })
	}
	s.must(s.client.Flush(s.t.Context()))
	s.must(failed)
}

// same lists with the index, which may be in whatever state, and without one.
func (s *shelf) same(index *Index, when string, selections ...Selection) {
	s.t.Helper()
	for _, selection := range append(selections, Selection{}) {
		order := Order{Verb: Discard, Selection: selection}
		order.Selection.All = selection.none()
		var got [2]string
		for i, ix := range []*Index{nil, index} {
			s.tool.Index = ix
			planned, err := s.tool.Plan(s.t.Context(), order)
			s.must(err)
			l, err := s.tool.List(s.t.Context(), selection)
			s.must(err)
			text, err := json.Marshal([]any{planned, l})
			s.must(err)
			got[i] = string(text)
		}
		if got[0] != got[1] {
			s.t.Fatalf("%s: with the index\n%s\nand without\n%s", when, got[1], got[0])
		}
	}
}

func (s *shelf) order(o Order) {
	s.t.Helper()
	r, err := s.tool.Execute(s.t.Context(), o, 0)
	s.must(err)
	if r.Done == 0 {
		s.t.Fatalf("%+v did nothing", o)
	}
}

var letterCount = flag.Int("letters", 3000, "how many letters the test of the index has")

// Whatever happened to the index, to the topic and to its letters, a listing with it is one without it.
//
// Mutations, each seen to fail it: letters of the index that no job has resolved; what retention removed counted.
func TestAListingWithAnIndexIsOneWithout(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	s := newShelf(t, broker.Addrs()[0])
	index := &Index{Dir: filepath.Join(t.TempDir(), "cache", "dlq"), Least: 10}
	s.add(*letterCount)
	s.same(index, "the first time")
	files, err := filepath.Glob(filepath.Join(index.Dir, "*", "*.index"))
	if s.must(err); len(files) != 1 {
		t.Fatalf("files: %v", files)
	}
	data, err := os.ReadFile(files[0])
	s.must(err)
	info, err := os.Stat(files[0])
	s.must(err)
	if strings.Contains(string(data), "secret") || info.Mode().Perm() != 0o600 {
		t.Errorf("%s, and what it holds:\n%.300q", info.Mode(), data)
	}
	since := new(time.UnixMilli(1_700_000_000_500).UTC())
	s.same(index, "the second time", Selection{Fingerprint: deadletter.Fingerprint("node 1", "rejected", "a secret 1")}, Selection{Since: since}, Selection{Partition: new(int32(1))},
		Selection{Key: new("secret key 3")}, Selection{Headers: []HasOne{{Name: "shop", Value: new("2")}}})
	s.add(100)
	s.same(index, "after more letters")
	for i, o := range []Order{
		{Verb: Discard, Selection: Selection{Partition: new(int32(1)), From: new(int64(20)), To: new(int64(700))}},
		{Verb: Redrive, Selection: Selection{Fingerprint: deadletter.Fingerprint("node 1", "rejected", "a secret 1")}},
		{Verb: Discard, Selection: Selection{Key: new("secret key 4")}, Limit: 9},
		{Verb: Discard, Selection: Selection{Headers: []HasOne{{Name: "shop", Value: new("1")}}, Until: since}},
		{Verb: Redrive, Selection: Selection{All: true}, Limit: 50},
	} {
		s.order(o)
		s.same(index, fmt.Sprint("after order ", i))
	}
	for i, damage := range []func(data []byte) []byte{
		func(data []byte) []byte { return data[:len(data)-3] },
		func(data []byte) []byte { return append(data, "rubbish at the end of it"...) },
		func(data []byte) []byte { data[len(data)/2] ^= 1; return data },
		func(data []byte) []byte { return []byte(strings.ReplaceAll(string(data), "node 1", "node 7")) },
		func(data []byte) []byte {
			return []byte(strings.Replace(string(data), indexTopic, "order.placed.v2.dlq", 1))
		},
		func([]byte) []byte { return nil },
		func([]byte) []byte { return make([]byte, 100) },
		func(data []byte) []byte { return append(data, data[len(data)-200:]...) },
	} {
		data, err := os.ReadFile(files[0])
		s.must(err)
		s.must(os.WriteFile(files[0], damage(data), 0o600))
		s.same(index, fmt.Sprint("after damage ", i))
		s.same(index, fmt.Sprint("after it was mended, ", i))
	}
	deleted := kadm.Offsets{}
	deleted.AddOffset(indexTopic, 0, 333, -1)
	deleted.AddOffset(indexTopic, 1, 17, -1)
	_, err = kadm.NewClient(s.client).DeleteRecords(t.Context(), deleted)
	s.must(err)
	s.same(index, "after the retention")
	_, err = kadm.NewClient(s.client).DeleteTopics(t.Context(), indexTopic)
	s.must(err)
	_, err = kadm.NewClient(s.client).CreateTopics(t.Context(), 2, 1, nil, indexTopic)
	s.must(err)
	s.connect()
	s.add(40)
	s.same(index, "after it was deleted and made again")
}

// What an index says is not read again, by a listing, and by an order for which nothing is left.
//
// Mutations, each seen to fail it: followTopic from the start of the topic; nothingLeft that is never, or however much the index lacks.
func TestWhatIsInTheIndexIsNotRead(t *testing.T) {
	broker, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	s := newShelf(t, broker.Addrs()[0])
	s.add(100)
	s.tool.Index = &Index{Dir: t.TempDir(), Least: 10}
	reader := s.tool.reader()
	defer reader.Close()
	p, err := s.tool.look(t.Context(), reader)
	s.must(err)
	ix := s.tool.index(t.Context(), p, &Selection{})
	for partition := range int32(2) { // it says that all letters failed in one way
		b := newBlock(partition, 0)
		for offset := range int64(50) {
			b.add(&Letter{Letter: deadletter.Letter{System: deadletter.Weir, Fingerprint: "told", At: 1}, Record: &kafka.Record{Offset: offset}, Partition: partition})
		}
		ix.file.keep(b.encode(50))
	}
	ix.close()
	s.add(6)
	l, err := s.tool.List(t.Context(), Selection{})
	s.must(err)
	if l.Open != 106 || l.Groups[0].Fingerprint != "told" || l.Groups[0].Count != 100 {
		t.Errorf("%+v", l)
	}
	node0 := Selection{Fingerprint: deadletter.Fingerprint("node 0", "rejected", "a secret 0"), Partition: new(int32(0)), To: new(int64(49))}
	planned := func(want, open int64, when string) {
		t.Helper()
		if r, err := s.tool.Plan(t.Context(), Order{Verb: Discard, Selection: node0, Limit: 1}); err != nil || r.Selected != want || r.Open != open {
			t.Errorf("%s: %+v, %v", when, r, err)
		}
	}
	planned(0, 106, "none is meant, as the index says")
	s.add(11)
	planned(1, 117, "the index lacks too much")
	lock, err := filelock.Take(ix.path + ".lock")
	s.must(err)
	defer lock.Close()
	if l, err := s.tool.List(t.Context(), Selection{}); err != nil || l.Open != 117 || l.Groups[0].Count > 50 {
		t.Errorf("while another process has the index: %+v, %v", l, err)
	}
}
