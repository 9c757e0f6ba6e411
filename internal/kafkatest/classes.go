//go:build unix

package kafkatest

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"time"

	"github.com/weirstream/weir/internal/fetched"
)

// To load and verify classes is 40 % of what the start of a node costs (measured: 6.6 s of processor time without an archive of them, 3.8 s with it,
// Java 17). A test run starts a hundred nodes. Java itself ignores an archive that does not fit.

// archived are the arguments that let Java take Kafka's classes from an archive (JEP 350). It is made once for each build of Java and each
// set of jars. Without one nodes only start more slowly, so none is made where that fails.
func (c *Cluster) archived(ctx context.Context) []string {
	sum := sha256.New()
	sum.Write(pom)
	sum.Write([]byte(c.java + c.libs + c.javaBuild))
	dir, have := fetched.Folder("kafka-classes", Version, sum.Sum(nil))
	if !have {
		if err := fetched.Make(dir, func(part string) (string, error) { return part, c.dumpClasses(ctx, filepath.Join(part, archive)) }); err != nil {
			return nil
		}
	}
	return []string{"-XX:SharedArchiveFile=" + filepath.Join(dir, archive), "-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"}
}

const archive = "classes.jsa"

// dumpClasses runs one node, and ends it in order: then Java writes what it has loaded.
func (c *Cluster) dumpClasses(ctx context.Context, file string) error {
	one := &Cluster{
		opts: Options{Brokers: 1, Heap: "512m", JVM: []string{"-XX:ArchiveClassesAtExit=" + file}},
		java: c.java, libs: c.libs, extra: map[string][]string{},
	}
	defer one.Close()
	var err error
	if one.dir, err = os.MkdirTemp("", "weir-kafka-"); err != nil {
		return err
	}
	if err := one.boot(ctx); err != nil {
		return err
	}
	if err := one.brokers[0].stop(2 * time.Minute); err != nil {
		return err
	}
	_, err = os.Stat(file)
	return err
}
