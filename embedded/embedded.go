// Package embedded is a broker inside the process that speaks Kafka's protocol: for `weir demo`, examples, and tests that
// take milliseconds. It is kfake (github.com/twmb/franz-go/pkg/kfake) with a fixed address, a locked data folder and a
// restart.
//
// What the engine uses behaves as in Kafka: idempotent and transactional writing, fencing, transactions that time out,
// read-committed reading with last stable offset and aborted list, groups with cooperative rebalancing and static
// members, offsets in transactions, topic ids, compaction, retention, size limits, TLS and SASL.
//
// It is not Kafka. Nothing is replicated, so acks, min.insync.replicas and further brokers are for show; data is written
// to disk unsynced, and lives in memory besides; compaction runs hourly or when asked (Cluster().Compact()) and spares
// the last batch; settings of topics are hardly checked, nor are names; a transaction ends before EndTxn is answered,
// where Kafka may be asked again (CONCURRENT_TRANSACTIONS). For what happens when brokers fail, take a real cluster
// (internal/kafkatest).
package embedded

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"

	"github.com/weirstream/weir/internal/filelock"
	"github.com/weirstream/weir/internal/private"
)

// Options of a Broker. The zero value is one broker on a free port of loopback with its data in memory.
type Options struct {
	// DataDir keeps topics, records, groups and offsets. It is made when absent and locked while the broker runs. Empty:
	// everything is gone after Close.
	DataDir string
	// Addr is the address to listen on, and the one that clients are told. Its host must therefore be one that clients
	// can reach, not 0.0.0.0. Default 127.0.0.1:0, a free port.
	Addr string
	// Brokers is how many brokers the cluster has, on ports that follow each other unless Addr leaves the port open.
	// Leaders and coordinators are spread over them. Default 1.
	Brokers int
	// Partitions is what a topic gets that is made without a count. Default 4.
	Partitions int
	// AutoCreateTopics makes topics when a client asks for one that does not exist, and for creation. Default off.
	AutoCreateTopics bool
	// MinSessionTimeout is the shortest session timeout that a group's member may ask for (group.min.session.timeout.ms).
	// Default 6s.
	MinSessionTimeout time.Duration
	// Config are settings of the brokers by Kafka's names, such as "message.max.bytes".
	Config map[string]string
	// TLS makes the brokers speak TLS. Users, when there are any, makes them want SASL.
	TLS   *tls.Config
	Users []User
	// Log gets the brokers' own log. Default none.
	Log *zap.Logger
}

// User may log in. Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
type User struct{ Mechanism, Name, Password string }

// Broker is a running cluster. Its methods are safe for concurrent use.
type Broker struct {
	opts Options
	host string
	lock io.Closer

	mu      sync.Mutex
	cluster *kfake.Cluster // nil when closed
	ports   []int
}

// Start starts the brokers and returns when they accept connections.
func Start(opts Options) (*Broker, error) {
	opts.Addr = cmp.Or(opts.Addr, "127.0.0.1:0")
	opts.Brokers = cmp.Or(opts.Brokers, 1)
	opts.Partitions = cmp.Or(opts.Partitions, 4)
	b := &Broker{opts: opts}
	if err := b.address(); err != nil {
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	if opts.DataDir != "" {
		if err := os.MkdirAll(opts.DataDir, 0o700); err != nil {
			return nil, fmt.Errorf("embedded broker: %w", err)
		}
		lock, err := filelock.Take(filepath.Join(opts.DataDir, "lock"))
		if _, held := errors.AsType[*filelock.HeldError](err); held {
			err = errors.New("another process, or another broker of this one, uses it")
		}
		if err != nil {
			return nil, fmt.Errorf("embedded broker: data folder %s: %w", opts.DataDir, err)
		}
		b.lock = lock
		// The folder of kfake's files is closed to others before anything is in it, since kfake makes them for all to read.
		if err := errors.Join(private.Folder(b.data()), private.Tighten(b.data())); err != nil {
			b.unlock()
			return nil, fmt.Errorf("embedded broker: data folder %s: %w", opts.DataDir, err)
		}
	}
	if err := b.open(); err != nil {
		b.unlock()
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	return b, nil
}

// address takes Options.Addr apart.
func (b *Broker) address() error {
	host, text, err := net.SplitHostPort(b.opts.Addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("address %s: clients are told this host, so it must be one that they can reach", b.opts.Addr)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("address %s: port %q is no number below 65536", b.opts.Addr, text)
	}
	b.host = host
	b.ports = make([]int, b.opts.Brokers)
	for i := range b.ports {
		if port != 0 {
			b.ports[i] = int(port) + i
		}
	}
	return nil
}

// open starts the cluster on b.ports and notes the ports that it got. b.mu is held or not needed yet.
func (b *Broker) open() error {
	opts := []kfake.Opt{
		kfake.NumBrokers(len(b.ports)),
		kfake.Ports(b.ports...),
		kfake.ListenFn(b.listen),
		kfake.DefaultNumPartitions(b.opts.Partitions),
		kfake.BrokerConfigs(b.opts.Config),
	}
	if b.opts.DataDir != "" {
		opts = append(opts, kfake.DataDir(b.data()))
	}
	if b.opts.AutoCreateTopics {
		opts = append(opts, kfake.AllowAutoTopicCreation())
	}
	if b.opts.MinSessionTimeout > 0 {
		opts = append(opts, kfake.GroupMinSessionTimeout(b.opts.MinSessionTimeout))
	}
	if len(b.opts.Users) > 0 {
		opts = append(opts, kfake.EnableSASL())
	}
	for _, u := range b.opts.Users {
		opts = append(opts, kfake.Superuser(u.Mechanism, u.Name, u.Password))
	}
	if b.opts.Log != nil {
		opts = append(opts, kfake.WithLogger(logger{b.opts.Log}))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return err
	}
	for i, addr := range cluster.ListenAddrs() {
		_, port, err := net.SplitHostPort(addr)
		if err == nil {
			b.ports[i], err = strconv.Atoi(port)
		}
		if err != nil {
			cluster.Close()
			return err
		}
	}
	b.cluster = cluster
	return nil
}

// listen puts the wanted host in the place of kfake's, and the guard before it.
func (b *Broker) listen(network, addr string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen(network, net.JoinHostPort(b.host, port))
	if err != nil {
		return nil, err
	}
	if b.opts.TLS != nil {
		l = tls.NewListener(l, b.opts.TLS)
	}
	return guard{l}, nil
}

// Addrs are the brokers' addresses, HOST:PORT. They stay the same over Restart.
func (b *Broker) Addrs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	addrs := make([]string, len(b.ports))
	for i, port := range b.ports {
		addrs[i] = net.JoinHostPort(b.host, strconv.Itoa(port))
	}
	return addrs
}

// Cluster is what is underneath, for tests that inject faults, move leaders or compact. After Restart it is another. It
// is nil after Close.
func (b *Broker) Cluster() *kfake.Cluster {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cluster
}

// Restart stops the brokers, cutting every connection, and starts them again on the same ports with what DataDir holds.
func (b *Broker) Restart() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.opts.DataDir == "":
		return errors.New("restart embedded broker: without a data folder nothing would be left")
	case b.cluster == nil:
		return errors.New("restart embedded broker: it is closed")
	}
	b.cluster.Close()
	b.cluster = nil
	if err := b.open(); err != nil {
		return fmt.Errorf("restart embedded broker: %w", err)
	}
	return nil
}

// Close stops the brokers. What DataDir holds is complete, and may be opened again.
func (b *Broker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cluster != nil {
		b.cluster.Close()
		b.cluster = nil
	}
	defer b.unlock()
	if b.lock != nil {
		return private.Tighten(b.data())
	}
	return nil
}

func (b *Broker) data() string { return filepath.Join(b.opts.DataDir, "data") }

func (b *Broker) unlock() {
	if b.lock != nil {
		_ = b.lock.Close()
		b.lock = nil
	}
}

// logger passes kfake's log on.
type logger struct{ log *zap.Logger }

// slowEnd begins what kfake says of a transaction whose end takes over 5 ms. It warns of it, for kfake's own tests; here
// it says no more than that the machine is busy.
const slowEnd = "txn: EndTxn slow"

func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	at := zap.DebugLevel
	switch {
	case level == kfake.LogLevelError:
		at = zap.ErrorLevel
	case level == kfake.LogLevelWarn && !strings.HasPrefix(format, slowEnd):
		at = zap.WarnLevel
	}
	if l.log.Core().Enabled(at) {
		l.log.Log(at, fmt.Sprintf(format, args...))
	}
}
