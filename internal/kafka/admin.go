package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// describedConfigs are the settings of a topic that TopicInfo carries: those of Kafka 4.3, and the bound of timestamps of brokers before 3.6. A broker leaves out what it does not have.
var describedConfigs = []string{"cleanup.policy", "compression.gzip.level", "compression.lz4.level", "compression.type", "compression.zstd.level", "delete.retention.ms",
	"file.delete.delay.ms", "flush.messages", "flush.ms", "follower.replication.throttled.replicas", "index.interval.bytes", "leader.replication.throttled.replicas",
	"local.retention.bytes", "local.retention.ms", "max.compaction.lag.ms", "max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms",
	"message.timestamp.difference.max.ms", "message.timestamp.type", "min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas", "preallocate",
	"remote.log.copy.disable", "remote.log.delete.on.disable", "remote.storage.enable", "retention.bytes", "retention.ms", "segment.bytes", "segment.index.bytes",
	"segment.jitter.ms", "segment.ms", "unclean.leader.election.enable"}

// ClusterID is the id that a cluster has been given when it was formatted. Brokers of one cluster answer the same.
func (c *Client) ClusterID(ctx context.Context) (id string, err error) {
	err = c.retry(ctx, "ask for the id of the cluster", func(ctx context.Context) error {
		k, err := c.admin.toAny(ctx)
		if err != nil {
			return err
		}
		res, err := c.admin.describeCluster(ctx, k.addr)
		if err != nil {
			return err
		}
		id = res.ClusterID
		return nil
	})
	return id, err
}

// Topics describes the topics that exist; absent ones are absent from the answer, and none is created. Config is empty
// where the cluster does not let this client read a topic's settings.
func (c *Client) Topics(ctx context.Context, names []string) (map[string]TopicInfo, error) {
	infos := map[string]TopicInfo{}
	if len(names) == 0 {
		return infos, nil
	}
	op := "describe topics " + list(names)
	err := c.retry(ctx, op, func(ctx context.Context) error {
		var err error
		infos, err = c.describe(ctx, names)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = c.retry(ctx, op, func(ctx context.Context) error { return c.describeConfigs(ctx, infos) })
	if err != nil {
		return nil, err
	}
	return infos, nil
}

// TopicNames lists the topics of the cluster that this client may know of, in order.
func (c *Client) TopicNames(ctx context.Context) (names []string, err error) {
	err = c.retry(ctx, "list topics", func(ctx context.Context) error {
		res, err := c.admin.metadataOfAll(ctx)
		if err != nil {
			return err
		}
		names = names[:0]
		for _, t := range res.Topics {
			names = append(names, t.Name)
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

func (c *Client) describe(ctx context.Context, names []string) (map[string]TopicInfo, error) {
	res, err := c.admin.metadata(ctx, names...)
	if err != nil {
		return nil, err
	}
	infos := make(map[string]TopicInfo, len(res.Topics))
	var errs []error
	for _, t := range res.Topics {
		switch {
		case t.Err == sarama.ErrUnknownTopicOrPartition:
		case t.Err != sarama.ErrNoError:
			errs = append(errs, ofTopic(t.Name, t.Err))
		case len(t.Partitions) > 0:
			infos[t.Name] = topicInfo(t)
		}
	}
	return infos, errors.Join(errs...)
}

func topicInfo(t *sarama.TopicMetadata) TopicInfo {
	replicas := len(t.Partitions[0].Replicas)
	for _, p := range t.Partitions {
		replicas = min(replicas, len(p.Replicas))
	}
	return TopicInfo{
		Name:              t.Name,
		ID:                t.Uuid.String(),
		Partitions:        int32(len(t.Partitions)),
		ReplicationFactor: int16(replicas),
	}
}

// describeConfigs fills in Config.
func (c *Client) describeConfigs(ctx context.Context, infos map[string]TopicInfo) error {
	if len(infos) == 0 {
		return nil
	}
	req := &sarama.DescribeConfigsRequest{Version: 4}
	for _, name := range slices.Sorted(maps.Keys(infos)) {
		req.Resources = append(req.Resources, &sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: describedConfigs})
	}
	k, err := c.admin.toAny(ctx)
	if err != nil {
		return err
	}
	res, err := roundTrip(ctx, c.admin, k, func(b *sarama.Broker) (*sarama.DescribeConfigsResponse, error) { return b.DescribeConfigs(req) })
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range res.Resources {
		info, ok := infos[r.Name]
		switch code := sarama.KError(r.ErrorCode); {
		case !ok:
		case code == sarama.ErrUnknownTopicOrPartition:
			delete(infos, r.Name) // deleted a moment ago
		case code == sarama.ErrTopicAuthorizationFailed || code == sarama.ErrClusterAuthorizationFailed:
			c.log.Warn("settings of a topic cannot be read: DescribeConfigs is not allowed", zap.String("topic", r.Name))
		case code != sarama.ErrNoError:
			errs = append(errs, fmt.Errorf("settings of topic %s: %w", r.Name, withMessage(code, r.ErrorMsg)))
		default:
			info.Config = make(map[string]string, len(r.Configs))
			for _, entry := range r.Configs {
				info.Config[entry.Name] = entry.Value
			}
			infos[r.Name] = info
		}
	}
	return errors.Join(errs...)
}

// CreateTopics makes the topics that do not exist and returns when every broker knows them and their leaders. A topic
// that exists is left as it is; it is an error when its number of partitions or its cleanup.policy is not what is
// wanted, and a line in the log when another setting is not. Errors are per topic, joined; the others are made.
func (c *Client) CreateTopics(ctx context.Context, topics []TopicSpec) error {
	if len(topics) == 0 {
		return nil
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	existing, err := c.Topics(ctx, names)
	if err != nil {
		return err
	}
	missing := map[string]TopicSpec{}
	var errs []error
	for _, t := range topics {
		if info, ok := existing[t.Name]; !ok {
			missing[t.Name] = t
		} else if err := c.compatible(t, info); err != nil {
			errs = append(errs, &Error{Fatal, "create topic " + t.Name, err})
		}
	}
	made, err := c.create(ctx, missing)
	errs = append(errs, err, c.await(ctx, made))
	return errors.Join(errs...)
}

// create makes topics and returns those that exist now.
func (c *Client) create(ctx context.Context, missing map[string]TopicSpec) (made []string, err error) {
	if len(missing) == 0 {
		return nil, nil
	}
	var errs []error
	var raced []string
	left := maps.Clone(missing)
	err = c.retry(ctx, "create topics "+list(slices.Sorted(maps.Keys(missing))), func(ctx context.Context) error {
		answers, err := c.createOnce(ctx, left, false)
		if err != nil {
			return err
		}
		var again []error
		for name, answer := range answers {
			_, wanted := left[name]
			switch err := createError(left[name], answer); {
			case !wanted:
			case answer.Err == sarama.ErrNoError:
				made = append(made, name)
				delete(left, name)
			case answer.Err == sarama.ErrTopicAlreadyExists:
				// Another instance was faster, or an earlier try whose answer was lost.
				made, raced = append(made, name), append(raced, name)
				delete(left, name)
			case transient(answer.Err):
				again = append(again, err)
			default:
				if answer.Err == sarama.ErrTopicAuthorizationFailed || answer.Err == sarama.ErrClusterAuthorizationFailed {
					err = fmt.Errorf("%w: allow this principal to CREATE topic %s, or have it made by one that may", err, name)
				}
				errs = append(errs, &Error{Fatal, "create topic " + name, err})
				delete(left, name)
			}
		}
		if len(again) == 0 && len(left) > 0 {
			return sarama.ErrIncompleteResponse
		}
		return errors.Join(again...)
	})
	errs = append(errs, err)
	if len(raced) > 0 {
		infos, err := c.Topics(ctx, raced)
		errs = append(errs, err)
		for _, name := range raced {
			if info, ok := infos[name]; ok {
				if err := c.compatible(missing[name], info); err != nil {
					errs = append(errs, &Error{Fatal, "create topic " + name, err})
				}
			}
		}
	}
	return made, errors.Join(errs...)
}

func (c *Client) createOnce(ctx context.Context, left map[string]TopicSpec, validate bool) (map[string]*sarama.TopicError, error) {
	details := make(map[string]*sarama.TopicDetail, len(left))
	for name, t := range left {
		entries := make(map[string]*string, len(t.Config))
		for key, value := range t.Config {
			entries[key] = &value
		}
		details[name] = &sarama.TopicDetail{NumPartitions: t.Partitions, ReplicationFactor: t.ReplicationFactor, ConfigEntries: entries}
	}
	k, err := c.admin.controller(ctx)
	if err != nil {
		return nil, err
	}
	req := sarama.NewCreateTopicsRequest(k.conf.Version, details, c.cfg.RequestTimeout/2, validate)
	res, err := roundTrip(ctx, c.admin, k, func(b *sarama.Broker) (*sarama.CreateTopicsResponse, error) { return b.CreateTopics(req) })
	if err != nil {
		return nil, err
	}
	for _, answer := range res.TopicErrors {
		if answer.Err == sarama.ErrNotController {
			c.admin.forgetController()
		}
	}
	return res.TopicErrors, nil
}

// ValidateTopics asks the cluster whether it would make these topics, and makes none (validate-only CreateTopics). It
// returns the refusals by topic: a replication factor that is more than there are brokers, a setting or a policy that
// does not allow it, a denied authorisation. A topic that exists is no refusal.
func (c *Client) ValidateTopics(ctx context.Context, topics []TopicSpec) (map[string]error, error) {
	refused := map[string]error{}
	left := map[string]TopicSpec{}
	for _, t := range topics {
		left[t.Name] = t
	}
	if len(left) == 0 {
		return refused, nil
	}
	err := c.retry(ctx, "validate the creation of topics "+list(slices.Sorted(maps.Keys(left))), func(ctx context.Context) error {
		answers, err := c.createOnce(ctx, left, true)
		if err != nil {
			return err
		}
		var again []error
		for name, answer := range answers {
			spec, wanted := left[name]
			switch {
			case !wanted:
			case transient(answer.Err):
				again = append(again, createError(spec, answer))
			default:
				if answer.Err != sarama.ErrNoError && answer.Err != sarama.ErrTopicAlreadyExists {
					refused[name] = createError(spec, answer)
				}
				delete(left, name)
			}
		}
		if len(again) == 0 && len(left) > 0 {
			return sarama.ErrIncompleteResponse
		}
		return errors.Join(again...)
	})
	return refused, err
}

// createError words a refusal with what was asked for.
func createError(t TopicSpec, answer *sarama.TopicError) error {
	message := ""
	if answer.ErrMsg != nil {
		message = *answer.ErrMsg
	}
	err := withMessage(answer.Err, message)
	switch answer.Err {
	case sarama.ErrInvalidReplicationFactor:
		return fmt.Errorf("replication factor %d: %w", t.ReplicationFactor, err)
	case sarama.ErrInvalidPartitions:
		return fmt.Errorf("%d partitions: %w", t.Partitions, err)
	case sarama.ErrInvalidConfig, sarama.ErrPolicyViolation:
		return fmt.Errorf("settings %v: %w", t.Config, err)
	}
	return err
}

// compatible checks what cannot be put right later without losing order or records.
func (c *Client) compatible(want TopicSpec, have TopicInfo) error {
	if want.Partitions > 0 && want.Partitions != have.Partitions {
		return fmt.Errorf("it exists with %d partitions, not %d", have.Partitions, want.Partitions)
	}
	for _, key := range slices.Sorted(maps.Keys(want.Config)) {
		value, known := have.Config[key]
		if !known || SameSetting(value, want.Config[key]) {
			continue
		}
		if key == "cleanup.policy" {
			return fmt.Errorf("it exists with cleanup.policy %q, not %q", value, want.Config[key])
		}
		c.log.Warn("a topic exists with another setting", zap.String("topic", want.Name),
			zap.String("setting", key), zap.String("has", value), zap.String("wanted", want.Config[key]))
	}
	return nil
}

// SameSetting says whether two values of a topic's setting mean the same: lists such as "compact,delete" have no order.
func SameSetting(a, b string) bool {
	split := func(s string) []string {
		parts := strings.Split(s, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		slices.Sort(parts)
		return parts
	}
	return slices.Equal(split(a), split(b))
}

// await returns when every broker that can be reached knows the topics with their leaders. Each broker learns of a new
// topic in its own time, and one that has not yet answers "unknown topic" to a producer.
func (c *Client) await(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	return c.retry(ctx, "wait for leaders of topics "+list(names), func(ctx context.Context) error {
		if err := c.admin.refreshBrokers(ctx); err != nil {
			return err
		}
		for _, id := range c.admin.ids() {
			k, err := c.admin.toBroker(ctx, id)
			if err != nil {
				if ctx.Err() != nil {
					return err
				}
				continue
			}
			res, err := c.admin.metadataFrom(ctx, k, names)
			if err != nil {
				return err
			}
			for _, t := range res.Topics {
				if t.Err == sarama.ErrUnknownTopicOrPartition {
					return fmt.Errorf("topic %s: %w", t.Name, sarama.ErrLeaderNotAvailable)
				}
				if t.Err != sarama.ErrNoError {
					return fmt.Errorf("topic %s: %w", t.Name, t.Err)
				}
				for _, p := range t.Partitions {
					if p.Leader < 0 {
						return fmt.Errorf("%s/%d: %w", t.Name, p.ID, sarama.ErrLeaderNotAvailable)
					}
				}
			}
		}
		return nil
	})
}

// withMessage adds the broker's own words to an error code.
func withMessage(code sarama.KError, message string) error {
	if message == "" {
		return code
	}
	return fmt.Errorf("%s (%w)", message, code)
}

// list writes names for an error: all of a few, the first of many.
func list(names []string) string {
	if len(names) > 5 {
		return strings.Join(names[:4], ", ") + " and " + strconv.Itoa(len(names)-4) + " more"
	}
	return strings.Join(names, ", ")
}
