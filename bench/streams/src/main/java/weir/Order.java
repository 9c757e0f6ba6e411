package weir;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;

/** Order is what the reference job reads of an order: one object is used again for every record. */
final class Order {
    private static final JsonFactory JSON = new JsonFactory();

    String eventId;
    long seq;
    String customer;
    long amount;

    void parse(byte[] value) throws IOException {
        eventId = null;
        customer = null;
        seq = amount = 0;
        try (JsonParser p = JSON.createParser(value)) {
            if (p.nextToken() != JsonToken.START_OBJECT) {
                throw new IOException("an order is an object");
            }
            for (String name = p.nextFieldName(); name != null; name = p.nextFieldName()) {
                p.nextToken();
                switch (name) {
                    case "event_id":
                        eventId = p.getText();
                        break;
                    case "seq":
                        seq = p.getLongValue();
                        break;
                    case "customer":
                        customer = p.getText();
                        break;
                    case "amount_cents":
                        amount = p.getLongValue();
                        break;
                    default:
                        p.skipChildren();
                }
            }
        }
    }
}
