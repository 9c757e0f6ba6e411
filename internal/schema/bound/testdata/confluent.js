// Reads lines of questions and answers each: writes a value, given as JSON, with Confluent's serializers for JavaScript, or reads what was
// written. Schemas are those that the registry has.
const { AvroDeserializer, AvroSerializer, JsonDeserializer, JsonSerializer, ProtobufDeserializer, ProtobufSerializer, SchemaRegistryClient, SerdeType } = require('@confluentinc/schemaregistry')
const { createFileRegistry, createMutableRegistry, fromBinary, fromJson, toJson } = require('@bufbuild/protobuf')
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt')

const client = new SchemaRegistryClient({ baseURLs: [process.argv[2]] })
const latest = { autoRegisterSchemas: false, useLatestVersion: true }

async function answer(q) {
  const kind = q.key ? SerdeType.KEY : SerdeType.VALUE
  const registered = createMutableRegistry()
  let value = q.value && JSON.parse(q.value)
  let message
  if (q.type === 'PROTOBUF') {
    const files = createFileRegistry(fromBinary(FileDescriptorSetSchema, Buffer.from(q.set, 'base64')))
    for (const type of files) registered.add(type)
    message = files.getMessage(q.message)
    value = value && fromJson(message, value, { registry: registered })
  }
  const serdes = {
    AVRO: [AvroSerializer, AvroDeserializer, {}],
    JSON: [JsonSerializer, JsonDeserializer, { validate: true }],
    PROTOBUF: [ProtobufSerializer, ProtobufDeserializer, { registry: registered }],
  }[q.type]
  if (q.do === 'write') {
    const wire = await new serdes[0](client, kind, { ...latest, ...serdes[2] }).serialize(q.topic, value)
    return { wire: wire.toString('base64') }
  }
  let got = await new serdes[1](client, kind, serdes[2]).deserialize(q.topic, Buffer.from(q.wire, 'base64'))
  if (message) got = toJson(message, got, { registry: registered })
  return { got: JSON.stringify(got) }
}

async function main() {
  for await (const line of require('node:readline').createInterface({ input: process.stdin })) {
    let a
    try {
      a = await answer(JSON.parse(line))
    } catch (e) {
      a = { error: String(e.stack || e) }
    }
    console.log(JSON.stringify(a))
  }
}

main()
