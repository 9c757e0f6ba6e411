package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/gateway/rpc"
	"github.com/weirstream/weir/internal/kafka"
)

// rpcPath is where the Protobuf service is.
const rpcPath = "/" + rpc.EventsName + "/"

// service is the Protobuf service: Connect, gRPC and gRPC-Web by one handler.
type service struct{ g *Gateway }

// codes are those of the service for HTTP's.
var codes = map[int]connect.Code{
	http.StatusBadRequest: connect.CodeInvalidArgument, http.StatusUnauthorized: connect.CodeUnauthenticated, http.StatusForbidden: connect.CodePermissionDenied,
	http.StatusNotFound: connect.CodeNotFound, http.StatusRequestEntityTooLarge: connect.CodeOutOfRange, http.StatusUnprocessableEntity: connect.CodeInvalidArgument,
	http.StatusTooManyRequests: connect.CodeResourceExhausted, http.StatusServiceUnavailable: connect.CodeUnavailable,
}

// rpcError is a problem as an error of the service, with the problem as its detail.
func rpcError(p *Problem) error {
	code, ok := codes[p.Status]
	if !ok {
		code = connect.CodeInternal
	}
	e := connect.NewError(code, errors.New(restMessage(p)))
	if detail, err := connect.NewErrorDetail(rpcProblem(p)); err == nil {
		e.AddDetail(detail)
	}
	if after := p.retrySeconds(); after != "" {
		e.Meta().Set("Retry-After", after)
	}
	return e
}

func rpcProblem(p *Problem) *rpc.Problem {
	out := &rpc.Problem{Type: p.Type, Title: p.Title, Detail: p.Detail, Remedy: p.Remedy}
	if p.Path != nil {
		out.Path = *p.Path
	}
	return out
}

func rpcResult(a *Answer) *rpc.Result {
	r := &rpc.Result{Status: int32(a.Status), Offset: -1, SchemaId: int32(a.SchemaID), Repeated: a.Repeated}
	if a.Partition != nil {
		r.Partition = *a.Partition
	}
	if a.Offset != nil {
		r.Offset = *a.Offset
	}
	if a.Error != nil {
		r.Problem = rpcProblem(a.Error)
	}
	return r
}

// rpcEvent makes an event of a message. n is as of eventID.
func (q *request) rpcEvent(in *rpc.Event, n int) *event {
	e := &event{partition: -1, keyText: true, headers: q.headers, id: in.GetId(), message: in.GetMessage()}
	if id := q.eventID(n); id != "" {
		if e.id != "" && e.id != id {
			e.bad = invalid.of("the event has the id %q, and by the header Idempotency-Key it is %q", e.id, id).todo("send one of them")
		}
		e.id = id
	}
	if len(in.GetKey()) > 0 {
		e.key = in.GetKey()
	}
	switch v := in.GetValue().(type) {
	case *rpc.Event_Json:
		e.value = []byte(v.Json)
	case *rpc.Event_Protobuf:
		e.value, e.form = v.Protobuf, asMessage
	case *rpc.Event_Record:
		e.value, e.form = v.Record, asBytes
	case *rpc.Event_Tombstone:
		e.null = v.Tombstone
	}
	names := make([]string, 0, len(in.GetHeaders()))
	for name := range in.GetHeaders() {
		if !ours(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return e
	}
	slices.Sort(names)
	own := make([]kafka.Header, len(names))
	for i, name := range names {
		own[i] = kafka.Header{Key: name, Value: []byte(in.GetHeaders()[name])}
	}
	var p *Problem
	if e.headers, p = merge(q.headers, own); p != nil {
		e.bad = p
	}
	return e
}

// Publish publishes one event.
func (s *service) Publish(ctx context.Context, r *connect.Request[rpc.PublishRequest]) (*connect.Response[rpc.PublishResponse], error) {
	answers, err := s.publish(ctx, r.Header(), r.Msg.GetTopic(), []*rpc.Event{r.Msg.GetEvent()}, true, false)
	if err != nil {
		return nil, err
	}
	if p := answers[0].Error; p != nil {
		return nil, rpcError(p)
	}
	return connect.NewResponse(&rpc.PublishResponse{Result: rpcResult(&answers[0])}), nil
}

// PublishBatch publishes several.
func (s *service) PublishBatch(ctx context.Context, r *connect.Request[rpc.PublishBatchRequest]) (*connect.Response[rpc.PublishBatchResponse], error) {
	answers, err := s.publish(ctx, r.Header(), r.Msg.GetTopic(), r.Msg.GetEvents(), false, r.Msg.GetAtomic())
	if err != nil {
		return nil, err
	}
	out := &rpc.PublishBatchResponse{}
	for i := range answers {
		out.Results = append(out.Results, rpcResult(&answers[i]))
	}
	return connect.NewResponse(out), nil
}

// begin is the gateway's, and notes why a client is refused: the answer of gRPC has status 200.
func (s *service) begin(ctx context.Context, headers http.Header, topic string) (*request, *Problem) {
	q, p := (*request)(nil), (*Problem)(nil)
	if topic == "" { // that may not be published to, either
		p = malformed.of("the request names no topic").todo("name the topic in the message")
	} else if q, p = s.g.begin(ctx, headers, topic); p == nil {
		p = q.read("", headers, noTerms)
	}
	if who := passOf(ctx); p != nil && who != nil {
		who.refused(p)
	}
	return q, p
}

// publish publishes the events of a request that is no stream; alone says that it can have no more than one.
func (s *service) publish(ctx context.Context, headers http.Header, topic string, in []*rpc.Event, alone, atomic bool) ([]Answer, error) {
	q, p := s.begin(ctx, headers, topic)
	if p == nil && len(in) > s.g.Limits.Events {
		p = tooLarge.of("the batch has %d events, %d are allowed", len(in), s.g.Limits.Events)
	}
	if p != nil {
		return nil, rpcError(p)
	}
	if p := s.g.enter(q); p != nil {
		return nil, rpcError(p)
	}
	defer q.permit.leave()
	q.atomic = atomic
	if q.body = countedOf(ctx); q.body != nil && q.body.inflated > 0 { // it was counted as the most that it could become
		size := int64(0)
		for _, e := range in {
			size += int64(proto.Size(e))
		}
		q.body.less(max(0, q.body.inflated-size))
	}
	events := make([]*event, len(in))
	for i, e := range in {
		n := i
		if alone {
			n = -1
		}
		events[i] = q.rpcEvent(e, n)
	}
	answers := s.g.publishAll(q, events)
	clear(in) // of what was sent nothing is needed any more
	q.body.answering()
	if len(answers) > 1 { // what they say is in the message, and in its bytes, as well
		for i := range answers {
			if p := answers[i].Error; p != nil {
				afford(p, func(n int64) bool { return q.body.room(2 * n) })
			}
		}
	}
	return answers, nil
}

// numbered is a chunk of a stream with the numbers of its events.
type numbered struct {
	chunk   *chunk
	numbers []uint64
}

// rpcStream is what a stream is read from and written to.
type rpcStream struct {
	in  *messages
	out *heldWriter
}

type rpcStreamKey struct{}

// incoming is an event of a stream, and what is counted of it.
type incoming struct {
	*rpc.PublishStreamRequest
	cost int64
}

// eventsAhead is how many events of a stream are received before they are in a chunk.
const eventsAhead = chunkEvents

// PublishStream publishes events as they come.
func (s *service) PublishStream(ctx context.Context, stream *connect.BidiStream[rpc.PublishStreamRequest, rpc.PublishStreamResponse]) error {
	over, _ := ctx.Value(rpcStreamKey{}).(*rpcStream)
	receive := func() (incoming, error) {
		in, err := stream.Receive()
		if err != nil {
			return incoming{}, err
		}
		return incoming{in, over.in.received(in)}, nil
	}
	first, err := receive()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	q, p := s.begin(ctx, stream.RequestHeader(), first.GetTopic())
	if p == nil && q.id != "" {
		p = malformed.of("the header Idempotency-Key is none of a stream").todo("give the stream a name and its events numbers: an event without an id has NAME/NUMBER")
	}
	if p != nil {
		return rpcError(p)
	}
	// This goroutine receives, one makes chunks of what is there, and one sends results. A client that is gone ends Receive.
	events := make(chan incoming, eventsAhead)
	chunks := make(chan numbered, chunksAhead)
	sent := make(chan error, 1)
	go s.chunks(q, over.in.held, streamed{first.PublishStreamRequest}, events, chunks)
	go func() { sent <- s.results(over, stream, chunks) }()
	for in := first; err == nil; in, err = receive() {
		events <- in
	}
	close(events)
	if failed := <-sent; failed != nil {
		return failed
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case s.g.stopping.Err() != nil:
		return rpcError(ofBody(errStopping))
	}
	return err
}

// streamed is the first message of a stream, which says what holds of all of it.
type streamed struct{ *rpc.PublishStreamRequest }

// differs refuses an event of a later message that is for another topic or stream: in those of the first it would be lost without a word.
func (s streamed) differs(later *rpc.PublishStreamRequest) *Problem {
	const remedy = "begin a stream for each topic and name; messages after the first may leave both out"
	if topic := later.GetTopic(); topic != "" && topic != s.GetTopic() {
		return invalid.of("the event is for topic %.100q, and the stream is one of topic %s", topic, s.GetTopic()).todo(remedy)
	}
	if name := later.GetName(); name != "" && name != s.GetName() {
		return invalid.of("the event is of stream %.100q, and the stream began as %.100q", name, s.GetName()).todo(remedy)
	}
	return nil
}

// chunks makes chunks of the events that are there, and submits them.
func (s *service) chunks(q *request, held *held, first streamed, events <-chan incoming, chunks chan<- numbered) {
	defer close(chunks)
	name := first.GetName()
	order := &order{}
	for in := range events {
		refused := s.g.still(q)
		next := numbered{chunk: s.g.newChunk(q.client, q.topic, s.g.declarations.Of(q.topic.name), order)}
		next.chunk.room = held.answer
		for more := true; more; {
			e := q.rpcEvent(in.GetEvent(), -1)
			if p := first.differs(in.PublishStreamRequest); p != nil {
				e.bad = p
			}
			if name != "" {
				e.spare = name + "/" + strconv.FormatUint(in.GetNumber(), 10)
			}
			if refused != nil {
				next.chunk.answers = append(next.chunk.answers, failed(refused))
			} else {
				next.chunk.add(e)
			}
			next.chunk.held += in.cost
			next.numbers = append(next.numbers, in.GetNumber())
			if len(next.numbers) == chunkEvents || next.chunk.bytes > chunkBytes {
				break
			}
			select {
			case in, more = <-events:
			default:
				more = false
			}
		}
		next.chunk.submit(s.g.patience, true)
		chunks <- next
	}
}

// results sends the results of chunks in order. After an error it only takes them.
func (s *service) results(over *rpcStream, stream *connect.BidiStream[rpc.PublishStreamRequest, rpc.PublishStreamResponse], chunks <-chan numbered) (err error) {
	w, held := over.out, over.in.held
	for next := range chunks {
		next.chunk.wait(s.g.patience) // the sink gives up in the end
		answers := min(next.chunk.held, int64(len(next.numbers))*eventCost)
		held.give(next.chunk.held - answers)
		answers += next.chunk.said
		w.hold(time.Now().Add(s.g.Limits.Silence))
		for i := range next.chunk.answers {
			if err == nil {
				err = stream.Send(&rpc.PublishStreamResponse{Number: next.numbers[i], Result: rpcResult(&next.chunk.answers[i])})
			}
		}
		w.release()
		held.give(answers)
	}
	return err
}

// heldWriter is the answer of a stream. While it is held its results are written without a system call for each: Connect flushes after every
// message.
type heldWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	held    bool
}

// hold begins to write several results, which the client must read until then. A client that does not read its results is cut, one that sends
// slowly is not.
func (w *heldWriter) hold(until time.Time) {
	w.held = true
	_ = w.control.SetWriteDeadline(until)
}

func (w *heldWriter) release() {
	w.held = false
	w.Flush()
	_ = w.control.SetWriteDeadline(time.Time{})
}

// Flush implements http.Flusher.
func (w *heldWriter) Flush() {
	if !w.held {
		_ = w.control.Flush() // the client has gone: the next write says so
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (w *heldWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
