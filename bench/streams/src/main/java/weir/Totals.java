package weir;

import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

/** Totals is the reference job: orders in, the customer's total out, duplicates dropped by their number. */
final class Totals implements Processor<byte[], byte[], byte[], Total> {
    private final OrderReader reader;
    private ProcessorContext<byte[], Total> context;
    private KeyValueStore<byte[], Total> store;

    private Totals(OrderReader reader) {
        this.reader = reader;
    }

    /** topology reads and writes JSON by hand, or with Jackson's data binding as most programs do. */
    static Topology topology(String in, String out, boolean caching, boolean databind) {
        Serde<Total> totals = databind ? Databind.totals() : Total.serde();
        StoreBuilder<KeyValueStore<byte[], Total>> store =
                Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("totals"), Serdes.ByteArray(), totals);
        store = caching ? store.withCachingEnabled() : store.withCachingDisabled();
        return new Topology()
                .addSource("in", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), in)
                .addProcessor("accumulate", () -> new Totals(databind ? Databind.orders() : Order.reader()), "in")
                .addStateStore(store, "accumulate")
                .addSink("out", out, Serdes.ByteArray().serializer(), totals.serializer(), "accumulate");
    }

    @Override
    public void init(ProcessorContext<byte[], Total> context) {
        this.context = context;
        store = context.getStateStore("totals");
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
        Order order;
        try {
            order = reader.read(record.value());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Total t = store.get(record.key());
        if (t != null && order.seq <= t.lastSeq) {
            return;
        }
        t = t == null ? new Total(order.seq, 1, order.amount) : new Total(order.seq, t.count + 1, t.sum + order.amount);
        store.put(record.key(), t);
        context.forward(record.withValue(t));
    }
}
