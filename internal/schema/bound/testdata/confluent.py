"""Serializes and deserializes with Confluent's client for Python what a test asks for: a request in JSON a line, an answer a line.

A value is a Python expression, for Protobuf the message as JSON. An answer is {"wire", "headers"} of what is written, {"same"} of what is
read, with "got" where it is another value, or {"error"}.
"""
import base64
import datetime
import json
import sys
import uuid
from datetime import timedelta, timezone
from decimal import Decimal

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient, header_schema_id_serializer, prefix_schema_id_serializer
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

client = SchemaRegistryClient({"url": sys.argv[1]})
pools = {}  # by their files: versions of a message have the same name
names = {"datetime": datetime, "timedelta": timedelta, "utc": timezone.utc, "Decimal": Decimal, "UUID": uuid.UUID, "inf": float("inf")}


def message(q):
    files = tuple(q["files"])
    if files not in pools:
        pools[files] = descriptor_pool.DescriptorPool()
        for raw in files:
            pools[files].Add(descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(raw)))
    pool = pools[files]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(q["message"]))


def schema(q):
    if not q.get("schema"):
        return None
    references = [SchemaReference(r["name"], r["subject"], r["version"]) for r in q.get("references") or []]
    return Schema(q["schema"], q["type"], references=references)


def serializer(q):
    conf = {"schema.id.serializer": header_schema_id_serializer if q["in_header"] else prefix_schema_id_serializer}
    if q["type"] == "AVRO":
        return AvroSerializer(client, schema(q), conf=conf)
    if q["type"] == "JSON":
        return JSONSerializer(schema(q), client, conf=conf)
    return ProtobufSerializer(message(q), client, conf | {"use.deprecated.format": False})


def deserializer(q):
    if q["type"] == "AVRO":
        return AvroDeserializer(client, schema(q))
    if q["type"] == "JSON":
        return JSONDeserializer(schema(q), schema_registry_client=client)
    return ProtobufDeserializer(message(q), {"use.deprecated.format": False}, client)


def answer(q):
    context = SerializationContext(q["topic"], MessageField.KEY if q["key"] else MessageField.VALUE, headers=[])
    value = json_format.Parse(q["value"], message(q)()) if q["type"] == "PROTOBUF" else eval(q["value"], dict(names))
    if q["do"] == "write":
        wire = serializer(q)(value, context)
        return {"wire": base64.b64encode(wire).decode(), "headers": {k: base64.b64encode(v).decode() for k, v in context.headers}}
    context.headers.extend((k, base64.b64decode(v)) for k, v in (q.get("headers") or {}).items())
    got = deserializer(q)(base64.b64decode(q["wire"] or ""), context)
    return {"same": got == value, "got": repr(got)}


for line in sys.stdin:
    try:
        said = answer(json.loads(line))
    except Exception as e:
        said = {"error": f"{type(e).__name__}: {e}"}
    print(json.dumps(said), flush=True)
