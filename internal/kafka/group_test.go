package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// board records who owns what, and complains when a partition has two owners.
type board struct {
	t       *testing.T
	mu      sync.Mutex
	owner   map[TopicPartition]string
	moves   int // partitions taken by somebody
	changed chan struct{}
}

func newBoard(t *testing.T) *board {
	return &board{t: t, owner: map[TopicPartition]string{}, changed: make(chan struct{})}
}

func (b *board) until(what string, ok func(owner map[TopicPartition]string) bool) {
	b.t.Helper()
	timeout := time.NewTimer(hung)
	defer timeout.Stop()
	for {
		b.mu.Lock()
		done, changed := ok(b.owner), b.changed
		state := fmt.Sprint(b.owner)
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			b.t.Fatalf("waited in vain until %s: %s", what, state)
		}
	}
}

// shared waits until the partitions are owned, by so many members, evenly.
func (b *board) shared(partitions, members int) {
	b.t.Helper()
	b.until(fmt.Sprintf("%d partitions are with %d members", partitions, members), func(owner map[TopicPartition]string) bool {
		n := map[string]int{}
		for _, who := range owner {
			n[who]++
		}
		low, high := 1<<30, 0
		for _, k := range n {
			low, high = min(low, k), max(high, k)
		}
		return len(owner) == partitions && len(n) == members && high-low <= partitions%members
	})
}

func (b *board) notify() { // b.mu is held
	close(b.changed)
	b.changed = make(chan struct{})
}

// player is a member of a group in a test.
type player struct {
	*board
	name   string
	group  *Group
	revoke func([]TopicPartition) // called before a revocation is done
	lost   int
	failed error
}

func (p *player) Assigned(added []TopicPartition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, tp := range added {
		if who, ok := p.owner[tp]; ok {
			p.t.Errorf("%s is given to %s while %s has it", tp, p.name, who)
		}
		p.owner[tp] = p.name
		p.moves++
	}
	p.notify()
}

func (p *player) Revoked(removed []TopicPartition) {
	p.mu.Lock()
	revoke := p.revoke
	p.mu.Unlock()
	if revoke != nil {
		revoke(removed)
	}
	p.drop(removed)
}

func (p *player) Lost(lost []TopicPartition) {
	if _, ok := p.group.Member(); ok {
		p.t.Errorf("%s lost %v while it is a member", p.name, lost)
	}
	p.drop(lost)
	p.mu.Lock()
	p.lost += len(lost)
	p.notify()
	p.mu.Unlock()
}

func (p *player) drop(tps []TopicPartition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, tp := range tps {
		if p.owner[tp] != p.name {
			p.t.Errorf("%s gives up %s, which %q has", p.name, tp, p.owner[tp])
		}
		delete(p.owner, tp)
	}
	p.notify()
}

func (p *player) Failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = err
	p.notify()
}

// quickGroup are settings with which nothing in a test takes long.
func quickGroup(addrs []string) Config {
	return Config{
		Brokers: addrs, RetryBackoff: 10 * time.Millisecond, RetryBackoffMax: 100 * time.Millisecond,
		Group: GroupTuning{SessionTimeout: 2 * time.Second, HeartbeatInterval: 20 * time.Millisecond, RebalanceTimeout: 5 * time.Second},
	}
}

func groupCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	return fake(t, append([]kfake.Opt{kfake.BrokerConfigs(map[string]string{
		"group.min.session.timeout.ms": "100", "group.initial.rebalance.delay.ms": "0",
	})}, opts...)...)
}

func (b *board) join(name string, cfg Config, group GroupConfig) *player {
	b.t.Helper()
	return b.joinOn(dial(b.t, cfg), name, group)
}

func (b *board) joinOn(c *Client, name string, group GroupConfig) *player {
	b.t.Helper()
	p := &player{board: b, name: name}
	b.mu.Lock() // the handler must not run before p.group is there
	defer b.mu.Unlock()
	g, err := c.Join(group, p)
	if err != nil {
		b.t.Fatal(err)
	}
	p.group = g
	b.t.Cleanup(func() { p.leave() })
	return p
}

func (p *player) leave() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.group.Leave(ctx); err != nil {
		p.t.Error(err)
	}
}

var pair = GroupConfig{Group: "pair", Copartitioned: [][]string{{"a", "b"}}}

func TestMembersShareCopartitionedTopics(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 6)
	topic(t, cluster, "b", 6)
	b := newBoard(t)
	one := b.join("one", quickGroup(cluster.ListenAddrs()), pair)
	b.shared(12, 1)
	two := b.join("two", quickGroup(cluster.ListenAddrs()), pair)
	b.shared(12, 2)
	b.join("three", quickGroup(cluster.ListenAddrs()), pair)
	b.shared(12, 3)
	for tp, who := range b.owner {
		if other := b.owner[TopicPartition{Topic: "a", Partition: tp.Partition}]; other != who {
			t.Errorf("%s is with %s, a/%d with %s", tp, who, tp.Partition, other)
		}
	}
	if b.moves != 12+6+4 {
		t.Errorf("%d partitions were given out, want 12, then 6, then 4", b.moves)
	}
	one.leave()
	b.shared(12, 2)
	two.leave()
	b.shared(12, 1)
	if b.moves != 12+6+4+4+6 {
		t.Errorf("%d partitions were given out", b.moves)
	}
}

// Mutation: joinRequest does not say what is owned.
func TestNoPartitionHasTwoOwnersWhileMembersComeAndGo(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 7)
	topic(t, cluster, "b", 7)
	topic(t, cluster, "c", 4)
	churn(newBoard(t), quickGroup(cluster.ListenAddrs()), GroupConfig{Group: "churn", Copartitioned: [][]string{{"a", "b"}, {"c"}}}, 40)
}

// churn lets members join, leave and give up, mostly in the midst of rebalances, and then settle.
func churn(b *board, cfg Config, group GroupConfig, steps int) {
	random := rand.New(rand.NewPCG(1, 2))
	c := dial(b.t, cfg)
	var players []*player
	for i := range steps {
		switch n := len(players); {
		case n == 0 || n < 5 && random.IntN(2) == 0:
			players = append(players, b.joinOn(c, fmt.Sprintf("p%d", i), group))
		case random.IntN(3) == 0:
			players[random.IntN(n)].group.lose("churn", false)
		default:
			gone := random.IntN(n)
			players[gone].leave()
			players = slices.Delete(players, gone, gone+1)
		}
		if random.IntN(3) == 0 {
			b.until("somebody has something", func(owner map[TopicPartition]string) bool { return len(players) == 0 || len(owner) > 0 })
		}
	}
	if len(players) == 0 {
		players = append(players, b.joinOn(c, "last", group))
	}
	b.until("all is shared out", func(owner map[TopicPartition]string) bool {
		n := map[string]int{}
		for _, who := range owner {
			n[who]++
		}
		return len(owner) == 18 && len(n) == len(players)
	})
}
