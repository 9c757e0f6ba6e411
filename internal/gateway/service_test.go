package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/gateway/rpc"
)

func jsonEvent(n int) *rpc.Event {
	return &rpc.Event{Key: []byte("k"), Value: &rpc.Event_Json{Json: fmt.Sprintf(`{"n":%d}`, n)}}
}

// h2 is a server of the gateway that speaks HTTP/2 too, and a client for it.
func (r *rig) h2() (*http.Client, string) {
	r.t.Helper()
	server := httptest.NewUnstartedServer(r.server.Config.Handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	r.t.Cleanup(server.Close)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, server.URL
}

// The service takes events by Connect and gRPC: one, a batch, and a stream whose results come in order while it is sent. A stream that is
// begun again with its name and numbers writes nothing twice.
func TestTheServiceTakesEvents(t *testing.T) {
	r := newRig(t, nil)
	h2, url := r.h2()
	written := 0
	for protocol, options := range map[string][]connect.ClientOption{"Connect": nil, "gRPC": {connect.WithGRPC()}} {
		client := rpc.NewEventsClient(h2, url, options...)
		one, err := client.Publish(t.Context(), connect.NewRequest(&rpc.PublishRequest{Topic: orders, Event: jsonEvent(0)}))
		if err != nil || one.Msg.GetResult().GetStatus() != 200 || one.Msg.GetResult().GetOffset() != int64(written) {
			t.Fatalf("%s: %v %v", protocol, one, err)
		}
		written++
		batch, err := client.PublishBatch(t.Context(), connect.NewRequest(&rpc.PublishBatchRequest{Topic: orders, Events: []*rpc.Event{jsonEvent(1), {Key: []byte("k"), Value: &rpc.Event_Json{Json: "{"}}}}))
		if err != nil || batch.Msg.GetResults()[0].GetStatus() != 200 || batch.Msg.GetResults()[1].GetStatus() != 422 {
			t.Fatalf("%s: %v %v", protocol, batch, err)
		}
		written++
		for name, c := range map[string]struct {
			request *rpc.PublishRequest
			want    connect.Code
		}{
			"no key":         {&rpc.PublishRequest{Topic: orders, Event: &rpc.Event{Value: &rpc.Event_Json{Json: "{}"}}}, connect.CodeInvalidArgument},
			"no event":       {&rpc.PublishRequest{Topic: orders}, connect.CodeInvalidArgument},
			"no name of one": {&rpc.PublishRequest{Event: jsonEvent(0)}, connect.CodeInvalidArgument},
			"no topic":       {&rpc.PublishRequest{Topic: "order.gone.v1", Event: jsonEvent(0)}, connect.CodeNotFound},
		} {
			if _, err := client.Publish(t.Context(), connect.NewRequest(c.request)); connect.CodeOf(err) != c.want {
				t.Errorf("%s, %s: %v, want %v", protocol, name, err, c.want)
			}
		}
		const events = 1500
		offsets := map[uint64]int64{}
		for try := range 2 {
			send(t, client, protocol, events, func(number uint64, result *rpc.Result) {
				if result.GetStatus() != 200 || result.GetRepeated() != (try == 1) {
					t.Fatalf("%s: event %d: %v", protocol, number, result)
				}
				if try == 0 {
					offsets[number] = result.GetOffset()
				} else if offsets[number] != result.GetOffset() {
					t.Fatalf("%s: event %d was at %d, and now is at %d", protocol, number, offsets[number], result.GetOffset())
				}
			})
		}
		written += events
	}
	if records, _ := r.read(orders); len(records) != written {
		t.Errorf("%d records, want %d", len(records), written)
	}
}

// send sends a stream, and gives its results in the order that they come in, which must be that of the events.
func send(t *testing.T, client rpc.EventsClient, name string, events uint64, result func(uint64, *rpc.Result)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream := client.PublishStream(ctx)
	done := make(chan error, 1)
	go func() {
		for n := range events {
			if err := stream.Send(&rpc.PublishStreamRequest{Topic: orders, Name: name, Number: n, Event: jsonEvent(int(n))}); err != nil {
				done <- err
				return
			}
		}
		done <- stream.CloseRequest()
	}()
	for n := uint64(0); ; n++ {
		res, err := stream.Receive()
		if errors.Is(err, io.EOF) && n == events {
			break
		}
		if err != nil || res.GetNumber() != n {
			t.Fatalf("result %d: %v %v", n, res, err)
		}
		result(n, res.GetResult())
	}
	if err := errors.Join(<-done, stream.CloseResponse()); err != nil {
		t.Fatal(err)
	}
}

// The trailers of gRPC-Web are sent plain, also to a client that takes gzip: many cannot read others.
//
// Mutation seen to fail it: no least size.
func TestTrailersOfGRPCWebAreNotCompressed(t *testing.T) {
	r := newRig(t, nil)
	message, err := proto.Marshal(&rpc.PublishRequest{Topic: orders, Event: jsonEvent(1)})
	if err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequest("POST", r.server.URL+rpcPath+"Publish", strings.NewReader(string(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))))+string(message)))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/grpc-web+proto")
	q.Header.Set("Grpc-Accept-Encoding", "gzip")
	res, err := r.server.Client().Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	var flags []byte
	for rest := body; len(rest) >= 5; rest = rest[5+binary.BigEndian.Uint32(rest[1:]):] {
		flags = append(flags, rest[0])
	}
	if err != nil || string(flags) != "\x00\x80" || !strings.Contains(strings.ToLower(string(body)), "grpc-status: 0") {
		t.Errorf("%q: %q %v", flags, body, err)
	}
}

// A compression that the service does not take is refused with what it takes, in headers that clients can parse: those of gRPC in C do not take an empty encoding.
//
// Mutation seen to fail it: answers as the handler makes them.
func TestACompressionThatIsNotTakenIsRefusedReadably(t *testing.T) {
	r := newRig(t, nil)
	h2, url := r.h2()
	for _, c := range []struct{ method, media, encoding, accept string }{
		{"Publish", "application/grpc", "Grpc-Encoding", "Grpc-Accept-Encoding"}, {"PublishStream", "application/grpc", "Grpc-Encoding", "Grpc-Accept-Encoding"},
		{"Publish", "application/grpc-web+proto", "Grpc-Encoding", "Grpc-Accept-Encoding"}, {"PublishStream", "application/connect+proto", "Connect-Content-Encoding", "Connect-Accept-Encoding"},
		{"Publish", "application/proto", "Content-Encoding", "Accept-Encoding"},
	} {
		q, err := http.NewRequest("POST", url+rpcPath+c.method, strings.NewReader("\x01\x00\x00\x00\x01x"))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", c.media)
		q.Header.Set(c.encoding, "deflate")
		q.Header.Set("Te", "trailers")
		res, err := h2.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		said := fmt.Sprint(res.Trailer, res.Header, string(body))
		if err != nil || !strings.Contains(said, "unknown compression") || res.Header.Get(c.accept) != "gzip" {
			t.Errorf("%v: %s", c, said)
		}
		for name, values := range res.Header {
			if strings.HasSuffix(name, "Encoding") && values[0] == "" {
				t.Errorf("%v: an empty %s: %s", c, name, said)
			}
		}
	}
}
