package cli

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/kafka"
	"github.com/weirstream/weir/internal/mistake"
	"github.com/weirstream/weir/internal/settings"
	"github.com/weirstream/weir/processors"
)

// ClientConfig is what the settings say about the cluster.
func ClientConfig(v *settings.Values) (kafka.Config, error) {
	c := kafka.Config{
		Brokers:         settings.Brokers.Of(v),
		ClientID:        settings.ClientID.Of(v),
		StartupTimeout:  settings.StartupTimeout.Of(v),
		ConnectTimeout:  settings.ConnectTimeout.Of(v),
		RequestTimeout:  settings.RequestTimeout.Of(v),
		APITimeout:      settings.APITimeout.Of(v),
		RetryBackoff:    settings.RetryBackoff.Of(v),
		RetryBackoffMax: settings.RetryBackoffMax.Of(v),
		MetadataMaxAge:  settings.MetadataMaxAge.Of(v),
		Security: kafka.Security{
			Protocol:            settings.SecurityProtocol.Of(v),
			CALocation:          settings.CALocation.Of(v),
			CertificateLocation: settings.CertificateLocation.Of(v),
			KeyLocation:         settings.KeyLocation.Of(v),
			ServerName:          settings.ServerName.Of(v),
			Mechanism:           settings.SASLMechanism.Of(v),
			Username:            settings.SASLUsername.Of(v),
			Password:            kafka.NewSecret(settings.SASLPassword.Of(v)),
			PasswordFile:        settings.SASLPasswordFile.Of(v),
			Token:               kafka.NewSecret(settings.SASLToken.Of(v)),
			TokenFile:           settings.SASLTokenFile.Of(v),
		},
		Sink: kafka.SinkTuning{
			BatchSize:          int(settings.BatchSize.Of(v)),
			MaxRequestSize:     int(settings.MaxRequestSize.Of(v)),
			BufferMemory:       int(settings.BufferMemory.Of(v)),
			Compression:        settings.CompressionType.Of(v),
			MaxInFlight:        settings.MaxInFlight.Of(v),
			DeliveryTimeout:    settings.DeliveryTimeout.Of(v),
			TransactionTimeout: transactionTimeout(v),
		},
		Fetch: kafka.FetchTuning{
			MinBytes:          int(settings.FetchMinBytes.Of(v)),
			MaxWait:           settings.FetchMaxWait.Of(v),
			MaxBytes:          int(settings.FetchMaxBytes.Of(v)),
			MaxPartitionBytes: int(settings.MaxPartitionFetchBytes.Of(v)),
			BufferMemory:      int(settings.FetchBufferMemory.Of(v)),
			MaxAnswer:         int(settings.MaxAnswerBytes.Of(v)),
		},
		Limits: kafka.Limits{
			Batch:       settings.MaxBatchBytes.Of(v),
			Records:     settings.MaxBatchRecords.Of(v),
			Block:       settings.MaxBlockBytes.Of(v),
			Record:      settings.MaxRecordBytes.Of(v),
			Key:         settings.MaxKeyBytes.Of(v),
			Value:       settings.MaxValueBytes.Of(v),
			Headers:     settings.MaxHeaders.Of(v),
			HeaderBytes: settings.MaxHeadersBytes.Of(v),
		},
		Group: kafka.GroupTuning{
			SessionTimeout:    settings.SessionTimeout.Of(v),
			HeartbeatInterval: settings.HeartbeatInterval.Of(v),
			RebalanceTimeout:  settings.MaxPollInterval.Of(v),
		},
	}
	if len(c.Brokers) == 0 {
		return c, errNoBrokers
	}
	return c, v.Locate(c.Check())
}

// transactionTimeout is twice the commit interval where that is more than the default, unless somebody has set it.
func transactionTimeout(v *settings.Values) time.Duration {
	timeout := settings.TransactionTimeout.Of(v)
	if !v.Given(settings.TransactionTimeout.Setting) {
		timeout = max(timeout, 2*settings.CommitInterval.Of(v))
	}
	return timeout
}

// commitsInTime refuses a commit interval that leaves a transaction no time to be written and ended before the cluster
// aborts it. The sink gives a write up at the same 4/5.
func commitsInTime(v *settings.Values) error {
	interval, timeout := settings.CommitInterval.Of(v), transactionTimeout(v)
	if processors.Guarantee(settings.Guarantee.Of(v)) != processors.ExactlyOnce || interval < timeout/5*4 {
		return nil
	}
	return v.Locate(mistake.In(settings.CommitInterval.Name, settings.TransactionTimeout.Name).Errorf(
		"%s: %v is not under 4/5 of %s, %v: a transaction would be aborted before its commit",
		settings.CommitInterval.Name, interval, settings.TransactionTimeout.Name, timeout))
}

// InstanceOptions is what the settings say about the instance. Its wire, its log and its hooks are for the caller to give.
func InstanceOptions(v *settings.Values) (processors.Options, error) {
	o := processors.Options{
		Guarantee:      processors.Guarantee(settings.Guarantee.Of(v)),
		CommitInterval: settings.CommitInterval.Of(v),
		CommitBytes:    int(settings.CommitBytes.Of(v)),
		Workers:        settings.Workers.Of(v),
		StateDir:       settings.StateDir.Of(v),
		InstanceID:     settings.InstanceID.Of(v),
		CacheBytes:     settings.CacheBytes.Of(v),
		StallAfter:     settings.StallAfter.Of(v),
		ParkedRecords:  settings.ParkedRecords.Of(v),
		ParkedBytes:    settings.ParkedBytes.Of(v),
		StopLineAfter:  cmp.Or(settings.StopLineAfter.Of(v), -1),
		StopLineWindow: settings.StopLineWindow.Of(v),
		Standby:        settings.StandbyReplicas.Of(v),
		Rack:           settings.ClientRack.Of(v),
		Partitioner:    settings.Partitioner.Of(v),
		Schemas:        processors.Schemas(settings.Schemas.Of(v)),
		OffsetReset:    processors.OffsetReset(settings.AutoOffsetReset.Of(v)),
		CorruptBatch:   processors.CorruptBatch(settings.OnCorruptBatch.Of(v)),
	}
	o.Announce = settings.Announce.Of(v)
	o.AcceptEmptyState = settings.AcceptEmptyState.Of(v)
	if settings.CreateTopics.Of(v) {
		o.Create = &processors.Creation{
			Partitions:        int32(settings.Partitions.Of(v)),
			ReplicationFactor: int16(settings.ReplicationFactor.Of(v)),
		}
	}
	if id := settings.GroupInstanceID.Of(v); id != "" {
		if o.InstanceID != "" && o.InstanceID != id {
			return o, v.Locate(mistake.In(settings.GroupInstanceID.Name, settings.InstanceID.Name).Errorf(
				"%s is %q, but %s is %q (%s): an instance has one id, give one of them",
				settings.GroupInstanceID.Name, id, settings.InstanceID.Name, o.InstanceID, settings.InstanceID.Origin(v)))
		}
		o.InstanceID, o.Static = id, true
	}
	return o, nil
}

// unsetError says that something must be given which has no default.
type unsetError struct{ what string }

func (e *unsetError) Error() string { return e.what }

var errNoBrokers = &unsetError{fmt.Sprintf("no brokers: give --%s HOST:PORT, %s, or %s in the config file",
	settings.Brokers.Name, settings.Brokers.Env(), settings.Brokers.Name)}

// wrong are the mistakes in settings, without those that are merely not given yet.
func wrong(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var left []error
	for _, e := range joined.Unwrap() {
		if _, unset := errors.AsType[*unsetError](e); !unset {
			left = append(left, e)
		}
	}
	return errors.Join(left...)
}
