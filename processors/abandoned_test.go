package processors

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/simkafka"
)

// untilSession is when the session of a member that was killed is over, and a second more.
const untilSession = 11 * time.Second

// patientCluster aborts what was left open after an hour only.
var patientCluster = simkafka.Config{TransactionTimeout: time.Hour}

// A second after the session of a killed instance has ended its tasks have gone on elsewhere, whatever its transaction held: its outputs,
// its state and its offsets are done again, once. That holds for a process that sleeps, too; it wakes up as a zombie, and is of use again.
//
// Mutation: Assigned does not look.
func TestWhatAKilledInstanceLeftOpenIsEndedWithItsSession(t *testing.T) {
	for name, before := range map[string]string{"outputs and state": "offsets", "offsets, too": "end transaction: commit"} {
		for _, zombie := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, zombie %v", name, zombie), func(t *testing.T) {
				bubble(t, 1, patientCluster, func(g *rig) {
					g.start()
					g.r.step(func(call string) error {
						switch {
						case call != before:
						case zombie:
							g.process.Pause()
						default:
							g.process.Crash()
						}
						return nil
					})
					g.send(0, "a 1", "a 2")
					time.Sleep(time.Second)
					g.r.step(nil)
					if open := g.cluster.OpenTransactions(); len(open) == 0 {
						t.Error("nothing is open")
					}
					second, stop := g.second()
					time.Sleep(untilSession)
					g.sees(at(jobOut, 0), "a 1", "a 2")
					g.committed(at(jobIn, 0), 2)
					if state := replayed(g.cluster.Committed(at(jobLog, 0))); state["a"] != "2" {
						t.Errorf("the state is %q", state)
					}
					if s := second.Stats(); s.Processed != 2 {
						t.Errorf("processed %d", s.Processed)
					}
					if !zombie {
						g.crash()
						stop()
						return
					}
					g.process.Resume()
					time.Sleep(30 * time.Second)
					stop()
					time.Sleep(untilSession)
					g.send(0, "a 3")
					time.Sleep(time.Second)
					g.sees(at(jobOut, 0), "a 1", "a 2", "a 3")
				})
			})
		}
	}
}

// The transaction of a member is its own to end, however long that takes, also while another one comes and gets a part of its tasks.
//
// Mutation: in the model of the cluster, as in internal/kafka, members are not left out.
func TestTheTransactionOfAMemberIsLeftAlone(t *testing.T) {
	bubble(t, 2, patientCluster, func(g *rig) {
		g.start()
		g.r.step(func(call string) error {
			if call == "offsets" {
				time.Sleep(2 * time.Second) // the transaction is open nearly always
			}
			return nil
		})
		var stop func()
		for n := range 1000 {
			if n == 100 {
				_, stop = g.second()
			}
			g.send(0, fmt.Sprint("a ", n))
			g.send(1, fmt.Sprint("b ", n))
			time.Sleep(10 * time.Millisecond)
		}
		if s := g.inst.Stats(); s.Aborts != 0 || len(s.Tasks) != 1 {
			t.Errorf("%d aborts with %d tasks", s.Aborts, len(s.Tasks))
		}
		g.r.step(nil)
		time.Sleep(5 * time.Second)
		stop()
		g.committed(at(jobIn, 0), 1000)
		g.committed(at(jobIn, 1), 1000)
	})
}
