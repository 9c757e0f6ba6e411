package weir;

import com.fasterxml.jackson.annotation.JsonCreator;
import com.fasterxml.jackson.annotation.JsonProperty;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** Total is the state of a customer. serde writes and reads its JSON by hand: no parser of Java's is faster. */
final class Total {
    private static final byte[] LAST = "{\"last_seq\":".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] COUNT = ",\"count\":".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] SUM = ",\"sum_cents\":".getBytes(StandardCharsets.US_ASCII);

    @JsonProperty("last_seq")
    final long lastSeq;

    @JsonProperty("count")
    final long count;

    @JsonProperty("sum_cents")
    final long sum;

    @JsonCreator
    Total(@JsonProperty("last_seq") long lastSeq, @JsonProperty("count") long count, @JsonProperty("sum_cents") long sum) {
        this.lastSeq = lastSeq;
        this.count = count;
        this.sum = sum;
    }

    static Serde<Total> serde() {
        return Serdes.serdeFrom((topic, t) -> t == null ? null : t.write(), (topic, b) -> b == null ? null : read(b));
    }

    byte[] write() {
        byte[] b = new byte[LAST.length + COUNT.length + SUM.length + digits(lastSeq) + digits(count) + digits(sum) + 1];
        int at = put(b, put(b, 0, LAST), lastSeq);
        at = put(b, put(b, at, COUNT), count);
        at = put(b, put(b, at, SUM), sum);
        b[at] = '}';
        return b;
    }

    private static int put(byte[] b, int at, byte[] text) {
        System.arraycopy(text, 0, b, at, text.length);
        return at + text.length;
    }

    private static int put(byte[] b, int at, long v) {
        int end = at + digits(v);
        int i = end;
        do {
            b[--i] = (byte) ('0' + v % 10);
            v /= 10;
        } while (v > 0);
        return end;
    }

    private static int digits(long v) {
        int n = 1;
        for (; v >= 10; v /= 10) {
            n++;
        }
        return n;
    }

    private static Total read(byte[] b) {
        long[] v = new long[3];
        int at = 0;
        for (int i = 0; i < 3; i++) {
            while (b[at] != ':') {
                at++;
            }
            for (at++; b[at] >= '0' && b[at] <= '9'; at++) {
                v[i] = v[i] * 10 + b[at] - '0';
            }
        }
        return new Total(v[0], v[1], v[2]);
    }
}
