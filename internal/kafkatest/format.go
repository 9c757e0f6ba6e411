//go:build unix

package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// format prepares the nodes' data folders. Kafka's tool does the first; the others differ in their ids only, and a Java
// machine for each would take longer than all the rest of the start.
func (c *Cluster) format(ctx context.Context) error {
	nodes := append(append([]*Node(nil), c.brokers...), c.controllers...)
	first := nodes[0]
	args := append(c.jvm("128m"), "kafka.tools.StorageTool", "format",
		"--cluster-id", uuid(), "--config", filepath.Join(first.dir, "server.properties"))
	cmd := exec.CommandContext(ctx, c.java, append(args, c.opts.FormatArgs...)...)
	cmd.SysProcAttr = child()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format: %w\n%s", err, out)
	}
	for _, n := range nodes[1:] {
		if err := copyFormat(first, n); err != nil {
			return fmt.Errorf("format %s: %w", n, err)
		}
	}
	return nil
}

var (
	nodeID      = regexp.MustCompile(`(?m)^node\.id=.*$`)
	directoryID = regexp.MustCompile(`(?m)^directory\.id=.*$`)
)

func copyFormat(from, to *Node) error {
	source, target := filepath.Join(from.dir, "data"), filepath.Join(to.dir, "data")
	if err := os.MkdirAll(target, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(source, f.Name()))
		if err != nil {
			return err
		}
		if f.Name() == "meta.properties" {
			data = nodeID.ReplaceAll(data, fmt.Appendf(nil, "node.id=%d", to.ID))
			data = directoryID.ReplaceAll(data, []byte("directory.id="+uuid()))
		}
		if err := os.WriteFile(filepath.Join(target, f.Name()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// uuid is a random id as Kafka writes them. One that begins with a dash would be taken for an option.
func uuid() string {
	for {
		var id [16]byte
		_, _ = rand.Read(id[:])
		if text := base64.RawURLEncoding.EncodeToString(id[:]); text[0] != '-' {
			return text
		}
	}
}
