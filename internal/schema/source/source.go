// Package source has what all packages of schemas call the schemas that another one refers to.
package source

// Import is a schema that others refer to by a name: the full name of an Avro type, the path of a Protobuf file, or the $ref of a JSON
// schema.
type Import struct{ Name, Text string }
