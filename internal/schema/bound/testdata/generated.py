"""Registers with Confluent's serializer for Python every file of Protobuf whose generated classes are installed with it, by a message of the file,
and compares what the registry has with what was sent. The answer is a line of JSON for each file: {"name", "file", "error"}.
"""
import base64
import difflib
import importlib
import json
import os
import sys

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, message_factory

client = SchemaRegistryClient({"url": sys.argv[1]})
root = os.environ["PYTHONPATH"]


def said(file):
    """What a file says, without what goes without saying."""
    file.name = ""

    def plain(fields):
        for f in fields:
            words = f.name.split("_")
            if f.extendee or f.json_name == words[0] + "".join(w[:1].upper() + w[1:] for w in words[1:]):
                f.ClearField("json_name")

    def messages(of):
        for m in of:
            plain(m.field)
            plain(m.extension)
            messages(m.nested_type)
            for r in m.extension_range:  # declarations are notes for protoc
                r.ClearField("options")

    messages(file.message_type)
    plain(file.extension)
    for service in file.service:
        for method in service.method:
            if not method.options.ListFields():  # braces without options
                method.ClearField("options")
    if file.syntax == "proto2":
        file.syntax = ""
    return descriptor_pb2.FileDescriptorProto.FromString(file.SerializeToString(deterministic=True))


def register(file):
    topic = "generated." + file.name.replace("/", ".")
    message = message_factory.GetMessageClass(next(iter(file.message_types_by_name.values())))
    serializer = ProtobufSerializer(message, client, {"use.deprecated.format": False})
    wire = serializer(message(), SerializationContext(topic, MessageField.VALUE))
    if serializer(message(), SerializationContext(topic, MessageField.VALUE)) != wire:
        return "it has two ids"
    stored = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(client.get_schema(int.from_bytes(wire[1:5], "big"), fmt="serialized").schema_str))
    sent = descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb)
    if said(stored) != said(sent):
        lines = difflib.unified_diff(str(sent).splitlines(), str(stored).splitlines(), "sent", "stored", n=8, lineterm="")
        return "the registry has another file:\n" + "\n".join(list(lines)[:40])
    return ""


for folder, _, names in sorted(os.walk(root)):
    for name in sorted(names):
        module = os.path.relpath(os.path.join(folder, name), root)[:-3].replace("/", ".")
        if not name.endswith("_pb2.py") or name.endswith("_grpc_pb2.py"):
            continue
        try:
            file = importlib.import_module(module).DESCRIPTOR
            error = register(file) if file.message_types_by_name else ""
        except Exception as e:
            error = f"{type(e).__name__}: {e}"
        if file.message_types_by_name and descriptor_pb2.FileDescriptorProto.FromString(file.serialized_pb).edition > descriptor_pb2.EDITION_2023:
            error = "" if "SR code 42201" in error else f"an edition that is not known here: {error}"
        print(json.dumps({"name": file.name, "file": base64.b64encode(file.serialized_pb).decode(), "error": error}), flush=True)
