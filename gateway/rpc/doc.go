// Package rpc is the Protobuf service of the gateway, for clients: Connect, gRPC and gRPC-Web, generated from events.proto.
//
// NewEventsClient makes a client. With connect.WithGRPC() it speaks gRPC.
package rpc

//go:generate go run ./generate
