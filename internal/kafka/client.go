package kafka

import (
	"context"
	"slices"

	"github.com/IBM/sarama"
	"go.uber.org/zap"
)

// Client is the way to one cluster: it makes sinks, fetchers and group members, and answers questions about topics and
// offsets. Its methods are safe for concurrent use.
type Client struct {
	cfg   Config
	creds credentials
	log   *zap.Logger
	reach *reach // shared by all connections
	admin *links
	waits func(Wait) // see OnWait
}

// Dial reads the files that the settings name, connects to one of the brokers and asks it for the others. When none of
// them answers it tries again for Config.StartupTimeout, and then its error names each address with its own reason: see
// ConnectError. Wrong credentials, and brokers that are not who they should be, are an error at once.
func Dial(ctx context.Context, cfg Config, log *zap.Logger) (*Client, error) {
	if log == nil {
		log = zap.NewNop()
	}
	cfg = cfg.WithDefaults()
	creds, err := cfg.load()
	if err != nil {
		return nil, &Error{Fatal, "read the settings of Kafka", err}
	}
	for _, warning := range creds.warnings {
		log.Warn(warning)
	}
	saramaLog.to.Store(log.Named("sarama"))
	c := &Client{cfg: cfg, creds: creds, log: log, reach: newReach(cfg.Brokers)}
	c.admin = c.newLinks()
	if err := c.start(ctx); err != nil {
		c.admin.close()
		return nil, &Error{connectClass(err), "connect to Kafka", err}
	}
	return c, nil
}

// Config returns the settings with every default filled in.
func (c *Client) Config() Config {
	cfg := c.cfg
	cfg.Brokers = slices.Clone(cfg.Brokers)
	return cfg
}

// Close ends the client's own connections. Sinks, fetchers and members have theirs and are closed on their own.
func (c *Client) Close() error {
	c.admin.close()
	return nil
}

// saramaConfig returns settings for a connection, but for how it is dialled.
func (c *Client) saramaConfig() *sarama.Config {
	conf := sarama.NewConfig()
	// Every request is brought down to what its broker speaks, so this only sets the upper end.
	conf.Version = sarama.V4_3_1_0
	conf.ClientID = c.cfg.ClientID
	conf.Net.DialTimeout = c.cfg.ConnectTimeout
	conf.Net.ReadTimeout = c.cfg.RequestTimeout
	conf.Net.WriteTimeout = c.cfg.RequestTimeout
	conf.Net.MaxOpenRequests = c.cfg.Sink.MaxInFlight
	conf.Metadata.AllowAutoTopicCreation = false
	conf.Metadata.Full = false
	conf.Metadata.RefreshFrequency = c.cfg.MetadataMaxAge
	c.creds.apply(conf, c.cfg.Security)
	return conf
}
