// Package shop has the messages of its .proto files, for tests and benchmarks of codecs.
package shop
