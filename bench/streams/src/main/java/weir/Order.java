package weir;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;

/** Order is what the reference job reads of an order. */
final class Order {
    private static final JsonFactory JSON = new JsonFactory();

    @JsonProperty("event_id")
    String eventId;

    @JsonProperty("seq")
    long seq;

    @JsonProperty("customer")
    String customer;

    @JsonProperty("amount_cents")
    long amount;

    /** reader parses by hand, and reuses one object for every order. */
    static OrderReader reader() {
        Order order = new Order();
        return value -> {
            order.parse(value);
            return order;
        };
    }

    private void parse(byte[] value) throws IOException {
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
