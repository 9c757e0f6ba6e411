package weir;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;

/** Copy writes what it reads, with no state. */
final class Copy {
    private Copy() {}

    static Topology topology(String in, String out) {
        return new Topology()
                .addSource("in", Serdes.ByteArray().deserializer(), Serdes.ByteArray().deserializer(), in)
                .addSink("out", out, Serdes.ByteArray().serializer(), Serdes.ByteArray().serializer(), "in");
    }
}
