package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
	"github.com/weirstream/weir/internal/publish"
	"github.com/weirstream/weir/internal/system"
)

// once takes each event id once, across all gateways and their deaths.
//
// Ids are in a topic, _weir.gateway.ids, whose only partition has one owner at a time. An event and the record of its id are written by
// the owner in one transaction, and the owner knows all ids. Whoever becomes the owner takes over the
// partition's transactional id: that ends what the former one has open, and has it refused from then on. So what the new
// one then reads in the partition is all that will ever have been committed, and it decides on that.
//
// Were there more partitions, an event's would follow from topic and key, so that events of one key have one owner, and an
// order (idPartition says why there are not). So an id belongs to its key: with another key it is another event's. Key and value are those that the producer sent, not what a schema made of them: that changes when the schema
// does. Who the owner is, and at which URL, is in
// _weir.gateway.owners; others forward to it, and take its place when it does not answer: never by a timer. Two gateways that
// cannot reach each other take turns, which is slow and never wrong. One that lives and cannot be trusted, or does not trust this one, keeps its place
// (once_peers.go): that is a mistake of whoever runs them, which no takeover mends.
type once struct {
	g      *Gateway
	ids    string // the topic
	now    func() time.Time
	owners string
	prefix string

	held      atomic.Int64 // ids in memory, of all owners here
	fullUntil atomic.Int64 // until when no partition is taken, because its ids had no room; in nanoseconds

	starting sync.Mutex // held while the topics are made and read
	started  bool

	mu       sync.Mutex
	closed   bool
	known    ownership // who owns the ids, as the topic says; zero while it says nothing
	follower *system.Follower
	mine     *owner // nil while it is elsewhere
	tasks    sync.WaitGroup
	ctx      context.Context
	stop     context.CancelFunc
	peers    *http.Client
	stranger *http.Client    // asks whether a peer lives that cannot be trusted
	apart    estrangement    // from who owns the ids
	ways     map[string]*way // to other gateways, by URL
}

// ownership is a record of _weir.gateway.owners; its key is the partition.
type ownership struct {
	Version int    `json:"version"`
	URL     string `json:"url"`
	Gateway string `json:"gateway"` // a random name of the process
}

const (
	// idPartition is the only one of the topic of ids, so there is one owner, and one transaction at a time. A transaction costs the brokers several
	// milliseconds of a core, with one event as with a thousand, so those that come together should share one: two owners would have it cost twice.
	idPartition = int32(0)
	startWithin = 15 * time.Second
	loadWithin  = 10 * time.Minute // a day of ids
	// OnceFor is how long an id is known at least.
	OnceFor = 24 * time.Hour
	// clocksApart is how far a gateway's clock may be ahead of the brokers', which give the ids their times: so much longer ids are kept and read.
	clocksApart = time.Hour
)

func newOnce(g *Gateway, names plan.Names) *once {
	o := &once{g: g, now: time.Now, ids: names.System("_weir.gateway.ids"), owners: names.System(system.Owners.Name), prefix: names.Prefix,
		peers: newPeers(g.PeerTLS), stranger: newStranger(), ways: map[string]*way{}}
	o.ctx, o.stop = context.WithCancel(context.Background())
	return o
}

// start makes the topics, when the first event comes that needs them.
func (o *once) start(ctx context.Context) error {
	o.starting.Lock()
	defer o.starting.Unlock()
	if o.started {
		return nil
	}
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	if err := o.g.Client.CreateTopics(ctx, []kafka.TopicSpec{
		{Name: o.ids, Partitions: idPartition + 1, ReplicationFactor: -1, Config: map[string]string{
			"cleanup.policy": "delete", "message.timestamp.type": "LogAppendTime", "retention.ms": strconv.FormatInt((OnceFor + clocksApart).Milliseconds(), 10),
		}},
		system.Owners.Spec(o.owners),
	}); err != nil {
		return err
	}
	follower, err := system.Follow(ctx, o.g.Client, o.g.Client.NewFetcher(system.FollowWindow), system.Owners, o.owners, o.g.Log, func() (func(*kafka.Record), func()) {
		return func(r *kafka.Record) {
			p, err := strconv.ParseInt(string(r.Key), 10, 32)
			var owner ownership
			if err == nil {
				err = json.Unmarshal(r.Value, &owner)
			}
			if err != nil {
				o.g.Log.Error("a record of the owners of ids cannot be understood", zap.Int64("offset", r.Offset), zap.Error(err))
				return
			}
			if p != int64(idPartition) {
				return
			}
			o.mu.Lock()
			o.known = owner
			o.mu.Unlock()
		}, func() {}
	})
	if err != nil {
		return err
	}
	o.mu.Lock()
	o.follower = follower
	o.mu.Unlock()
	o.started = true
	return nil
}

// bounded returns a context that ends with ctx, and with the gateway.
func (o *once) bounded(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(o.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// catchUp returns when all is known that was written about owners so far.
func (o *once) catchUp(ctx context.Context) error {
	ctx, cancel := o.bounded(ctx)
	defer cancel()
	return o.follower.CatchUp(ctx)
}

// close ends the owner that is here. What it has under way is finished, or aborted by who comes after it.
func (o *once) close(ctx context.Context) {
	o.mu.Lock()
	o.closed = true
	if o.mine != nil {
		o.mine.end()
	}
	follower := o.follower
	o.mu.Unlock()
	stop := context.AfterFunc(ctx, o.stop)
	o.tasks.Wait()
	stop()
	o.stop()
	o.peers.CloseIdleConnections()
	o.stranger.CloseIdleConnections()
	if follower != nil {
		follower.Close()
	}
}

// item is an event on its way to its owner.
type item struct {
	ID      string         `json:"id"`
	Topic   string         `json:"topic"` // in the cluster
	Part    int32          `json:"partition"`
	Time    int64          `json:"time"`
	Key     []byte         `json:"key,omitempty"`
	Value   []byte         `json:"value"` // null is a tombstone
	Headers []kafka.Header `json:"headers,omitempty"`

	Place place `json:"place"` // of its id
	Print place `json:"print"` // of key and value as they were sent
}

// set says what the item is known by.
func (i *item) set(s sent) { i.Place, i.Print = hashed([]byte(i.Topic), s.key, []byte(i.ID)), s.print }

func (i *item) record() kafka.Outgoing {
	return kafka.Outgoing{TopicPartition: kafka.TopicPartition{Topic: i.Topic, Partition: i.Part}, Timestamp: i.Time, Key: i.Key, Value: i.Value, Headers: i.Headers}
}

// verdict is how an item ended.
type verdict struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Repeated  bool   `json:"repeated,omitempty"`
	Conflict  bool   `json:"conflict,omitempty"`
	Full      bool   `json:"full,omitempty"`    // there is no room for its id
	Refused   string `json:"refused,omitempty"` // the record's fault
	TooLarge  bool   `json:"too_large,omitempty"`
	Beside    bool   `json:"beside,omitempty"` // another event of its atomic batch is refused

	err error // the world's
}

// onceResult is a chunk's events on their way.
type onceResult struct {
	items    []item
	whole    bool // all of them are taken, or none
	brought  bool
	verdicts []verdict
	err      error
}

// submit makes the items of a chunk. Those of a stream are brought to their owner at once and waited for, because what is forwarded has no order.
func (o *once) submit(c *chunk) *onceResult {
	if c.batch.Order != nil && c.batch.Order.Broken() {
		return &onceResult{brought: true, err: publish.ErrNotTried}
	}
	r := &onceResult{items: make([]item, len(c.batch.Records)), whole: c.atomic}
	for i := range c.batch.Records {
		rec := &c.batch.Records[i]
		id := string(rec.Headers[len(rec.Headers)-1].Value) // admit puts it last
		r.items[i] = item{ID: id, Topic: rec.Topic, Part: rec.Partition, Time: rec.Timestamp, Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
		r.items[i].set(c.sent[i])
	}
	if c.batch.Order == nil {
		return r
	}
	ctx, cancel := context.WithTimeout(o.g.patience, o.g.Limits.Answer)
	defer cancel()
	r.err = waitForRoom(ctx, o.g.Limits.Answer, func() error { // a stream is slowed down, not refused
		r.bring(ctx, o)
		return r.err
	})
	if r.err != nil {
		c.batch.Order.Break()
	}
	return r
}

func (r *onceResult) bring(ctx context.Context, o *once) {
	r.brought = true
	r.verdicts, r.err = o.bring(ctx, r.items, r.whole)
}

var (
	errBeside  = errors.New("not written, because another event of the atomic batch was refused")
	errIDsFull = errors.New("as many ids of the last day are in memory as may be (--max-ids)")
)

// conflictError is of an event whose id another one has.
type conflictError struct{ id string }

func (e *conflictError) Error() string {
	return fmt.Sprintf("the event id %q was used for an event with another value or (of CloudEvents) source", e.id)
}

// wait returns how the events ended.
func (r *onceResult) wait(ctx context.Context, c *chunk) ([]publish.Result, error) {
	if !r.brought {
		r.bring(ctx, c.g.once)
	}
	if r.err != nil {
		return nil, r.err
	}
	results := make([]publish.Result, len(r.verdicts))
	for i, v := range r.verdicts {
		results[i] = publish.Result{Partition: v.Partition, Offset: v.Offset}
		switch {
		case v.Conflict:
			headers := c.batch.Records[i].Headers
			results[i].Err = &conflictError{string(headers[len(headers)-1].Value)} // admit puts the id last
		case v.Full:
			results[i].Err = errIDsFull
		case v.Beside:
			results[i].Err = errBeside
		case v.Refused != "":
			refused := &kafka.RefusedError{TopicPartition: c.batch.Records[i].TopicPartition, Err: errors.New(v.Refused)}
			if v.TooLarge {
				refused.Limits = []string{"max.message.bytes"}
			}
			results[i].Err = refused
		}
	}
	return results, nil
}

// bring has the owner of the ids take items, all or none where they are a whole: this gateway, or another one. It is the owner's word that is returned.
func (o *once) bring(ctx context.Context, items []item, whole bool) ([]verdict, error) {
	if err := o.start(ctx); err != nil {
		return nil, fmt.Errorf("prepare the topics of ids: %w", err)
	}
	seize := false
	for {
		if w := o.own(seize); w != nil {
			verdicts, err := w.take(ctx, items, whole)
			if !errors.Is(err, errNotOwner) {
				return verdicts, err
			}
			seize = false
			if err := o.catchUp(ctx); err != nil {
				return nil, err
			}
			continue
		}
		o.mu.Lock()
		to := o.known
		err := o.apart.standing(to)
		o.mu.Unlock()
		if err != nil {
			return nil, err
		}
		verdicts, is, err := o.forward(ctx, to.URL, items, whole)
		if is {
			o.near()
			return verdicts, err
		}
		if lives := stillOwner(to, err); lives != nil {
			o.near()
			if !errors.Is(lives, publish.ErrFull) {
				o.g.Log.Warn("the gateway that owns the ids refuses what this one hands to it", zap.String("url", to.URL), zap.Error(err))
			}
			return nil, lives
		}
		if apart := o.apartFrom(ctx, to, err); apart != nil {
			return nil, apart
		}
		if ctx.Err() != nil || o.ctx.Err() != nil {
			return nil, err
		}
		// It is gone, or is the owner no more. What became of the items, if it had begun, the topic of ids will say.
		if err := o.catchUp(ctx); err != nil {
			return nil, err
		}
		o.mu.Lock()
		seize = o.known == to
		o.mu.Unlock()
		if seize {
			o.g.Log.Warn("the ids of a gateway that does not answer are taken over", zap.Int32("partition", idPartition), zap.String("url", to.URL), zap.Error(err))
		}
	}
}

// own returns the owner in this process, where it is here, or nobody else is known, or the place is to be taken.
func (o *once) own(seize bool) *owner {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mine != nil {
		return o.mine
	}
	if o.closed || !seize && o.known.URL != "" && o.known.URL != o.g.URL {
		return nil
	}
	o.mine = &owner{o: o, wake: make(chan struct{}, 1)}
	o.tasks.Go(o.mine.run)
	return o.mine
}

// portion takes from the head of a queue what has at most so much of each together, and one in any case.
func portion[T any](queue *[]T, most [2]int, of func(T) [2]int) (list []T) {
	var n [2]int
	for q := *queue; len(q) > 0; q = *queue {
		more := of(q[0])
		if len(list) > 0 && (n[0]+more[0] > most[0] || n[1]+more[1] > most[1]) {
			break
		}
		n[0], n[1] = n[0]+more[0], n[1]+more[1]
		list = append(list, q[0])
		q[0] = *new(T) // what the rest of the queue is part of keeps it no longer
		*queue = q[1:]
	}
	return list
}
