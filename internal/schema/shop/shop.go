// Package shop has the messages of order.proto, for tests and benchmarks of codecs.
package shop
