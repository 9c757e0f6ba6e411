//go:build integration

package integration

import (
	"testing"
	"time"

	"github.com/weirstream/weir/integration/internal/proxy"
)

// roughWeather strikes what a commit consists of: requests cut half-way, work done whose answer is lost, answers that
// come late.
var roughWeather = []proxy.Rule{
	{Action: proxy.CutRequest, Probability: 0.01, Keys: []proxy.Key{proxy.Produce, proxy.Fetch}},
	{Action: proxy.LoseAnswer, Probability: 0.01, Keys: []proxy.Key{proxy.Produce, proxy.Fetch}},
	{Action: proxy.CutRequest, Probability: 0.05, Keys: []proxy.Key{proxy.EndTxn, proxy.TxnOffsetCommit, proxy.OffsetCommit, proxy.AddPartitionsToTxn, proxy.AddOffsetsToTxn}},
	{Action: proxy.LoseAnswer, Probability: 0.1, Keys: []proxy.Key{proxy.EndTxn, proxy.TxnOffsetCommit, proxy.OffsetCommit, proxy.AddPartitionsToTxn, proxy.AddOffsetsToTxn}},
	{Action: proxy.LoseAnswer, Probability: 0.1, Keys: []proxy.Key{proxy.InitProducerID, proxy.OffsetFetch, proxy.ListOffsets, proxy.FindCoordinator, proxy.Metadata}},
	{Action: proxy.LoseAnswer, Probability: 0.05, Keys: []proxy.Key{proxy.Heartbeat, proxy.JoinGroup, proxy.SyncGroup}},
	{Action: proxy.Delay, Probability: 0.05, Keys: []proxy.Key{proxy.Produce, proxy.EndTxn, proxy.TxnOffsetCommit}, Min: 10 * time.Millisecond, Max: 500 * time.Millisecond},
}

func TestABadNetwork(t *testing.T) {
	r := newRig(t, rigOptions{interval: 200 * time.Millisecond})
	r.cluster.NeedNodes(t)
	r.start()
	r.start()
	r.warm()
	r.strike("requests cut, answers lost and late", func() {
		r.badWeather(long(time.Minute, 15*time.Second))
	})
	r.strike("a broker that takes connections and says nothing", func() {
		r.cluster.proxies[1].Inject(*seedFlag, proxy.Rule{Action: proxy.Silence, Probability: 1})
		time.Sleep(3 * time.Second)
		r.cluster.inject(0)
		r.cluster.proxies[1].Cut()
	})
	r.strike("a broker that cannot be reached", func() {
		r.cluster.proxies[2].Refuse(true)
		time.Sleep(long(30*time.Second, 8*time.Second))
		r.cluster.proxies[2].Refuse(false)
	})
	r.settle()
}

// mostBadWeather is how long bad weather may take to strike what matters.
const mostBadWeather = 2 * time.Minute

// badWeather lasts for a while, and until it has struck what matters: how often that is written depends on how busy the machine is.
func (r *rig) badWeather(d time.Duration) {
	r.t.Helper()
	commit := proxy.EndTxn
	if r.opts.atLeastOnce {
		commit = proxy.OffsetCommit
	}
	before := r.cluster.strikes()
	missing := func() (never []proxy.Strike) {
		after := r.cluster.strikes()
		for _, strike := range []proxy.Strike{{Key: proxy.Produce, Action: proxy.LoseAnswer}, {Key: commit, Action: proxy.LoseAnswer}} {
			if after[strike] == before[strike] {
				never = append(never, strike)
			}
		}
		return never
	}
	r.cluster.inject(*seedFlag, roughWeather...)
	time.Sleep(d)
	for end := time.Now().Add(mostBadWeather); len(missing()) > 0 && time.Now().Before(end); {
		time.Sleep(200 * time.Millisecond)
	}
	r.cluster.inject(0)
	for _, strike := range missing() {
		r.t.Errorf("%s never happened", strike)
	}
	r.t.Logf("strikes: %v", r.cluster.strikes())
}
