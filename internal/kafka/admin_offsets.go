package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Ends returns the high watermarks of partitions: their ends with open transactions included.
func (c *Client) Ends(ctx context.Context, partitions []TopicPartition) (map[TopicPartition]int64, error) {
	return c.offsets(ctx, "find the ends of "+count(partitions), partitions, sarama.OffsetNewest)
}

// Starts returns the first offsets that partitions still hold.
func (c *Client) Starts(ctx context.Context, partitions []TopicPartition) (map[TopicPartition]int64, error) {
	return c.offsets(ctx, "find the starts of "+count(partitions), partitions, sarama.OffsetOldest)
}

// Bounds returns the first offset that a partition still holds, and its high watermark.
func (c *Client) Bounds(ctx context.Context, tp TopicPartition) (start, end int64, err error) {
	starts, err := c.Starts(ctx, []TopicPartition{tp})
	if err != nil {
		return 0, 0, err
	}
	ends, err := c.Ends(ctx, []TopicPartition{tp})
	return starts[tp], ends[tp], err
}

// OffsetsFor returns, for each partition, the offset of the first record with that timestamp or a later one: all records
// before it are older. It is -1 where every record is older, or there is none.
func (c *Client) OffsetsFor(ctx context.Context, partitions []TopicPartition, at time.Time) (map[TopicPartition]int64, error) {
	return c.offsets(ctx, "find offsets by time in "+count(partitions), partitions, max(0, at.UnixMilli()))
}

// unknownTries is how often a topic may be unknown before that is taken for an answer. A broker that has just started,
// or not yet heard of a new topic, says so too.
const unknownTries = 10

func (c *Client) offsets(ctx context.Context, op string, partitions []TopicPartition, at int64) (map[TopicPartition]int64, error) {
	return askLeaders(ctx, c, op, partitions, func(ctx context.Context, id int32, tps []TopicPartition) (map[TopicPartition]int64, error) {
		return c.offsetsFrom(ctx, id, tps, at)
	})
}

// askLeaders asks the leaders of partitions, all at once, and asks again for what is left.
func askLeaders[T any](ctx context.Context, c *Client, op string, partitions []TopicPartition, ask askLeader[T]) (map[TopicPartition]T, error) {
	found := make(map[TopicPartition]T, len(partitions))
	left := make(map[TopicPartition]bool, len(partitions))
	for _, tp := range partitions {
		left[tp] = true
	}
	unknown := 0
	err := c.retry(ctx, op, func(ctx context.Context) error {
		if len(left) == 0 {
			return nil
		}
		some, err := askLeadersOnce(ctx, c, left, ask)
		for tp, value := range some {
			found[tp] = value
			delete(left, tp)
		}
		if errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			if unknown++; unknown < unknownTries {
				return unsettled{err}
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// askLeader asks one broker. It returns what it got also when it got an error for others.
type askLeader[T any] func(ctx context.Context, id int32, tps []TopicPartition) (map[TopicPartition]T, error)

// unsettled marks an error as worth another try, whatever its code.
type unsettled struct{ error }

func (u unsettled) Unwrap() error { return u.error }

func askLeadersOnce[T any](ctx context.Context, c *Client, left map[TopicPartition]bool, ask askLeader[T]) (map[TopicPartition]T, error) {
	leaders, err := c.leaders(ctx, left)
	var mu sync.Mutex
	found := map[TopicPartition]T{}
	errs := []error{err}
	var wg sync.WaitGroup
	for id, tps := range leaders {
		wg.Go(func() {
			some, err := ask(ctx, id, tps)
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
			maps.Copy(found, some)
		})
	}
	wg.Wait()
	return found, errors.Join(errs...)
}

func (c *Client) leaders(ctx context.Context, left map[TopicPartition]bool) (map[int32][]TopicPartition, error) {
	topics := map[string]bool{}
	var names []string
	for tp := range left {
		if !topics[tp.Topic] {
			topics[tp.Topic] = true
			names = append(names, tp.Topic)
		}
	}
	res, err := c.admin.metadata(ctx, names...)
	if err != nil {
		return nil, err
	}
	leaders := map[int32][]TopicPartition{}
	seen := map[TopicPartition]bool{}
	var errs []error
	for _, t := range res.Topics {
		if t.Err != sarama.ErrNoError {
			errs = append(errs, ofTopic(t.Name, t.Err))
			delete(topics, t.Name)
			continue
		}
		for _, p := range t.Partitions {
			tp := TopicPartition{Topic: t.Name, Partition: p.ID}
			if !left[tp] {
				continue
			}
			seen[tp] = true
			if p.Leader < 0 {
				errs = append(errs, fmt.Errorf("%s: %w", tp, sarama.ErrLeaderNotAvailable))
				continue
			}
			leaders[p.Leader] = append(leaders[p.Leader], tp)
		}
	}
	for tp := range left {
		if topics[tp.Topic] && !seen[tp] {
			errs = append(errs, ofPartition(tp, sarama.ErrUnknownTopicOrPartition))
		}
	}
	return leaders, errors.Join(errs...)
}

func (c *Client) offsetsFrom(ctx context.Context, id int32, tps []TopicPartition, at int64) (map[TopicPartition]int64, error) {
	k, err := c.admin.toBroker(ctx, id)
	if err != nil {
		return nil, err
	}
	req := sarama.NewOffsetRequest(k.conf.Version)
	for _, tp := range tps {
		req.AddBlock(tp.Topic, tp.Partition, at, 1)
	}
	res, err := roundTrip(ctx, c.admin, k, func(b *sarama.Broker) (*sarama.OffsetResponse, error) { return b.GetAvailableOffsets(req) })
	if err != nil {
		return nil, fmt.Errorf("broker %d: %w", id, err)
	}
	found := make(map[TopicPartition]int64, len(tps))
	var errs []error
	for _, tp := range tps {
		switch block := res.GetBlock(tp.Topic, tp.Partition); {
		case block == nil:
			errs = append(errs, fmt.Errorf("%s: %w", tp, sarama.ErrIncompleteResponse))
		case block.Err != sarama.ErrNoError:
			errs = append(errs, ofPartition(tp, block.Err))
		default:
			found[tp] = block.Offset
		}
	}
	return found, errors.Join(errs...)
}

// Committed returns the group's committed offsets, NoOffset where there is none. While a transaction that touches one of them
// is open it waits, for as long as ctx lets it (KIP-447): the offset to resume from is not settled before.
func (c *Client) Committed(ctx context.Context, group string, partitions []TopicPartition) (map[TopicPartition]CommittedOffset, error) {
	return c.committed(ctx, group, partitions, true)
}

// CommittedNow is Committed without the wait: what an open transaction will commit is not in the answer.
func (c *Client) CommittedNow(ctx context.Context, group string, partitions []TopicPartition) (map[TopicPartition]CommittedOffset, error) {
	return c.committed(ctx, group, partitions, false)
}

func (c *Client) committed(ctx context.Context, group string, partitions []TopicPartition, stable bool) (map[TopicPartition]CommittedOffset, error) {
	found := map[TopicPartition]CommittedOffset{}
	if len(partitions) == 0 {
		return found, nil
	}
	op := "read the offsets of group " + group
	try := func(ctx context.Context) error { return c.committedOnce(ctx, group, partitions, stable, found) }
	for {
		err := c.retry(ctx, op, try)
		if err == nil {
			return found, nil
		}
		// The coordinator answers; it is a transaction that does not end. Its timeout bounds that, not ours.
		if errors.Is(err, sarama.ErrUnstableOffsetCommit) && ctx.Err() == nil {
			continue
		}
		return nil, err
	}
}

func (c *Client) committedOnce(ctx context.Context, group string, partitions []TopicPartition, stable bool, found map[TopicPartition]CommittedOffset) error {
	k, err := c.admin.coordinator(ctx, sarama.CoordinatorGroup, group)
	if err != nil {
		return ofGroup(group, err)
	}
	byTopic := map[string][]int32{}
	for _, tp := range partitions {
		byTopic[tp.Topic] = append(byTopic[tp.Topic], tp.Partition)
	}
	req := sarama.NewOffsetFetchRequest(k.conf.Version, group, byTopic)
	req.RequireStable = stable
	res, err := roundTrip(ctx, c.admin, k, func(b *sarama.Broker) (*sarama.OffsetFetchResponse, error) { return b.FetchOffset(req) })
	if err != nil {
		return err
	}
	switch code := res.GroupError(); code {
	case sarama.ErrNoError:
	case sarama.ErrGroupIDNotFound: // the embedded broker's answer; Kafka's is -1 for each partition
		for _, tp := range partitions {
			found[tp] = NoOffset
		}
		return nil
	default:
		return ofGroup(group, code)
	}
	var errs []error
	for _, tp := range partitions {
		block := res.GetBlock(tp.Topic, tp.Partition)
		switch {
		case block == nil:
			errs = append(errs, fmt.Errorf("%s: %w", tp, sarama.ErrIncompleteResponse))
		case block.Err == sarama.ErrUnknownTopicOrPartition:
			found[tp] = NoOffset
		case block.Err != sarama.ErrNoError:
			errs = append(errs, ofPartition(tp, block.Err))
		default:
			found[tp] = CommittedOffset{block.Offset, block.LeaderEpoch, block.Metadata}
		}
	}
	return errors.Join(errs...)
}

// PartitionLag is where a group stands in a partition.
type PartitionLag struct {
	Start, End int64 // what the partition holds, open transactions included
	Committed  int64 // -1 when the group has committed nothing
}

// Lag is how many offsets lie between the group and the end. Transaction markers count: a committed offset passes over
// them too, so it reaches 0.
func (l PartitionLag) Lag() int64 {
	return max(0, l.End-max(l.Start, l.Committed))
}

// Lag tells where a group stands in every partition of the topics. It does not wait for open transactions. A topic that
// does not exist is an error.
func (c *Client) Lag(ctx context.Context, group string, topics []string) (map[TopicPartition]PartitionLag, error) {
	infos, err := c.Topics(ctx, topics)
	if err != nil {
		return nil, err
	}
	var tps []TopicPartition
	for _, name := range topics {
		info, ok := infos[name]
		if !ok {
			return nil, &Error{Fatal, "find the lag of group " + group, fmt.Errorf("topic %s does not exist", name)}
		}
		for p := range info.Partitions {
			tps = append(tps, TopicPartition{Topic: name, Partition: p})
		}
	}
	// Committed first: read the other way round, a group that is quick would seem to be ahead of the end.
	committed, err := c.committed(ctx, group, tps, false)
	if err != nil {
		return nil, err
	}
	starts, err := c.Starts(ctx, tps)
	if err != nil {
		return nil, err
	}
	ends, err := c.Ends(ctx, tps)
	if err != nil {
		return nil, err
	}
	lags := make(map[TopicPartition]PartitionLag, len(tps))
	for _, tp := range tps {
		lags[tp] = PartitionLag{Start: starts[tp], End: ends[tp], Committed: committed[tp].Offset}
	}
	return lags, nil
}

func count(partitions []TopicPartition) string {
	if len(partitions) == 1 {
		return partitions[0].String()
	}
	return fmt.Sprintf("%d partitions", len(partitions))
}

// GroupMember is a member of a group as its coordinator knows it.
type GroupMember struct {
	ClientID   string
	Host       string
	InstanceID string // group.instance.id, "" for a dynamic member
}

func (m GroupMember) String() string {
	text := fmt.Sprintf("client %s at %s", m.ClientID, strings.TrimPrefix(m.Host, "/"))
	if m.InstanceID != "" {
		text += fmt.Sprintf(", static as %s, which stays listed until its session has timed out", m.InstanceID)
	}
	return text
}

// Members is how many members a group has at the moment, static ones that are away included.
func (c *Client) Members(ctx context.Context, group string) (n int, err error) {
	members, err := c.MembersOf(ctx, group)
	return len(members), err
}

// MembersOf lists the members that a group has at the moment, static ones that are away included.
func (c *Client) MembersOf(ctx context.Context, group string) (members []GroupMember, err error) {
	err = c.retry(ctx, "describe group "+group, func(ctx context.Context) error {
		k, err := c.admin.coordinator(ctx, sarama.CoordinatorGroup, group)
		if err != nil {
			return ofGroup(group, err)
		}
		req := &sarama.DescribeGroupsRequest{Version: 4, Groups: []string{group}}
		res, err := roundTrip(ctx, c.admin, k, func(b *sarama.Broker) (*sarama.DescribeGroupsResponse, error) { return b.DescribeGroups(req) })
		if err != nil {
			return err
		}
		members = nil
		for _, g := range res.Groups {
			if g.Err != sarama.ErrNoError && g.Err != sarama.ErrGroupIDNotFound {
				return ofGroup(group, g.Err)
			}
			for _, m := range g.Members {
				one := GroupMember{ClientID: m.ClientId, Host: m.ClientHost}
				if m.GroupInstanceId != nil {
					one.InstanceID = *m.GroupInstanceId
				}
				members = append(members, one)
			}
		}
		return nil
	})
	return members, err
}
