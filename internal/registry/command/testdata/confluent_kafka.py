"""Asks a schema registry with Confluent's client, and ends with code 1 at the first answer that is not as expected."""
import json
import sys
import urllib.request

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.timestamp_pb2 import Timestamp

client = SchemaRegistryClient({"url": sys.argv[1]})


def same(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, want {want!r}")


def refused(what, status, code, ask):
    try:
        answer = ask()
    except SchemaRegistryError as e:
        same(what, (e.http_status_code, e.error_code), (status, code))
    else:
        sys.exit(f"{what}: {answer!r}, want error {code}")


def round_trip(topic, value, serializer, deserializer):
    context = SerializationContext(topic, MessageField.VALUE)
    same(topic, deserializer(serializer(value, context), context), value)


ORDER = """{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}, {"name": "amount", "type": "long", "default": 0}]}"""
MORE = """{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "string"}, {"name": "more", "type": "long"}]}"""
PERSON = """{"title": "Person", "type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}"""

round_trip("order.placed.v1", {"id": "a", "amount": 5}, AvroSerializer(client, ORDER), AvroDeserializer(client))
round_trip("person.seen.v1", {"id": "a"}, JSONSerializer(PERSON, client), JSONDeserializer(PERSON, schema_registry_client=client))
settings = {"use.deprecated.format": False}
round_trip("clock.ticked.v1", Timestamp(seconds=5), ProtobufSerializer(Timestamp, client, settings), ProtobufDeserializer(Timestamp, settings))

subject = "order.placed.v1-value"
same("subjects", sorted(client.get_subjects()), ["clock.ticked.v1-value", subject, "person.seen.v1-value"])
first = client.get_latest_version(subject)
same("the latest version", first.version, 1)
fresh = SchemaRegistryClient({"url": sys.argv[1]})  # with nothing cached
same("registered again", fresh.register_schema(subject, Schema(ORDER, "AVRO")), first.schema_id)
same("lookup", fresh.lookup_schema(subject, Schema(ORDER, "AVRO")).version, 1)
same("versions", fresh.get_versions(subject), [1])
same("by id", fresh.get_schema(first.schema_id).schema_type, "AVRO")
refused("an id that is not there", 404, 40403, lambda: client.get_schema(999))
refused("a subject that is not there", 404, 40401, lambda: client.get_latest_version("nothing"))
refused("no schema", 422, 42201, lambda: client.register_schema("x", Schema('{"type": "nope"}', "AVRO")))

same("compatible", client.test_compatibility(subject, Schema(MORE, "AVRO")), False)
refused("incompatible", 409, 409, lambda: client.register_schema(subject, Schema(MORE, "AVRO")))
refused("a level that there is not", 422, 42203, lambda: client.set_compatibility(subject, "MOSTLY"))
refused("no level of its own", 404, 40408, lambda: client.get_compatibility("nothing"))
client.set_compatibility(subject, "NONE")
same("level", client.get_compatibility(subject), "NONE")
second = client.register_schema(subject, Schema(MORE, "AVRO"))
same("versions", client.get_versions(subject), [1, 2])

inner = Schema('{"type": "record", "name": "Inner", "fields": []}', "AVRO")
outer = '{"type": "record", "name": "Outer", "fields": [{"name": "inner", "type": "Inner"}]}'
client.register_schema("inner", inner)
client.register_schema("outer", Schema(outer, "AVRO", references=[SchemaReference("Inner", "inner", 1)]))
refused("what is referred to", 422, 42206, lambda: client.delete_subject("inner"))

same("a version is deleted", client.delete_version(subject, 1), 1)
same("the others are deleted", client.delete_subject(subject), [2])
refused("deleted again", 404, 40404, lambda: client.delete_subject(subject))
same("still there by its id", client.get_schema(second).schema_type, "AVRO")
same("deleted for good", client.delete_subject(subject, permanent=True), [1, 2])


def ask(method, path, body=None):
    request = urllib.request.Request(sys.argv[1] + path, json.dumps(body).encode() if body else None, method=method)
    return json.load(urllib.request.urlopen(request))


# Serializers send neither metadata nor rules. They find the version that has them, and a new version keeps them.
contract = {"metadata": {"properties": {"owner": "orders"}}, "ruleSet": {"domainRules": [{"name": "r", "kind": "CONDITION", "type": "CEL", "mode": "WRITE", "expr": "true", "disabled": True}]}}
owned = ask("POST", "/subjects/owned.v1-value/versions", {"schema": ORDER, **contract})["id"]
context = SerializationContext("owned.v1", MessageField.VALUE)
for conf in ({"auto.register.schemas": True}, {"auto.register.schemas": False}):
    wire = AvroSerializer(SchemaRegistryClient({"url": sys.argv[1]}), ORDER, conf=conf)({"id": "a", "amount": 5}, context)
    same(f"written with {conf}", int.from_bytes(wire[1:5], "big"), owned)
same("versions", client.get_versions("owned.v1-value"), [1])
WIDER = ORDER.replace('"default": 0}', '"default": 0}, {"name": "note", "type": "string", "default": ""}')
AvroSerializer(SchemaRegistryClient({"url": sys.argv[1]}), WIDER)({"id": "a", "amount": 5, "note": ""}, context)
latest = ask("GET", "/subjects/owned.v1-value/versions/latest")
same("the contract of a new version", (latest["version"], latest["metadata"], latest["ruleSet"]), (2, *contract.values()))

# A serializer has the whole schema where it was registered with a reference.
WHOLE = outer.replace('"Inner"', inner.schema_str)
first = ask("GET", "/subjects/outer/versions/1")["id"]
ask("POST", "/subjects/outer.v1-value/versions", {"schema": outer, "references": [{"name": "Inner", "subject": "inner", "version": 1}]})
context = SerializationContext("outer.v1", MessageField.VALUE)
for conf in ({"auto.register.schemas": True}, {"auto.register.schemas": False}):
    wire = AvroSerializer(SchemaRegistryClient({"url": sys.argv[1]}), WHOLE, conf=conf)({"inner": {}}, context)
    same(f"written whole with {conf}", int.from_bytes(wire[1:5], "big"), first)
