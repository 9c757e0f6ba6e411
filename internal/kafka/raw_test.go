package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func askMetadata(topic string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(topic)
	req.Topics = append(req.Topics, t)
	return req
}

// Mutations: raw opens a connection for each request; takeOver is not reached (links is nil).
func TestRawRequestsAreAnsweredOnOneConnectionBesideSaramas(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(3, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	addr := cluster.ListenAddrs()[0]
	for range 3 {
		res, err := c.admin.request(t.Context(), addr, askMetadata("a"), 12)
		if err != nil {
			t.Fatal(err)
		}
		m := res.(*kmsg.MetadataResponse)
		if len(m.Topics) != 1 || len(m.Topics[0].Partitions) != 3 || m.Topics[0].TopicID == [16]byte{} {
			t.Errorf("%+v", m.Topics)
		}
		if _, err := c.Topics(t.Context(), []string{"a"}); err != nil {
			t.Error(err)
		}
	}
	one, err := c.admin.raw(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	if one.next != 4 { // the versions, too
		t.Errorf("%d requests on one connection", one.next)
	}
}

// Mutations: send forgets to queue under the lock of writing; readOne answers the last request first.
func TestRawRequestsAreAnsweredInTheirOrder(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	r, err := c.admin.raw(t.Context(), cluster.ListenAddrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan string, 100)
	for i := range 100 {
		req := askMetadata(fmt.Sprint("topic-", i))
		if err := r.pick(req, 12); err != nil {
			t.Fatal(err)
		}
		err := r.send(req, time.Now().Add(10*time.Second), func(res kmsg.Response, err error) {
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- *res.(*kmsg.MetadataResponse).Topics[0].Topic
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if got, want := <-answers, fmt.Sprint("topic-", i); got != want {
			t.Fatalf("answer %d is to %s", i, got)
		}
	}
}

// Mutations: fail does not drop the link (the second part), readOne sets no deadline for the next request.
func TestARawRequestWithoutAnAnswerCostsTheConnectionOnly(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	addr := cluster.ListenAddrs()[0]
	r, err := c.admin.raw(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	_, release := hold(cluster)
	failed := make(chan error, 2)
	for range 2 {
		req := askMetadata("a")
		if err := r.pick(req, 12); err != nil {
			t.Fatal(err)
		}
		if err := r.send(req, time.Now().Add(50*time.Millisecond), func(_ kmsg.Response, err error) { failed <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := <-failed; !errors.Is(err, errNoAnswer) || !transient(err) {
			t.Errorf("got %v", err)
		}
	}
	release()
	if err := r.send(askMetadata("a"), time.Now().Add(time.Second), nil); err == nil {
		t.Error("a connection that failed takes requests")
	}
	if _, err := c.admin.request(t.Context(), addr, askMetadata("a"), 12); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	held, release := hold(cluster)
	why := errors.New("no longer wanted")
	go func() {
		<-held
		cancel(why)
	}()
	if _, err := c.admin.request(ctx, addr, askMetadata("a"), 12); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	release()
}

// A connection that breaks while it is made is a lost connection, which is tried again, and no closed client: a sink would
// give its transaction up for that.
//
// Mutation seen to fail this test: connect asks the link's own context whether the client was closed.
func TestARawConnectionThatBreaksWhileItIsMadeIsTriedAgain(t *testing.T) {
	var left atomic.Int32 // answers until one is cut off
	cluster := fake(t, kfake.SeedTopics(1, "a"), unreliable(func() bool { return left.Add(-1) == 0 }))
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	for _, answers := range []int32{1, 2, 3} { // of the handshake, of the versions, of the request
		left.Store(answers)
		_, err := c.admin.request(t.Context(), cluster.ListenAddrs()[0], askMetadata("a"), 12)
		if err == nil || errors.Is(err, errClosed) {
			t.Errorf("cut at answer %d: got %v", answers, err)
		}
		left.Store(0)
		if _, err := c.admin.request(t.Context(), cluster.ListenAddrs()[0], askMetadata("a"), 12); err != nil {
			t.Errorf("after a cut at answer %d: %v", answers, err)
		}
		r, err := c.admin.raw(t.Context(), cluster.ListenAddrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		c.admin.drop(r.link) // so that the next one is made
	}
}

// Mutation: close does not cut raw connections.
func TestCloseEndsRawRequestsThatAreUnderWay(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c, err := Dial(t.Context(), Config{Brokers: cluster.ListenAddrs()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	held, _ := hold(cluster)
	done := make(chan error)
	go func() {
		_, err := c.admin.request(t.Context(), cluster.ListenAddrs()[0], askMetadata("a"), 12)
		done <- err
	}()
	<-held
	_ = c.Close()
	if err := <-done; !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}

// Mutations: pick ignores most, or the broker's own range.
func TestARawRequestIsSentInTheHighestVersionThatAllSpeak(t *testing.T) {
	r := &rawConn{link: &link{addr: "b:1"}, versions: map[int16]versionRange{3: {2, 9}, 1: {30, 40}}}
	for _, tc := range []struct{ most, want int16 }{{12, 9}, {9, 9}, {5, 5}, {2, 2}} {
		req := kmsg.NewPtrMetadataRequest()
		if err := r.pick(req, tc.most); err != nil || req.Version != tc.want {
			t.Errorf("at most %d: %d, %v", tc.most, req.Version, err)
		}
	}
	for _, req := range []kmsg.Request{kmsg.NewPtrFetchRequest(), kmsg.NewPtrProduceRequest()} {
		if err := r.pick(req, 100); !errors.Is(err, sarama.ErrUnsupportedVersion) || transient(err) {
			t.Errorf("%T: %v", req, err)
		}
	}
	if err := r.pick(kmsg.NewPtrMetadataRequest(), 1); err == nil {
		t.Error("a version that the broker has given up is sent")
	}
}

// pipe makes a raw connection that is not read yet, and its other end.
func pipe(t *testing.T) (*rawConn, *links, net.Conn) {
	here, there := net.Pipe()
	c := &Client{cfg: Config{}.WithDefaults()}
	l := &links{reach: newReach(nil), client: c, ctx: t.Context(), raws: map[string]*link{}, open: map[string]*link{}, closed: true}
	k := newLink(t.Context(), c, "b:1")
	k.links = l
	conn := &cutConn{Conn: here}
	k.conn.Store(conn)
	return newRawConn(k, conn, 0), l, there
}

// Mutations: the size is not bounded; the order of answers is not checked; an answer that nobody waits for is passed over.
func TestABrokerThatAnswersNonsenseCostsTheConnectionOnly(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		answer     func(id uint32) []byte
	}{
		{"too large", "an answer of 2147483647 bytes", func(uint32) []byte { return []byte{0x7f, 0xff, 0xff, 0xff} }},
		{"of negative size", "an answer of -1 bytes", func(uint32) []byte { return []byte{0xff, 0xff, 0xff, 0xff} }},
		{"to another request", "when the answer to request", func(id uint32) []byte {
			return binary.BigEndian.AppendUint32([]byte{0, 0, 0, 4}, id+1)
		}},
		{"cut off", "decode the answer to Metadata", func(id uint32) []byte {
			return append(binary.BigEndian.AppendUint32([]byte{0, 0, 0, 6}, id), 0, 0)
		}},
		{"header cut off", "header is cut off", func(id uint32) []byte {
			return binary.BigEndian.AppendUint32([]byte{0, 0, 0, 4}, id)
		}},
		{"unasked", "that nobody asked for", func(uint32) []byte { return []byte{0, 0, 0, 4, 0, 0, 0, 9} }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, l, there := pipe(t)
			l.tasks.Go(r.read)
			defer l.tasks.Wait()
			if tc.name == "unasked" {
				_, _ = there.Write(tc.answer(0))
				<-r.over
				if err := r.send(askMetadata("a"), time.Now().Add(time.Second), nil); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v", err)
				}
				return
			}
			l.tasks.Go(func() {
				var head [12]byte
				_, _ = io.ReadFull(there, head[:])
				_, _ = io.CopyN(io.Discard, there, int64(binary.BigEndian.Uint32(head[:])-8))
				_, _ = there.Write(tc.answer(binary.BigEndian.Uint32(head[8:])))
			})
			req := askMetadata("a")
			req.Version = 12
			_, err := r.do(t.Context(), req)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !transient(err) {
				t.Errorf("got %v", err)
			}
			<-r.over
		})
	}
}

// Memory follows the bytes that come, whatever size an answer announces, and of one that is too large no more than its
// beginning is read, and that of a Fetch only.
//
// Mutations tried: readBody makes the whole buffer at once; outsized reads all that is announced; outsized reads on for
// other requests.
func TestMemoryFollowsTheBytesThatCome(t *testing.T) {
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 12
	other := askMetadata("a")
	other.Version = 12
	for _, tc := range []struct {
		name  string
		req   kmsg.Request
		size  uint32
		sent  int
		most  uint64 // bytes of memory
		large bool
	}{
		{"as large as may be, and cut off", fetch, 256 << 20, 1 << 10, 5 << 20, false},
		{"twice the first piece, cut off", fetch, 256 << 20, 5 << 20, 13 << 20, false},
		{"too large", fetch, 256<<20 + 1, headBytes, 1 << 20, true},
		{"the largest", fetch, math.MaxInt32, headBytes, 1 << 20, true},
		{"the largest, cut off in its beginning", fetch, math.MaxInt32, 100, 1 << 20, false},
		{"negative", fetch, math.MaxUint32, 0, 1 << 20, true},
		{"of another request", other, math.MaxInt32, 0, 1 << 20, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, l, there := pipe(t)
			var before, after runtime.MemStats
			l.tasks.Go(r.read)
			answer := make([]byte, tc.sent)
			l.tasks.Go(func() {
				var head [12]byte
				_, _ = io.ReadFull(there, head[:])
				_, _ = io.CopyN(io.Discard, there, int64(binary.BigEndian.Uint32(head[:])-8))
				copy(answer, head[8:])
				runtime.ReadMemStats(&before)
				_, _ = there.Write(binary.BigEndian.AppendUint32(nil, tc.size))
				_, _ = there.Write(answer)
				if !tc.large {
					_ = there.Close()
				}
			})
			_, err := r.do(t.Context(), tc.req)
			<-r.over
			l.tasks.Wait()
			runtime.ReadMemStats(&after)
			var large *answerSizeError
			if err == nil || errors.As(err, &large) != tc.large || !transient(err) {
				t.Errorf("got %v", err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > tc.most {
				t.Errorf("%d bytes of memory", took)
			}
		})
	}
}

// Mutations: raw replaces nothing; the old connection is cut before its answers have come; idle is not closed.
func TestARawConnectionIsReplacedAfterItsLastAnswer(t *testing.T) {
	cluster := fake(t, kfake.SeedTopics(1, "a"))
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	addr := cluster.ListenAddrs()[0]
	first, err := c.admin.raw(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	asked, release := silence(t, cluster, kmsg.Metadata)
	answered := make(chan error, 1)
	req := askMetadata("a")
	if err := first.pick(req, 12); err != nil {
		t.Fatal(err)
	}
	if err := first.send(req, time.Now().Add(10*time.Second), func(_ kmsg.Response, err error) { answered <- err }); err != nil {
		t.Fatal(err)
	}
	<-asked
	first.expires = time.Now().Add(-time.Second) // read under no lock, but by this goroutine only
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.admin.raw(ctx, addr); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("replaced while a request was under way: %v", err)
	}
	if err := first.send(req, time.Now().Add(10*time.Second), nil); !errors.Is(err, errRetired) {
		t.Errorf("a retired connection takes requests: %v", err)
	}
	release()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if _, err := c.admin.request(t.Context(), addr, askMetadata("a"), 12); err != nil {
		t.Error(err)
	}
	second, err := c.admin.raw(t.Context(), addr)
	if err != nil || second == first {
		t.Errorf("not replaced: %v", err)
	}
	<-first.over
}

// Mutation: EpochEnds asks for the current epoch.
func TestEpochEndsSaysWhereEachEpochEnds(t *testing.T) {
	cluster := fake(t, kfake.NumBrokers(2), kfake.SeedTopics(1, "in"))
	tp := TopicPartition{Topic: "in", Partition: 0}
	c := dial(t, Config{Brokers: cluster.ListenAddrs()})
	p := producer(t, cluster.ListenAddrs(), "")
	writeTo(t, p, "in", 0, "a", "b")
	res, err := c.admin.request(t.Context(), cluster.ListenAddrs()[0], askMetadata("in"), 12)
	if err != nil {
		t.Fatal(err)
	}
	epoch := res.(*kmsg.MetadataResponse).Topics[0].Partitions[0].LeaderEpoch
	for of, want := range map[int32]EpochEnd{epoch: {epoch, 2}, epoch + 100: {-1, -1}} {
		if ends, err := c.EpochEnds(t.Context(), map[TopicPartition]int32{tp: of}); err != nil || ends[tp] != want {
			t.Errorf("epoch %d: %+v, %v", of, ends, err)
		}
	}
	for to := range int32(2) { // one of the two is another leader
		if err := cluster.MoveTopicPartition("in", 0, to); err != nil {
			t.Fatal(err)
		}
	}
	writeTo(t, p, "in", 0, "c")
	ends, err := c.EpochEnds(t.Context(), map[TopicPartition]int32{tp: epoch})
	if err != nil || ends[tp] != (EpochEnd{epoch, 2}) {
		t.Errorf("%+v, %v", ends, err)
	}
	if _, err := c.EpochEnds(t.Context(), map[TopicPartition]int32{{Topic: "in", Partition: 7}: 0}); err == nil {
		t.Error("a partition that does not exist has an epoch")
	}
}
