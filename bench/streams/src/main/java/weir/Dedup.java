package weir;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** Dedup passes the first record of each key, an event id, and drops the others. */
final class Dedup implements Processor<byte[], byte[], byte[], byte[]> {
    private static final byte[] SEEN = {1};

    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<byte[], byte[]> store;

    static Topology topology(String in, String out, boolean caching) {
        StoreBuilder<KeyValueStore<byte[], byte[]>> store =
                Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("seen"), Serdes.ByteArray(), Serdes.ByteArray());
        store = caching ? store.withCachingEnabled() : store.withCachingDisabled();
        return new Topology()
                .addSource("in", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), in)
                .addProcessor("dedup", Dedup::new, "in")
                .addStateStore(store, "dedup")
                .addSink("out", out, Serdes.ByteArray().serializer(), Serdes.ByteArray().serializer(), "dedup");
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> context) {
        this.context = context;
        store = context.getStateStore("seen");
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        if (store.get(record.key()) == null) {
            store.put(record.key(), SEEN);
            context.forward(record);
        }
    }
}
