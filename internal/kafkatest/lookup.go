//go:build unix

package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// connect makes the client that looks things up.
func (c *Cluster) connect(ctx context.Context) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(c.addrs...),
		kgo.ClientID("kafkatest"),
		kgo.MetadataMinAge(20*time.Millisecond),
		// Retries are ours: they notice when a node has ended.
		kgo.RequestRetries(0),
		kgo.DialTimeout(2*time.Second),
		kgo.RequestTimeoutOverhead(5*time.Second),
	)
	if err != nil {
		return err
	}
	c.client = client
	if !c.External() {
		return nil
	}
	return c.poll(ctx, "brokers answer", func(ctx context.Context) error { return client.Ping(ctx) })
}

// poll tries until it works, ctx ends, or a node ended that should run.
func (c *Cluster) poll(ctx context.Context, what string, try func(context.Context) error, watched ...*Node) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := try(once)
		cancel()
		if err == nil {
			return nil
		}
		for _, n := range watched {
			if died := n.died(); died != nil {
				return died
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited until %s: %w: %w", what, context.Cause(ctx), err)
		}
	}
}

// Uncached makes kadm ask a broker each time it lists topics. Without it the list is the client's own, in which an answer from
// before a topic was made or deleted can overtake a later one.
func Uncached(ctx context.Context) context.Context { return kadm.WithAuthorizedOps(ctx) }

// awaitNode waits until a broker answers and every running broker counts it in, or a controller has a vote again.
func (c *Cluster) awaitNode(ctx context.Context, n *Node) error {
	if n.Addr == "" {
		return c.poll(ctx, fmt.Sprintf("controller %d follows the quorum", n.ID), func(ctx context.Context) error {
			return c.follows(ctx, n.ID)
		}, n)
	}
	return c.poll(ctx, fmt.Sprintf("broker %d serves", n.ID), func(ctx context.Context) error {
		for _, other := range c.brokers {
			if other != n && (!other.Running() || other.isPaused()) {
				continue
			}
			ids, err := c.members(ctx, other.Addr)
			if err != nil {
				return err
			}
			if !ids[n.ID] {
				return fmt.Errorf("broker %d does not know broker %d yet", other.ID, n.ID)
			}
		}
		return nil
	}, n)
}

func (n *Node) isPaused() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.paused
}

// members asks one broker for all that take part.
func (c *Cluster) members(ctx context.Context, addr string) (map[int32]bool, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RequestRetries(0), kgo.DialTimeout(time.Second))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	res, err := client.SeedBrokers()[0].Request(ctx, kmsg.NewPtrMetadataRequest())
	if err != nil {
		return nil, err
	}
	ids := map[int32]bool{}
	for _, b := range res.(*kmsg.MetadataResponse).Brokers {
		ids[b.NodeID] = true
	}
	return ids, nil
}

// awaitCoordinators makes Kafka create the internal topics of offsets and transactions and waits until they are loaded,
// so that the first test does not pay for it.
func (c *Cluster) awaitCoordinators(ctx context.Context) error {
	return c.poll(ctx, "coordinators serve", func(ctx context.Context) error {
		for _, kind := range []int8{0, 1} {
			if _, err := c.coordinator(ctx, kind, "kafkatest"); err != nil {
				return err
			}
		}
		for _, n := range c.brokers {
			if err := c.loaded(ctx, n); err != nil {
				return fmt.Errorf("broker %d: %w", n.ID, err)
			}
		}
		return nil
	}, c.brokers...)
}

// loaded asks a broker for its groups and transactions, which it refuses while it reads its part of them, and for a
// producer id, which it refuses until the controller has given it a block of them.
func (c *Cluster) loaded(ctx context.Context, n *Node) error {
	broker := c.client.Broker(int(n.ID))
	groups, err := broker.RetriableRequest(ctx, kmsg.NewPtrListGroupsRequest())
	if err != nil {
		return err
	}
	transactions, err := broker.RetriableRequest(ctx, kmsg.NewPtrListTransactionsRequest())
	if err != nil {
		return err
	}
	init := kmsg.NewPtrInitProducerIDRequest()
	init.ProducerID, init.ProducerEpoch = -1, -1
	producer, err := broker.RetriableRequest(ctx, init)
	if err != nil {
		return err
	}
	return errors.Join(kerr.ErrorForCode(groups.(*kmsg.ListGroupsResponse).ErrorCode),
		kerr.ErrorForCode(transactions.(*kmsg.ListTransactionsResponse).ErrorCode),
		kerr.ErrorForCode(producer.(*kmsg.InitProducerIDResponse).ErrorCode))
}

func (c *Cluster) coordinator(ctx context.Context, kind int8, key string) (int32, error) {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorType, req.CoordinatorKey, req.CoordinatorKeys = kind, key, []string{key}
	res, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return -1, err
	}
	code, id := res.ErrorCode, res.NodeID
	if len(res.Coordinators) > 0 {
		code, id = res.Coordinators[0].ErrorCode, res.Coordinators[0].NodeID
	}
	return id, kerr.ErrorForCode(code)
}

// Coordinator returns the broker that coordinates a group, TxnCoordinator a transactional id. Like the other look-ups
// they wait until there is an answer or ctx ends. Of a cluster that was running already the node is nil.
func (c *Cluster) Coordinator(ctx context.Context, group string) (*Node, error) {
	return c.findCoordinator(ctx, 0, group)
}

// TxnCoordinator returns the broker that coordinates a transactional id.
func (c *Cluster) TxnCoordinator(ctx context.Context, id string) (*Node, error) {
	return c.findCoordinator(ctx, 1, id)
}

func (c *Cluster) findCoordinator(ctx context.Context, kind int8, key string) (*Node, error) {
	var id int32
	err := c.poll(ctx, "there is a coordinator of "+key, func(ctx context.Context) error {
		var err error
		id, err = c.coordinator(ctx, kind, key)
		return err
	})
	return c.Node(id), err
}

// Leader returns the broker that leads a partition.
func (c *Cluster) Leader(ctx context.Context, topic string, partition int32) (*Node, error) {
	p, err := c.partition(ctx, topic, partition)
	return c.Node(p.Leader), err
}

// ISR returns the brokers that are in sync with a partition's leader.
func (c *Cluster) ISR(ctx context.Context, topic string, partition int32) ([]int32, error) {
	p, err := c.partition(ctx, topic, partition)
	return p.ISR, err
}

func (c *Cluster) partition(ctx context.Context, topic string, partition int32) (found kmsg.MetadataResponseTopicPartition, err error) {
	err = c.poll(ctx, fmt.Sprintf("%s/%d has a leader", topic, partition), func(ctx context.Context) error {
		req := kmsg.NewPtrMetadataRequest()
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &topic
		req.Topics = append(req.Topics, rt)
		res, err := req.RequestWith(ctx, c.client)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(res.Topics[0].ErrorCode); err != nil {
			return err
		}
		for _, p := range res.Topics[0].Partitions {
			if p.Partition == partition && p.Leader >= 0 {
				found = p
				return nil
			}
		}
		return errors.New("no leader")
	})
	return found, err
}

// Controller returns the node that is the active controller.
func (c *Cluster) Controller(ctx context.Context) (*Node, error) {
	var id int32
	err := c.poll(ctx, "there is a controller", func(ctx context.Context) error {
		q, err := c.quorum(ctx)
		if err == nil {
			id = q.LeaderID
		}
		return err
	})
	return c.Node(id), err
}

func (c *Cluster) quorum(ctx context.Context) (kmsg.DescribeQuorumResponseTopicPartition, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	rt := kmsg.NewDescribeQuorumRequestTopic()
	rt.Topic = "__cluster_metadata"
	rt.Partitions = append(rt.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, rt)
	var none kmsg.DescribeQuorumResponseTopicPartition
	res, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return none, err
	}
	if err := kerr.ErrorForCode(res.ErrorCode); err != nil {
		return none, err
	}
	p := res.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return none, err
	}
	if p.LeaderID < 0 {
		return none, errors.New("no leader of the quorum")
	}
	return p, nil
}

// follows checks that a controller has everything that the active one has.
func (c *Cluster) follows(ctx context.Context, id int32) error {
	q, err := c.quorum(ctx)
	if err != nil {
		return err
	}
	for _, v := range q.CurrentVoters {
		if v.ReplicaID == id && (id == q.LeaderID || v.LogEndOffset >= q.HighWatermark) {
			return nil
		}
	}
	return fmt.Errorf("controller %d is behind", id)
}
