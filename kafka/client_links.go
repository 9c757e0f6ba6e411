package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// links is a set of connections to the brokers of one cluster, at most one to an address, opened when first asked for.
//
// sarama holds a connection's lock for the whole of a synchronous call, so whoever must not wait for others' answers
// (produce, fetch, join) has a set of its own. sarama.Client is not used for the same reason: it takes the locks of all
// connections in turn to find the least loaded one, and one broker that hangs then holds up everything.
type links struct {
	client *Client
	seeds  []string
	ctx    context.Context // ends with close
	stop   context.CancelFunc
	tasks  sync.WaitGroup // connects and closes under way

	mu     sync.Mutex
	closed bool
	addrs  map[int32]string     // the cluster's brokers as last seen
	ctrl   int32                // its controller, -1 when not known
	open   map[string]*link     // by address, those that are being opened too
	raws   map[string]*link     // the same for raw connections
	failed map[string]time.Time // when an address last failed
}

var errClosed = errors.New("the client is closed")

func (c *Client) newLinks() *links {
	l := &links{
		client: c,
		seeds:  c.cfg.Brokers,
		ctrl:   -1,
		addrs:  map[int32]string{},
		open:   map[string]*link{},
		raws:   map[string]*link{},
		failed: map[string]time.Time{},
	}
	l.ctx, l.stop = context.WithCancel(context.Background())
	if c.admin != nil {
		c.admin.mu.Lock()
		for id, addr := range c.admin.addrs {
			l.addrs[id] = addr
		}
		c.admin.mu.Unlock()
	}
	return l
}

// close cuts every connection and waits until nothing of them runs any more. Calls under way fail.
func (l *links) close() {
	l.mu.Lock()
	l.closed = true
	open := slices.AppendSeq(slices.Collect(maps.Values(l.open)), maps.Values(l.raws))
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

// at returns the connection to an address.
func (l *links) at(ctx context.Context, addr string) (*link, error) {
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
	l.mu.Lock()
	if k.err == nil {
		delete(l.failed, k.addr)
	} else {
		l.failed[k.addr] = time.Now()
		l.forget(k)
	}
	l.mu.Unlock()
	close(k.ready)
}

// forget takes a connection out of the set, and says whether it was in it. l.mu is held.
func (l *links) forget(k *link) bool {
	for _, set := range []map[string]*link{l.open, l.raws} {
		if set[k.addr] == k {
			delete(set, k.addr)
			return true
		}
	}
	return false
}

// to returns the connection to a broker.
func (l *links) to(ctx context.Context, id int32) (*link, error) {
	addr, err := l.address(ctx, id)
	if err != nil {
		return nil, err
	}
	return l.at(ctx, addr)
}

// address is where a broker is, as last seen, or as seen now when it is not known.
func (l *links) address(ctx context.Context, id int32) (string, error) {
	addr, ok := l.addr(id)
	if !ok {
		if err := l.cluster(ctx); err != nil {
			return "", err
		}
		if addr, ok = l.addr(id); !ok {
			return "", fmt.Errorf("broker %d: %w", id, sarama.ErrBrokerNotFound)
		}
	}
	return addr, nil
}

func (l *links) addr(id int32) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	addr, ok := l.addrs[id]
	return addr, ok
}

// any returns a connection to some broker: one that is open, or else one whose last failure is longest ago.
func (l *links) any(ctx context.Context) (*link, error) {
	var errs []error
	for _, addr := range l.candidates() {
		k, err := l.at(ctx, addr)
		if err == nil {
			return k, nil
		}
		if ctx.Err() != nil || errors.Is(err, errClosed) {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (l *links) candidates() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.seeds)
	for _, addr := range l.addrs {
		all = append(all, addr)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	rank := func(addr string) int64 {
		if k := l.open[addr]; k != nil && k.connected() {
			return -1
		}
		if t, ok := l.failed[addr]; ok {
			return t.UnixNano()
		}
		return 0
	}
	// In random order otherwise: a broker that lives but knows nothing new must not be asked for ever.
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return all
}

// drop cuts a connection that is of no use any more, and forgets it. Calls under way on it fail.
func (l *links) drop(k *link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.forget(k) {
		l.failed[k.addr] = time.Now()
	}
	k.cut()
	if !l.closed {
		l.tasks.Go(k.shut)
	}
}

// learn takes over what an answer says about the cluster's brokers.
func (l *links) learn(addrs map[int32]string, controller int32) {
	if len(addrs) == 0 {
		return // a broker that is still starting knows of none
	}
	l.mu.Lock()
	l.addrs, l.ctrl = addrs, controller
	l.mu.Unlock()
}

// cluster asks any broker for all brokers.
func (l *links) cluster(ctx context.Context) error {
	k, err := l.any(ctx)
	if err != nil {
		return err
	}
	return l.clusterFrom(ctx, k.addr)
}

func (l *links) clusterFrom(ctx context.Context, addr string) error {
	k, err := l.at(ctx, addr)
	if err != nil {
		return err
	}
	req := sarama.NewDescribeClusterRequest(k.conf.Version)
	req.IncludeFencedBrokers = false
	res, err := ask(ctx, l, k, func(b *sarama.Broker) (*sarama.DescribeClusterResponse, error) { return b.DescribeCluster(req) })
	if err == nil && res.Err != sarama.ErrNoError {
		err = res.Err
	}
	if err != nil {
		return newConnectError(addr, stageRequest, err)
	}
	addrs := make(map[int32]string, len(res.Brokers))
	for _, b := range res.Brokers {
		addrs[b.BrokerID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	l.learn(addrs, res.ControllerID)
	return nil
}

// metadata asks any broker for topics, at least one. The answer for a topic may be an error.
func (l *links) metadata(ctx context.Context, topics ...string) (*sarama.MetadataResponse, error) {
	k, err := l.any(ctx)
	if err != nil {
		return nil, err
	}
	return l.metadataFrom(ctx, k, topics)
}

func (l *links) metadataFrom(ctx context.Context, k *link, topics []string) (*sarama.MetadataResponse, error) {
	if len(topics) == 0 {
		return nil, errors.New("metadata of no topics asked for") // would mean all topics
	}
	req := sarama.NewMetadataRequest(k.conf.Version, topics)
	res, err := ask(ctx, l, k, func(b *sarama.Broker) (*sarama.MetadataResponse, error) { return b.GetMetadata(req) })
	if err != nil {
		return nil, err
	}
	addrs := make(map[int32]string, len(res.Brokers))
	for _, b := range res.Brokers {
		addrs[b.ID()] = b.Addr()
	}
	l.learn(addrs, res.ControllerID)
	return res, nil
}

// controller returns the connection to the controller, which in KRaft is whatever broker passes requests on to it.
func (l *links) controller(ctx context.Context) (*link, error) {
	l.mu.Lock()
	id := l.ctrl
	l.mu.Unlock()
	if id < 0 {
		if err := l.cluster(ctx); err != nil {
			return nil, err
		}
		l.mu.Lock()
		id = l.ctrl
		l.mu.Unlock()
	}
	if id < 0 {
		return l.any(ctx)
	}
	k, err := l.to(ctx, id)
	if err != nil {
		l.forgetController()
	}
	return k, err
}

func (l *links) forgetController() {
	l.mu.Lock()
	l.ctrl = -1
	l.mu.Unlock()
}

// ids returns the brokers of the cluster as last seen.
func (l *links) ids() []int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.addrs))
}

// coordinator finds the broker that looks after a group or a transactional id.
func (l *links) coordinator(ctx context.Context, kind sarama.CoordinatorType, key string) (*link, error) {
	k, err := l.any(ctx)
	if err != nil {
		return nil, err
	}
	req := &sarama.FindCoordinatorRequest{Version: 3, CoordinatorKey: key, CoordinatorType: kind}
	res, err := ask(ctx, l, k, func(b *sarama.Broker) (*sarama.FindCoordinatorResponse, error) { return b.FindCoordinator(req) })
	if err != nil {
		return nil, err
	}
	if res.Err != sarama.ErrNoError {
		return nil, res.Err
	}
	return l.at(ctx, res.Coordinator.Addr())
}

// ask makes one synchronous call on a connection. The connection is dropped when it failed, and also when ctx ends
// before the answer is there: the late answer would hold up every later call.
func ask[R any](ctx context.Context, l *links, k *link, call func(*sarama.Broker) (R, error)) (R, error) {
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
		value, err := call(k.Broker)
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
		}
		return a.value, a.err
	case <-ctx.Done():
		l.drop(k)
		return none, context.Cause(ctx)
	}
}

// brokenLink tells errors of the connection from those of a request.
func brokenLink(err error) bool {
	var code sarama.KError
	var encoding sarama.PacketEncodingError
	return !errors.As(err, &code) && !errors.As(err, &encoding)
}
