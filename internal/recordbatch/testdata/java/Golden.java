import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Writes record batches with Kafka's own Java code, and says what they hold. TestWhatKafkasJavaWritesIsRead runs it:
 *
 * <pre>
 * Golden produce BROKERS   to topics compressed-CODEC and transactions, with the producer
 * Golden describe DIR      the formats that no broker takes any more, to files; then NAME.json for each NAME.bin
 * </pre>
 */
public class Golden {
    static final long NOON = 1_700_000_000_000L;

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "produce" -> {
                for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
                    compressed(args[1], codec);
                }
                transactions(args[1]);
            }
            case "describe" -> {
                old(Path.of(args[1]));
                for (File file : new File(args[1]).listFiles((dir, name) -> name.endsWith(".bin"))) {
                    describe(file.toPath());
                }
            }
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static KafkaProducer<byte[], byte[]> producer(String brokers, String... settings) {
        Properties p = new Properties();
        p.put("bootstrap.servers", brokers);
        p.put("linger.ms", "60000"); // a flush makes a batch
        p.put("batch.size", "1000000");
        for (int i = 0; i < settings.length; i += 2) {
            p.put(settings[i], settings[i + 1]);
        }
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static void compressed(String brokers, String codec) {
        String topic = "compressed-" + codec;
        try (KafkaProducer<byte[], byte[]> p = producer(brokers, "compression.type", codec)) {
            ProducerRecord<byte[], byte[]> r = new ProducerRecord<>(topic, 0, NOON, bytes("key"), bytes("value"));
            r.headers().add("one", bytes("1")).add("null", null).add("", new byte[0]).add("one", bytes("\u00e9"));
            p.send(r);
            p.send(new ProducerRecord<>(topic, 0, NOON - 7, null, bytes("no key, and earlier")));
            p.send(new ProducerRecord<>(topic, 0, NOON + 1, bytes("tombstone"), (byte[]) null));
            p.send(new ProducerRecord<>(topic, 0, NOON + 2, new byte[0], new byte[0]));
            p.send(new ProducerRecord<>(topic, 0, NOON + 3, null, (byte[]) null));
            p.flush();
            if (!codec.equals("none")) { // more than a block of each codec
                byte[] large = new byte[200_000];
                Arrays.fill(large, (byte) 'x');
                p.send(new ProducerRecord<>(topic, 0, NOON + 4, bytes("large"), large));
            }
            for (int i = 0; i < 20; i++) {
                p.send(new ProducerRecord<>(topic, 0, NOON + i, null, bytes("{}")));
            }
            p.flush();
        }
    }

    static void transactions(String brokers) {
        try (KafkaProducer<byte[], byte[]> p = producer(brokers, "transactional.id", "golden")) {
            p.initTransactions();
            for (String end : List.of("committed", "aborted", "committed")) {
                p.beginTransaction();
                p.send(new ProducerRecord<>("transactions", 0, NOON, bytes("k"), bytes(end)));
                if (end.equals("committed")) {
                    p.commitTransaction();
                } else {
                    p.flush();
                    p.abortTransaction();
                }
            }
        }
    }

    /** Formats 0 and 1, and a batch that compaction has emptied. */
    static void old(Path dir) throws Exception {
        for (byte magic = 0; magic < 2; magic++) {
            for (Compression c : List.of(Compression.NONE, Compression.gzip().build(), Compression.snappy().build(), Compression.lz4().build())) {
                for (TimestampType time : List.of(TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME)) {
                    if (magic == 0 && time == TimestampType.LOG_APPEND_TIME) {
                        continue;
                    }
                    MemoryRecordsBuilder b = MemoryRecords.builder(ByteBuffer.allocate(10_000), magic, c,
                        magic == 0 ? TimestampType.NO_TIMESTAMP_TYPE : TimestampType.CREATE_TIME, 100);
                    b.appendWithOffset(100, NOON, bytes("key"), bytes("value"));
                    b.appendWithOffset(103, NOON + 1, null, bytes("after a gap"));
                    b.appendWithOffset(104, NOON + 2, bytes("tombstone"), null);
                    MemoryRecords records = b.build();
                    String name = "old-" + magic + "-" + c.type().name;
                    if (time == TimestampType.LOG_APPEND_TIME) { // as a broker does: what is compressed stays as it is
                        for (MutableRecordBatch batch : records.batches()) {
                            batch.setMaxTimestamp(time, NOON + 500);
                        }
                        name += "-appended";
                    }
                    write(dir.resolve(name + ".bin"), records.buffer());
                }
            }
        }
        ByteBuffer empty = ByteBuffer.allocate(1000);
        DefaultRecordBatch.writeEmptyHeader(empty, (byte) 2, 5, (short) 1, 7, 50, 59, 3, TimestampType.CREATE_TIME, NOON, true, false);
        empty.flip();
        write(dir.resolve("emptied.bin"), empty);
    }

    static void write(Path path, ByteBuffer b) throws Exception {
        byte[] all = new byte[b.remaining()];
        b.get(all);
        Files.write(path, all);
    }

    static void describe(Path bin) throws Exception {
        List<Object> batches = new ArrayList<>();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(bin))).batches()) {
            batch.ensureValid();
            Map<String, Object> b = new LinkedHashMap<>();
            b.put("magic", batch.magic());
            b.put("codec", batch.compressionType().name);
            b.put("last", batch.lastOffset());
            b.put("epoch", batch.partitionLeaderEpoch());
            b.put("producer", batch.producerId());
            b.put("transactional", batch.isTransactional());
            b.put("control", batch.isControlBatch());
            List<Object> records = new ArrayList<>();
            for (Record record : batch) {
                Map<String, Object> r = new LinkedHashMap<>();
                r.put("offset", record.offset());
                r.put("timestamp", record.timestamp());
                put(r, "key", record.key());
                put(r, "value", record.value());
                List<Object> headers = new ArrayList<>();
                for (Header header : record.headers()) {
                    Map<String, Object> h = new LinkedHashMap<>();
                    h.put("key", header.key());
                    put(h, "value", header.value() == null ? null : ByteBuffer.wrap(header.value()));
                    headers.add(h);
                }
                if (!headers.isEmpty()) {
                    r.put("headers", headers);
                }
                records.add(r);
            }
            b.put("records", records);
            batches.add(b);
        }
        String json = new ObjectMapper().writeValueAsString(batches).replace("},{\"", "},\n{\"");
        Files.writeString(Path.of(bin.toString().replace(".bin", ".json")), json + "\n");
    }

    /** In base 64, or as the SHA-256 of what is long. */
    static void put(Map<String, Object> to, String name, ByteBuffer b) throws Exception {
        byte[] all = null;
        if (b != null) {
            all = new byte[b.remaining()];
            b.duplicate().get(all);
        }
        if (all != null && all.length > 1000) {
            to.put(name, MessageDigest.getInstance("SHA-256").digest(all));
            to.put(name + "Hashed", true);
        } else {
            to.put(name, all);
        }
    }
}
