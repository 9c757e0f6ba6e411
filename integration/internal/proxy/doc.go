// Package proxy stands between Kafka clients and one broker and breaks their connections on purpose.
//
// It knows of the protocol only how requests and answers are framed and matched: each request's API key and correlation
// id. Rules say which kinds of request suffer, how often and how; what strikes which request follows from a seed. So a
// request can be cut off half-way, its answer can be delayed, or lost although the broker has done what was asked, which
// is the case that exactly-once is about.
//
// A broker must advertise the proxy's address on the listener that clients use; nothing is rewritten on the way. Behind
// TLS nothing can be seen, and rules do nothing.
package proxy
