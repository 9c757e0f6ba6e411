package weir;

import java.io.IOException;

/** OrderReader decodes an order. */
@FunctionalInterface
interface OrderReader {
    Order read(byte[] value) throws IOException;
}
