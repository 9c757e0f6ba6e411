package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/IBM/sarama"
)

// TopicSettings are the settings of topics that TopicInfo has, by Kafka's names.
func TopicSettings() []string { return slices.Clone(describedConfigs) }

// SetTopicConfig sets settings of a topic that exists; the others stay (KIP-339). An error is the cluster's, and nothing is set then.
func (c *Client) SetTopicConfig(ctx context.Context, topic string, config map[string]string) error {
	entries := map[string]sarama.IncrementalAlterConfigsEntry{}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		entries[key] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: new(config[key])}
	}
	req := &sarama.IncrementalAlterConfigsRequest{Version: 1, Resources: []*sarama.IncrementalAlterConfigsResource{{Type: sarama.TopicResource, Name: topic, ConfigEntries: entries}}}
	op := "change settings of topic " + topic
	return c.retry(ctx, op, func(ctx context.Context) error {
		k, err := c.admin.toAny(ctx)
		if err != nil {
			return err
		}
		res, err := roundTrip(ctx, c.admin, k, func(b *sarama.Broker) (*sarama.IncrementalAlterConfigsResponse, error) {
			return b.IncrementalAlterConfigs(req)
		})
		if err != nil {
			return err
		}
		var errs []error
		for _, r := range res.Resources {
			if code := sarama.KError(r.ErrorCode); code != sarama.ErrNoError {
				errs = append(errs, fmt.Errorf("%w", withMessage(code, r.ErrorMsg)))
			}
		}
		return errors.Join(errs...)
	})
}
