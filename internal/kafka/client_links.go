package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/IBM/sarama"
)

// links is a set of connections to the brokers of one cluster, at most one to an address, opened when first asked for.
//
// sarama holds a connection's lock for the whole of a synchronous call, so whoever must not wait for others' answers
// (produce, fetch, join) has a set of its own. sarama.Client is not used for the same reason: it takes the locks of all
// connections in turn to find the least loaded one, and one broker that hangs then holds up everything.
type links struct {
	*reach // shared with the client's other sets
	client *Client
	ctx    context.Context // ends with close
	stop   context.CancelFunc
	tasks  sync.WaitGroup // connects and closes under way

	mu     sync.Mutex
	closed bool
	open   map[string]*link // by address, those that are being opened too
	raws   map[string]*link // the same for raw connections
}

var errClosed = errors.New("the client is closed")

func (c *Client) newLinks() *links {
	l := &links{reach: c.reach, client: c, open: map[string]*link{}, raws: map[string]*link{}}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// close cuts every connection and waits until nothing of them runs any more. Calls under way fail.
func (l *links) close() {
	l.mu.Lock()
	l.closed = true
	open := l.all()
	l.open, l.raws = map[string]*link{}, map[string]*link{}
	l.mu.Unlock()
	l.stop()
	for _, k := range open {
		k.cut()
	}
	l.tasks.Wait()
	for _, k := range open {
		k.shut()
	}
}

// toAddress returns the connection to an address.
func (l *links) toAddress(ctx context.Context, addr string) (*link, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, errClosed
	}
	k := l.open[addr]
	if k == nil {
		k = newLink(l.ctx, l.client, addr)
		l.open[addr] = k
		l.tasks.Go(func() { l.connect(k) })
	}
	l.mu.Unlock()
	select {
	case <-k.ready:
		if k.err != nil {
			return nil, k.err
		}
		return k, nil
	case <-ctx.Done():
		return nil, newConnectError(addr, stage(k.stage.Load()), context.Cause(ctx))
	}
}

func (l *links) connect(k *link) {
	k.replaceRetired()
	k.connect()
	switch {
	case k.err == nil:
		l.markReachable(k.addr)
	case !errors.Is(k.err, errClosed):
		l.markUnreachable(k.addr)
	}
	l.mu.Lock()
	if k.err != nil {
		l.forget(k)
	}
	l.mu.Unlock()
	close(k.ready)
}

// forget takes a connection out of the set. l.mu is held.
func (l *links) forget(k *link) {
	for _, set := range []map[string]*link{l.open, l.raws} {
		if set[k.addr] == k {
			delete(set, k.addr)
		}
	}
}

// toBroker returns the connection to a broker.
func (l *links) toBroker(ctx context.Context, id int32) (*link, error) {
	addr, err := l.address(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.toAddress(ctx, addr)
}

// address is where a broker is, as last seen, or as seen now when it is not known.
func (l *links) address(ctx context.Context, id int32) (string, error) {
	addr, ok := l.addr(id)
	if !ok {
		if err := l.refreshBrokers(ctx); err != nil {
			return "", err
		}
		if addr, ok = l.addr(id); !ok {
			return "", fmt.Errorf("broker %d: %w", id, sarama.ErrBrokerNotFound)
		}
	}
	return addr, nil
}

// drop cuts a connection that is of no use any more, and forgets it. Calls under way on it fail.
func (l *links) drop(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(k)
	k.cut()
	if !l.closed {
		l.tasks.Go(k.shut)
	}
}

// dropAll drops every connection. Later calls connect again.
func (l *links) dropAll() {
	l.mu.Lock()
	open := l.all()
	l.mu.Unlock()
	for _, k := range open {
		l.drop(k)
	}
}

// all lists every connection, also those that are being opened. l.mu is held.
func (l *links) all() []*link {
	return slices.AppendSeq(slices.Collect(maps.Values(l.open)), maps.Values(l.raws))
}

// refreshBrokers asks any broker for all brokers.
func (l *links) refreshBrokers(ctx context.Context) error {
	k, err := l.toAny(ctx)
	if err != nil {
		return err
	}
	return l.refreshBrokersFrom(ctx, k.addr)
}

func (l *links) refreshBrokersFrom(ctx context.Context, addr string) error {
	_, err := l.describeCluster(ctx, addr)
	return err
}

func (l *links) describeCluster(ctx context.Context, addr string) (*sarama.DescribeClusterResponse, error) {
	k, err := l.toAddress(ctx, addr)
	if err != nil {
		return nil, err
	}
	req := sarama.NewDescribeClusterRequest(k.conf.Version)
	req.IncludeFencedBrokers = false
	res, err := roundTrip(ctx, l, k, func(b *sarama.Broker) (*sarama.DescribeClusterResponse, error) { return b.DescribeCluster(req) })
	if err == nil && res.Err != sarama.ErrNoError {
		err = res.Err
	}
	if err != nil {
		return nil, newConnectError(addr, stageRequest, err)
	}
	addrs := make(map[int32]string, len(res.Brokers))
	for _, b := range res.Brokers {
		addrs[b.BrokerID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	l.setBrokers(addrs, res.ControllerID)
	return res, nil
}

// metadata asks any broker for topics, at least one. The answer for a topic may be an error.
func (l *links) metadata(ctx context.Context, topics ...string) (*sarama.MetadataResponse, error) {
	k, err := l.toAny(ctx)
	if err != nil {
		return nil, err
	}
	return l.metadataFrom(ctx, k, topics)
}

// metadataOfAll is that of all topics that the client may know of.
func (l *links) metadataOfAll(ctx context.Context) (*sarama.MetadataResponse, error) {
	k, err := l.toAny(ctx)
	if err != nil {
		return nil, err
	}
	return l.askMetadata(ctx, k, nil)
}

func (l *links) metadataFrom(ctx context.Context, k *link, topics []string) (*sarama.MetadataResponse, error) {
	if len(topics) == 0 {
		return nil, errors.New("metadata of no topics asked for") // would mean all topics
	}
	return l.askMetadata(ctx, k, topics)
}

func (l *links) askMetadata(ctx context.Context, k *link, topics []string) (*sarama.MetadataResponse, error) {
	req := sarama.NewMetadataRequest(k.conf.Version, topics)
	res, err := roundTrip(ctx, l, k, func(b *sarama.Broker) (*sarama.MetadataResponse, error) { return b.GetMetadata(req) })
	if err != nil {
		return nil, err
	}
	addrs := make(map[int32]string, len(res.Brokers))
	for _, b := range res.Brokers {
		addrs[b.ID()] = b.Addr()
	}
	l.setBrokers(addrs, res.ControllerID)
	return res, nil
}

// controller returns the connection to the controller, which in KRaft is whatever broker passes requests on to it.
func (l *links) controller(ctx context.Context) (*link, error) {
	id := l.controllerID()
	if id < 0 {
		if err := l.refreshBrokers(ctx); err != nil {
			return nil, err
		}
		id = l.controllerID()
	}
	if id < 0 {
		return l.toAny(ctx)
	}
	k, err := l.toBroker(ctx, id)
	if err != nil {
		l.forgetController()
	}
	return k, err
}

// coordinator finds the broker that looks after a group or a transactional id.
func (l *links) coordinator(ctx context.Context, kind sarama.CoordinatorType, key string) (*link, error) {
	k, err := l.toAny(ctx)
	if err != nil {
		return nil, err
	}
	req := &sarama.FindCoordinatorRequest{Version: 3, CoordinatorKey: key, CoordinatorType: kind}
	res, err := roundTrip(ctx, l, k, func(b *sarama.Broker) (*sarama.FindCoordinatorResponse, error) { return b.FindCoordinator(req) })
	if err != nil {
		return nil, err
	}
	if res.Err != sarama.ErrNoError {
		return nil, res.Err
	}
	return l.toAddress(ctx, res.Coordinator.Addr())
}

// roundTrip makes one synchronous call on a connection. The connection is dropped when it failed, and also when ctx ends
// before the answer is there: the late answer would hold up every later call.
func roundTrip[R any](ctx context.Context, l *links, k *link, call func(*sarama.Broker) (R, error)) (R, error) {
	type answer struct {
		value R
		err   error
	}
	answers := make(chan answer, 1)
	var none R
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return none, errClosed
	}
	l.tasks.Go(func() {
		unthrottle(k.Broker)
		value, err := call(k.Broker)
		unthrottle(k.Broker)
		answers <- answer{value, err}
	})
	l.mu.Unlock()
	select {
	case a := <-answers:
		if a.err != nil && brokenLink(a.err) {
			l.drop(k)
			if l.ctx.Err() != nil {
				return none, errClosed
			}
			l.markUnreachable(k.addr)
		}
		return a.value, a.err
	case <-ctx.Done():
		l.drop(k)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			l.markUnreachable(k.addr)
		}
		return none, context.Cause(ctx)
	}
}

// brokenLink tells errors of the connection from those of a request.
func brokenLink(err error) bool {
	var code sarama.KError
	var encoding sarama.PacketEncodingError
	return !errors.As(err, &code) && !errors.As(err, &encoding)
}
