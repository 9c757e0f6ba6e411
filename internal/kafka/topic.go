package kafka

// TopicInfo describes a topic that exists.
type TopicInfo struct {
	Name              string
	ID                string // the cluster's topic id (KIP-516); a topic that is deleted and made again has another
	Partitions        int32
	ReplicationFactor int16
	// Config has cleanup.policy, delete.retention.ms, local.retention.ms, max.message.bytes, message.timestamp.type, min.insync.replicas,
	// remote.storage.enable and retention.ms. It is empty where this client may not read them.
	Config map[string]string
}

// TopicSpec says how a topic is to be made.
type TopicSpec struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16             // -1 is the broker's default
	Config            map[string]string // "cleanup.policy": "compact", ...
}
