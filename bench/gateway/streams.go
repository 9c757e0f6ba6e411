//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/gateway/rpc"
)

// acknowledged counts the results of streams.
type acknowledged struct{ accepted, other atomic.Int64 }

// streams has each client send one stream after the other, as fast as its events are acknowledged.
func streams(one func(first int64, a *acknowledged) error) error {
	var a acknowledged
	var wg sync.WaitGroup
	var next atomic.Int64
	began := time.Now()
	errs := make(chan error, *clients)
	for range *clients {
		wg.Go(func() {
			for time.Since(began) < *length {
				if err := one(next.Add(int64(*lines))-int64(*lines), &a); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	fmt.Printf("%.0f acknowledged events/s over %s, %d others\n", float64(a.accepted.Load())/time.Since(began).Seconds(), time.Since(began).Round(time.Second), a.other.Load())
	return <-errs
}

// lineStream sends a stream of lines.
func lineStream(c *http.Client, base string) func(int64, *acknowledged) error {
	return func(first int64, a *acknowledged) error {
		var b bytes.Buffer
		for n := range *lines {
			b.Write(body(first + int64(n)))
			b.WriteByte('\n')
		}
		res, err := c.Post(base+"/topics/"+*topic+"/events", "application/x-ndjson", &b)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if bytes.HasPrefix(s.Bytes(), []byte(`{"status":200`)) {
				a.accepted.Add(1)
			} else {
				a.other.Add(1)
			}
		}
		return nil
	}
}

// arrays sends requests with an array of events each.
func arrays(c *http.Client, base string) func(int64, *acknowledged) error {
	return func(first int64, a *acknowledged) error {
		b := []byte{'['}
		for n := range *lines {
			if n > 0 {
				b = append(b, ',')
			}
			b = append(b, body(first+int64(n))...)
		}
		res, err := c.Post(base+"/topics/"+*topic+"/events", "application/json", bytes.NewReader(append(b, ']')))
		if err != nil {
			return err
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		accepted := bytes.Count(answer, []byte(`{"status":200`))
		a.accepted.Add(int64(accepted))
		a.other.Add(int64(*lines - accepted))
		return err
	}
}

// protobufStream sends a stream of the Protobuf service by Connect's protocol, many messages at a time, as clients do that have many.
func protobufStream(base string) func(int64, *acknowledged) error {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	c := &http.Client{Transport: transport}
	return func(first int64, a *acknowledged) error {
		in, send := io.Pipe()
		q, err := http.NewRequest(http.MethodPost, base+rpc.EventsPublishStreamProcedure, in)
		if err != nil {
			return err
		}
		q.Header.Set("Content-Type", "application/connect+proto")
		q.Header.Set("Connect-Protocol-Version", "1")
		go func() { send.CloseWithError(sendMessages(send, first)) }()
		res, err := c.Do(q)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		return results(bufio.NewReaderSize(res.Body, 64<<10), a)
	}
}

// A message of a stream stands after a byte of flags and its length; the last one has the flag 2, and says how the stream ended.
const (
	envelope = 5
	lastFlag = 2
)

func sendMessages(w io.Writer, first int64) error {
	out := bufio.NewWriterSize(w, 32<<10)
	var b []byte
	for n := range *lines {
		m := &rpc.PublishStreamRequest{Number: uint64(n), Event: &rpc.Event{Value: &rpc.Event_Json{Json: string(body(first + int64(n)))}}}
		if n == 0 {
			m.Topic = *topic
		}
		var err error
		if b, err = (proto.MarshalOptions{}).MarshalAppend(append(b[:0], make([]byte, envelope)...), m); err != nil {
			return err
		}
		binary.BigEndian.PutUint32(b[1:], uint32(len(b)-envelope))
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	return out.Flush()
}

func results(in *bufio.Reader, a *acknowledged) error {
	var head [envelope]byte
	var b []byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(head[1:]))
		b = append(b[:0], make([]byte, size)...)
		if _, err := io.ReadFull(in, b); err != nil {
			return err
		}
		if head[0]&lastFlag != 0 {
			if bytes.Contains(b, []byte("error")) {
				return fmt.Errorf("the stream ended with %s", b)
			}
			return nil
		}
		var m rpc.PublishStreamResponse
		if err := proto.Unmarshal(b, &m); err != nil {
			return err
		}
		if m.GetResult().GetStatus() == http.StatusOK {
			a.accepted.Add(1)
		} else {
			a.other.Add(1)
		}
	}
}
