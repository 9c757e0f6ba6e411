package weir;

import java.util.Map;
import org.apache.kafka.streams.state.RocksDBConfigSetter;
import org.rocksdb.Options;

/** RocksSettings gives a store larger write buffers. Kafka Streams sets Bloom filters and switches compression off by itself. */
public final class RocksSettings implements RocksDBConfigSetter {
    @Override
    public void setConfig(String store, Options options, Map<String, Object> configs) {
        options.setWriteBufferSize(32L << 20);
        options.setMaxWriteBufferNumber(3);
        options.setMaxBackgroundJobs(2);
    }

    @Override
    public void close(String store, Options options) {}
}
