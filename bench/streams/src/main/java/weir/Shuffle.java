package weir;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/**
 * Shuffle is ShuffleBench's pipeline. A record begins with its number, 8 bytes big-endian. One in five matches a consumer, and
 * goes to it through a topic of its own; each consumer counts, and tells of every tenth.
 */
final class Shuffle {
    private Shuffle() {}

    static Topology topology(String in, String mid, String out, int consumers, boolean caching) {
        StoreBuilder<KeyValueStore<byte[], byte[]>> store =
                Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("consumers"), Serdes.ByteArray(), Serdes.ByteArray());
        store = caching ? store.withCachingEnabled() : store.withCachingDisabled();
        var read = Serdes.ByteArray().deserializer();
        var write = Serdes.ByteArray().serializer();
        return new Topology()
                .addSource("in", read, read, in)
                .addProcessor("match", () -> new Match(consumers), "in")
                .addSink("to-mid", mid, write, write, "match")
                .addSource("mid", read, read, mid)
                .addProcessor("count", Count::new, "mid")
                .addStateStore(store, "count")
                .addSink("out", out, write, write, "count");
    }

    /** mix is the finaliser of splitmix64: the Go side has the same one. */
    private static long mix(long x) {
        x ^= x >>> 30;
        x *= 0xbf58476d1ce4e5b9L;
        x ^= x >>> 27;
        x *= 0x94d049bb133111ebL;
        return x ^ x >>> 31;
    }

    private static final class Match implements Processor<byte[], byte[], byte[], byte[]> {
        private final int consumers;
        private ProcessorContext<byte[], byte[]> context;

        Match(int consumers) {
            this.consumers = consumers;
        }

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            long h = mix(ByteBuffer.wrap(record.value()).getLong());
            if (Long.remainderUnsigned(h, 5) == 0) {
                long consumer = Long.remainderUnsigned(h >>> 8, consumers);
                context.forward(record.withKey(("consumer-" + consumer).getBytes(StandardCharsets.US_ASCII)));
            }
        }
    }

    private static final class Count implements Processor<byte[], byte[], byte[], byte[]> {
        private ProcessorContext<byte[], byte[]> context;
        private KeyValueStore<byte[], byte[]> store;

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
            store = context.getStateStore("consumers");
        }

        /** The state is 32 bytes: how many, the sum of their numbers, and 16 that are carried along. */
        @Override
        public void process(Record<byte[], byte[]> record) {
            byte[] old = store.get(record.key());
            ByteBuffer state = old == null ? ByteBuffer.allocate(32) : ByteBuffer.wrap(old.clone());
            long count = state.getLong(0) + 1;
            state.putLong(0, count).putLong(8, state.getLong(8) + ByteBuffer.wrap(record.value()).getLong());
            store.put(record.key(), state.array());
            if (count % 10 == 0) {
                context.forward(record.withValue(state.array()));
            }
        }
    }
}
