package kafka

import (
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"pgregory.net/rapid"
)

// What a heartbeat's answer is worth: a member lasts for session.timeout.ms from when the heartbeat was sent that was answered
// last, and not a moment longer, because the coordinator counts from when it came. Each answer is given just before and just
// after it would be too late.
//
// Mutations: heartbeatAnswered counts from when the answer came; extends on any answer, or on none; extend shortens; Member without the
// clock; an answer for an earlier member heeded; an unknown member or an old generation only noted.
func TestAMemberLastsAsLongAsItsAnswersAllow(t *testing.T) {
	const session = 10 * time.Second
	const e = time.Millisecond
	type answer struct {
		sent, comes time.Duration
		code        error
		other       bool // for an earlier member
	}
	for name, c := range map[string]struct {
		answers []answer
		until   time.Duration // the first moment at which it is no member
		gone    bool          // the coordinator knows already
	}{
		"none":                          {nil, session, false},
		"one":                           {[]answer{{3 * time.Second, 3*time.Second + e, nil, false}}, 13 * time.Second, false},
		"one that takes long":           {[]answer{{3 * time.Second, session - e, nil, false}}, 13 * time.Second, false},
		"one that is too late":          {[]answer{{3 * time.Second, session + e, nil, false}}, session, false},
		"just in time, twice":           {[]answer{{9 * time.Second, session - e, nil, false}, {18 * time.Second, 19*time.Second - e, nil, false}}, 28 * time.Second, false},
		"the second too late":           {[]answer{{9 * time.Second, session - e, nil, false}, {18 * time.Second, 19*time.Second + e, nil, false}}, 19 * time.Second, false},
		"out of order":                  {[]answer{{4 * time.Second, 5 * time.Second, nil, false}, {time.Second, 6 * time.Second, nil, false}}, 14 * time.Second, false},
		"the group rebalances":          {[]answer{{3 * time.Second, 4 * time.Second, sarama.ErrRebalanceInProgress, false}}, 13 * time.Second, false},
		"the coordinator loads":         {[]answer{{3 * time.Second, 4 * time.Second, sarama.ErrOffsetsLoadInProgress, false}}, session, false},
		"the coordinator moved":         {[]answer{{3 * time.Second, 4 * time.Second, sarama.ErrNotCoordinatorForConsumer, false}}, session, false},
		"no connection":                 {[]answer{{3 * time.Second, 4 * time.Second, errClosed, false}}, session, false},
		"unknown":                       {[]answer{{3 * time.Second, 4 * time.Second, sarama.ErrUnknownMemberId, false}}, 4 * time.Second, true},
		"an old generation":             {[]answer{{3 * time.Second, 4 * time.Second, sarama.ErrIllegalGeneration, false}}, 4 * time.Second, false},
		"fenced":                        {[]answer{{3 * time.Second, 4 * time.Second, sarama.ErrFencedInstancedId, false}}, 4 * time.Second, false},
		"unknown, of an earlier member": {[]answer{{3 * time.Second, 4 * time.Second, sarama.ErrUnknownMemberId, true}}, session, false},
		"good, of an earlier member":    {[]answer{{3 * time.Second, 4 * time.Second, nil, true}}, session, false},
		"good after unknown":            {[]answer{{3 * time.Second, 4 * time.Second, sarama.ErrUnknownMemberId, false}, {4 * time.Second, 5 * time.Second, nil, false}}, 4 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				g := &Group{
					client: &Client{cfg: Config{}.WithDefaults()}, tuning: GroupTuning{SessionTimeout: session}, log: zap.NewNop(),
					ctx: t.Context(), wake: make(chan struct{}, 1), changed: make(chan struct{}),
					member: Member{Group: "g", ID: "m", Generation: 5}, valid: true, beating: true, expires: began.Add(session),
				}
				g.expiry = time.AfterFunc(session, g.expire)
				earlier := g.member
				earlier.Generation--
				for _, a := range c.answers {
					time.AfterFunc(a.comes, func() {
						m := g.member
						if a.other {
							m = earlier
						}
						g.heartbeatAnswered(m, began.Add(a.sent), a.code)
					})
				}
				changed := g.Changed()
				is := func(at time.Duration, want bool) {
					t.Helper()
					time.Sleep(at - time.Since(began)) // of the bubble's clock
					synctest.Wait()
					if _, ok := g.Member(); ok != want {
						t.Errorf("after %v: a member %v, want %v", at, ok, want)
					}
				}
				is(c.until-e, true)
				select {
				case <-changed:
					t.Error("a change is announced too early")
				default:
				}
				is(c.until, false)
				select {
				case <-changed:
				default:
					t.Error("nobody was told")
				}
				is(time.Hour, false)
				g.mu.Lock()
				defer g.mu.Unlock()
				if g.news.lost == "" && g.news.failed == nil || g.news.gone != c.gone {
					t.Errorf("news %+v, want that it is lost, and the coordinator knows it: %v", g.news, c.gone)
				}
			})
		})
	}
}

// Of claims to a partition the one of the latest generation counts (KIP-792): a member that was away for a while and comes
// back believes to hold what others have been given since. It is not given the partition again while the other is there, and
// nobody else gets it before the other has given it up.
//
// Mutations: holders takes the first claim, the last one, or that of the earliest generation.
func TestTheClaimOfTheLatestGenerationCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.Int32Range(1, 6).Draw(t, "partitions")
		counts := map[string]int32{"a": partitions}
		var members []groupMember
		for _, id := range []string{"x", "y", "z"}[:rapid.IntRange(2, 3).Draw(t, "members")] {
			m := groupMember{id: id, sets: [][]string{{"a"}}, generation: rapid.Int32Range(-1, 4).Draw(t, "generation")}
			for p := range partitions {
				if m.generation >= 0 && rapid.Bool().Draw(t, "claims") {
					m.owned = append(m.owned, TopicPartition{Topic: "a", Partition: p})
				}
			}
			members = append(members, m)
		}
		given := assign(members, counts)
		for p := range partitions {
			var owner string
			for _, id := range slices.Sorted(maps.Keys(given)) {
				if slices.Contains(given[id].partitions["a"], p) {
					if owner != "" {
						t.Fatalf("partition %d is given to %s and %s", p, owner, id)
					}
					owner = id
				}
			}
			latest, holders := int32(-1), []string(nil)
			for _, m := range members {
				if !slices.Contains(m.owned, TopicPartition{Topic: "a", Partition: p}) {
					continue
				}
				if m.generation > latest {
					latest, holders = m.generation, nil
				}
				if m.generation == latest {
					holders = append(holders, m.id)
				}
			}
			if owner != "" && len(holders) > 0 && !slices.Contains(holders, owner) {
				t.Fatalf("partition %d is given to %s while %v holds it since generation %d: %+v", p, owner, holders, latest, members)
			}
			if owner == "" && len(holders) == 0 {
				t.Fatalf("partition %d is given to nobody, and nobody holds it", p)
			}
		}
	})
}

// A heartbeat that is not answered is given up while there is time for another: one lost request costs no membership.
//
// Mutation: a heartbeat may take longer than the session.
func TestALostHeartbeatCostsNoMembership(t *testing.T) {
	cluster := groupCluster(t)
	topic(t, cluster, "a", 3)
	b := newBoard(t)
	cfg := quickGroup(cluster.ListenAddrs())
	cfg.Group.SessionTimeout = 6 * time.Second
	p := b.join("one", cfg, single)
	b.shared(3, 1)
	before, _ := p.group.Member()
	over := make(chan struct{})
	lost := make(chan struct{})
	var beats atomic.Int32
	cluster.ControlKey(kmsg.Heartbeat.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if n := beats.Add(1); n == 1 {
			close(lost)
			cluster.SleepControl(func() { <-over })
		}
		return nil, nil, false
	})
	defer close(over)
	<-lost
	// The next one comes before the session is over, or the member is another one.
	for deadline := time.Now().Add(time.Minute); beats.Load() < 5; {
		if time.Now().After(deadline) {
			t.Fatal("no other heartbeat")
		}
		<-time.After(5 * time.Millisecond)
	}
	if after, ok := p.group.Member(); !ok || after != before {
		t.Errorf("member %+v %v, was %+v", after, ok, before)
	}
}
