package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A raw connection carries requests that sarama lacks, or answers that it cannot read, as franz-go's kmsg encodes them.
// sarama opens it like any other (ApiVersions and SASL are its part), and is not used on it afterwards: once the
// handshakes are over nothing is under way, so the connection can change hands.
//
// links keeps raw connections beside sarama's, at most one to an address too.

// errRetired says that a raw connection takes no more requests, because its SASL session is about to end. The request
// was not sent: ask links.raw for the connection that follows.
var errRetired = errors.New("the connection is about to be replaced")

// raw returns the raw connection to an address.
//
// One whose SASL session is about to end (KIP-368) is replaced: the new one is opened after the last answer has come on
// the old one, so that requests which must stay in order stay in order.
func (l *links) raw(ctx context.Context, addr string) (*rawConn, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errClosed
	}
	k := l.raws[addr]
	var retired *link
	if k != nil && k.connected() && k.raw.due(time.Now()) {
		retired, k = k, nil
	}
	if k == nil {
		k = newLink(l.ctx, l.client, addr)
		k.links = l
		k.retired.Store(retired)
		l.raws[addr] = k
		l.tasks.Go(func() { l.connect(k) })
	}
	l.mu.Unlock()
	select {
	case <-k.ready:
		if k.err != nil {
			return nil, k.err
		}
		return k.raw, nil
	case <-ctx.Done():
		return nil, newConnectError(addr, stage(k.stage.Load()), context.Cause(ctx))
	}
}

// request sends a request in the highest version that the broker and kmsg both speak, most at most, and waits for its answer.
func (l *links) request(ctx context.Context, addr string, req kmsg.Request, most int16) (kmsg.Response, error) {
	for {
		c, err := l.raw(ctx, addr)
		if err != nil {
			return nil, err
		}
		if err := c.pick(req, most); err != nil {
			return nil, err
		}
		if res, err := c.do(ctx, req); !errors.Is(err, errRetired) {
			return res, err
		}
	}
}

// requestBroker does the same at a broker.
func (l *links) requestBroker(ctx context.Context, id int32, req kmsg.Request, most int16) (kmsg.Response, error) {
	addr, err := l.address(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.request(ctx, addr, req, most)
}

// takeOver makes a link whose handshakes are over a raw connection.
func (k *link) takeOver() error {
	conn := k.conn.Load()
	lifetime, err := conn.trace.Swap(nil).sessionLifetime()
	if err != nil {
		return err
	}
	r := newRawConn(k, conn, lifetime)
	ctx, cancel := context.WithDeadline(k.ctx, *conn.limit.Load())
	defer cancel()
	k.links.tasks.Go(r.read)
	if err := r.learnVersions(ctx); err != nil {
		return fmt.Errorf("ask for the versions of requests: %w", err)
	}
	k.raw = r
	return nil
}

// replaceRetired waits for the last answer on the connection that this one replaces, and ends it.
func (k *link) replaceRetired() {
	old := k.retired.Load()
	if old == nil {
		return
	}
	old.raw.retire()
	select {
	case <-old.raw.idle:
	case <-old.raw.over:
	case <-k.ctx.Done():
	}
	old.cut()
	<-old.raw.over
	old.shut()
	k.retired.Store(nil)
}

// learnVersions asks which versions of which requests the broker speaks.
func (r *rawConn) learnVersions(ctx context.Context) error {
	for version := int16(3); ; version = 0 {
		req := kmsg.NewPtrApiVersionsRequest()
		req.Version = version
		req.ClientSoftwareName, req.ClientSoftwareVersion = "weir", "1"
		answer, err := r.do(ctx, req)
		if err != nil {
			return err
		}
		res := answer.(*kmsg.ApiVersionsResponse)
		if sarama.KError(res.ErrorCode) == sarama.ErrUnsupportedVersion && version > 0 {
			continue // before Kafka 2.4
		}
		if err := codeError(res.ErrorCode); err != nil {
			return err
		}
		r.versions = make(map[int16]versionRange, len(res.ApiKeys))
		for _, k := range res.ApiKeys {
			r.versions[k.ApiKey] = versionRange{k.MinVersion, k.MaxVersion}
		}
		r.features = make(map[string]int16, len(res.FinalizedFeatures))
		for _, f := range res.FinalizedFeatures {
			r.features[f.Name] = f.MaxVersionLevel
		}
		return nil
	}
}

// codeError is a code of Kafka's protocol as an error, nil for none.
func codeError(code int16) error {
	if code == 0 {
		return nil
	}
	return sarama.KError(code)
}

type versionRange struct{ least, most int16 }

// pick sets a request's version: the highest that the broker and kmsg both speak, most at most.
func (r *rawConn) pick(req kmsg.Request, most int16) error {
	speaks, ok := r.versions[req.Key()]
	version := min(most, speaks.most, req.MaxVersion())
	if !ok || version < speaks.least {
		return fmt.Errorf("%w: broker %s speaks versions %d to %d of %s, Weir up to %d", sarama.ErrUnsupportedVersion,
			r.link.addr, speaks.least, speaks.most, kmsg.NameForKey(req.Key()), min(most, req.MaxVersion()))
	}
	req.SetVersion(version)
	return nil
}
