//go:build unix

package kafkatest

import (
	"context"
	"errors"
	"os/exec"
	"testing"
)

// Tool is one of Kafka's own command line tools, by the Java class that its script in bin/ names
// ("org.apache.kafka.tools.TransactionsCommand" of kafka-transactions.sh), ready to be started against the cluster. It ends
// with ctx, and with the process that started it.
func (c *Cluster) Tool(ctx context.Context, class string, args ...string) (*exec.Cmd, error) {
	if c.java == "" {
		return nil, errors.New("Kafka's tools are not at hand: the cluster is that of WEIR_KAFKA_BROKERS")
	}
	cmd := exec.CommandContext(ctx, c.java, append(append(c.jvm("128m"), class), args...)...)
	cmd.SysProcAttr = child()
	return cmd, nil
}

// RunTool runs a tool to its end and returns what it printed.
func (c *Cluster) RunTool(t testing.TB, ctx context.Context, class string, args ...string) string {
	t.Helper()
	cmd, err := c.Tool(ctx, class, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%.2000s", class, args, err, out)
	}
	return string(out)
}
