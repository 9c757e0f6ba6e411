package settings

import (
	"time"
)

// kafka.Config bounds most sizes by what Kafka's protocol and sarama carry.
const maxRequest = 100 << 20

func defineKafka[T any](group, name string, k kind, help string, value ...T) Key[T] {
	return define(Setting{Name: name, Group: group, Kafka: true, kind: k, Help: help}, value...)
}

func kafkaText(name, value, help string) Key[string] {
	return defineKafka[string](groupConnect, name, textKind(value), help)
}

func kafkaSecret(name, help string) Key[string] {
	return define[string](Setting{Name: name, Group: groupConnect, Kafka: true, Secret: true, kind: textKind(""), Help: help})
}

func kafkaMillis(group, name string, value time.Duration, help string) Key[time.Duration] {
	return defineKafka(group, name, durationKind(name, time.Millisecond), help, value)
}

func kafkaSize(group, name string, value int, help string) Key[int64] {
	return defineKafka(group, name, sizeKind(1, maxRequest), help, int64(value))
}

// Connection.
var (
	StartupTimeout = define[time.Duration](Setting{Name: "startup-timeout", Group: groupConnect, kind: durationKind("startup-timeout", time.Millisecond),
		Help: "how long a start keeps trying while no broker answers; wrong credentials end it at once"}, client.StartupTimeout)
	ClientID = defineKafka[string](groupConnect, "client.id", textKind("ID"),
		"name of this program in brokers' logs and quotas", client.ClientID)
	ClientRack = defineKafka[string](groupConnect, "client.rack", textKind("RACK"),
		"where this program runs, such as an availability zone: copies of state are placed on other racks than their task where that is possible")
	ConnectTimeout = kafkaMillis(groupConnect, "socket.connection.setup.timeout.ms", client.ConnectTimeout,
		"longest time to connect to a broker, TLS handshake included")
	RequestTimeout = kafkaMillis(groupConnect, "request.timeout.ms", client.RequestTimeout,
		"longest time that a broker may take to answer a request")
	APITimeout = kafkaMillis(groupConnect, "default.api.timeout.ms", client.APITimeout,
		"longest time of a call to the cluster, its retries included")
	RetryBackoff = kafkaMillis(groupConnect, "retry.backoff.ms", client.RetryBackoff,
		"wait before the first repetition of a failed request, doubled each time")
	RetryBackoffMax = kafkaMillis(groupConnect, "retry.backoff.max.ms", client.RetryBackoffMax,
		"longest wait before a failed request is repeated; retry.backoff.ms is the first")
	MetadataMaxAge = kafkaMillis(groupConnect, "metadata.max.age.ms", client.MetadataMaxAge,
		"age at which what is known of partition leaders is refreshed")
)

// Security.
var (
	SecurityProtocol = defineKafka[string](groupConnect, "security.protocol", choiceKind("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
		"whether connections are encrypted and authenticated", client.Security.Protocol)
	CALocation = kafkaText("ssl.ca.location", "FILE",
		"PEM file with the authorities to trust instead of the system's")
	CertificateLocation = kafkaText("ssl.certificate.location", "FILE",
		"PEM file with this client's certificate, followed by its intermediate authorities")
	KeyLocation = kafkaText("ssl.key.location", "FILE",
		"PEM file with the key of the certificate in ssl.certificate.location")
	ServerName = kafkaText("ssl.server.name", "NAME",
		"name that brokers' certificates must carry instead of the host in the broker's address; Weir's own")
	SASLMechanism = defineKafka[string](groupConnect, "sasl.mechanism", choiceKind("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
		"how this client authenticates where security.protocol is SASL_PLAINTEXT or SASL_SSL")
	SASLUsername = kafkaText("sasl.username", "NAME",
		"user name for the mechanisms PLAIN and SCRAM")
	SASLPassword = kafkaSecret("sasl.password",
		"password for the mechanisms PLAIN and SCRAM")
	SASLPasswordFile = kafkaText("sasl.password.file", "FILE",
		"file with the password for PLAIN and SCRAM; others than its owner must not be able to write it; Weir's own")
	SASLToken = kafkaSecret("sasl.oauthbearer.token",
		"bearer token for the mechanism OAUTHBEARER; Weir's own")
	SASLTokenFile = kafkaText("sasl.oauthbearer.token.file", "FILE",
		"file with the bearer token for OAUTHBEARER, read again for every connection; others than its owner must not be able to write it; Weir's own")
)

// Reading.
var (
	GroupInstanceID = defineKafka[string](groupConsumer, "group.instance.id", textKind("ID"),
		"name under which this instance is a static member: a restart within session.timeout.ms moves no partition. Stands for instance-id too")
	SessionTimeout = kafkaMillis(groupConsumer, "session.timeout.ms", client.Group.SessionTimeout,
		"how long a member may be silent before the group continues without it")
	HeartbeatInterval = kafkaMillis(groupConsumer, "heartbeat.interval.ms", client.Group.HeartbeatInterval,
		"how often a member sends a heartbeat to the group; must be under session.timeout.ms, best at most a third")
	MaxPollInterval = kafkaMillis(groupConsumer, "max.poll.interval.ms", client.Group.RebalanceTimeout,
		"how long a rebalance waits for a member to hand over what it must give up")
	AutoOffsetReset = defineKafka[string](groupConsumer, "auto.offset.reset", choiceKind("earliest", "latest", "none"),
		"where an input begins that the group has committed nothing of, or whose committed offset is gone; none stops instead", string(instance.OffsetReset))
	FetchMinBytes = kafkaSize(groupConsumer, "fetch.min.bytes", client.Fetch.MinBytes,
		"least bytes that a fetch waits for, up to fetch.max.wait.ms")
	FetchMaxWait = kafkaMillis(groupConsumer, "fetch.max.wait.ms", client.Fetch.MaxWait,
		"longest time that a fetch may wait for fetch.min.bytes")
	FetchMaxBytes = kafkaSize(groupConsumer, "fetch.max.bytes", client.Fetch.MaxBytes,
		"most bytes in the answer to a fetch; a first batch that is larger is sent whole")
	MaxPartitionFetchBytes = kafkaSize(groupConsumer, "max.partition.fetch.bytes", client.Fetch.MaxPartitionBytes,
		"most bytes of one partition in the answer to a fetch; a first batch that is larger is sent whole")
	FetchBufferMemory = define[int64](Setting{Name: "fetch.buffer.memory", Group: groupConsumer, Kafka: true, kind: sizeKind(1<<20, 1<<40),
		Help: "decompressed bytes that may wait to be processed, once for all inputs of an instance and once for its restores"}, int64(client.Fetch.BufferMemory))
	OnCorruptBatch = define[string](Setting{Name: "on.corrupt.batch", Group: groupConsumer, Kafka: true, kind: choiceKind("stop", "skip"),
		Help: "what happens at a batch that is damaged in an input's log: stop has that partition wait while others go on, skip passes the batch over as one dead letter, logged and counted as a gap"}, string(instance.CorruptBatch))
)

// Limits of what is read. Over one of them a record becomes a dead letter, and what is left of a batch becomes a single one.
var (
	MaxRecordBytes = limitSize("max.record.bytes", client.Limits.Record,
		"largest record, decompressed, that is read whole")
	MaxKeyBytes = limitSize("max.key.bytes", client.Limits.Key,
		"largest key of a record that is read")
	MaxValueBytes = limitSize("max.value.bytes", client.Limits.Value,
		"largest value of a record that is read")
	MaxHeaders = define[int](Setting{Name: "max.headers", Group: groupLimits, Kafka: true, kind: intKind(1, 1_000_000),
		Help: "most headers of a record that are read"}, client.Limits.Headers)
	MaxHeadersBytes = limitSize("max.headers.bytes", client.Limits.HeaderBytes,
		"most bytes of a record's headers, keys and values together, that are read")
	MaxBatchRecords = define[int](Setting{Name: "max.batch.records", Group: groupLimits, Kafka: true, kind: intKind(1, 1<<31-1),
		Help: "most records of a batch; the records of a batch that declares more become one dead letter"}, client.Limits.Records)
	MaxBatchBytes = define[int64](Setting{Name: "max.batch.bytes", Group: groupLimits, Kafka: true, kind: sizeKind(1<<10, 1<<50),
		Help: "most bytes of a batch after decompression, which is done piece by piece; the records beyond that become one dead letter"}, client.Limits.Batch)
	MaxBlockBytes = limitSize("max.compression.block.bytes", client.Limits.Block,
		"most bytes that decompression may need at once: a block of snappy, a window of zstd")
	MaxAnswerBytes = define[int64](Setting{Name: "max.answer.bytes", Group: groupLimits, Kafka: true, kind: sizeKind(1<<20, 1<<31-1),
		Help: "largest answer of a broker that is read, at least twice fetch.max.bytes; a batch that is sent whole and makes an answer larger becomes one dead letter"}, int64(client.Fetch.MaxAnswer))
)

func limitSize(name string, value int64, help string) Key[int64] {
	return defineKafka(groupLimits, name, sizeKind(1<<10, 1<<30), help, value)
}

// Writing.
var (
	BatchSize = kafkaSize(groupProducer, "batch.size", client.Sink.BatchSize,
		"size before compression at which a partition's batch is sent without waiting for the commit")
	MaxRequestSize = defineKafka[int64](groupProducer, "max.request.size", sizeKind(1<<10, maxRequest),
		"largest record batch before compression, and so the largest record. A request is filled with batches up to 1MiB at most; a batch beyond that goes alone", int64(client.Sink.MaxRequestSize))
	BufferMemory = kafkaSize(groupProducer, "buffer.memory", client.Sink.BufferMemory,
		"bytes of one worker that may wait for acknowledgement; bounds a record too")
	CompressionType = defineKafka[string](groupProducer, "compression.type", choiceKind("none", "gzip", "snappy", "lz4", "zstd"),
		"compression of the records that are written", client.Sink.Compression)
	MaxInFlight = defineKafka[int](groupProducer, "max.in.flight.requests.per.connection", intKind(1, 5),
		"produce requests that may be unanswered on one connection", client.Sink.MaxInFlight)
	DeliveryTimeout = kafkaMillis(groupProducer, "delivery.timeout.ms", client.Sink.DeliveryTimeout,
		"longest time from a batch's first try to its acknowledgement")
	TransactionTimeout = defineKafka[time.Duration](groupProducer, "transaction.timeout.ms", durationKind("transaction.timeout.ms", time.Second),
		"when the cluster aborts a transaction that its owner left open, where no other instance of the group does so before; "+
			"where it is not set, at least twice the commit interval", client.Sink.TransactionTimeout)
)
