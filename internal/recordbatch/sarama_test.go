package recordbatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"testing"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// peer is sarama's decoder. It has no door of its own, so it is asked for a fetch, and answered over a pipe.
type peer struct {
	broker *sarama.Broker
	raw    []byte // the next answer's
}

func newPeer(t testing.TB) *peer {
	metrics.UseNilMetrics = true // a meter is a goroutine
	here, there := net.Pipe()
	p := &peer{broker: sarama.NewBroker("pipe")}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.serve(there)
	}()
	conf := sarama.NewConfig()
	conf.ApiVersionsRequest = false
	conf.MetricRegistry = metrics.NewRegistry()
	conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, pipe{here}
	if err := p.broker.Open(conf); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.broker.Close()
		<-done
	})
	return p
}

// pipe dials what is connected already.
type pipe struct{ net.Conn }

func (p pipe) Dial(string, string) (net.Conn, error) { return p.Conn, nil }

// fetchVersion has every field that is looked at, and no flexible ones.
const fetchVersion = 4

// serve answers fetches until the client hangs up. A client sends one at a time, after it has set raw.
func (p *peer) serve(conn net.Conn) {
	var size [4]byte
	for {
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		req := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, req); err != nil {
			return
		}
		part := kmsg.NewFetchResponseTopicPartition()
		part.RecordBatches = p.raw
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.Partitions = "t", append(topic.Partitions, part)
		res := kmsg.NewPtrFetchResponse()
		res.Version, res.Topics = fetchVersion, append(res.Topics, topic)
		answer := res.AppendTo(append(make([]byte, 4), req[4:8]...)) // after its size, the number of the request
		binary.BigEndian.PutUint32(answer, uint32(len(answer)-4))
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// fetch has sarama decode batches.
func (p *peer) fetch(raw []byte) (*sarama.FetchResponseBlock, error) {
	p.raw = append([]byte{}, raw...) // none is not null
	req := &sarama.FetchRequest{Version: fetchVersion}
	req.AddBlock("t", 0, 0, 1<<30, -1)
	res, err := p.broker.Fetch(req)
	if err != nil {
		return nil, err
	}
	if block := res.GetBlock("t", 0); block != nil {
		return block, nil
	}
	return nil, errors.New("no partition in the answer")
}

// read is what sarama reads, put together as its consumer does.
func (p *peer) read(raw []byte) (records []string, err error) {
	block, err := p.fetch(raw)
	if err != nil {
		return nil, err
	}
	for _, set := range block.RecordsSet {
		if set.MsgSet != nil {
			for _, m := range set.MsgSet.Messages {
				records = append(records, messages(m)...)
			}
			continue
		}
		b := set.RecordBatch
		for _, r := range b.Records {
			at := b.FirstTimestamp.Add(r.TimestampDelta)
			if b.LogAppendTime {
				at = b.MaxTimestamp
			}
			rec := Record{Offset: b.FirstOffset + r.OffsetDelta, Timestamp: at.UnixMilli(), Key: r.Key, Value: r.Value}
			line := rec.plainly()
			for _, h := range r.Headers {
				line += fmt.Sprintf(" %s:%s", text(h.Key), text(h.Value))
			}
			records = append(records, line)
		}
	}
	return records, nil
}

// messages are those of formats 0 and 1 in a wrapper, or the one that is none.
func messages(wrapper *sarama.MessageBlock) (records []string) {
	inside := wrapper.Messages()
	for _, m := range inside {
		rec := Record{Offset: m.Offset, Timestamp: -1, Key: m.Msg.Key, Value: m.Msg.Value}
		if m.Msg.Version >= 1 {
			rec.Offset += wrapper.Offset - inside[len(inside)-1].Offset
			if !m.Msg.Timestamp.IsZero() {
				rec.Timestamp = m.Msg.Timestamp.UnixMilli()
			}
		}
		records = append(records, rec.plainly())
	}
	return records
}

// saramasFault says why sarama is no judge of batches that were read without an error, or nothing. What is also a fault of
// franz-go, farTimes or oddSize, comes before others.
//
// Batches that compaction has emptied are none of it: sarama passes over them as it should, and only forgets the position
// that follows, which is no record.
func saramasFault(raw []byte) (fault string) {
	r := NewReader(DefaultLimits())
	defer r.Close()
	for {
		b, rest, err := Next(raw)
		if err != nil {
			return fault
		}
		raw = rest
		wrapper := b.Magic < 2 && b.codec != codecNone
		switch {
		case b.Magic < 2 && !wrapper && oddSizes(b.body):
			return oddSize
		case b.Records > len(b.body)+len(rest):
			fault = "more records than bytes before they are decompressed"
		case wrapper && b.appendTime:
			fault = "the wrapper's time of the append" // it asks the messages inside, which do not know
		case b.Magic == 2 && b.stamp < 0:
			fault = negativeTime
		}
		r.Reset(b)
		n := 0
		for ; ; n++ {
			var rec Record
			if r.Next(&rec) != nil {
				break
			}
			far := func(millis int64) bool { return millis > math.MaxInt64/1_000_000 || millis < math.MinInt64/1_000_000 }
			if far(rec.Timestamp) || b.Magic == 2 && far(rec.Timestamp-b.stamp) {
				return farTimes
			}
			if b.Magic < 2 && rec.Timestamp < -1 {
				fault = negativeTime
			}
		}
		if wrapper && n == 0 {
			fault = "a wrapper around nothing" // it becomes a message
		}
	}
}

const negativeTime = "a negative time" // it becomes the year 1

// farTimes are kept in nanoseconds, which overflow: by sarama the distance of two, by franz-go the times.
const farTimes = "times more than 292 years from each other, or from 1970"

// oddSize is what Java takes for null. Both peers refuse it, franz-go silently.
const oddSize = "a size below -1"

// oddSizes says whether a message of format 0 or 1 has such a size.
func oddSizes(raw []byte) bool {
	at := 18
	if raw[magicAt] == 1 {
		at += 8
	}
	key := int32(binary.BigEndian.Uint32(raw[at:]))
	value := int32(binary.BigEndian.Uint32(raw[at+4+int(max(key, 0)):]))
	return key < -1 || value < -1
}

// What sarama is not asked about it does read wrongly. franz-go is the judge, but for farTimes, for oddSize and for the wrapper's
// time, which it leaves unread.
func TestSaramasFaultsAreSaramas(t *testing.T) {
	p := newPeer(t)
	many := make([]item, 20_000)
	for i := range many {
		many[i] = item{delta: int64(i), value: []byte("{}")}
	}
	far := batch{first: 0, max: 1, count: 1, producer: -1, records: item{stamp: 1 << 50, value: []byte("v")}.wire()}
	negative := batch{first: -5, max: 1, count: 1, producer: -1, records: item{value: []byte("v")}.wire()}
	odd := oldMessage(1, 5, 0, 5, nil, []byte("v"))
	odd[26+3] = 0xfe
	for fault, raw := range map[string][]byte{
		oddSize:      mend(odd),
		"":           batchOf(codecZstd, 5, item{value: []byte("v")}),
		negativeTime: negative.wire(),
		farTimes:     far.wire(),
		"more records than bytes before they are decompressed": batchOf(codecZstd, 5, many...),
		"the wrapper's time of the append":                     oldMessage(1, 5, codecGzip|8, 7777, nil, compress(codecGzip, oldMessage(1, 0, 0, 5, nil, []byte("v")))),
	} {
		if got := saramasFault(raw); got != fault {
			t.Errorf("the fault is %q, want %q", got, fault)
		}
		got := lines(mustRead(t, raw, DefaultLimits()))
		if want, err := franz(raw); err != nil || difference(got, want) != "" && fault != "the wrapper's time of the append" && fault != farTimes && fault != oddSize {
			t.Errorf("%q: franz-go: %s, %v", fault, difference(got, want), err)
		}
		if theirs, err := p.read(raw); (err == nil && difference(got, theirs) == "") != (fault == "") {
			t.Errorf("%q: sarama: %s, %v", fault, difference(got, theirs), err)
		}
	}
}
