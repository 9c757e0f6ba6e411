package weir;

import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * Runs one of the benchmark's jobs until SIGTERM. Arguments are name=value; names that begin with "set." are settings of
 * Kafka Streams and override those that are made here.
 */
public final class Main {
    public static void main(String[] args) throws Exception {
        Map<String, String> a = new HashMap<>();
        Properties p = new Properties();
        for (String arg : args) {
            String[] pair = arg.split("=", 2);
            if (pair[0].startsWith("set.")) {
                p.put(pair[0].substring(4), pair[1]);
            } else {
                a.put(pair[0], pair[1]);
            }
        }
        KafkaStreams streams = new KafkaStreams(topology(a), settings(a, p));
        CountDownLatch failed = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            failed.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
        failed.await();
        System.exit(1);
    }

    private static Topology topology(Map<String, String> a) {
        boolean caching = Boolean.parseBoolean(a.get("caching"));
        switch (a.get("job")) {
            case "totals":
                return Totals.topology(a.get("in"), a.get("out"), caching, "databind".equals(a.get("json")));
            case "copy":
                return Copy.topology(a.get("in"), a.get("out"));
            case "dedup":
                return Dedup.topology(a.get("in"), a.get("out"), caching);
            case "shuffle":
                return Shuffle.topology(a.get("in"), a.get("mid"), a.get("out"), Integer.parseInt(a.get("consumers")), caching);
            default:
                throw new IllegalArgumentException("unknown job " + a.get("job"));
        }
    }

    /** settings are those that were found best by measurement; the bench's notes and its docs say what each gave. */
    private static Properties settings(Map<String, String> a, Properties override) {
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, a.get("group"));
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, a.get("brokers"));
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, a.get("guarantee"));
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, a.get("interval"));
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, a.get("threads"));
        p.put(StreamsConfig.STATE_DIR_CONFIG, a.get("state"));
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 128 << 20);
        p.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
        p.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, RocksSettings.class);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 10_000);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG), 1_000);
        p.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        p.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 20);
        p.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64 << 20);
        p.put(StreamsConfig.ENABLE_METRICS_PUSH_CONFIG, false);
        if (a.containsKey("instance")) {
            p.put(StreamsConfig.consumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), a.get("instance"));
        }
        p.putAll(override);
        return p;
    }
}
