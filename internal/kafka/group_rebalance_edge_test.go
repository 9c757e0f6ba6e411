package kafka

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// A join may be answered as late as the coordinator waits for the others, max.poll.interval.ms, and the session of those that have
// not come by then may last as long again as theirs: until then, and not a moment longer, the member of the last generation is
// valid. An answer in time moves it on without a gap; one that is too late finds it lost, and is only good for giving up its id.
//
// Mutations: quiet without the rebalance timeout, without the session, or without extend; entered makes a lost member valid.
func TestAMemberThatRejoinsLastsAsLongAsTheRebalanceMay(t *testing.T) {
	const session, rebalance = 10 * time.Second, time.Minute
	const e = time.Millisecond
	for _, c := range []struct {
		name   string
		joined time.Duration // when it began to join
		comes  time.Duration // the answer, from then on
		in     bool          // time
	}{
		{"at once", 0, e, true},
		{"just before the rebalance timeout", 9 * time.Second, rebalance - e, true},
		{"just after it", 9 * time.Second, rebalance + e, true},
		{"just in time", 9 * time.Second, rebalance + session - e, true},
		{"just too late", 9 * time.Second, rebalance + session + e, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				was := Member{Group: "g", ID: "m", Generation: 5}
				g := &Group{
					client: &Client{cfg: Config{}.WithDefaults()}, cfg: GroupConfig{Group: "g"}, log: zap.NewNop(),
					tuning: GroupTuning{SessionTimeout: session, RebalanceTimeout: rebalance},
					ctx:    t.Context(), wake: make(chan struct{}, 1), changed: make(chan struct{}),
					member: was, valid: true, beating: true, expires: time.Now().Add(session),
				}
				g.expiry = time.AfterFunc(session, g.expire)
				time.Sleep(c.joined) // of the bubble's clock
				g.quiet()
				time.Sleep(c.comes)
				synctest.Wait()
				if m, ok := g.Member(); m != was || ok != c.in {
					t.Errorf("before the answer: member %+v, %v, want %v", m, ok, c.in)
				}
				g.entered(&sarama.JoinGroupResponse{MemberId: "m", GenerationId: 6})
				m, ok := g.Member()
				if ok != c.in || m.ID != "m" || (m.Generation == 6) != c.in {
					t.Errorf("after the answer: member %+v, %v, want %v", m, ok, c.in)
				}
				if c.in {
					time.Sleep(session - e)
					if _, ok := g.Member(); !ok {
						t.Error("it is no member before its new session is over")
					}
					time.Sleep(e)
				}
				synctest.Wait()
				if _, ok := g.Member(); ok {
					t.Error("still a member")
				}
				if g.news.lost == "" || g.news.gone {
					t.Errorf("news %+v, want that it is lost, and the coordinator does not know", g.news)
				}
				g.expiry.Stop()
			})
		})
	}
}

// A member that takes long to hand over what it must, while the group has begun to rebalance again: if it comes back while the
// coordinator still waits for it, it loses nothing; if the coordinator has gone on without it, after max.poll.interval.ms, it
// loses what it still held, and joins as another.
//
// Mutation: abandon keeps the member, with its id.
func TestAMemberThatHandsOverTooLongIsLostAndComesBack(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%v", late), func(t *testing.T) {
			t.Parallel()
			cluster := groupCluster(t)
			topic(t, cluster, "a", 4)
			cfg := quickGroup(cluster.ListenAddrs())
			if !late {
				cfg.Group.RebalanceTimeout = never
			}
			// A board each: what one of them has lost without knowing it the other may be given.
			slow, other := newBoard(t), newBoard(t)
			one := slow.join("one", cfg, single)
			slow.shared(4, 1)
			before, _ := one.group.Member()
			entered, back := make(chan struct{}), make(chan struct{})
			slow.mu.Lock()
			one.revoke = func([]TopicPartition) {
				slow.mu.Lock()
				one.revoke = nil
				slow.mu.Unlock()
				close(entered)
				<-back
			}
			slow.mu.Unlock()
			two := other.join("two", cfg, single)
			<-entered
			joins := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Group: "single", Observe: true, Count: -1})
			two.group.lose("to rebalance again", false)
			if err := joins.Wait(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			for late {
				changed := one.group.Changed()
				if _, ok := one.group.Member(); !ok {
					break
				}
				<-changed
			}
			close(back)
			half := func(owner map[TopicPartition]string) bool { return len(owner) == 2 }
			slow.until("one has its half", func(owner map[TopicPartition]string) bool {
				after, ok := one.group.Member()
				return half(owner) && ok && (after.ID != before.ID) == late && after.Generation > before.Generation
			})
			other.until("two has its half", half)
			slow.mu.Lock()
			defer slow.mu.Unlock()
			if lost := map[bool]int{false: 0, true: 2}[late]; one.lost != lost || one.failed != nil {
				t.Errorf("%d partitions were lost, want %d; %v", one.lost, lost, one.failed)
			}
		})
	}
}
