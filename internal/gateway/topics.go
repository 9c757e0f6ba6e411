package gateway

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/plan"
)

// topic is what the gateway knows of a topic that exists.
type topic struct {
	name       string // as producers say it
	cluster    string // with the prefix
	id         string // another one where a topic of the name was deleted and made again
	valueName  string // subject of its values' schemas
	keyName    string // and of its keys'
	partitions int32
	largest    int // max.message.bytes, 0 when it is not known
	compacted  bool
	keeps      bool // it is known to be none that is compacted
	times      times
	until      time.Time // looked up again afterwards
}

// Topics are looked up again now and then: partitions are added, and settings change.
const (
	topicFor   = 30 * time.Second
	absentFor  = time.Second
	mostTopics = 10_000
)

// lookUpWithin bounds a look at the cluster.
var lookUpWithin = 5 * time.Second // tests have other times

// topics looks topics up, and keeps what it found for a while.
type topics struct {
	client   *kafka.Client
	patience context.Context // ends what is asked
	prefix   string
	foreign  bool

	mu     sync.Mutex
	known  map[string]*topic // partitions 0: there is none
	asking map[string]chan struct{}
}

// takes says whether a name may be that of a topic that events go to: Weir's own and Kafka's are never.
func (t *topics) takes(name string) *Problem {
	switch kind := plan.Owned(t.prefix + name); {
	case kind != "":
		return noTopic.of("%s is a topic of Kafka's or of Weir's own (%s), where no events are published", strconv.Quote(name), kind).todo("publish to another topic, such as order.placed.v1")
	case plan.IsEventName(name) && len(name) <= 249-len(t.prefix):
		return nil
	case strings.HasPrefix(name, "_") || !t.foreign || !legal(name) || len(name) > 249-len(t.prefix):
		return noTopic.of("%s is not named entity.event_type.vN", strconv.Quote(name)).todo("publish to a topic of that form, such as order.placed.v1")
	}
	return nil
}

func legal(name string) bool {
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return name != "" && name != "." && name != ".."
}

// get finds a topic.
func (t *topics) get(name string) (*topic, *Problem) {
	t.mu.Lock()
	known := t.fresh(name)
	t.mu.Unlock()
	if known == nil { // a name that is not taken is never known
		p := t.takes(name)
		if p == nil {
			known, p = t.find(name)
		}
		if p != nil {
			return nil, p
		}
	}
	if known.partitions == 0 {
		return nil, noTopic.of("topic %s does not exist", name)
	}
	return known, nil
}

// fresh is what is known of a topic, nil where it is to be looked up. It is called with the lock.
func (t *topics) fresh(name string) *topic {
	if known := t.known[name]; known != nil && time.Now().Before(known.until) {
		return known
	}
	return nil
}

// find looks a topic up; its partitions are 0 where it does not exist.
func (t *topics) find(name string) (*topic, *Problem) {
	for {
		t.mu.Lock()
		if known := t.fresh(name); known != nil {
			t.mu.Unlock()
			return known, nil
		}
		asked, others := t.asking[name]
		if !others {
			asked = make(chan struct{})
			t.asking[name] = asked
		}
		t.mu.Unlock()
		if others {
			<-asked
			continue
		}
		found, err := t.ask(name)
		t.mu.Lock()
		delete(t.asking, name)
		close(asked)
		if err != nil {
			t.mu.Unlock()
			return nil, notWritten.of("the topic could not be looked up: %v", err)
		}
		for other := range t.known { // any: they are looked up again
			if len(t.known) < mostTopics {
				break
			}
			delete(t.known, other)
		}
		t.known[name] = found
		t.mu.Unlock()
	}
}

func (t *topics) ask(name string) (*topic, error) {
	// Others wait for the answer too, so it does not end with who asked first.
	ctx, cancel := context.WithTimeout(t.patience, lookUpWithin)
	defer cancel()
	cluster := t.prefix + name
	infos, err := t.client.Topics(ctx, []string{cluster})
	if err != nil {
		return nil, err
	}
	info, ok := infos[cluster]
	if !ok {
		return &topic{name: name, until: time.Now().Add(absentFor)}, nil
	}
	largest, _ := strconv.Atoi(info.Config["max.message.bytes"])
	policy := info.Config["cleanup.policy"] // "" where the settings may not be read
	compacted := strings.Contains(policy, "compact")
	return &topic{name: name, cluster: cluster, id: info.ID, valueName: cluster + "-value", keyName: cluster + "-key", partitions: info.Partitions, largest: largest,
		compacted: compacted, keeps: policy != "" && !compacted, times: timesOf(info.Config), until: time.Now().Add(topicFor)}, nil
}
