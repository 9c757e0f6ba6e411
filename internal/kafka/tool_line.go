package kafka

import (
	"cmp"
	"strings"
)

// Tool is how a line begins that runs one of Kafka's own tools against the cluster, as messages give such lines: with
// --command-config where brokers want an encrypted or authenticated connection, whose FILE has the same settings for the tool.
func (c Config) Tool(name string) string {
	line := name + " --bootstrap-server " + cmp.Or(strings.Join(c.Brokers, ","), "BROKERS")
	if cmp.Or(c.Security.Protocol, "PLAINTEXT") != "PLAINTEXT" {
		line += " --command-config FILE"
	}
	return line
}
