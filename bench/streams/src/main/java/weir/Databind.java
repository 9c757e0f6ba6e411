package weir;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.module.blackbird.BlackbirdModule;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/**
 * Databind reads and writes JSON by the fields of a class, as Weir's codec does and as most programs on Kafka Streams do,
 * with Jackson's module for speed.
 */
final class Databind {
    private static final ObjectMapper JSON = JsonMapper.builder()
            .addModule(new BlackbirdModule())
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .build();

    private Databind() {}

    static OrderReader orders() {
        ObjectReader reader = JSON.readerFor(Order.class);
        return value -> reader.readValue(value);
    }

    static Serde<Total> totals() {
        ObjectReader reader = JSON.readerFor(Total.class);
        ObjectWriter writer = JSON.writerFor(Total.class);
        return Serdes.serdeFrom((topic, t) -> t == null ? null : write(writer, t), (topic, b) -> b == null ? null : read(reader, b));
    }

    private static byte[] write(ObjectWriter writer, Total t) {
        try {
            return writer.writeValueAsBytes(t);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Total read(ObjectReader reader, byte[] b) {
        try {
            return reader.readValue(b);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
