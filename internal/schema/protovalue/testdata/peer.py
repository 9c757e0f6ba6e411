# Reads lines of a file's descriptor, a message's name, and lists of documents and of encoded messages, both in base64. Answers each
# document with the message, encoded, and each message with its document, or else why it is none.
import base64
import json
import sys

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, empty_pb2, field_mask_pb2
from google.protobuf import json_format, message, message_factory, struct_pb2, timestamp_pb2, wrappers_pb2

pool = descriptor_pool.Default()


def parsed(kind, document):
    try:
        got = json_format.Parse(base64.b64decode(document), kind())
        return {"got": base64.b64encode(got.SerializeToString(deterministic=True)).decode()}
    except (json_format.ParseError, message.Error, UnicodeError, RecursionError) as e:
        return {"error": str(e)}


def written(kind, value):
    try:
        got = kind.FromString(base64.b64decode(value))
        if not got.IsInitialized():
            return {"error": "a required field is missing"}
        return {"got": base64.b64encode(json_format.MessageToJson(got, indent=None).encode()).decode()}
    except (message.Error, json_format.SerializeToJsonError, UnicodeError, ValueError, RecursionError) as e:
        return {"error": str(e)}


for line in sys.stdin:
    question = json.loads(line)
    pool.AddSerializedFile(base64.b64decode(question["file"]))
    kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(question["message"]))
    print(json.dumps({
        "parsed": [parsed(kind, d) for d in question["documents"]],
        "written": [written(kind, v) for v in question["values"]],
    }))
