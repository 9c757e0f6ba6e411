package wiretest

import (
	"cmp"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/processors"
)

// Settings are what a question wants of the cluster that it is put to.
type Settings struct {
	TransactionTimeout time.Duration
	SessionTimeout     time.Duration
	HeartbeatInterval  time.Duration
	// CallTimeout is how long a call goes on against a cluster that does not answer.
	CallTimeout time.Duration
}

// Request is a kind of request, by its name in Kafka's protocol.
type Request string

// The requests that can be made to fail.
const (
	Produce            Request = "Produce"
	ListOffsets        Request = "ListOffsets"
	OffsetCommit       Request = "OffsetCommit"
	OffsetFetch        Request = "OffsetFetch"
	Heartbeat          Request = "Heartbeat"
	SyncGroup          Request = "SyncGroup"
	InitProducerID     Request = "InitProducerId"
	AddPartitionsToTxn Request = "AddPartitionsToTxn"
	AddOffsetsToTxn    Request = "AddOffsetsToTxn"
	EndTxn             Request = "EndTxn"
	TxnOffsetCommit    Request = "TxnOffsetCommit"
)

// Loss is what the network does to a request.
type Loss string

// The request arrives in part only, and the broker does nothing; or it does its work, and the answer is lost.
const (
	RequestLost Loss = "request"
	AnswerLost  Loss = "answer"
)

// Cluster is a cluster to be asked.
type Cluster interface {
	// Wire connects another process. kill ends it as kill -9 does: it says goodbye to nobody.
	Wire(t *testing.T) (w processors.Wire, kill func())
	// Disturb has every request of a kind fail until Calm.
	Disturb(r Request, loss Loss)
	Calm()
	// DeleteRecords moves the start of a partition. AddPartitions gives a topic more partitions.
	DeleteRecords(t *testing.T, tp kafka.TopicPartition, before int64)
	AddPartitions(t *testing.T, topic string, total int32)
}

// Play calls ask with a cluster that has the settings.
type Play func(t *testing.T, s Settings, ask func(t *testing.T, c Cluster))

//go:embed answers.txt
var answers string

// Run puts every question to a cluster, in a subtest each. What differs from answers.txt fails, if it differs as many times as it is asked: a real
// cluster that stands still for longer than a call or a session lasts gives another answer once.
func Run(t *testing.T, play Play, tries int) {
	known := parse(answers)
	for _, q := range questions {
		t.Run(q.name, func(t *testing.T) {
			want, ok := known[q.name]
			if !ok {
				t.Fatal("no real cluster has been asked this")
			}
			for try := 1; ; try++ {
				got := q.put(t, play)
				if slices.Equal(got, want) {
					return
				}
				differ := fmt.Sprintf("the real cluster's answers:\n%s\nthis one's:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
				if try == tries {
					t.Fatal(differ)
				}
				t.Log("once: ", differ)
			}
		})
	}
}

// Record puts every question to a cluster and writes its answers to a file.
func Record(t *testing.T, play Play, file string) {
	var b strings.Builder
	for _, q := range questions {
		t.Run(q.name, func(t *testing.T) {
			fmt.Fprintf(&b, "# %s\n%s\n\n", q.name, strings.Join(q.put(t, play), "\n"))
		})
	}
	if !t.Failed() {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func parse(text string) map[string][]string {
	all := map[string][]string{}
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if title, ok := strings.CutPrefix(line, "# "); ok {
			name = title
		} else if line != "" {
			all[name] = append(all[name], line)
		}
	}
	return all
}

// question is something to be asked; what it says are the answers.
type question struct {
	name     string
	settings Settings
	ask      func(a *asker)
}

func (q question) put(t *testing.T, play Play) (said []string) {
	t.Helper()
	s := q.settings
	s.TransactionTimeout = cmp.Or(s.TransactionTimeout, 10*time.Second)
	s.SessionTimeout = cmp.Or(s.SessionTimeout, 2*time.Second)
	s.HeartbeatInterval = cmp.Or(s.HeartbeatInterval, 200*time.Millisecond)
	s.CallTimeout = cmp.Or(s.CallTimeout, time.Second)
	play(t, s, func(t *testing.T, c Cluster) {
		a := &asker{t: t, c: c, settings: s, prefix: fmt.Sprintf("answers-%x", time.Now().UnixNano())}
		a.wire, _ = c.Wire(t)
		q.ask(a)
		said = a.said
	})
	return said
}
