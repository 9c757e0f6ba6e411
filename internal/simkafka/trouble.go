package simkafka

import (
	"errors"
	"maps"
	"slices"

	"github.com/weirstream/weir/internal/kafka"
)

// Trouble is what is wrong with a topic, or with the group, for as long as it lasts. It has nothing to do with records.
type Trouble int8

const (
	Fine       Trouble = iota
	Denied             // access to the topic is denied
	Missing            // brokers say that the topic does not exist
	Starved            // too few replicas are in sync: nothing can be written
	Unreadable         // reading the topic is denied
	Hidden             // reading and describing the topic are denied
)

// ofGroup is the name under which trouble with the group is kept.
const ofGroup = ""

// SetTrouble begins or ends the trouble of a topic.
func (c *Cluster) SetTrouble(topic string, t Trouble) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setTrouble(topic, t)
}

// DenyGroup begins or ends a time in which offsets of all groups are refused.
func (c *Cluster) DenyGroup(denied bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := Fine
	if denied {
		t = Denied
	}
	c.setTrouble(ofGroup, t)
}

// MendAll ends all trouble.
func (c *Cluster) MendAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.troubles)
}

func (c *Cluster) setTrouble(name string, t Trouble) {
	if c.troubles == nil {
		c.troubles = map[string]Trouble{}
	}
	c.troubles[name] = t
	c.trace("trouble of %q: %d", name, t)
}

// Blocked is how many requests were answered with a trouble.
func (c *Cluster) Blocked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocked
}

var (
	errDenied  = errors.New("TOPIC_AUTHORIZATION_FAILED")
	errStarved = errors.New("NOT_ENOUGH_REPLICAS")
	errNoGroup = errors.New("GROUP_AUTHORIZATION_FAILED")
)

// trouble is the answer of a request that touches a partition, nil when nothing is wrong with it. c.mu is held.
func (c *Cluster) trouble(op Op, tp kafka.TopicPartition) error {
	e := &kafka.BlockedError{TopicPartition: tp, Op: string(op) + " " + tp.String(), Remedy: "mend it"}
	switch c.troubles[tp.Topic] {
	case Fine:
		return nil
	case Denied:
		e.Err, e.TopicPartition.Partition = errDenied, -1
	case Missing:
		e.Err = errUnknownTopic
	case Unreadable, Hidden:
		return nil // of readers: see denial
	case Starved:
		if op != OpProduce {
			return nil
		}
		e.Err = errStarved
	}
	c.blocked++
	return e
}

// denial is the answer to who reads partitions, or only asks about them. c.mu is held.
func (c *Cluster) denial(op Op, tps ...kafka.TopicPartition) *kafka.BlockedError {
	for _, tp := range tps {
		if t := c.troubles[tp.Topic]; t == Hidden || t == Unreadable && op == OpFetch {
			c.blocked++
			return &kafka.BlockedError{TopicPartition: kafka.TopicPartition{Topic: tp.Topic, Partition: -1}, Op: string(op) + " " + tp.String(), Err: errDenied, Remedy: "let " + tp.Topic + " be read"}
		}
	}
	return nil
}

// troubleOfOffsets is the answer to offsets.
func (c *Cluster) troubleOfOffsets(offsets map[kafka.TopicPartition]kafka.CommittedOffset) error {
	if c.troubles[ofGroup] != Fine {
		c.blocked++
		return &kafka.BlockedError{TopicPartition: kafka.TopicPartition{Partition: -1}, Op: "commit offsets", Err: errNoGroup, Remedy: "mend it"}
	}
	for _, tp := range slices.SortedFunc(maps.Keys(offsets), kafka.TopicPartition.Compare) {
		if err := c.trouble(OpOffsets, tp); err != nil {
			return err
		}
	}
	return nil
}
