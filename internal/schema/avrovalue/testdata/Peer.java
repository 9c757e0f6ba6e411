import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.util.Base64;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** Reads lines of [writer, reader, value in base64]; answers each with the value as the reader's schema encodes it, or why it is not read. */
class Peer {
  public static void main(String[] args) throws Exception {
    ObjectMapper json = new ObjectMapper();
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    StringBuilder out = new StringBuilder();
    for (String line; (line = in.readLine()) != null; ) {
      String[] question = json.readValue(line, String[].class);
      out.append(json.writeValueAsString(answer(question))).append('\n');
    }
    System.out.write(out.toString().getBytes("UTF-8"));
    System.out.flush();
  }

  static Map<String, String> answer(String[] question) {
    Schema writer, reader;
    try {
      writer = new Schema.Parser().parse(question[0]);
      reader = new Schema.Parser().parse(question[1]);
    } catch (RuntimeException e) {
      return Map.of("schema", String.valueOf(e.getMessage()));
    }
    try {
      BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(Base64.getDecoder().decode(question[2]), null);
      Object value = new GenericDatumReader<Object>(writer, reader).read(null, decoder);
      if (!decoder.isEnd()) {
        return Map.of("refused", "bytes follow the value");
      }
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
      new GenericDatumWriter<Object>(reader).write(value, encoder);
      encoder.flush();
      return Map.of("value", Base64.getEncoder().encodeToString(bytes.toByteArray()));
    } catch (Exception e) {
      return Map.of("refused", String.valueOf(e.getMessage()));
    }
  }
}
