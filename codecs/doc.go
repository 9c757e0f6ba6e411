// Package codecs turns the values of streams and stores into bytes and back.
//
// A [Codec] belongs to one Go type. [JSON], [String], [Int64] and [Bytes] make the ones that come with Weir. Each is a
// goka.Codec as well, byte for byte compatible with goka's own String, Int64 and Bytes; [FromGoka] takes any other
// goka.Codec over. [Name] tells a codec's name.
//
// A codec is not asked about tombstones. That a record has no value, or that a key has none, is said beside the value
// (see topology's Tombstone and Delete), so nil and empty are the same to Parse: "" for String, no bytes for Bytes, an
// error for JSON and Int64. An encoded empty value stays a value. A nil pointer, map, slice or interface is JSON's null, and
// null is that nil: no deletion. For all other types null is no value: [ErrNull], which a stream takes for a tombstone.
//
// A value of the wrong type, bytes that make no sense and a panic in users' marshalling methods are errors. No panic
// leaves this package.
package codecs
