package kafka

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

// outTopic is what the sink knows of a topic.
type outTopic struct {
	name    string
	id      [16]byte          // as of the last look at its leaders, zero when not known
	looked  time.Time         // when its leaders were looked up last
	gone    map[[16]byte]bool // ids that it had before: a broker that lags behind may still tell them
	known   bool              // the limits below are the topic's
	record  int               // largest batch that may be sent for a single record: the least of all limits
	message int               // of that, what the topic itself allows
	batch   int               // size at which a batch is sealed
	learned time.Time         // when the limits were asked for
	wanted  time.Time         // an answer to what was asked before is not believed
	until   time.Time
	tries   int
}

// partition returns the partition of a record, the first time after its topic's limits are known.
func (s *Sink) partition(r *Outgoing) (*outPartition, error) {
	p := s.parts[r.TopicPartition]
	if p == nil {
		p = &outPartition{TopicPartition: r.TopicPartition, topic: s.topic(r.Topic), leader: -1, epoch: -1, end: -1, endEpoch: -1}
		s.parts[r.TopicPartition] = p
	}
	if p.topic.record == 0 {
		ctx, done := s.bounded(s.ctx, s.limits.delivery)
		defer done()
		if err := s.wait(ctx, "find the limits of topic "+r.Topic, func() bool { return p.topic.record > 0 }); err != nil {
			return nil, err
		}
	}
	s.recent[slot(r)] = p
	return p, nil
}

// Expect says by its id (TopicInfo.ID) which topic the sink is to write to. One of the same name that was created in its place is
// noticed with the first look at it, as one that is recreated later is; without, the first one that is seen is taken. It says
// nothing of a topic that the sink knows already, and an id that is empty says nothing.
func (s *Sink) Expect(topic, id string) {
	t := s.topic(topic)
	if t.id == [16]byte{} {
		t.id = topicIDOf(id)
	}
}

func (s *Sink) topic(name string) *outTopic {
	t := s.topics[name]
	if t == nil {
		t = &outTopic{name: name}
		s.topics[name] = t
		s.curious = true
	}
	return t
}

// refreshLimits looks the topic's limits up again, each time before they refuse a record: somebody may have raised
// max.message.bytes since, however short that is ago, and a record that the topic takes is not to be refused for what it was.
func (s *Sink) refreshLimits(t *outTopic) error {
	t.wanted = time.Now()
	t.known, s.curious = false, true
	ctx, done := s.bounded(s.ctx, s.limits.delivery)
	defer done()
	return s.wait(ctx, "find the limits of topic "+t.name, func() bool { return !t.learned.Before(t.wanted) })
}

// setLimits sets the topic's limits from its max.message.bytes, as an answer says to what was asked at a time.
func (s *Sink) setLimits(t *outTopic, maxMessage int, asked time.Time) {
	t.known, t.tries, t.learned = !asked.Before(t.wanted), 0, asked
	t.message = maxMessage
	if s.encoding.codec != sarama.CompressionNone {
		t.message = math.MaxInt32 // the broker measures a compressed batch as compressed, which is known only then
	}
	t.record = min(s.limits.record, s.limits.memory, t.message)
	t.batch = min(s.limits.batch, maxMessage)
}

// identityCheck is how often it is asked whether a topic that is written to is still the same: one that is recreated between two
// requests takes the second without a word.
const identityCheck = 30 * time.Second

// metadata is what the cluster answered about leaders and limits.
type metadata struct {
	leaders map[TopicPartition]leader
	ids     map[string][16]byte // of topics
	absent  map[TopicPartition]sarama.KError
	asked   time.Time
	largest map[string]int // max.message.bytes
	err     error          // of leaders
	errSize error          // of largest
}

// refreshMetadata looks up leaders and limits that are missing, in the background.
func (s *Sink) refreshMetadata(now time.Time) {
	if s.refreshing {
		return
	}
	var partitions []TopicPartition
	for _, p := range s.active {
		if p.leader >= 0 && now.Sub(p.topic.looked) < identityCheck {
			continue
		}
		if now.Before(p.until) {
			s.dueAt(p.until)
			continue
		}
		partitions = append(partitions, p.TopicPartition)
	}
	var topics []string
	if s.curious {
		for _, t := range s.topics {
			switch {
			case t.known:
			case now.Before(t.until):
				s.dueAt(t.until)
			default:
				topics = append(topics, t.name)
			}
		}
	}
	if len(partitions) == 0 && len(topics) == 0 {
		return
	}
	s.refreshing = true
	s.spawn(func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.client.cfg.RequestTimeout)
		defer cancel()
		f := s.fetchMetadata(ctx, partitions, topics)
		s.post(func() { s.applyMetadata(partitions, topics, f) })
	})
}

// fetchMetadata asks the cluster. It runs beside the sink's goroutine and touches nothing of it.
func (s *Sink) fetchMetadata(ctx context.Context, partitions []TopicPartition, topics []string) (f metadata) {
	f.asked = time.Now()
	if len(partitions) > 0 {
		f.err = s.findLeaders(ctx, partitions, &f)
	}
	if len(topics) > 0 {
		f.largest, f.errSize = s.findLargest(ctx, topics)
	}
	return f
}

func (s *Sink) findLeaders(ctx context.Context, partitions []TopicPartition, f *metadata) error {
	var names []string
	seen := map[string]bool{}
	for _, tp := range partitions {
		if !seen[tp.Topic] {
			seen[tp.Topic] = true
			names = append(names, tp.Topic)
		}
	}
	res, err := s.ctl.metadata(ctx, names...)
	if err != nil {
		return err
	}
	f.leaders, f.absent, f.ids = map[TopicPartition]leader{}, map[TopicPartition]sarama.KError{}, map[string][16]byte{}
	for _, t := range res.Topics {
		f.ids[t.Name] = t.Uuid
		for _, tp := range partitions {
			if tp.Topic == t.Name {
				f.absent[tp] = t.Err
				if t.Err == sarama.ErrNoError {
					f.absent[tp] = sarama.ErrUnknownTopicOrPartition
				}
			}
		}
		for _, p := range t.Partitions {
			tp := TopicPartition{Topic: t.Name, Partition: p.ID}
			if p.Err == sarama.ErrNoError || p.Err == sarama.ErrReplicaNotAvailable {
				f.leaders[tp] = leader{id: p.Leader, epoch: p.LeaderEpoch}
				delete(f.absent, tp)
			} else {
				f.absent[tp] = p.Err
			}
		}
	}
	return nil
}

// findLargest asks for max.message.bytes. A topic whose settings are hidden from us has no limit here; the broker will
// tell.
func (s *Sink) findLargest(ctx context.Context, topics []string) (map[string]int, error) {
	req := &sarama.DescribeConfigsRequest{Version: 1}
	for _, name := range topics {
		req.Resources = append(req.Resources, &sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: []string{"max.message.bytes"}})
	}
	k, err := s.ctl.toAny(ctx)
	if err != nil {
		return nil, err
	}
	res, err := roundTrip(ctx, s.ctl, k, func(b *sarama.Broker) (*sarama.DescribeConfigsResponse, error) { return b.DescribeConfigs(req) })
	if err != nil {
		return nil, err
	}
	largest := map[string]int{}
	for _, name := range topics {
		largest[name] = math.MaxInt32
	}
	for _, r := range res.Resources {
		for _, c := range r.Configs {
			if n, err := strconv.Atoi(c.Value); err == nil && c.Name == "max.message.bytes" {
				largest[r.Name] = n
			}
		}
	}
	return largest, nil
}

// applyMetadata takes over what the cluster answered about leaders and limits.
func (s *Sink) applyMetadata(partitions []TopicPartition, topics []string, f metadata) {
	s.refreshing = false
	if f.err != nil {
		s.requestFailed("find leaders", f.err)
	}
	if f.errSize != nil {
		s.requestFailed("find the limits of topics", f.errSize)
	}
	if s.err != nil {
		return
	}
	for _, tp := range partitions {
		s.parts[tp].topic.looked = time.Now()
	}
	for _, t := range s.topics {
		s.identify(t, f.ids[t.name])
	}
	for _, tp := range partitions {
		p := s.parts[tp]
		led, ok := f.leaders[tp]
		switch code := f.absent[tp]; {
		case ok && led.id >= 0:
			p.leader, p.epoch = led.id, led.epoch
		case f.err != nil:
			s.postpone(p, f.err)
		case code == sarama.ErrUnknownTopicOrPartition:
			s.postpone(p, code)
			s.unknownTopic(p)
		case code == sarama.ErrNoError, verdictOf(code) < recreated:
			s.postpone(p, sarama.ErrLeaderNotAvailable)
		default:
			s.block(p, code, code)
		}
	}
	for _, name := range topics {
		t := s.topics[name]
		if f.errSize != nil {
			t.until = time.Now().Add(s.limits.retry.Spread(t.tries))
			t.tries++
			continue
		}
		s.setLimits(t, f.largest[name], f.asked)
	}
	s.curious = false
	for _, t := range s.topics {
		s.curious = s.curious || !t.known
	}
}

// identify takes the id of a topic. When it is another one, the topic was deleted and made again: what the open
// transaction wrote to the former one is gone, and so are its offsets.
func (s *Sink) identify(t *outTopic, id [16]byte) {
	former := t.id
	if id == former || id == [16]byte{} || t.gone[id] {
		return
	}
	t.id = id
	if former == [16]byte{} {
		return
	}
	if t.gone == nil {
		t.gone = map[[16]byte]bool{}
	}
	t.gone[former] = true
	t.known, s.curious = false, true
	for _, p := range s.parts {
		if p.topic == t {
			p.end, p.leader, p.epoch, p.endEpoch = -1, -1, -1, -1
		}
	}
	s.fail(&Error{Abortable, "write to topic " + t.name, &OutputRecreatedError{t.name, sarama.Uuid(former).String(), sarama.Uuid(id).String()}})
}
